import { Problem } from '../core/problem.ts'
import { buckets, type Bucket } from './rate-limits.ts'

/**
 * How often one order's page may be asked for, by each caller and by all together (experience.md 2.5). A caller of their
 * own is what keeps a stranger with the link from shutting the page for the payer.
 * @throws Problem `rate-limited`
 */
export type CashierLimit = (orderId: string, caller: string) => void

const eachCaller = { rate: 10, burst: 60 }
const allCallers = { rate: 100, burst: 600 }
/** Orders and callers come and go, unlike merchants: the counters are thrown away before they become many. */
const mostKeys = 20_000

/** A limit in memory, per process. */
export function perCashier(): CashierLimit {
  const own = forgetful(() => buckets(eachCaller))
  const shared = forgetful(() => buckets(allCallers))
  return (orderId, caller) => {
    const wait = Math.max(own(`${orderId} ${caller}`), shared(orderId))
    if (wait > 0) throw new Problem('rate-limited', 'This page is asked for too often.', { retryAfter: wait })
  }
}

function forgetful(make: () => Bucket): Bucket {
  let bucket = make()
  let seen = new Set<string>()
  return (key) => {
    if (seen.size >= mostKeys) {
      bucket = make()
      seen = new Set()
    }
    seen.add(key)
    return bucket(key)
  }
}
