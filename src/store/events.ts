import type { Knex } from 'knex'
import type { EventRow } from './rows.ts'

/** Events in SQL: immutable, numbered without gaps for each merchant. */

/**
 * The merchant's next sequence number. The row stays locked until the caller commits, which is what makes the numbers
 * gapless and in commit order.
 */
export async function nextSequence(tx: Knex.Transaction, merchantId: string): Promise<number> {
  const rows = await tx('merchant_sequences')
    .where({ merchant_id: merchantId })
    .update({ last: tx.raw('last + 1') })
  if (rows === 0) {
    await tx('merchant_sequences')
      .insert({ merchant_id: merchantId, last: 1 })
      .onConflict('merchant_id')
      .merge({ last: tx.raw('merchant_sequences.last + 1') })
  }
  const row = await tx<{ merchant_id: string; last: number }>('merchant_sequences')
    .where({ merchant_id: merchantId })
    .first('last')
  if (row === undefined) throw new Error('the sequence row of a merchant vanished inside its own transaction')
  return row.last
}

export async function insertEvent(tx: Knex.Transaction, event: EventRow): Promise<void> {
  await tx('events').insert(event)
}

export async function findEvent(db: Knex, merchantId: string, eventId: string): Promise<EventRow | undefined> {
  return db<EventRow>('events').where({ id: eventId, merchant_id: merchantId }).first()
}

export async function eventById(db: Knex, eventId: string): Promise<EventRow | undefined> {
  return db<EventRow>('events').where({ id: eventId }).first()
}

/** Events after a sequence number, oldest first. */
export async function listEvents(
  db: Knex,
  merchantId: string,
  after: number,
  limit: number,
): Promise<readonly EventRow[]> {
  return db<EventRow>('events')
    .where({ merchant_id: merchantId })
    .andWhere('sequence', '>', after)
    .orderBy('sequence')
    .limit(limit)
}
