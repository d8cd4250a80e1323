import { LosslessNumber } from 'lossless-json'

/**
 * JSON as a verifier wants it: one text has one meaning. Written here because JSON.parse lets the last of two equal
 * keys win, and lossless-json accepts a repeated key whose values agree (reliability.md 3.1, T20).
 *
 * Integers that JavaScript holds exactly become numbers. Every other spelling (`1.0`, `1e2`, `-0`, twenty digits) is
 * kept as a `LosslessNumber` holding the exact text: schemas that want an integer refuse it, and nothing is rounded.
 */

const deepest = 16
const numberAt = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const spaceAt = /[ \t\r\n]*/y
const wordAt = /true|false|null/y

/**
 * Reads a JSON text.
 * @throws SyntaxError for anything that is not exactly one JSON value, for a key that occurs twice in one object (even
 *   with equal values), and for nesting deeper than 16; the message never quotes the text
 */
export function parseStrict(text: string): unknown {
  const reader = { text, at: 0 }
  const value = readValue(reader, 1)
  space(reader)
  if (reader.at !== text.length) throw malformed(reader, 'something after the value')
  return value
}

/**
 * Reads JSON bytes. Invalid UTF-8 and a byte order mark are refused instead of repaired.
 * @throws SyntaxError like parseStrict
 */
export function parseStrictBytes(bytes: Uint8Array): unknown {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new SyntaxError('JSON: not UTF-8')
  }
  return parseStrict(text)
}

type Reader = { readonly text: string; at: number }

function readValue(reader: Reader, depth: number): unknown {
  if (depth > deepest) throw malformed(reader, 'nested too deeply')
  space(reader)
  const character = reader.text[reader.at]
  if (character === '{') return readObject(reader, depth)
  if (character === '[') return readArray(reader, depth)
  if (character === '"') return readString(reader)
  const word = take(reader, wordAt)
  if (word !== undefined) return word === 'null' ? null : word === 'true'
  return readNumber(reader)
}

function readObject(reader: Reader, depth: number): unknown {
  const members = new Map<string, unknown>()
  reader.at += 1
  if (next(reader, '}')) return {}
  for (;;) {
    space(reader)
    const key = readString(reader)
    if (members.has(key)) throw malformed(reader, 'a key occurs twice')
    if (!next(reader, ':')) throw malformed(reader, 'a colon is missing')
    members.set(key, readValue(reader, depth + 1))
    // fromEntries defines properties, so a key named __proto__ is a key and nothing more.
    if (next(reader, '}')) return Object.fromEntries(members)
    if (!next(reader, ',')) throw malformed(reader, 'a comma is missing')
  }
}

function readArray(reader: Reader, depth: number): unknown {
  const values: unknown[] = []
  reader.at += 1
  if (next(reader, ']')) return values
  for (;;) {
    values.push(readValue(reader, depth + 1))
    if (next(reader, ']')) return values
    if (!next(reader, ',')) throw malformed(reader, 'a comma is missing')
  }
}

function readString(reader: Reader): string {
  const { text, at } = reader
  if (text[at] !== '"') throw malformed(reader, 'a string was expected')
  let end = at + 1
  while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1
  reader.at = Math.min(end + 1, text.length)
  try {
    // From the first quote to the first that is not escaped there is one literal or nothing legal.
    const value: unknown = JSON.parse(text.slice(at, end + 1))
    if (typeof value === 'string') return value
  } catch {
    // The engine's own message would quote the text.
  }
  throw malformed(reader, 'a string is malformed')
}

function readNumber(reader: Reader): unknown {
  const literal = take(reader, numberAt)
  if (literal === undefined) throw malformed(reader, 'a value was expected')
  const value = /^-?\d{1,16}$/.test(literal) ? Number.parseInt(literal, 10) : Number.NaN
  return Number.isSafeInteger(value) && !Object.is(value, -0) ? value : new LosslessNumber(literal)
}

function take(reader: Reader, pattern: RegExp): string | undefined {
  pattern.lastIndex = reader.at
  const found = pattern.exec(reader.text)?.[0]
  if (found !== undefined) reader.at += found.length
  return found
}

function space(reader: Reader): void {
  take(reader, spaceAt)
}

function next(reader: Reader, character: string): boolean {
  space(reader)
  if (reader.text[reader.at] !== character) return false
  reader.at += 1
  return true
}

function malformed(reader: Reader, what: string): SyntaxError {
  return new SyntaxError(`JSON: ${what} at character ${String(reader.at)}`)
}
