import type { Request } from 'express'
import { ipKeyGenerator } from 'express-rate-limit'
import { Problem } from '../core/problem.ts'
import type { Allowance } from './rate-limits.ts'

/**
 * How often payers' devices may ask. Unlike API keys there are any number of them, so only so many are remembered; the
 * one seen longest ago is forgotten first.
 */

export type PayerLimit = {
  /** Takes one. @throws Problem `rate-limited` */
  take(who: string): void
}

const mostRemembered = 20_000

/** @param clock seconds, monotonic */
export function payerLimit(
  { rate, burst }: Allowance,
  clock: () => number = () => performance.now() / 1000,
): PayerLimit {
  const states = new Map<string, { readonly tokens: number; readonly at: number }>()
  return {
    take(who) {
      const now = clock()
      const state = states.get(who) ?? { tokens: burst, at: now }
      const tokens = Math.min(burst, state.tokens + (now - state.at) * rate)
      states.delete(who)
      states.set(who, { tokens: tokens < 1 ? tokens : tokens - 1, at: now })
      for (const [oldest] of states) {
        if (states.size <= mostRemembered) break
        states.delete(oldest)
      }
      if (tokens >= 1) return
      const retryAfter = Math.max(1, Math.ceil((1 - tokens) / rate))
      throw new Problem('rate-limited', `Too many requests. Wait ${String(retryAfter)} s.`, { retryAfter })
    },
  }
}

/** An IPv6 caller owns a whole network, so the network is what counts. */
export function callerOf(req: Request): string {
  return ipKeyGenerator(req.ip ?? '')
}

/** The payer's address as providers take it: IPv4 as such, however the socket spells it. */
export function payerAddress(req: Request): string {
  return (req.ip ?? '').replace(/^::ffff:(?=\d+\.)/, '')
}
