import type { BridgeAnswer } from './bridge.ts'

/** How an order stands, in the words of the gateway's `status`. */
export type ServerStatus = 'open' | 'paid' | 'closed'

/** Why the server is asked: it may look harder after a payment sheet than after a cold look. */
export type Hint = BridgeAnswer['result'] | 'wake'

/**
 * Asks your server how the order stands. A function answers with the status; a string is the address of a JSON answer
 * with a `status` member on your own server, to which `hint` is added as a query parameter.
 */
export type Confirm = string | ((hint: Hint) => Promise<ServerStatus>)

/**
 * How a payment went, as far as it is known.
 * - `paid`: your server said so. Nothing else makes it so.
 * - `closed`: your server said that nobody can pay this order any more.
 * - `cancelled`, `failed`: your server said that the order is unpaid, after the sheet said so too. Offer another try.
 * - `unconfirmed`: nobody knows yet. Show no pay button; ask again later.
 * `raw` is the bridge's own text, for your log.
 */
export type Outcome = { status: 'paid' | 'closed' | 'cancelled' | 'failed' | 'unconfirmed'; raw: string }

/** Pauses before each question, in milliseconds (experience.md 2.5). */
export const plans: Readonly<Record<BridgeAnswer['result'], readonly number[]>> = {
  ok: [0, 800, 1000, 1500, 2000, 3000, 4000, 5000],
  cancel: [0, 1200],
  fail: [0, 1200],
}

export type Ask = (hint: Hint) => Promise<ServerStatus>

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/**
 * Asks the server by the plan that belongs to what the sheet said, and lets only its answers decide.
 * @returns never rejects: a server that does not answer leaves the payment `unconfirmed`
 */
export async function settle(said: BridgeAnswer, ask: Ask): Promise<Outcome> {
  let last: ServerStatus | undefined
  for (const ms of plans[said.result]) {
    if (ms > 0) await pause(ms)
    last = await statusFrom(ask, said.result)
    if (last === 'paid' || last === 'closed') return { status: last, raw: said.raw }
  }
  // "ok" and an order that is still open is the slow case: the payer must not be asked for the money again.
  if (said.result === 'ok' || last !== 'open') return { status: 'unconfirmed', raw: said.raw }
  return { status: said.result === 'cancel' ? 'cancelled' : 'failed', raw: said.raw }
}

/** One question; an answer that is none of the known words counts as no answer. */
export async function statusFrom(ask: Ask, hint: Hint): Promise<ServerStatus | undefined> {
  try {
    const status: unknown = await ask(hint)
    return isStatus(status) ? status : undefined
  } catch {
    return undefined
  }
}

export const isStatus = (value: unknown): value is ServerStatus =>
  value === 'open' || value === 'paid' || value === 'closed'

/** The status in a JSON answer: at the top, or in `order` as the gateway's own pages answer. */
export function statusIn(answer: unknown): ServerStatus {
  const own = memberOf(answer, 'status')
  const status = isStatus(own) ? own : memberOf(memberOf(answer, 'order'), 'status')
  if (isStatus(status)) return status
  throw new Error('the answer has no status open, paid or closed')
}

const memberOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined

/** The address with the hint added to its query. */
export function withHint(url: string, hint: Hint): string {
  const hash = url.indexOf('#')
  const bare = hash < 0 ? url : url.slice(0, hash)
  return bare + (bare.indexOf('?') < 0 ? '?' : '&') + 'hint=' + hint
}
