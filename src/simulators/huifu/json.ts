/**
 * A JSON reader that keeps what JavaScript loses: the spelling of numbers, the order of members and the fact that a
 * key came twice. Huifu signs text, not values, so `0.00` must stay `0.00` (huifu-dougong.md 2.8).
 */
export type Node =
  | { readonly kind: 'string'; readonly text: string }
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'array'; readonly items: readonly Node[] }
  | { readonly kind: 'object'; readonly members: readonly (readonly [string, Node])[] }

export type ObjectNode = Extract<Node, { kind: 'object' }>

const MAX_DEPTH = 32
const LITERAL = /(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)/y
/** Where a string ends; JSON.parse then refuses wrong escapes and raw control characters in it. */
const STRING = /"(?:[^"\\]|\\.)*"/y

/** How far a text has been read. */
type Cursor = { readonly text: string; at: number }

function fail(cursor: Cursor): never {
  throw new SyntaxError(`not JSON at character ${cursor.at}`)
}

function peek(cursor: Cursor): string {
  while (cursor.at < cursor.text.length && ' \t\n\r'.includes(cursor.text.charAt(cursor.at))) cursor.at += 1
  return cursor.text.charAt(cursor.at)
}

/** Consumes one character that must be among `allowed` and returns it. */
function mark(cursor: Cursor, allowed: string): string {
  const found = peek(cursor)
  if (found === '' || !allowed.includes(found)) fail(cursor)
  cursor.at += 1
  return found
}

function token(cursor: Cursor, pattern: RegExp): string {
  pattern.lastIndex = cursor.at
  const match = pattern.exec(cursor.text)
  if (match === null) return fail(cursor)
  cursor.at = pattern.lastIndex
  return match[0]
}

function readString(cursor: Cursor): string {
  const parsed: unknown = JSON.parse(token(cursor, STRING))
  return typeof parsed === 'string' ? parsed : fail(cursor)
}

function readValue(cursor: Cursor, depth: number): Node {
  if (depth > MAX_DEPTH) fail(cursor)
  const next = peek(cursor)
  if (next === '"') return { kind: 'string', text: readString(cursor) }
  if (next === '{') return readObject(cursor, depth)
  if (next === '[') return readArray(cursor, depth)
  return { kind: 'literal', text: token(cursor, LITERAL) }
}

function readObject(cursor: Cursor, depth: number): Node {
  const members: [string, Node][] = []
  const seen = new Set<string>()
  mark(cursor, '{')
  if (peek(cursor) === '}') {
    mark(cursor, '}')
    return { kind: 'object', members }
  }
  do {
    peek(cursor)
    const key = readString(cursor)
    // Two readers may pick different twins of a repeated key, so neither is believed (huifu-dougong.md 18.1).
    if (seen.has(key)) fail(cursor)
    seen.add(key)
    mark(cursor, ':')
    members.push([key, readValue(cursor, depth + 1)])
  } while (mark(cursor, ',}') === ',')
  return { kind: 'object', members }
}

function readArray(cursor: Cursor, depth: number): Node {
  const items: Node[] = []
  mark(cursor, '[')
  if (peek(cursor) === ']') {
    mark(cursor, ']')
    return { kind: 'array', items }
  }
  do items.push(readValue(cursor, depth + 1))
  while (mark(cursor, ',]') === ',')
  return { kind: 'array', items }
}

/** Reads JSON without loss. Throws SyntaxError on anything else, on repeated keys and on nesting deeper than 32. */
export function readJson(text: string): Node {
  const cursor: Cursor = { text, at: 0 }
  const value = readValue(cursor, 0)
  peek(cursor)
  return cursor.at === text.length ? value : fail(cursor)
}

/** Writes a node compactly: numbers as they were spelled, strings with raw UTF-8 and raw slashes (huifu-dougong.md 2.1). */
export function writeNode(node: Node): string {
  switch (node.kind) {
    case 'string':
      return JSON.stringify(node.text)
    case 'literal':
      return node.text
    case 'array':
      return `[${node.items.map(writeNode).join(',')}]`
    default:
      return `{${node.members.map(([key, value]) => `${JSON.stringify(key)}:${writeNode(value)}`).join(',')}}`
  }
}

const byKey = ([a]: readonly [string, Node], [b]: readonly [string, Node]): number => (a < b ? -1 : a > b ? 1 : 0)
const isNull = (node: Node): boolean => node.kind === 'literal' && node.text === 'null'

/** The text Huifu signs: null members dropped, first level sorted by character code, deeper levels untouched (2.1). */
export function canonicalText(node: Node): string {
  if (node.kind !== 'object') return writeNode(node)
  return writeNode({ kind: 'object', members: node.members.filter(([, value]) => !isNull(value)).toSorted(byKey) })
}

/** The member of that name, or undefined; never looks into a prototype. */
export function memberOf(node: ObjectNode, name: string): Node | undefined {
  return node.members.find(([key]) => key === name)?.[1]
}

/** A value the simulator itself makes. Floats never occur: amounts are strings (huifu-dougong.md 18.2). */
export type Plain = string | number | boolean | readonly Plain[] | { readonly [key: string]: Plain | undefined }

/** Compact JSON with the keys of every object sorted and undefined members left out, the way Huifu emits it (2.3, 13.3). */
export function sortedJson(value: Plain): string {
  if (typeof value !== 'object') return JSON.stringify(value)
  if (isList(value)) return `[${value.map(sortedJson).join(',')}]`
  const parts: string[] = []
  for (const key of Object.keys(value).sort()) {
    const member = value[key]
    if (member !== undefined) parts.push(`${JSON.stringify(key)}:${sortedJson(member)}`)
  }
  return `{${parts.join(',')}}`
}

function isList(value: Plain): value is readonly Plain[] {
  return Array.isArray(value)
}
