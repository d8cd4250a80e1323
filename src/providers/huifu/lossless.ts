/**
 * A JSON reader that loses nothing: numbers keep their spelling, members keep their order, and every value knows where
 * it stood in the text. `JSON.parse` turns `0.00` into `0`, and a signature over that no longer verifies
 * (huifu-dougong.md 2.3 and 2.8, vector V6).
 */

/** Where a value stood in the text: `text.slice(from, to)` is its exact spelling. */
type Place = { readonly from: number; readonly to: number }

export type Json = Place &
  (
    | { readonly kind: 'text'; readonly text: string }
    /** A number, true, false or null, as spelled. */
    | { readonly kind: 'literal'; readonly text: string }
    | { readonly kind: 'list'; readonly items: readonly Json[] }
    | { readonly kind: 'object'; readonly members: ReadonlyMap<string, Json> }
  )

export type JsonObject = Extract<Json, { kind: 'object' }>

// Documented answers nest five levels at most; a deeper text is somebody trying to exhaust the stack.
const deepest = 32

/**
 * Reads one JSON text.
 * @throws SyntaxError for anything that is not exactly one JSON value, for duplicate keys and for nesting beyond 32 levels
 */
export function parseLossless(text: string): Json {
  const end = skipSpace(text, 0)
  const value = readValue(text, end, 0)
  if (skipSpace(text, value.to) !== text.length) throw unreadable(value.to)
  return value
}

function readValue(text: string, from: number, depth: number): Json {
  if (depth > deepest) throw new SyntaxError('JSON is nested too deeply')
  const first = text[from]
  if (first === '"') {
    const to = endOfText(text, from)
    return { kind: 'text', text: decodeText(text, from, to), from, to }
  }
  if (first === '{') return readObject(text, from, depth)
  if (first === '[') return readList(text, from, depth)
  return readLiteral(text, from)
}

function readObject(text: string, from: number, depth: number): Json {
  const members = new Map<string, Json>()
  let at = skipSpace(text, from + 1)
  if (text[at] === '}') return { kind: 'object', members, from, to: at + 1 }
  for (;;) {
    at = skipSpace(text, at)
    if (text[at] !== '"') throw unreadable(at)
    const afterKey = endOfText(text, at)
    const key = decodeText(text, at, afterKey)
    // Two readers of a duplicated key may each believe another value; nobody honest sends one.
    if (members.has(key)) throw new SyntaxError('JSON has a duplicate key')
    at = skipSpace(text, afterKey)
    if (text[at] !== ':') throw unreadable(at)
    const value = readValue(text, skipSpace(text, at + 1), depth + 1)
    members.set(key, value)
    at = skipSpace(text, value.to)
    if (text[at] === '}') return { kind: 'object', members, from, to: at + 1 }
    if (text[at] !== ',') throw unreadable(at)
    at += 1
  }
}

function readList(text: string, from: number, depth: number): Json {
  const items: Json[] = []
  let at = skipSpace(text, from + 1)
  if (text[at] === ']') return { kind: 'list', items, from, to: at + 1 }
  for (;;) {
    const value = readValue(text, skipSpace(text, at), depth + 1)
    items.push(value)
    at = skipSpace(text, value.to)
    if (text[at] === ']') return { kind: 'list', items, from, to: at + 1 }
    if (text[at] !== ',') throw unreadable(at)
    at += 1
  }
}

function readLiteral(text: string, from: number): Json {
  const literal = /(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.+-])/y
  literal.lastIndex = from
  const match = literal.exec(text)
  if (match === null) throw unreadable(from)
  return { kind: 'literal', text: match[0], from, to: literal.lastIndex }
}

/** @param from where the opening quote stands. @returns the place after the closing quote */
function endOfText(text: string, from: number): number {
  for (let at = from + 1; at < text.length; at += 1) {
    if (text[at] === '"') return at + 1
    if (text[at] === '\\') at += 1
  }
  throw unreadable(from)
}

function decodeText(text: string, from: number, to: number): string {
  // A single string holds no number to lose, and JSON.parse is strict about escapes and control characters.
  const decoded: unknown = JSON.parse(text.slice(from, to))
  if (typeof decoded !== 'string') throw unreadable(from)
  return decoded
}

function skipSpace(text: string, from: number): number {
  let at = from
  while (text[at] === ' ' || text[at] === '\t' || text[at] === '\n' || text[at] === '\r') at += 1
  return at
}

function unreadable(at: number): SyntaxError {
  return new SyntaxError(`not JSON at position ${String(at)}`)
}

/**
 * The text that Huifu signs and expects to be signed: first level without nulls, keys in ASCII order, nothing between
 * the tokens, texts with the short escapes only, numbers as spelled, deeper levels in their own order
 * (huifu-dougong.md 2.1 and 2.8).
 */
export function canonical(value: Json): string {
  if (value.kind !== 'object') return compact(value)
  const members = [...value.members]
    .filter(([, member]) => !(member.kind === 'literal' && member.text === 'null'))
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${compact(member)}`).join(',')}}`
}

function compact(value: Json): string {
  if (value.kind === 'text') return JSON.stringify(value.text)
  if (value.kind === 'literal') return value.text
  if (value.kind === 'list') return `[${value.items.map(compact).join(',')}]`
  return `{${[...value.members].map(([key, member]) => `${JSON.stringify(key)}:${compact(member)}`).join(',')}}`
}

/**
 * A scalar member as text: `"1"` and `1` are the same to us, because Huifu's dialects differ (huifu-dougong.md 17 row 7).
 * @returns undefined when absent, null, empty or not a scalar
 */
export function textOf(object: JsonObject, name: string): string | undefined {
  const member = object.members.get(name)
  if (member === undefined || (member.kind !== 'text' && member.kind !== 'literal')) return undefined
  if (member.text === '' || (member.kind === 'literal' && member.text === 'null')) return undefined
  return member.text
}

/** The first of the members that has a text. */
export function firstText(object: JsonObject, ...names: readonly string[]): string | undefined {
  for (const name of names) {
    const text = textOf(object, name)
    if (text !== undefined) return text
  }
  return undefined
}

/** An object member, whether it was sent as an object or as text holding one (huifu-dougong.md 3, "JSON-in-string"). */
export function objectOf(object: JsonObject, name: string): JsonObject | undefined {
  const member = object.members.get(name)
  if (member?.kind === 'object') return member
  if (member?.kind !== 'text') return undefined
  try {
    const inner = parseLossless(member.text)
    return inner.kind === 'object' ? inner : undefined
  } catch {
    return undefined
  }
}
