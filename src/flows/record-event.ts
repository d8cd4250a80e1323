import type { Knex } from 'knex'
import { ulid } from 'ulid'
import type { Context, Endpoint } from '../context.ts'
import { eventPayload, eventSchemaVersion, orderResource, type EventType } from '../core/event.ts'
import { idOf } from '../core/ids.ts'
import { insertDeliveries } from '../store/deliveries.ts'
import { insertEvent, nextSequence } from '../store/events.ts'
import { orderById } from '../store/orders.ts'
import { paymentsOfOrders } from '../store/payments.ts'
import { refundsOfOrders } from '../store/refunds.ts'

/**
 * Records an event and one delivery for each subscribed endpoint, inside the caller's transaction, so that the status,
 * its event and its deliveries commit together or not at all (design.md 1, sentence 4).
 *
 * Call it after the statuses have been written: the payload is the order as this transaction leaves it.
 */
export async function recordEvent(
  ctx: Context,
  tx: Knex.Transaction,
  event: { readonly type: EventType; readonly orderId: string; readonly subjectId: string },
): Promise<void> {
  const order = await orderById(tx, event.orderId)
  if (order === undefined) throw new Error('an event was recorded for an order that does not exist')
  const sequence = await nextSequence(tx, order.merchant_id)
  const occurredAt = ctx.now()
  const id = idOf('event', ulid(occurredAt))
  const snapshot = orderResource(order, await paymentsOfOrders(tx, [order.id]), await refundsOfOrders(tx, [order.id]))
  await insertEvent(tx, {
    id,
    merchant_id: order.merchant_id,
    sequence,
    schema_version: eventSchemaVersion,
    type: event.type,
    subject_id: event.subjectId,
    order_id: order.id,
    payload: eventPayload({ id, type: event.type, sequence, occurredAt, subjectId: event.subjectId, order: snapshot }),
    occurred_at: occurredAt,
  })
  const subscribed = subscribedEndpoints(ctx, order.merchant_id, event.type)
  await insertDeliveries(
    tx,
    subscribed.map((endpoint) => ({
      id: idOf('delivery', ulid(occurredAt)),
      event_id: id,
      merchant_id: order.merchant_id,
      endpoint_id: endpoint.id,
      status: 'pending',
      attempts: 0,
      next_attempt_at: occurredAt,
      delivered_at: null,
    })),
  )
}

/** The merchant's endpoints that want to hear of events of this type. */
export function subscribedEndpoints(ctx: Context, merchantId: string, type: EventType): readonly Endpoint[] {
  const endpoints = ctx.merchants.get(merchantId)?.endpoints ?? []
  return endpoints.filter((endpoint) => endpoint.events.includes('*') || endpoint.events.includes(type))
}
