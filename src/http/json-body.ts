import { z } from 'zod'
import { Problem, type Fault } from '../core/problem.ts'

/**
 * JSON from merchants: read strictly, and with every fault told at once (reliability.md 3.3, T55 to T59). JSON.parse
 * decides whether the text is JSON; what it silently forgives (a key written twice, 1e2, 9007199254740993, deep nesting)
 * is looked for in the text itself.
 */

export const largestJsonBody = 32 * 1024

const deepest = 8
const mostFaults = 50
const pollutingKeys: readonly string[] = ['__proto__', 'constructor', 'prototype']

/** What is allowed in a body: a zod schema whose fields describe their rule, and rules that need more than one field. */
export type BodyRule<Body> = {
  readonly schema: z.ZodType<Body>
  /** True when a request without a body counts as `{}`. */
  readonly mayBeEmpty?: boolean
  readonly also?: (raw: Readonly<Record<string, unknown>>, circumstances: Circumstances) => readonly Fault[]
}

/** What a rule may depend on besides the body. `now` in epoch milliseconds. */
export type Circumstances = { readonly sandbox: boolean; readonly now: number }

/**
 * Reads and checks a body.
 * @param contentType the request's header
 * @param bytes the body as received
 * @throws Problem `unsupported-media-type`; `invalid-request` with a JSON pointer, the rule and the cure of every fault
 */
export function readJsonBody<Body>(
  rule: BodyRule<Body>,
  contentType: string | undefined,
  bytes: Buffer,
  circumstances: Circumstances,
): Body {
  const empty = bytes.length === 0
  if (empty && rule.mayBeEmpty !== true)
    throw new Problem('invalid-request', 'The body is missing. Send one JSON object.')
  if (!empty && !/^application\/json\s*(?:;\s*charset="?utf-8"?\s*)?$/i.test(contentType ?? '')) {
    throw new Problem('unsupported-media-type', 'Send the body with Content-Type: application/json, in UTF-8.')
  }
  const text = empty ? '{}' : decode(bytes)
  const raw = parse(text)
  const { faults: written, tooDeep } = inspect(text)
  if (tooDeep) throw invalid(written)
  const result = rule.schema.safeParse(raw)
  const ruled = result.success ? [] : result.error.issues.flatMap((issue) => faultsOf(issue, rule.schema))
  const further = isRecord(raw) ? (rule.also?.(raw, circumstances) ?? []) : []
  const faults = firstPerPointer([...written, ...ruled, ...further])
  if (!result.success || faults.length > 0) throw invalid(faults)
  return result.data
}

/** An `invalid-request` with its faults. */
export function invalid(faults: readonly Fault[]): Problem {
  const count = faults.length === 1 ? 'One thing has' : `${String(faults.length)} things have`
  return new Problem('invalid-request', `${count} to be corrected; see errors.`, {
    errors: faults.slice(0, mostFaults),
  })
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new Problem('invalid-request', 'The body is not UTF-8. Encode it as UTF-8, without a byte order mark.')
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The parser's own message quotes the body, which may hold what must not be repeated.
    throw new Problem(
      'invalid-request',
      'The body is not JSON. Send one JSON object, in UTF-8, without a byte order mark.',
    )
  }
}

/** One fault for each place: what the text says comes before what its value means. */
function firstPerPointer(faults: readonly Fault[]): readonly Fault[] {
  const seen = new Set<string>()
  return faults.filter(({ pointer }) => !seen.has(pointer) && seen.add(pointer))
}

/** Turns what zod noticed into pointer, rule and cure; a field's description is its rule. */
export function faultsOf(issue: z.core.$ZodIssue, schema: z.ZodType): readonly Fault[] {
  const pointer = pointerOf(issue.path)
  const shape: Readonly<Record<string, z.ZodType>> = schema instanceof z.ZodObject ? schema.shape : {}
  if (issue.code === 'unrecognized_keys') {
    const known = issue.path.length === 0 ? ` Known: ${Object.keys(shape).join(', ') || 'none'}.` : ''
    return issue.keys.map((key) => ({
      pointer: `${pointer}/${escapeKey(key)}`,
      detail: `Unknown field; leave it out.${known}`,
    }))
  }
  const [field] = issue.path
  if (field === undefined) return [{ pointer, detail: 'Send one JSON object.' }]
  const rule = shape[String(field)]?.description ?? issue.message
  const isMissing =
    issue.code === 'invalid_type' && issue.path.length === 1 && issue.message.endsWith('received undefined')
  return [{ pointer, detail: isMissing ? `Missing. ${rule}` : rule }]
}

function pointerOf(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${escapeKey(String(part))}`).join('')
}

/** RFC 6901; long keys are cut, because an answer must not grow with what was sent. */
function escapeKey(key: string): string {
  return key.slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')
}

type Frame = { readonly keys: Set<string> | undefined; place: string | number; expectsKey: boolean }

const token = /[{}[\],:]|"(?:[^"\\]|\\.)*"|[^\s{}[\],:"]+/g

/** Walks over text that is known to be JSON. No recursion: nesting costs the sender, not our stack. */
function inspect(text: string): { readonly faults: readonly Fault[]; readonly tooDeep: boolean } {
  const faults: Fault[] = []
  const frames: Frame[] = []
  const pointer = () => frames.map(({ place }) => `/${escapeKey(String(place))}`).join('')
  for (const [part] of text.matchAll(token)) {
    const top = frames.at(-1)
    if (faults.length >= mostFaults) break
    if (part === '{' || part === '[') {
      if (frames.length >= deepest) {
        return {
          faults: [{ pointer: pointer(), detail: `Nested more than ${String(deepest)} levels deep. Flatten it.` }],
          tooDeep: true,
        }
      }
      frames.push(
        part === '{'
          ? { keys: new Set(), place: '', expectsKey: true }
          : { keys: undefined, place: 0, expectsKey: false },
      )
    } else if (part === '}' || part === ']') frames.pop()
    else if (part === ',' && top !== undefined) advance(top)
    else if (part.startsWith('"') && top?.expectsKey === true) {
      const problem = enterKey(top, String(JSON.parse(part)))
      if (problem !== undefined) faults.push({ pointer: pointer(), detail: problem })
    } else if (/^[-\d]/.test(part)) {
      const problem = judgeNumber(part)
      if (problem !== undefined) faults.push({ pointer: pointer(), detail: problem })
    }
  }
  return { faults, tooDeep: false }
}

function advance(frame: Frame): void {
  if (typeof frame.place === 'number') frame.place += 1
  else frame.expectsKey = true
}

function enterKey(frame: Frame, key: string): string | undefined {
  const isRepeated = frame.keys?.has(key) === true
  frame.keys?.add(key)
  frame.place = key
  frame.expectsKey = false
  if (isRepeated) return 'Written more than once. Send each field once.'
  return pollutingKeys.includes(key) ? 'This name is not allowed for a field. Rename or remove it.' : undefined
}

function judgeNumber(literal: string): string | undefined {
  if (!/^-?\d+$/.test(literal))
    return 'Write the number as an integer, without fraction or exponent. Amounts are in minor units: 12.30 yuan is 1230.'
  if (!Number.isSafeInteger(Number.parseInt(literal, 10)))
    return 'The number is too large to be exact. Send a smaller integer.'
  return literal.startsWith('-0') ? 'Write zero as 0.' : undefined
}
