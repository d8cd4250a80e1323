import type { Context } from '../context.ts'
import { orderResource, type OrderResource } from '../core/event.ts'
import type { Order } from '../core/order.ts'
import type { Payment } from '../core/payment.ts'
import { Problem } from '../core/problem.ts'
import type { Refund } from '../core/refund.ts'
import { listEvents as eventsAfter } from '../store/events.ts'
import { findOrder, findOrderByNo, listOrders as ordersAfter } from '../store/orders.ts'
import { findPayment, paymentsOfOrders } from '../store/payments.ts'
import { findRefund, findRefundByNo, refundsOfOrders } from '../store/refunds.ts'
import type { EventRow } from '../store/rows.ts'

/** What a merchant may look at: always by merchant and id together, so that a foreign id is simply not found. */

/** An order in the API's answers. Where the payer pays is for the merchant who asks, and stays out of webhooks. */
export type AnsweredOrder = OrderResource & { readonly cashier_url: string }

/** Where a payer pays an order. */
export function cashierUrl(ctx: Context, order: Order): string {
  return `${ctx.publicUrl}/cashier/${order.cashier_token}`
}

/** @throws Problem `not-found` */
export async function readOrder(ctx: Context, merchantId: string, orderId: string): Promise<AnsweredOrder> {
  return one(ctx, found(await findOrder(ctx.db, merchantId, orderId), `order ${orderId}`))
}

/** @throws Problem `not-found` */
export async function readOrderByNo(ctx: Context, merchantId: string, merchantOrderNo: string): Promise<AnsweredOrder> {
  return one(
    ctx,
    found(await findOrderByNo(ctx.db, merchantId, merchantOrderNo), `order with merchant_order_no ${merchantOrderNo}`),
  )
}

/**
 * Orders, newest first.
 * @param page.after id of the last order of the page before
 * @returns `next` to pass as `after`, or null at the end
 */
export async function listOrders(
  ctx: Context,
  merchantId: string,
  page: { readonly after?: string; readonly limit: number },
): Promise<{ orders: AnsweredOrder[]; next: string | null }> {
  const after =
    page.after === undefined ? undefined : found(await findOrder(ctx.db, merchantId, page.after), `order ${page.after}`)
  const orders = await ordersAfter(ctx.db, merchantId, after, page.limit)
  const last = orders.length === page.limit ? orders.at(-1) : undefined
  return { orders: await resources(ctx, orders), next: last?.id ?? null }
}

/** @throws Problem `not-found` */
export async function readPayment(ctx: Context, merchantId: string, paymentId: string): Promise<Payment> {
  return found(await findPayment(ctx.db, merchantId, paymentId), `payment ${paymentId}`)
}

/** @throws Problem `not-found` */
export async function readRefund(ctx: Context, merchantId: string, refundId: string): Promise<Refund> {
  return found(await findRefund(ctx.db, merchantId, refundId), `refund ${refundId}`)
}

/** @throws Problem `not-found` */
export async function readRefundByNo(ctx: Context, merchantId: string, merchantRefundNo: string): Promise<Refund> {
  return found(
    await findRefundByNo(ctx.db, merchantId, merchantRefundNo),
    `refund with merchant_refund_no ${merchantRefundNo}`,
  )
}

/** Events after a sequence number, oldest first: the way to catch up without webhooks. */
export async function listEvents(
  ctx: Context,
  merchantId: string,
  page: { readonly after: number; readonly limit: number },
): Promise<readonly EventRow[]> {
  return eventsAfter(ctx.db, merchantId, page.after, page.limit)
}

async function one(ctx: Context, order: Order): Promise<AnsweredOrder> {
  const [resource] = await resources(ctx, [order])
  return found(resource, `order ${order.id}`)
}

async function resources(ctx: Context, orders: readonly Order[]): Promise<AnsweredOrder[]> {
  const ids = orders.map((order) => order.id)
  const payments = ids.length === 0 ? [] : await paymentsOfOrders(ctx.db, ids)
  const refunds = ids.length === 0 ? [] : await refundsOfOrders(ctx.db, ids)
  return orders.map((order) => ({
    ...orderResource(
      order,
      payments.filter((payment) => payment.order_id === order.id),
      refunds.filter((refund) => refund.order_id === order.id),
    ),
    cashier_url: cashierUrl(ctx, order),
  }))
}

function found<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Problem('not-found', `no ${what} for this merchant`)
  return value
}
