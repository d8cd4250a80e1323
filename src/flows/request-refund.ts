import { ulid } from 'ulid'
import type { Context, Merchant } from '../context.ts'
import { idOf } from '../core/ids.ts'
import type { Order } from '../core/order.ts'
import type { Payment } from '../core/payment.ts'
import { Problem } from '../core/problem.ts'
import type { Refund } from '../core/refund.ts'
import { sha256 } from '../crypto/digest.ts'
import { isDuplicate } from '../store/connect.ts'
import { findOrder } from '../store/orders.ts'
import { paymentById, reserveRefund } from '../store/payments.ts'
import { findRefundByNo, insertRefund, refundById } from '../store/refunds.ts'
import { CommitUnknown, transaction } from '../store/transaction.ts'
import { checkRefund } from './check-refund.ts'

export type RequestRefundInput = { readonly merchantRefundNo: string; readonly amount: number; readonly reason: string }

const day_ms = 24 * 60 * 60 * 1000

/**
 * Reserves the amount, records the refund, and submits it once; after that the worker sees it through (design.md 8.4).
 * The same merchant_refund_no with the same content is the same refund, for ever.
 * @throws Problem `not-found`, `order-not-refundable`, `refund-exceeds-payment`, `refund-limit-reached`, `refund-conflict`,
 *   `unavailable` when the database did not say whether it committed
 */
export async function requestRefund(
  ctx: Context,
  merchant: Merchant,
  orderId: string,
  input: RequestRefundInput,
): Promise<{ refund: Refund; created: boolean }> {
  const order = await findOrder(ctx.db, merchant.id, orderId)
  if (order === undefined) throw new Problem('not-found', `no order ${orderId}`)
  const hash = sha256(JSON.stringify([order.id, input.amount, input.reason]))
  const known = await sameRefund(ctx, merchant, input, hash)
  if (known !== undefined) return { refund: known, created: false }

  const payment = await refundablePayment(ctx, order)
  const limit = await refundLimit(ctx, payment)
  const refund = newRefund(ctx, payment, input, hash)
  if (!(await reserve(ctx, refund, limit))) {
    const existing = await sameRefund(ctx, merchant, input, hash)
    if (existing !== undefined) return { refund: existing, created: false }
    throw await whyNotReserved(ctx, payment.id, input.amount, limit)
  }
  ctx.crash?.('refund-recorded')
  await checkRefund(ctx, refund.id)
  ctx.crash?.('refund-submitted')
  return { refund: (await refundById(ctx.db, refund.id)) ?? refund, created: true }
}

/** The refund that already has this number. @throws Problem when its content is another */
async function sameRefund(
  ctx: Context,
  merchant: Merchant,
  input: RequestRefundInput,
  hash: string,
): Promise<Refund | undefined> {
  const existing = await findRefundByNo(ctx.db, merchant.id, input.merchantRefundNo)
  if (existing === undefined || existing.content_hash === hash) return existing
  throw new Problem(
    'refund-conflict',
    `merchant_refund_no ${input.merchantRefundNo} already names refund ${existing.id}, which has other content; use a new number, or repeat the first request exactly`,
    { existing: existing.id },
  )
}

async function refundablePayment(ctx: Context, order: Order): Promise<Payment> {
  const payment = order.paid_payment_id === null ? undefined : await paymentById(ctx.db, order.paid_payment_id)
  if (payment === undefined || payment.succeeded_at === null) {
    throw new Problem('order-not-refundable', `the order is ${order.status}; only a paid order can be refunded`)
  }
  return payment
}

/** How many refunds the provider allows; its window is checked here too, because the provider would refuse anyway. */
async function refundLimit(ctx: Context, payment: Payment): Promise<number> {
  const channel = await ctx.channels.version(payment.channel_id, payment.settings_version)
  if (channel === undefined)
    throw new Problem(
      'unavailable',
      `channel ${payment.channel_id} can no longer be built from its settings; the operator has to restore them`,
    )
  const { refundDays, refundsPerPayment } = channel.provider.rules
  if (payment.succeeded_at !== null && ctx.now() > payment.succeeded_at + refundDays * day_ms) {
    throw new Problem(
      'order-not-refundable',
      `the provider refunds within ${String(refundDays)} days of payment; pay the money back another way`,
    )
  }
  return refundsPerPayment
}

function newRefund(ctx: Context, payment: Payment, input: RequestRefundInput, hash: string): Refund {
  const now = ctx.now()
  return {
    id: idOf('refund', ulid(now)),
    payment_id: payment.id,
    order_id: payment.order_id,
    merchant_id: payment.merchant_id,
    channel_id: payment.channel_id,
    merchant_refund_no: input.merchantRefundNo,
    initiated_by: 'merchant',
    amount: input.amount,
    currency: payment.currency,
    reason: input.reason,
    content_hash: hash,
    status: 'created',
    failure_reason: null,
    provider_refund_id: null,
    checks: 0,
    next_check_at: now,
    confirm_no: null,
    created_at: now,
    succeeded_at: null,
  }
}

/** @returns false when nothing was reserved: it does not fit, or the number was taken a moment ago */
async function reserve(ctx: Context, refund: Refund, limit: number): Promise<boolean> {
  try {
    return await transaction(ctx.db, async (tx) => {
      if (!(await reserveRefund(tx, refund.payment_id, refund.amount, limit))) return false
      await insertRefund(tx, refund)
      return true
    })
  } catch (error) {
    if (isDuplicate(error)) return false
    if (!(error instanceof CommitUnknown)) throw error
    // The row tells whether the commit went through; its own id says whose it is (reliability.md 5.2 R6).
    if ((await refundById(ctx.db, refund.id)) !== undefined) return true
    throw new Problem(
      'unavailable',
      'the database did not say whether it kept the refund; repeat the same request with the same merchant_refund_no',
      { retryAfter: 1 },
    )
  }
}

async function whyNotReserved(ctx: Context, paymentId: string, amount: number, limit: number): Promise<Problem> {
  const payment = await paymentById(ctx.db, paymentId)
  const left = payment === undefined ? 0 : Math.max(0, payment.amount - payment.refund_reserved - payment.refund_over)
  if (payment !== undefined && amount <= left && payment.refund_count >= limit) {
    return new Problem(
      'refund-limit-reached',
      `the provider allows ${String(limit)} refunds of one payment and they are used up`,
    )
  }
  return new Problem('refund-exceeds-payment', `${String(amount)} asked for, ${String(left)} can still be refunded`)
}
