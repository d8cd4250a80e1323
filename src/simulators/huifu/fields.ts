import { isDay } from './beijing.ts'
import { memberOf, readJson, writeNode, type Node, type ObjectNode } from './json.ts'
import { fenOf } from './money.ts'

/** What one member of `data` must look like. `json` members are objects written into a string (huifu-dougong.md 4.2). */
export type FieldRule = {
  readonly max: number
  readonly required?: true
  readonly form?: 'text' | 'number' | 'day' | 'amount' | 'url' | 'json' | 'jsonList' | 'flag'
  readonly among?: readonly string[]
}

export type FieldRules = Readonly<Record<string, FieldRule>>

/** The scalar members of a checked `data`, by name; empty strings count as absent (huifu-dougong.md 2.2). */
export type Fields = ReadonlyMap<string, string>

/** Characters as Huifu counts them: one per code point, not per UTF-16 unit. */
export const lengthOf = (text: string): number => Array.from(text).length

/** Text of a scalar, or undefined for objects and arrays. Numbers keep their spelling. */
const scalar = (node: Node): string | undefined =>
  node.kind === 'string' || node.kind === 'literal' ? node.text : undefined

/** Written as text because a pattern with raw control characters looks like a mistake to every reader. */
const ILLEGAL = new RegExp(
  String.raw`[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u2028\u2029\ufffe\uffff]|\p{Surrogate}`,
  'u',
)

/**
 * Characters that survive no SDK unchanged: controls other than tab and line breaks, DEL to U+009F, and the two line
 * separators. Real traffic must not contain them (huifu-dougong.md 2.2), so the simulator answers 412.
 */
export function hasIllegalCharacters(data: ObjectNode): boolean {
  return data.members.some(([key, node]) => ILLEGAL.test(key) || (node.kind === 'string' && ILLEGAL.test(node.text)))
}

/**
 * Checks every member of `data` against the rules of one operation, stricter than Huifu: members nobody documented
 * and objects at the first level are refused too (huifu-dougong.md 18.1 step 6).
 * Returns the fields, or the Chinese text that goes with code 10000000.
 */
export function checkFields(data: ObjectNode, rules: FieldRules, allowNested: boolean): Fields | string {
  const fields = new Map<string, string>()
  for (const [name, node] of data.members) {
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined
    if (rule === undefined) return `${name}不存在`
    if (node.kind === 'literal' && node.text === 'null') continue
    const text = scalar(node)
    if (text === undefined) {
      const isJson = rule.form === 'json' || rule.form === 'jsonList'
      if (!allowNested || !isJson) return `${name}格式错误`
      fields.set(name, writeNode(node))
      continue
    }
    if (text === '') continue
    const complaint = complaintAbout(name, node, text, rule)
    if (complaint !== undefined) return complaint
    fields.set(name, text)
  }
  const missing = Object.entries(rules).find(([name, rule]) => rule.required === true && !fields.has(name))
  return missing === undefined ? fields : `${missing[0]}不能为空`
}

function complaintAbout(name: string, node: Node, text: string, rule: FieldRule): string | undefined {
  if (lengthOf(text) > rule.max) return `${name}长度不能超过${rule.max}`
  // Only what the documents call an integer may arrive without quotes.
  if (node.kind === 'literal' && rule.form !== 'flag') return `${name}格式错误`
  if (rule.among !== undefined && !rule.among.includes(text)) return `${name}枚举不存在`
  return isWellFormed(text, rule.form ?? 'text') ? undefined : `${name}格式错误`
}

function isWellFormed(text: string, form: NonNullable<FieldRule['form']>): boolean {
  switch (form) {
    case 'text':
      return true
    case 'flag':
      return /^\d$/.test(text)
    case 'number':
      return /^[0-9A-Za-z_-]+$/.test(text)
    case 'day':
      return isDay(text)
    case 'amount':
      return (fenOf(text) ?? 0) > 0
    case 'url':
      return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)
    case 'json':
      return objectIn(text) !== undefined
    default:
      return nodeIn(text)?.kind === 'array'
  }
}

function nodeIn(text: string): Node | undefined {
  try {
    return readJson(text)
  } catch {
    return undefined
  }
}

/** The object a JSON string holds, or undefined. */
export function objectIn(text: string): ObjectNode | undefined {
  const node = nodeIn(text)
  return node?.kind === 'object' ? node : undefined
}

/** Text of a string member of a node that is an object; undefined for anything else, and for an empty string. */
export function textIn(node: Node | undefined, name: string): string | undefined {
  if (node?.kind !== 'object') return undefined
  const member = memberOf(node, name)
  return member?.kind === 'string' && member.text !== '' ? member.text : undefined
}
