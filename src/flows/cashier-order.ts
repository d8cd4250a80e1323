import type { Channel, Context, Merchant } from '../context.ts'
import { mayBePaid, type Order } from '../core/order.ts'
import type { Payment } from '../core/payment.ts'
import { Problem } from '../core/problem.ts'
import type { Method } from '../core/provider.ts'
import { orderByCashierToken } from '../store/orders.ts'
import { paymentById } from '../store/payments.ts'
import { routeFor } from './start-payment.ts'

/** What the holder of a cashier link may look at: one order, what it costs, and whether it is paid. */

/** The cashier's own method: it runs inside WeChat. */
export const cashierMethod: Method = 'wechat_jsapi'

/** Another payer's attempt younger than this is not taken away; milliseconds before the time scale. */
const protectedMs = 60_000

export type CashierOrder = { readonly order: Order; readonly merchant: Merchant }

/** What is true of the order for a payer, told from our rows alone. */
export type Payability = 'ready' | 'paid' | 'expired'

/** A token as openOrder makes them; anything else is the token of nothing. */
const tokenShape = /^[A-Za-z0-9_-]{43}$/

/** @throws Problem `not-found` */
export async function cashierOrder(ctx: Context, token: string): Promise<CashierOrder> {
  const order = tokenShape.test(token) ? await orderByCashierToken(ctx.db, token) : undefined
  const merchant = order === undefined ? undefined : ctx.merchants.get(order.merchant_id)
  if (order === undefined || merchant === undefined)
    throw new Problem('not-found', 'There is no order at this address.')
  return { order, merchant }
}

/** Is there anything left to pay? A closed order and an expired one look the same to a payer. */
export function payabilityOf(ctx: Context, order: Order): Payability {
  if (order.status === 'paid') return 'paid'
  return mayBePaid(order, ctx.now()) ? 'ready' : 'expired'
}

/**
 * The channel this order would be paid through in WeChat, and the appid whose openid it wants (design.md 20.13).
 * @returns undefined when no channel offers it, or its appid is not one the gateway can authorise payers for
 */
export function cashierChannel(
  ctx: Context,
  { order, merchant }: CashierOrder,
): { readonly channel: Channel; readonly appid: string } | undefined {
  try {
    const [channel] = routeFor(ctx, merchant, order, cashierMethod)
    const appid = channel?.provider.methods[cashierMethod]?.openidOf
    if (channel === undefined || appid === undefined) return undefined
    return ctx.openids.authorizationPage(appid) === undefined ? undefined : { channel, appid }
  } catch (error) {
    if (error instanceof Problem && error.code === 'method-unavailable') return undefined
    throw error
  }
}

/**
 * Is somebody else paying this order right now? Their attempt is then left alone: making another would close theirs
 * under their hands. After a minute it may be taken over; should both pay after all, the second payment is surplus and
 * given back (design.md 20.3).
 * @param openid of the payer who asks; undefined for one who is not known
 * @param method only an attempt of this method counts: under another one the same person has another openid
 * @param evenOld true when an attempt of any age counts, as it does for preparing what nobody has asked for yet
 */
export async function isPaidByAnother(
  ctx: Context,
  order: Order,
  openid: string | undefined,
  evenOld: boolean,
  method?: Method,
): Promise<boolean> {
  if (order.current_payment_id === null) return false
  const payment = await paymentById(ctx.db, order.current_payment_id)
  if (method !== undefined && payment?.method !== method) return false
  if (payment === undefined || !isAlive(payment) || payment.payer_openid === (openid ?? null)) return false
  return evenOld || payment.created_at + Math.round(protectedMs / ctx.timeScale) > ctx.now()
}

function isAlive(payment: Payment): boolean {
  return (payment.status === 'created' || payment.status === 'pending') && payment.close_attempts === 0
}
