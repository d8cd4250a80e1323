import { isDeepStrictEqual } from 'node:util'
import { after } from '../clock.ts'
import type { Json, Order, Refund, RefundStatus } from './ledger.ts'
import { notify, refundEvent } from './notifications.ts'
import { bodyProblem, urlProblem, WechatProblem } from './problem.ts'
import { checkBody, refundRules } from './rules.ts'
import { refundView } from './views.ts'
import { operationName, type World } from './world.ts'

/** wechatpay.md 2.6 */
const MOST_REFUNDS = 50
const SPACING_MS = 60_000
const REFUND_LIFE_MS = 365 * 24 * 3600_000

type RefundBody = {
  transaction_id?: string
  out_trade_no?: string
  out_refund_no: string
  notify_url?: string
  funds_account?: string
  amount: { refund: number; total: number; from?: { amount: number }[] }
}

const invalid = (message: string): WechatProblem => new WechatProblem(400, 'INVALID_REQUEST', message)
const missing = (): WechatProblem =>
  new WechatProblem(404, 'RESOURCE_NOT_EXISTS', '订单不存在或未支付', { internal: 268512771 })

function orderOf(world: World, body: RefundBody): Order {
  const byNumber = body.out_trade_no === undefined ? undefined : world.ledger.order(body.out_trade_no)
  const byId = body.transaction_id === undefined ? undefined : world.ledger.orderByTransaction(body.transaction_id)
  if (body.out_trade_no !== undefined && body.transaction_id !== undefined && byNumber !== byId) {
    throw bodyProblem('/transaction_id', body.transaction_id, 'transaction_id与out_trade_no不是同一笔订单')
  }
  const order = byNumber ?? byId
  if (!order || (order.state !== 'SUCCESS' && order.state !== 'REFUND')) throw missing()
  return order
}

/** The rules that a repeat of the same request will never pass (wechatpay.md 2.6). */
function checkAmounts(world: World, order: Order, body: RefundBody, earlier: readonly Refund[]): void {
  const { refund, total, from } = body.amount
  if (total !== order.total) throw invalid('订单金额或退款金额与之前请求不一致，请核实后再试')
  const taken = earlier.filter((one) => one.status !== 'CLOSED').reduce((sum, one) => sum + one.refund, 0)
  if (refund > order.total - taken) throw invalid('申请退款金额超过可退金额')
  if (from && from.reduce((sum, one) => sum + one.amount, 0) !== refund)
    throw bodyProblem('/amount/from', from, '出资金额之和与退款金额不一致')
  if (earlier.length >= MOST_REFUNDS) throw invalid('一笔订单最多支持50次部分退款')
  const paidAt = order.payment?.paidAt ?? 0
  if (world.clock.now() - paidAt > world.clock.shrink(REFUND_LIFE_MS)) throw invalid('订单已经超过退款期限')
}

/** What may pass later with the same number: spacing, then the merchant's balance. */
function checkMoment(world: World, body: RefundBody, earlier: readonly Refund[]): void {
  const last = Math.max(...earlier.map((one) => one.createdAt))
  if (earlier.length > 0 && world.clock.now() - last < world.clock.shrink(SPACING_MS)) {
    throw new WechatProblem(429, 'FREQUENCY_LIMITED', '频率限制', { internal: 268447840 })
  }
  if (world.ledger.balance() < body.amount.refund)
    throw new WechatProblem(403, 'NOT_ENOUGH', '基本账户余额不足，请充值后重新发起')
}

/** The payer's share goes back in proportion, the last part takes the rest (wechatpay.md 2.6). */
function payerShare(order: Order, refund: number, earlier: readonly Refund[]): number {
  const payerTotal = order.payment?.payerTotal ?? order.total
  const alive = earlier.filter((one) => one.status !== 'CLOSED')
  const refunded = alive.reduce((sum, one) => sum + one.refund, 0)
  if (refunded + refund === order.total) return payerTotal - alive.reduce((sum, one) => sum + one.payerRefund, 0)
  return Number((BigInt(refund) * BigInt(payerTotal)) / BigInt(order.total))
}

function accept(world: World, order: Order, request: Json, body: RefundBody): Refund {
  const earlier = world.ledger.refundsOf(order.outTradeNo)
  checkAmounts(world, order, body, earlier)
  checkMoment(world, body, earlier)
  const refund: Refund = {
    refundId: world.ledger.newRefundId(),
    outRefundNo: body.out_refund_no,
    outTradeNo: order.outTradeNo,
    request,
    refund: body.amount.refund,
    payerRefund: payerShare(order, body.amount.refund, earlier),
    notifyUrl: body.notify_url,
    fundsAccount: body.funds_account ?? 'AVAILABLE',
    createdAt: world.clock.now(),
    status: 'PROCESSING',
  }
  world.ledger.setBalance(world.ledger.balance() - refund.refund)
  world.ledger.addRefund(refund)
  order.state = 'REFUND'
  return refund
}

/** POST /v3/refund/domestic/refunds: 200 means accepted, the result comes later. */
export function requestRefund(world: World, request: Json): { answer: Json; notifiedFirst: boolean } {
  checkBody(request, refundRules)
  const body: RefundBody = JSON.parse(JSON.stringify(request))
  if (body.transaction_id === undefined && body.out_trade_no === undefined) {
    throw bodyProblem('/out_trade_no', null, 'transaction_id与out_trade_no必填其一')
  }
  const known = world.ledger.refund(body.out_refund_no)
  if (known) {
    if (!isDeepStrictEqual(known.request, request)) throw invalid('商户退款单号重复，且退款参数与之前请求不一致')
    return { answer: refundView(orderOf(world, body), known), notifiedFirst: false }
  }
  const order = orderOf(world, body)
  const refund = accept(world, order, request, body)
  const answer = refundView(order, refund)
  const notifiedFirst = world.chaos.happens('notifyBeforeResponse', operationName('refund'))
  if (notifiedFirst) settleRefund(world, refund, 'SUCCESS')
  else settleLater(world, refund)
  return { answer, notifiedFirst }
}

/** GET /v3/refund/domestic/refunds/{out_refund_no}; a direct merchant sends no mchid (wechatpay.md 2.6). */
export function queryRefund(world: World, outRefundNo: string, query: URLSearchParams): Json {
  for (const name of query.keys()) throw urlProblem(name, query.get(name), '未定义的参数', 'query')
  const refund = world.ledger.refund(outRefundNo)
  const order = refund && world.ledger.order(refund.outTradeNo)
  if (!refund || !order) throw new WechatProblem(404, 'RESOURCE_NOT_EXISTS', '退款单不存在')
  return refundView(order, refund)
}

/** Which results can still follow: success and closed are final, an abnormal refund may be helped (wechatpay.md 6.2). */
const mayBecome = (from: RefundStatus, to: RefundStatus): boolean =>
  from === 'PROCESSING' ? to !== 'PROCESSING' : from === 'ABNORMAL' && (to === 'SUCCESS' || to === 'CLOSED')

/**
 * Gives a refund its result and notifies it.
 * @returns false when its present state does not allow that result
 */
export function settleRefund(world: World, refund: Refund, status: RefundStatus): boolean {
  if (!mayBecome(refund.status, status)) return false
  refund.status = status
  refund.settledAt = world.clock.now()
  if (status === 'CLOSED') world.ledger.setBalance(world.ledger.balance() + refund.refund)
  world.ledger.changed()
  const order = world.ledger.order(refund.outTradeNo)
  // Without an address in the request nothing is sent: no console address is configured for this merchant (2.6).
  if (order && refund.notifyUrl !== undefined) notify(world, refundEvent(world, order, refund, refund.notifyUrl))
  return true
}

/** Lets a PROCESSING refund come to its result by itself. */
export function settleLater(world: World, refund: Refund): void {
  const delayMs = world.settings.refundDelayMs
  if (delayMs === undefined) return
  const cancel = after(world.clock, delayMs, () => {
    world.timers.delete(cancel)
    // The control door may have settled it meanwhile.
    if (refund.status !== 'PROCESSING') return
    const happens = (fault: 'refundAbnormal' | 'refundFailsLater'): boolean =>
      world.chaos.happens(fault, operationName('refund'))
    let result: RefundStatus = 'SUCCESS'
    if (happens('refundAbnormal')) result = 'ABNORMAL'
    else if (happens('refundFailsLater')) result = 'CLOSED'
    settleRefund(world, refund, result)
  })
  world.timers.add(cancel)
}
