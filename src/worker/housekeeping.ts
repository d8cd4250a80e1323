import type { Context } from '../context.ts'
import { purgeIdempotencyKeys } from '../store/idempotency-keys.ts'
import { purgeLaunches } from '../store/launches.ts'
import { emptyOldNotifications } from '../store/notifications.ts'
import { purgeOauthStates } from '../store/oauth-states.ts'
import { purgeNudges } from '../store/order-nudges.ts'
import { purgePayerSessions } from '../store/payer-sessions.ts'

const day_ms = 24 * 60 * 60 * 1000
const batch = 500

/** How long the words of notifications are kept; their rows, numbers and outcomes stay (reliability.md 3.6 T104). */
const notificationBodies_ms = 90 * day_ms
/** How long an Idempotency-Key is remembered; natural numbers protect for ever (reliability.md 5.1 rule 7). */
const idempotencyKeys_ms = 30 * day_ms

/** How long an expired session or authorisation is kept: openids are personal data and of no more use. */
const payerTraces_ms = day_ms

/**
 * Throws away what is past its retention, a batch at a time. Harmless in several processes at once.
 * @returns how many rows were emptied or removed
 */
export async function keepHouse(ctx: Context): Promise<number> {
  const now = ctx.now()
  let total = 0
  for (;;) {
    const emptied = await emptyOldNotifications(ctx.db, now - notificationBodies_ms, batch)
    total += emptied
    if (emptied < batch) break
  }
  total += await purgePayerSessions(ctx.db, now - payerTraces_ms)
  total += await purgeOauthStates(ctx.db, now - payerTraces_ms)
  total += await purgeLaunches(ctx.db, now - payerTraces_ms)
  total += await purgeNudges(ctx.db, now - payerTraces_ms)
  return total + (await purgeIdempotencyKeys(ctx.db, now - idempotencyKeys_ms))
}
