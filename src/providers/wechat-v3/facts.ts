import { z } from 'zod'
import type { PaymentFact, RefundFact } from '../../core/fact.ts'
import { isCurrency, largestAmount, type Money } from '../../core/money.ts'

/** The order and refund objects of APIv3, and what they say (wechatpay.md 2.4, 2.6, 4.2, 6.1, 6.2). */

const text = (max: number) => z.string().max(max)
const amount = z.int().min(1).max(largestAmount)
const optionalAmount = z.int().min(0).max(largestAmount).nullish()

/** Query answer and decrypted payment notification; everything but identity and state may be missing when unpaid. */
export const orderShape = z.object({
  mchid: text(32),
  appid: text(32),
  out_trade_no: text(64),
  transaction_id: text(64).nullish(),
  trade_state: text(32),
  trade_state_desc: text(1024).nullish(),
  success_time: text(64).nullish(),
  amount: z
    .object({
      total: amount,
      currency: text(16).nullish(),
      payer_total: optionalAmount,
      payer_currency: text(16).nullish(),
    })
    .nullish(),
})

export type OrderObject = z.output<typeof orderShape>

/** Refund answer (`status`) and decrypted refund notification (`refund_status`), which also names the merchant. */
export const refundShape = z.object({
  mchid: text(32).nullish(),
  out_refund_no: text(64),
  refund_id: text(64),
  out_trade_no: text(64),
  transaction_id: text(64).nullish(),
  status: text(32).nullish(),
  refund_status: text(32).nullish(),
  success_time: text(64).nullish(),
  amount: z.object({ total: amount, refund: amount, currency: text(16).nullish() }),
})

export type RefundObject = z.output<typeof refundShape>

const tradeStates: Readonly<Record<string, PaymentFact['seen']>> = {
  SUCCESS: 'succeeded',
  // At least one refund was accepted, partial ones too: it was paid (wechatpay.md 6.1).
  REFUND: 'succeeded',
  NOTPAY: 'pending',
  USERPAYING: 'pending',
  ACCEPT: 'pending',
  // A failed attempt can be tried again until the order is closed.
  PAYERROR: 'pending',
  CLOSED: 'closed',
  REVOKED: 'closed',
}

// CLOSE is the old spelling, REFUNDCLOSE the one of other families (wechatpay.md 8.1).
const refundStates: Readonly<Record<string, RefundFact['seen']>> = {
  PROCESSING: 'processing',
  SUCCESS: 'succeeded',
  CLOSED: 'failed',
  CLOSE: 'failed',
  REFUNDCLOSE: 'failed',
  ABNORMAL: 'abnormal',
}

/**
 * What an order object says.
 * @param defaultCurrency what an absent currency means where the document says so (wechatpay.md 2.2)
 * @returns undefined for a state, amount or currency that cannot be understood
 */
export function orderFact(
  order: OrderObject,
  paymentId: string,
  defaultCurrency: Money['currency'],
): PaymentFact | undefined {
  const seen = own(tradeStates, order.trade_state)
  if (seen === undefined) return undefined
  const total = moneyOf(order.amount?.total, order.amount?.currency, defaultCurrency)
  const transactionId = filled(order.transaction_id)
  // Only this combination is a payment: without amount or number there would be nothing to compare.
  if (seen === 'succeeded' && (total === undefined || transactionId === undefined)) return undefined
  if (order.amount !== undefined && order.amount !== null && total === undefined) return undefined
  const payerAmount = moneyOf(order.amount?.payer_total, order.amount?.payer_currency, defaultCurrency)
  const occurredAt = instantOf(order.success_time)
  const detail = filled(order.trade_state_desc)
  return {
    about: 'payment',
    paymentId,
    seen,
    ...(total === undefined ? {} : { amount: total }),
    ...(seen === 'succeeded' && payerAmount !== undefined ? { payerAmount } : {}),
    // The payer's own bill shows WeChat Pay's number.
    ...(transactionId === undefined ? {} : { transactionId, payerTransactionId: transactionId }),
    ...(occurredAt === undefined ? {} : { occurredAt }),
    ...(detail === undefined ? {} : { detail: detail.slice(0, 256) }),
  }
}

/** What a refund object says; undefined when its state or currency cannot be understood. */
export function refundFact(
  refund: RefundObject,
  ids: { readonly refundId: string; readonly paymentId: string },
  defaultCurrency: Money['currency'],
): RefundFact | undefined {
  const state = filled(refund.refund_status) ?? filled(refund.status)
  const seen = state === undefined ? undefined : own(refundStates, state)
  const value = moneyOf(refund.amount.refund, refund.amount.currency, defaultCurrency)
  if (seen === undefined || state === undefined || value === undefined) return undefined
  const occurredAt = instantOf(refund.success_time)
  return {
    about: 'refund',
    refundId: ids.refundId,
    paymentId: ids.paymentId,
    seen,
    submissionNumber: refund.out_refund_no,
    amount: value,
    providerRefundId: refund.refund_id,
    ...(occurredAt === undefined ? {} : { occurredAt }),
    detail: state,
  }
}

function moneyOf(
  value: number | null | undefined,
  currency: string | null | undefined,
  fallback: Money['currency'],
): Money | undefined {
  const code = filled(currency) ?? fallback
  return value === null || value === undefined || !isCurrency(code) ? undefined : { amount: value, currency: code }
}

/** RFC 3339 with an offset → epoch milliseconds; undefined for anything else, since it is for display only. */
function instantOf(value: string | null | undefined): number | undefined {
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/.test(value ?? '')) return undefined
  const instant = Date.parse(value ?? '')
  return Number.isNaN(instant) ? undefined : instant
}

function filled(value: string | null | undefined): string | undefined {
  return value === null || value === '' ? undefined : value
}

function own<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined
}
