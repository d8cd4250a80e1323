import type { SimRequest } from './http.ts'

/** Parameters of a control call: the query string, overlaid by a JSON object or a form in the body. All values are text. */
export function parametersOf(request: SimRequest): Record<string, string> {
  const result: Record<string, string> = Object.fromEntries(new URLSearchParams(request.query))
  const text = request.body.toString('utf8').trim()
  if (text === '') return result
  if (!text.startsWith('{')) return { ...result, ...Object.fromEntries(new URLSearchParams(text)) }
  const body: unknown = JSON.parse(text)
  if (typeof body !== 'object' || body === null) return result
  for (const [name, value] of Object.entries(body)) {
    if (typeof value === 'string') result[name] = value
    else if (typeof value === 'number' || typeof value === 'boolean') result[name] = String(value)
  }
  return result
}

/** A whole number of the given parameter, or undefined when absent; NaN when it is something else. */
export const wholeNumber = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : /^\d{1,15}$/.test(text) ? Number.parseInt(text, 10) : Number.NaN
