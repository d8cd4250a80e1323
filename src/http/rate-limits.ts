import { ipKeyGenerator, MemoryStore, type Options } from 'express-rate-limit'

/** How much is let in (reliability.md 5.12). In memory, per process: enough for one node, harmless on several. */

export type Limits = {
  /** Requests of one API key per second, and how many at once after a pause. */
  readonly perKey: { readonly rate: number; readonly burst: number }
  /** Refund requests of one API key. */
  readonly refunds: { readonly rate: number; readonly burst: number }
  /** Requests for lists of one API key. */
  readonly lists: { readonly rate: number; readonly burst: number }
  /** Wrong keys from one address in a minute before the answer is 429 for ten minutes. */
  readonly wrongKeysPerMinute: number
  /** Notifications in work at once. */
  readonly notificationsAtOnce: number
  /** Open connections at the public listener. */
  readonly connections: number
}

export const usualLimits: Limits = {
  perKey: { rate: 100, burst: 200 },
  refunds: { rate: 5, burst: 10 },
  lists: { rate: 5, burst: 10 },
  wrongKeysPerMinute: 30,
  notificationsAtOnce: 64,
  connections: 2_000,
}

export type Allowance = { readonly rate: number; readonly burst: number }

/** Takes one; returns 0 when there was one, otherwise the whole seconds until there is. */
export type Bucket = (who: string) => number

/**
 * A token bucket for each of a known set of callers: refilled steadily, so that a client that spreads its requests never
 * meets it.
 * @param clock seconds, monotonic
 */
export function buckets({ rate, burst }: Allowance, clock: () => number = () => performance.now() / 1000): Bucket {
  const states = new Map<string, { tokens: number; at: number }>()
  return (who) => {
    const now = clock()
    const state = states.get(who) ?? { tokens: burst, at: now }
    states.set(who, state)
    state.tokens = Math.min(burst, state.tokens + (now - state.at) * rate)
    state.at = now
    if (state.tokens < 1) return Math.max(1, Math.ceil((1 - state.tokens) / rate))
    state.tokens -= 1
    return 0
  }
}

/** Counts one failure of an address; returns 0, or the seconds during which the address is told nothing more. */
export type Penalties = { count(address: string | undefined): Promise<number>; stop(): void }

const minute = 60_000
const penaltyMs = 10 * minute

/** Penalties for wrong keys: so many a minute are answered as such, then ten minutes of 429. */
export function penalties(perMinute: number): Penalties {
  const failures = countingStore(minute)
  const blocked = countingStore(penaltyMs)
  return {
    async count(address) {
      // An IPv6 caller owns a whole network, so the network is what counts.
      const who = ipKeyGenerator(address ?? '')
      const block = await blocked.get(who)
      if (block !== undefined) return secondsUntil(block.resetTime)
      const { totalHits } = await failures.increment(who)
      if (totalHits <= perMinute) return 0
      return secondsUntil((await blocked.increment(who)).resetTime)
    },
    stop() {
      failures.shutdown()
      blocked.shutdown()
    },
  }
}

/** The package's own store, used by hand: its middleware counts every request, and only failures are to be counted. */
function countingStore(windowMs: number): MemoryStore {
  const store = new MemoryStore()
  // The store reads nothing but the window of the middleware's options.
  store.init({ windowMs } as Options)
  return store
}

function secondsUntil(instant: Date | undefined): number {
  return Math.max(1, Math.ceil(((instant?.getTime() ?? 0) - Date.now()) / 1000))
}
