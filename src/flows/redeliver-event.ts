import type { Context } from '../context.ts'
import { Problem } from '../core/problem.ts'
import { restartDeliveries } from '../store/deliveries.ts'
import { findEvent } from '../store/events.ts'
import type { EventRow } from '../store/rows.ts'

/**
 * Sends an event again to every endpoint it was for: the same webhook-id and bytes, a new timestamp (reliability.md 5.7).
 * @throws Problem `not-found`
 */
export async function redeliverEvent(ctx: Context, merchantId: string, eventId: string): Promise<EventRow> {
  const event = await findEvent(ctx.db, merchantId, eventId)
  if (event === undefined) throw new Problem('not-found', `no event ${eventId}`)
  await restartDeliveries(ctx.db, event.id, ctx.now())
  ctx.poke()
  return event
}
