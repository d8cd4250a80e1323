import type { Knex } from 'knex'

/** When a payer's page may next cause a question to a provider about an order (design.md 20.12). */

/**
 * Takes the right to ask about an order, across every process.
 * @param freeAt when the right may be taken again
 * @returns whether this call, and therefore nobody else, may ask now
 */
export async function claimNudge(db: Knex, orderId: string, now: number, freeAt: number): Promise<boolean> {
  const taken = await db('order_nudges')
    .where({ order_id: orderId })
    .andWhere('free_at', '<=', now)
    .update({ free_at: freeAt })
  if (taken === 1) return true
  const known: unknown = await db('order_nudges').select('order_id').where({ order_id: orderId }).first()
  if (known !== undefined) return false
  try {
    await db('order_nudges').insert({ order_id: orderId, free_at: freeAt })
    return true
  } catch (error) {
    // Somebody was first; which error says so depends on the database, whether the row is there does not.
    const there: unknown = await db('order_nudges').select('order_id').where({ order_id: orderId }).first()
    if (there === undefined) throw error
    return false
  }
}

/** @returns how many rows nobody needs any more were removed */
export async function purgeNudges(db: Knex, before: number): Promise<number> {
  return db('order_nudges').where('free_at', '<', before).delete()
}
