import { ulid } from 'ulid'
import type { Context } from '../context.ts'
import { idOf } from '../core/ids.ts'
import { Problem } from '../core/problem.ts'
import { addDeliveries, deliveriesOfEvent, restartDeliveries } from '../store/deliveries.ts'
import { findEvent } from '../store/events.ts'
import type { EventRow } from '../store/rows.ts'
import { subscribedEndpoints } from './record-event.ts'

/**
 * Sends an event again to every endpoint it was for: the same webhook-id and bytes, a new timestamp (reliability.md 5.7).
 * @throws Problem `not-found`
 */
export async function redeliverEvent(ctx: Context, merchantId: string, eventId: string): Promise<EventRow> {
  const event = await findEvent(ctx.db, merchantId, eventId)
  if (event === undefined) throw new Problem('not-found', `no event ${eventId}`)
  await restartDeliveries(ctx.db, event.id, ctx.now())
  await addMissingDeliveries(ctx, event)
  ctx.poke()
  return event
}

/** An endpoint that has come since the event, or that the recording process did not know yet, gets it too. */
async function addMissingDeliveries(ctx: Context, event: EventRow): Promise<void> {
  const known = new Set((await deliveriesOfEvent(ctx.db, event.id)).map((delivery) => delivery.endpoint_id))
  const now = ctx.now()
  const missing = subscribedEndpoints(ctx, event.merchant_id, event.type).filter((endpoint) => !known.has(endpoint.id))
  await addDeliveries(
    ctx.db,
    missing.map((endpoint) => ({
      id: idOf('delivery', ulid(now)),
      event_id: event.id,
      merchant_id: event.merchant_id,
      endpoint_id: endpoint.id,
      status: 'pending',
      attempts: 0,
      next_attempt_at: now,
      delivered_at: null,
    })),
  )
}
