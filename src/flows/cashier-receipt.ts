import type { Context } from '../context.ts'
import { idFromProviderNumber } from '../core/ids.ts'
import type { Order } from '../core/order.ts'
import { orderById } from '../store/orders.ts'
import { paymentById } from '../store/payments.ts'
import { nudgePayment } from './nudge-payment.ts'

/**
 * The order behind the number WeChat shows a receipt for, once it is paid by that very payment. The number holds eighty
 * random bits, so that having it is what having the receipt is worth; nothing personal is told either way.
 */
export async function receiptOrder(ctx: Context, number: string): Promise<Order | undefined> {
  const id = idFromProviderNumber('payment', number)
  const payment = id === undefined ? undefined : await paymentById(ctx.db, id)
  const order = payment === undefined ? undefined : await orderById(ctx.db, payment.order_id)
  if (order === undefined) return undefined
  // The payer may be here before the notification is.
  if (order.status === 'open') await nudgePayment(ctx, order)
  const now = await orderById(ctx.db, order.id)
  return now?.status === 'paid' && now.paid_payment_id === id ? now : undefined
}
