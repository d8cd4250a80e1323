import { strictText } from './envelope.ts'

/**
 * Strict `application/x-www-form-urlencoded`. The signature is over a decoded value, so a lenient decoder (invalid
 * percent escapes kept, bad UTF-8 replaced) could verify one text and store another (huifu-dougong.md 2.4 and 13.1).
 */

const fieldsMax = 32

/**
 * Decodes a form body.
 * @returns every value by name, in order of appearance; undefined when the bytes are not such a form
 */
export function readForm(body: Buffer): ReadonlyMap<string, readonly string[]> | undefined {
  const text = strictText(body)
  if (text === undefined || text === '') return undefined
  const parts = text.split('&')
  if (parts.length > fieldsMax) return undefined
  const fields = new Map<string, string[]>()
  for (const part of parts) {
    const equals = part.indexOf('=')
    if (equals < 1) return undefined
    const name = decode(part.slice(0, equals))
    const value = decode(part.slice(equals + 1))
    if (name === undefined || value === undefined) return undefined
    const values = fields.get(name)
    if (values === undefined) fields.set(name, [value])
    else values.push(value)
  }
  return fields
}

function decode(text: string): string | undefined {
  try {
    // decodeURIComponent refuses stray percent signs, overlong forms and encoded surrogates; the form's own rule is "+".
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}
