import type { Context } from '../context.ts'
import { Problem } from '../core/problem.ts'
import type { Invocation } from '../core/provider.ts'
import { orderById } from '../store/orders.ts'
import { signedInPayer } from './cashier-authorise.ts'
import { cashierChannel, cashierMethod, isPaidByAnother, payabilityOf, type CashierOrder } from './cashier-order.ts'
import { startPayment } from './start-payment.ts'

export type JsapiInvocation = Extract<Invocation, { kind: 'jsapi' }>

export type CashierPayment =
  | {
      readonly state: 'ready'
      readonly invocation: JsapiInvocation
      /** How long the page may use it, milliseconds. */
      readonly usableMs: number
    }
  | { readonly state: 'paid' | 'expired' | 'other_payer' | 'signed_out' | 'unavailable' }
  | { readonly state: 'failed'; readonly reason: 'busy' | 'refused' }

/**
 * Prepares or makes the payer's attempt. Who pays comes from the session, what is paid from the order; the request says
 * neither.
 * @param intent `prepare` before the payer has tapped: then nobody else's attempt is ever taken away
 */
export async function payFromCashier(
  ctx: Context,
  found: CashierOrder,
  request: { readonly cookie: string | undefined; readonly intent: 'prepare' | 'pay'; readonly clientIp: string },
): Promise<CashierPayment> {
  const { order, merchant } = found
  const payability = payabilityOf(ctx, order)
  if (payability !== 'ready') return { state: payability }
  const route = cashierChannel(ctx, found)
  if (route === undefined) return { state: 'unavailable' }
  const payer = await signedInPayer(ctx, order, request.cookie, route.appid)
  if (payer === undefined) return { state: 'signed_out' }
  if (await isPaidByAnother(ctx, order, payer.openid, request.intent === 'prepare')) return { state: 'other_payer' }
  try {
    const { payment, invocation } = await startPayment(ctx, merchant, order.id, {
      method: cashierMethod,
      openid: payer.openid,
      appid: route.appid,
      clientIp: request.clientIp,
    })
    // The attempt handed out must be this payer's own, whoever else was asking at the same moment.
    if (invocation.kind !== 'jsapi' || payment.payer_openid !== payer.openid) return { state: 'failed', reason: 'busy' }
    const usableMs = Math.max(0, (payment.usable_until ?? ctx.now()) - ctx.now())
    return { state: 'ready', invocation, usableMs }
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    if (error.code === 'order-not-payable') {
      // Paid or expired between our look and the attempt: the row says which.
      const now = (await orderById(ctx.db, order.id)) ?? order
      return { state: payabilityOf(ctx, now) === 'paid' ? 'paid' : 'expired' }
    }
    return stateOf(error)
  }
}

function stateOf(problem: Problem): CashierPayment {
  if (problem.code === 'method-unavailable') return { state: 'unavailable' }
  if (problem.code === 'provider-unavailable') return { state: 'failed', reason: 'busy' }
  if (problem.code === 'provider-rejected') return { state: 'failed', reason: 'refused' }
  throw problem
}
