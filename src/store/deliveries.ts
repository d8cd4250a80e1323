import type { Knex } from 'knex'
import type { DeliveryAttemptRow, DeliveryRow, DeliveryStatus } from './rows.ts'

/** Deliveries in SQL: one event for one endpoint, until delivered or exhausted. */

export async function insertDeliveries(db: Knex, deliveries: readonly DeliveryRow[]): Promise<void> {
  if (deliveries.length > 0) await db('deliveries').insert(deliveries)
}

export async function deliveryById(db: Knex, deliveryId: string): Promise<DeliveryRow | undefined> {
  return db<DeliveryRow>('deliveries').where({ id: deliveryId }).first()
}

/** Adds deliveries to an event that has been recorded; an endpoint that has one already gets no second. */
export async function addDeliveries(db: Knex, deliveries: readonly DeliveryRow[]): Promise<void> {
  if (deliveries.length > 0) await db('deliveries').insert(deliveries).onConflict(['event_id', 'endpoint_id']).ignore()
}

export async function deliveriesOfEvent(db: Knex, eventId: string): Promise<readonly DeliveryRow[]> {
  return db<DeliveryRow>('deliveries').where({ event_id: eventId }).orderBy('id')
}

/** Gives a delivery back that was claimed and not sent: the attempt does not count. */
export async function postponeDelivery(db: Knex, deliveryId: string, lease: number, at: number): Promise<void> {
  await db('deliveries')
    .where({ id: deliveryId, next_attempt_at: lease })
    .update({ next_attempt_at: at, attempts: db.raw('attempts - 1') })
}

/** Ends a delivery or sets its next attempt, unless it was asked for again since the lease was taken. */
export async function settleDelivery(
  db: Knex,
  deliveryId: string,
  lease: number,
  values: {
    readonly status: DeliveryStatus
    readonly next_attempt_at: number | null
    readonly delivered_at: number | null
  },
): Promise<void> {
  await db('deliveries').where({ id: deliveryId, next_attempt_at: lease }).update(values)
}

export async function insertDeliveryAttempt(db: Knex, attempt: DeliveryAttemptRow): Promise<void> {
  await db('delivery_attempts').insert(attempt)
}

/** Sends an event again to every endpoint it was for: same webhook-id, the schedule from its start. */
export async function restartDeliveries(db: Knex, eventId: string, now: number): Promise<number> {
  return db('deliveries')
    .where({ event_id: eventId })
    .update({ status: 'pending', attempts: 0, next_attempt_at: now, delivered_at: null })
}
