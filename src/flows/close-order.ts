import type { Context } from '../context.ts'
import type { Order } from '../core/order.ts'
import { Problem } from '../core/problem.ts'
import { delayMs, expiredOrder } from '../core/schedule.ts'
import { expireOrder, findOrder, orderById, raiseToClosed, rescheduleOrder } from '../store/orders.ts'
import { alivePayments } from '../store/payments.ts'
import { transaction } from '../store/transaction.ts'
import { checkPayment } from './check-payment.ts'
import { recordEvent } from './record-event.ts'

/**
 * Closes an order: moves its expiry to now and has its attempts closed at the provider (design.md 6.5). The answer is the
 * order as it then is: closed; paid, when the payer was faster; or still open when a provider has not yet confirmed, and
 * then the worker finishes.
 * @throws Problem `not-found`
 */
export async function closeOrder(ctx: Context, merchantId: string, orderId: string): Promise<Order> {
  const order = await findOrder(ctx.db, merchantId, orderId)
  if (order === undefined) throw new Problem('not-found', `no order ${orderId}`)
  // Asking again changes nothing: the worker is at it, and the provider is not to be hurried by repetition.
  if (order.status === 'open' && (await expireOrder(ctx.db, order.id, ctx.now()))) {
    await finishOrder(ctx, order.id)
  }
  return (await orderById(ctx.db, orderId)) ?? order
}

/**
 * Finishes an order that has ended: every attempt still alive is closed or found paid, and when none is alive the order
 * becomes closed.
 * @param lease the worker's hold on the row, when the worker calls
 */
export async function finishOrder(ctx: Context, orderId: string, lease?: number): Promise<void> {
  const alive = await alivePayments(ctx.db, orderId)
  // The worker starts each close once; after that the attempt follows its own schedule, not the order's.
  const toCheck = lease === undefined ? alive : alive.filter((payment) => payment.close_attempts === 0)
  for (const payment of toCheck) await checkPayment(ctx, payment.id)
  const closed = await transaction(ctx.db, async (tx) => {
    if (!(await raiseToClosed(tx, orderId, ctx.now()))) return false
    await recordEvent(ctx, tx, { type: 'order.closed', orderId, subjectId: orderId })
    return true
  })
  if (closed) {
    ctx.crash?.('order-closed')
    ctx.poke()
  }
  const order = await orderById(ctx.db, orderId)
  if (lease === undefined || order === undefined) return
  const next =
    order.status === 'open' ? ctx.now() + (delayMs(expiredOrder, order.checks, ctx.random(), ctx.timeScale) ?? 0) : null
  await rescheduleOrder(ctx.db, orderId, lease, next)
}
