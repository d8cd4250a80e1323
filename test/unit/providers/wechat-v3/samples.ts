import type { PaymentFact, RefundFact } from '../../../../src/core/fact.ts'
import type { CloseRequest, PaymentRef, Prepaid, PrepayRequest, RefundRequest } from '../../../../src/core/provider.ts'
import { appid, epoch, keys, signed, type Behaviour, type Fixture } from './platform.ts'

/** One payment and one refund, and every verb of the port about them. */

export const paymentId = 'pay_01K6Y9ZQ8V0000000000000001'
export const number = 'pay01K6Y9ZQ8V0000000000000001'
export const refundId = 'ref_01K6Y9ZQ8V0000000000000002'
export const refundNumber = 'ref01K6Y9ZQ8V0000000000000002'
export const transactionId = '4200000000202510090000000001'
export const openid = 'oUpF8uMuAJO_M2pxb1Q9zNjWeS6o'
export const never = new AbortController().signal

export const payment: PaymentRef = {
  paymentId,
  createdAt: epoch,
  method: 'wechat_jsapi',
  amount: { amount: 100, currency: 'CNY' },
}
export const prepayRequest: PrepayRequest = {
  ...payment,
  merchantOrderNo: 'A-1',
  subject: '测试商品-Mug',
  openid,
  clientIp: '203.0.113.7',
  expiresAt: epoch + 30 * 60_000,
  notifyUrl: 'https://pay.example/notify/wx/seg',
}
export const closeRequest: CloseRequest = { ...payment, attempt: 1, requestedAt: epoch }
export const refundRequest: RefundRequest = {
  refundId,
  submission: { number: refundNumber, sentAt: epoch },
  createdAt: epoch,
  amount: { amount: 40, currency: 'CNY' },
  payment: { ...payment, transactionId },
  reason: 'out of stock',
  notifyUrl: 'https://pay.example/notify/wx/seg',
}
export const prepaid = { prepay_id: 'wx09165320000000e0f3d8a1b2c3d4e50000' }
export const unpaid = {
  appid,
  mchid: keys.mchid,
  out_trade_no: number,
  trade_state: 'NOTPAY',
  trade_state_desc: '订单未支付',
}
export const paid = {
  ...unpaid,
  transaction_id: transactionId,
  trade_type: 'JSAPI',
  trade_state: 'SUCCESS',
  trade_state_desc: '支付成功',
  success_time: '2025-10-09T16:54:01+08:00',
  payer: { openid },
  amount: { total: 100, payer_total: 90, currency: 'CNY', payer_currency: 'CNY' },
}
export const refunding = {
  refund_id: '50300000002025100900000000001',
  out_refund_no: refundNumber,
  transaction_id: transactionId,
  out_trade_no: number,
  channel: 'ORIGINAL',
  user_received_account: '支付用户零钱',
  create_time: '2025-10-09T16:56:41+08:00',
  status: 'PROCESSING',
  amount: { total: 100, refund: 40, payer_total: 100, payer_refund: 40, currency: 'CNY' },
}

export type Verbs = {
  readonly prepay: () => Promise<Prepaid>
  readonly query: () => Promise<PaymentFact>
  readonly close: () => Promise<PaymentFact>
  readonly refund: () => Promise<RefundFact>
  readonly queryRefund: () => Promise<RefundFact>
}
export type Verb = keyof Verbs
export const all: readonly Verb[] = ['prepay', 'query', 'close', 'refund', 'queryRefund']

export function verbsOf(of: () => Fixture): Verbs {
  return {
    prepay: () => of().provider.prepay(prepayRequest, never),
    query: () => of().provider.queryPayment(payment, never),
    close: () => of().provider.closePayment(closeRequest, never),
    refund: () => of().provider.refund(refundRequest, never),
    queryRefund: () => of().provider.queryRefund(refundRequest, never),
  }
}

/** What WeChat Pay answers to each verb when all is well. */
export function goodAnswers(now: () => number): Readonly<Record<Verb, () => Behaviour>> {
  return {
    prepay: () => signed(200, prepaid, now),
    query: () => signed(200, paid, now),
    close: () => signed(204, undefined, now),
    refund: () => signed(200, refunding, now),
    queryRefund: () => signed(200, refunding, now),
  }
}
