import type { Knex } from 'knex'
import type { Context } from '../context.ts'
import type { PaymentFact } from '../core/fact.ts'
import { isId, surplusRefundId } from '../core/ids.ts'
import { payableFrom, type Order } from '../core/order.ts'
import {
  judgePaymentFact,
  movesAccountFrom,
  movesPaymentFrom,
  type CloseReason,
  type Payment,
} from '../core/payment.ts'
import { accountCredit, closedPayment, delayMs } from '../core/schedule.ts'
import { sha256 } from '../crypto/digest.ts'
import { isDuplicate } from '../store/connect.ts'
import { orderById, raiseToPaid } from '../store/orders.ts'
import { paymentById, raiseAccountStatus, raisePaymentStatus, reserveRefund, wakeSiblings } from '../store/payments.ts'
import { insertRefund, wakeWaitingRefunds } from '../store/refunds.ts'
import type { DiscrepancyRow } from '../store/rows.ts'
import { transaction } from '../store/transaction.ts'
import { raiseDiscrepancy } from './raise-discrepancy.ts'
import { recordEvent } from './record-event.ts'

export type Applied = 'applied' | 'unchanged' | 'mismatch' | 'unmatched'

/** The provider's number in a fact belongs to another row of ours already (design.md 6.8, invariant 6). */
export class NumberTaken extends Error {
  readonly code = 'NUMBER_TAKEN'
}

/**
 * Runs the statement that writes a provider's number, and tells a number that is taken from every other failure.
 * @throws NumberTaken where the unique index refuses it
 */
export async function unlessTaken<T>(statement: Promise<T>): Promise<T> {
  try {
    return await statement
  } catch (error) {
    if (isDuplicate(error)) throw new NumberTaken('a number of the provider is taken', { cause: error })
    throw error
  }
}

/**
 * FUNNEL: the only writer of payments.status, payments.account_status and orders.paid_payment_id (design.md 3).
 *
 * Both axes move up on their own, each by one guarded write whose row count says whether this call made the
 * transition; only then is the event recorded, in the same transaction (design.md 6.3, 6.4).
 *
 * @param closeReason why, if the fact says closed and we did not ask for it
 * @returns `unmatched` when we have no such payment, `mismatch` when it is not the payment the fact describes (then a
 *   discrepancy has been raised and no status moved)
 */
export async function applyPaymentFact(
  ctx: Context,
  channelId: string,
  fact: PaymentFact,
  noticedBy: DiscrepancyRow['noticed_by'],
  closeReason: CloseReason = 'declined',
): Promise<Applied> {
  const payment = isId('payment', fact.paymentId) ? await paymentById(ctx.db, fact.paymentId) : undefined
  if (payment === undefined) return 'unmatched'
  const judged = judgePaymentFact(payment, fact, channelId)
  if (judged.verdict === 'mismatch') {
    await raiseDiscrepancy(ctx, ctx.db, { channelId, subjectId: payment.id, noticedBy, ...judged })
    return 'mismatch'
  }
  if (!wouldMove(payment, fact)) return 'unchanged'
  const order = await orderById(ctx.db, payment.order_id)
  if (order === undefined) throw new Error('a payment without an order')
  let result: Applied
  try {
    result = await transaction(ctx.db, (tx) => applyInside(ctx, tx, order, payment, fact, closeReason))
  } catch (error) {
    if (!(error instanceof NumberTaken)) throw error
    // Said with an error, the provider would repeat it for a day; it is a contradiction for a person (reliability.md T12).
    const numbers = { expected: 'a number of its own', actual: fact.transactionId ?? '' }
    await raiseDiscrepancy(ctx, ctx.db, {
      channelId,
      kind: 'transaction_mismatch',
      subjectId: payment.id,
      noticedBy,
      ...numbers,
    })
    return 'mismatch'
  }
  if (result === 'applied' && fact.account === 'credited') await wakeWaitingRefunds(ctx.db, payment.id, ctx.now())
  if (result === 'applied' && fact.seen === 'succeeded') await wakeSiblings(ctx.db, order.id, payment.id, ctx.now())
  if (result === 'applied') ctx.poke()
  return result
}

/** Statuses only rise, so what would not move the row as read will not move the row as it is now. */
function wouldMove(payment: Payment, fact: PaymentFact): boolean {
  return movesPaymentFrom(fact).includes(payment.status) || movesAccountFrom(fact).includes(payment.account_status)
}

async function applyInside(
  ctx: Context,
  tx: Knex.Transaction,
  order: Order,
  payment: Payment,
  fact: PaymentFact,
  closeReason: CloseReason,
): Promise<Applied> {
  const now = ctx.now()
  const schedule = fact.seen === 'succeeded' ? accountCredit : closedPayment
  const next = now + (delayMs(schedule, 0, ctx.random(), ctx.timeScale) ?? 0)
  const moved = await unlessTaken(
    raisePaymentStatus(tx, payment, fact, movesPaymentFrom(fact), {
      now,
      closeReason,
      // A rejected attempt certainly never existed at the provider, so there is nothing to ask about.
      nextCheckAt: fact.seen === 'closed' && closeReason === 'rejected' ? null : next,
    }),
  )
  const credited =
    fact.account !== undefined && (await raiseAccountStatus(tx, payment, fact, fact.account, movesAccountFrom(fact)))
  if (moved && fact.seen === 'succeeded') await settleOrder(ctx, tx, order, payment)
  if (credited && fact.account === 'credited') {
    await recordEvent(ctx, tx, { type: 'payment.credited', orderId: order.id, subjectId: payment.id })
  }
  if (credited && fact.account === 'failed') {
    await recordEvent(ctx, tx, { type: 'payment.credit_failed', orderId: order.id, subjectId: payment.id })
    await raiseDiscrepancy(ctx, tx, {
      channelId: payment.channel_id,
      kind: 'credit_failed',
      subjectId: payment.id,
      ...(fact.detail === undefined ? {} : { actual: fact.detail }),
      noticedBy: 'gateway',
    })
  }
  return moved || credited ? 'applied' : 'unchanged'
}

/** A payment has succeeded: either it pays its order, or the order cannot use it (design.md 6.7, 20.2, 20.3). */
async function settleOrder(ctx: Context, tx: Knex.Transaction, order: Order, payment: Payment): Promise<void> {
  const merchant = ctx.merchants.get(order.merchant_id)
  const paid = await raiseToPaid(tx, order.id, payment.id, payableFrom(merchant?.latePayment ?? 'refund'), ctx.now())
  if (paid) {
    await recordEvent(ctx, tx, { type: 'order.paid', orderId: order.id, subjectId: order.id })
    return
  }
  // A merchant who has left the configuration cannot have chosen to have money sent back.
  const refunds = merchant?.surplus === 'refund'
  if (refunds) await refundSurplus(ctx, tx, payment, 1, ctx.now())
  await recordEvent(ctx, tx, { type: 'payment.surplus', orderId: order.id, subjectId: payment.id })
  if (!refunds) {
    await raiseDiscrepancy(ctx, tx, {
      channelId: payment.channel_id,
      kind: 'surplus_held',
      subjectId: payment.id,
      noticedBy: 'gateway',
    })
  }
}

/**
 * The gateway's own refund of a payment that its order cannot use, under a number derived from the payment, so that it
 * can exist only once (design.md 20.2).
 * @param attempt the next exists only after the one before has proven failed
 */
export async function refundSurplus(
  ctx: Context,
  tx: Knex.Transaction,
  payment: Payment,
  attempt: number,
  sendAt: number,
): Promise<void> {
  if (!(await reserveRefund(tx, payment.id, payment.amount, Number.MAX_SAFE_INTEGER))) return
  await insertRefund(tx, {
    id: surplusRefundId(payment.id, attempt),
    payment_id: payment.id,
    order_id: payment.order_id,
    merchant_id: payment.merchant_id,
    channel_id: payment.channel_id,
    merchant_refund_no: null,
    initiated_by: 'gateway',
    amount: payment.amount,
    currency: payment.currency,
    reason: 'payment not needed',
    content_hash: sha256(`surplus\n${payment.id}\n${String(attempt)}`),
    status: 'created',
    failure_reason: null,
    provider_refund_id: null,
    checks: 0,
    next_check_at: sendAt,
    confirm_no: null,
    created_at: ctx.now(),
    succeeded_at: null,
  })
}
