import type { Knex } from 'knex'
import type { OrderStatus } from '../core/chain.ts'
import type { Order } from '../core/order.ts'

/** Orders in SQL. Every write that decides something is guarded by what it depends on (design.md 6.2, reliability.md 5.2). */

export async function insertOrder(db: Knex, order: Order): Promise<void> {
  await db('orders').insert(order)
}

/** The order, only for its merchant: a foreign id is as good as none (reliability.md 3.3 T53). */
export async function findOrder(db: Knex, merchantId: string, orderId: string): Promise<Order | undefined> {
  return db<Order>('orders').where({ id: orderId, merchant_id: merchantId }).first()
}

export async function findOrderByNo(db: Knex, merchantId: string, merchantOrderNo: string): Promise<Order | undefined> {
  return db<Order>('orders').where({ merchant_id: merchantId, merchant_order_no: merchantOrderNo }).first()
}

/** For the gateway's own chores, which act for every merchant. */
export async function orderById(db: Knex, orderId: string): Promise<Order | undefined> {
  return db<Order>('orders').where({ id: orderId }).first()
}

/** The order behind a link to the cashier. The token is random and long, and is all that the link's holder has. */
export async function orderByCashierToken(db: Knex, token: string): Promise<Order | undefined> {
  return db<Order>('orders').where({ cashier_token: token }).first()
}

/** Newest first, strictly after the given order in that sequence. */
export async function listOrders(
  db: Knex,
  merchantId: string,
  after: Order | undefined,
  limit: number,
): Promise<readonly Order[]> {
  const query = db<Order>('orders').where({ merchant_id: merchantId })
  if (after !== undefined) {
    void query.andWhere((older) => {
      void older
        .where('created_at', '<', after.created_at)
        .orWhere((same) => void same.where('created_at', after.created_at).andWhere('id', '<', after.id))
    })
  }
  return query
    .orderBy([
      { column: 'created_at', order: 'desc' },
      { column: 'id', order: 'desc' },
    ])
    .limit(limit)
}

/** Closing an order is making it expire now (design.md 6.5). @returns whether this call did it */
export async function expireOrder(db: Knex, orderId: string, now: number): Promise<boolean> {
  const rows = await db('orders')
    .where({ id: orderId, status: 'open' })
    .whereNull('close_requested_at')
    .update({ expires_at: now, close_requested_at: now, next_check_at: now })
  return rows === 1
}

/**
 * Makes a new attempt the order's current one, if the order may still be paid and nobody else was faster.
 * @param previous the current attempt this decision was taken upon
 */
export async function setCurrentPayment(
  tx: Knex.Transaction,
  change: { readonly orderId: string; readonly previous: string | null; readonly next: string; readonly now: number },
): Promise<boolean> {
  const query = tx('orders').where({ id: change.orderId, status: 'open' }).andWhere('expires_at', '>', change.now)
  void (change.previous === null
    ? query.whereNull('current_payment_id')
    : query.andWhere('current_payment_id', change.previous))
  return (await query.update({ current_payment_id: change.next })) === 1
}

/** The order becomes paid by this payment, if it is in one of the statuses that allow it. @returns whether it did */
export async function raiseToPaid(
  tx: Knex.Transaction,
  orderId: string,
  paymentId: string,
  from: readonly OrderStatus[],
  now: number,
): Promise<boolean> {
  const rows = await tx('orders')
    .where({ id: orderId })
    .whereIn('status', [...from])
    .update({ status: 'paid', paid_payment_id: paymentId, paid_at: now, next_check_at: null })
  return rows === 1
}

/** The order becomes closed, if it has ended and no attempt of it is alive. @returns whether it did */
export async function raiseToClosed(tx: Knex.Transaction, orderId: string, now: number): Promise<boolean> {
  const rows = await tx('orders')
    .where({ id: orderId, status: 'open' })
    .andWhere('expires_at', '<=', now)
    .whereNotExists((alive) => {
      void alive
        .select(tx.raw('1'))
        .from('payments')
        .whereRaw('payments.order_id = orders.id')
        .whereIn('payments.status', ['created', 'pending'])
    })
    .update({ status: 'closed', closed_at: now, next_check_at: null })
  return rows === 1
}

/** Asks the worker to look at an order that has ended and may now be closed. */
export async function wakeEndedOrder(db: Knex, orderId: string, now: number): Promise<void> {
  await db('orders')
    .where({ id: orderId, status: 'open' })
    .andWhere('expires_at', '<=', now)
    .update({ next_check_at: now })
}

/** Sets the next look, unless somebody has asked for an earlier one since the lease was taken. */
export async function rescheduleOrder(db: Knex, orderId: string, lease: number, next: number | null): Promise<void> {
  await db('orders')
    .where({ id: orderId, next_check_at: lease })
    .update({ next_check_at: next, checks: db.raw('checks + 1') })
}
