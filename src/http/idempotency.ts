import type { Context } from '../context.ts'
import { Problem, type ProblemCode } from '../core/problem.ts'
import { sha256 } from '../crypto/digest.ts'
import {
  claimIdempotencyKey,
  dropIdempotencyKey,
  finishIdempotencyKey,
  reopenIdempotencyKey,
  takeOverIdempotencyKey,
  type IdempotencyClaim,
} from '../store/idempotency-keys.ts'
import type { IdempotencyKeyRow } from '../store/rows.ts'
import { invalid } from './json-body.ts'
import { problemAnswer, type Answer } from './respond.ts'

/**
 * `Idempotency-Key`, for callers who expect it (reliability.md 5.1). It lies over the natural keys and relies on them:
 * a request whose runner died is simply run again, and the merchant's own number finds what the first run did.
 */

const leaseMs = 60_000

export type KeyedRequest = {
  readonly merchantId: string
  readonly key: string
  readonly route: string
  /** Path parameter and validated body. */
  readonly content: unknown
  readonly requestId: string
  run(): Promise<Answer>
  reread?(id: string): Promise<unknown>
}

/**
 * Reads the header: 1 to 255 visible ASCII characters, bare or quoted.
 * @throws Problem `invalid-request`
 */
export function readIdempotencyKey(header: string | string[] | undefined): string | undefined {
  if (header === undefined) return undefined
  const text = String(header)
  const key = /^".*"$/.test(text) && text.length > 1 ? text.slice(1, -1) : text
  if (/^[\x21-\x7e]{1,255}$/.test(key)) return key
  throw invalid([
    { pointer: 'Idempotency-Key', detail: 'Send one key of 1 to 255 visible ASCII characters without spaces.' },
  ])
}

/**
 * Runs a request at most once for its key; repeats get the stored answer.
 * @throws Problem `request-in-progress`, `idempotency-key-reuse`, and what the request throws
 */
export async function answerOnce(ctx: Context, request: KeyedRequest): Promise<Answer> {
  const { merchantId, key, route } = request
  const claim = { merchantId, key, route, fingerprint: sha256(`${route}\n${canonical(request.content)}`) }
  const now = ctx.now()
  const leaseUntil = now + leaseMs
  const earlier = await claimIdempotencyKey(ctx.db, claim, now, leaseUntil)
  if (earlier !== undefined) {
    if (earlier.fingerprint !== claim.fingerprint) {
      throw new Problem(
        'idempotency-key-reuse',
        'This Idempotency-Key came with another request before. Use a new one for a new intent.',
      )
    }
    if (earlier.state === 'done') return replay(earlier, request)
    if (earlier.lease_until > now || !(await takeOverIdempotencyKey(ctx.db, earlier, leaseUntil))) {
      throw new Problem(
        'request-in-progress',
        'The first request with this Idempotency-Key is still running. Repeat in a second.',
        { retryAfter: 1 },
      )
    }
  }
  return runClaimed(ctx, request, claim, leaseUntil)
}

async function runClaimed(
  ctx: Context,
  request: KeyedRequest,
  claim: IdempotencyClaim,
  leaseUntil: number,
): Promise<Answer> {
  try {
    const answer = await request.run()
    await finishIdempotencyKey(ctx.db, claim, leaseUntil, answer.status, JSON.stringify(answer.body))
    return answer
  } catch (error) {
    await settle(ctx, request, claim, leaseUntil, error)
    throw error
  }
}

/** Answers that say nothing about an effect, so that the key stays free for the corrected request. */
const withoutEffect: readonly ProblemCode[] = [
  'invalid-request',
  'unauthenticated',
  'forbidden',
  'not-found',
  'request-in-progress',
  'payload-too-large',
  'unsupported-media-type',
  'rate-limited',
]

async function settle(
  ctx: Context,
  request: KeyedRequest,
  claim: IdempotencyClaim,
  leaseUntil: number,
  error: unknown,
): Promise<void> {
  if (error instanceof Problem && withoutEffect.includes(error.code))
    return dropIdempotencyKey(ctx.db, claim, leaseUntil)
  const answer = error instanceof Problem ? problemAnswer(error, request.requestId, ctx) : undefined
  // After a 5xx nobody knows what happened: the repeat must run, and finds out by the natural key.
  if (answer === undefined || answer.status >= 500) return reopenIdempotencyKey(ctx.db, claim, leaseUntil)
  return finishIdempotencyKey(ctx.db, claim, leaseUntil, answer.status, JSON.stringify(answer.body))
}

async function replay(row: IdempotencyKeyRow, request: KeyedRequest): Promise<Answer> {
  const status = row.response_status ?? 500
  const body: unknown = JSON.parse(row.response_body ?? 'null')
  const id =
    typeof body === 'object' && body !== null && 'id' in body && typeof body.id === 'string' ? body.id : undefined
  const current = status < 400 && id !== undefined ? await request.reread?.(id) : undefined
  return { status, body: current ?? body, replayed: true }
}

/** JSON with sorted keys: the same content gives the same text whatever the order it was written in. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const entries = Object.entries(value).filter(([, field]) => field !== undefined)
  const sorted = entries.sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${sorted.map(([name, field]) => `${JSON.stringify(name)}:${canonical(field)}`).join(',')}}`
}
