import { beijing, type Json, type Order, type Refund } from './ledger.ts'
import { isObject } from './rules.ts'
import type { World } from './world.ts'

/** Texts seen in trade_state_desc (wechatpay.md 2.4); nobody may branch on them. */
const DESCRIPTION = {
  NOTPAY: '订单未支付',
  SUCCESS: '支付成功',
  REFUND: '订单发生过退款',
  CLOSED: '订单已关闭',
} as const

function deviceId(request: Json): Json {
  const scene = request['scene_info']
  return isObject(scene) && scene['device_id'] !== undefined ? { scene_info: { device_id: scene['device_id'] } } : {}
}

/** One prepaid coupon covers the difference between the order and what the payer paid. */
const coupon = (discount: number): Json[] => [
  {
    coupon_id: '900000000001',
    name: 'Simulated coupon',
    scope: 'GLOBAL',
    type: 'CASH',
    amount: discount,
    stock_id: '900001',
    wechatpay_contribute: discount,
    merchant_contribute: 0,
    other_contribute: 0,
    currency: 'CNY',
  },
]

/** Everything known after payment; absent before (wechatpay.md 2.4, column "When"). */
function paidFields(order: Order): Json {
  const payment = order.payment
  if (!payment) return { amount: { total: order.total, currency: 'CNY' } }
  const discount = order.total - payment.payerTotal
  return {
    transaction_id: payment.transactionId,
    trade_type: 'JSAPI',
    bank_type: payment.bankType,
    success_time: beijing(payment.paidAt),
    payer: { openid: order.openid },
    amount: { total: order.total, payer_total: payment.payerTotal, currency: 'CNY', payer_currency: 'CNY' },
    ...(discount > 0 ? { promotion_detail: coupon(discount) } : {}),
  }
}

/** The query answer of wechatpay.md 2.4. */
export const orderView = (world: World, order: Order): Json => ({
  appid: order.appid,
  mchid: world.credentials.mchid,
  out_trade_no: order.outTradeNo,
  trade_state: order.state,
  trade_state_desc: DESCRIPTION[order.state],
  ...(order.attach === undefined ? {} : { attach: order.attach }),
  ...deviceId(order.request),
  ...paidFields(order),
})

/** The same with trade_state SUCCESS, as a payment notification tells it even after a refund. */
export const paidView = (world: World, order: Order): Json => ({
  ...orderView(world, order),
  trade_state: 'SUCCESS',
  trade_state_desc: DESCRIPTION.SUCCESS,
})

/** The refund object of wechatpay.md 2.6; success_time only for SUCCESS. */
export function refundView(order: Order, refund: Refund): Json {
  const payerTotal = order.payment?.payerTotal ?? order.total
  const amount = isObject(refund.request['amount']) ? refund.request['amount'] : {}
  return {
    refund_id: refund.refundId,
    out_refund_no: refund.outRefundNo,
    transaction_id: order.payment?.transactionId,
    out_trade_no: order.outTradeNo,
    channel: 'ORIGINAL',
    user_received_account: '支付用户零钱',
    ...(refund.status === 'SUCCESS' && refund.settledAt !== undefined
      ? { success_time: beijing(refund.settledAt) }
      : {}),
    create_time: beijing(refund.createdAt),
    status: refund.status,
    funds_account: refund.fundsAccount,
    amount: {
      total: order.total,
      refund: refund.refund,
      from: Array.isArray(amount['from']) ? amount['from'] : [],
      payer_total: payerTotal,
      payer_refund: refund.payerRefund,
      settlement_refund: refund.refund,
      settlement_total: order.total,
      discount_refund: refund.refund - refund.payerRefund,
      currency: 'CNY',
    },
    promotion_detail: [],
  }
}
