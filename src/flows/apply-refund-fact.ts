import type { Knex } from 'knex'
import type { Context } from '../context.ts'
import type { RefundFact } from '../core/fact.ts'
import { isId, surplusAttemptsMax, surplusRefundId } from '../core/ids.ts'
import { movesRefundFrom, type Refund } from '../core/refund.ts'
import { delayMs, runningRefund, unfundedRefund } from '../core/schedule.ts'
import { paymentById, releaseRefund, takeBackRefund } from '../store/payments.ts'
import { latestSubmission, markPaidAgain, raiseRefundStatus, refundById } from '../store/refunds.ts'
import type { DiscrepancyRow } from '../store/rows.ts'
import { transaction } from '../store/transaction.ts'
import { NumberTaken, refundSurplus, unlessTaken, type Applied } from './apply-payment-fact.ts'
import { raiseDiscrepancy } from './raise-discrepancy.ts'
import { recordEvent } from './record-event.ts'

/**
 * FUNNEL: the only writer of refunds.status (design.md 3, 6.6).
 *
 * Entering `failed` gives the reservation back in the same transaction; a refund called failed that has proven to have
 * succeeded takes it again and is put in front of a person.
 */
export async function applyRefundFact(
  ctx: Context,
  channelId: string,
  fact: RefundFact,
  noticedBy: DiscrepancyRow['noticed_by'],
): Promise<Applied> {
  const refund = isId('refund', fact.refundId) ? await refundById(ctx.db, fact.refundId) : undefined
  if (refund === undefined) return 'unmatched'
  const wrong = judge(refund, fact, channelId)
  if (wrong !== undefined) {
    await raiseDiscrepancy(ctx, ctx.db, { channelId, subjectId: refund.id, noticedBy, ...wrong })
    return 'mismatch'
  }
  if (refund.status === 'succeeded' && fact.seen === 'succeeded') return paidAgain(ctx, refund, fact)
  if (!movesRefundFrom(fact).includes(refund.status)) return 'unchanged'
  if (await isOfAnOlderSubmission(ctx, refund, fact)) return 'unchanged'
  let result: Applied
  try {
    result = await transaction(ctx.db, (tx) => applyInside(ctx, tx, refund, fact))
  } catch (error) {
    if (!(error instanceof NumberTaken)) throw error
    const numbers = { expected: 'a number of its own', actual: fact.providerRefundId ?? '' }
    await raiseDiscrepancy(ctx, ctx.db, {
      channelId,
      kind: 'transaction_mismatch',
      subjectId: refund.id,
      noticedBy,
      ...numbers,
    })
    return 'mismatch'
  }
  if (result === 'applied') ctx.poke()
  return result
}

function judge(refund: Refund, fact: RefundFact, channelId: string) {
  if (refund.channel_id !== channelId) {
    return { kind: 'channel_mismatch' as const, expected: refund.channel_id, actual: channelId }
  }
  if (fact.paymentId !== undefined && fact.paymentId !== refund.payment_id) {
    return { kind: 'transaction_mismatch' as const, expected: refund.payment_id, actual: fact.paymentId }
  }
  if (fact.amount !== undefined && (fact.amount.amount !== refund.amount || fact.amount.currency !== refund.currency)) {
    return {
      kind: 'amount_mismatch' as const,
      expected: `${String(refund.amount)} ${refund.currency}`,
      actual: `${String(fact.amount.amount)} ${fact.amount.currency}`,
    }
  }
  return undefined
}

/**
 * The refund has been paid, and the provider says so again. Under another number of its own it is other money: two
 * submissions of one refund have both been paid, which only a person can put right (design.md 6.8, invariant 2).
 */
async function paidAgain(ctx: Context, refund: Refund, fact: RefundFact): Promise<Applied> {
  const { submissionNumber, providerRefundId } = fact
  if (submissionNumber === undefined || providerRefundId === undefined) return 'unchanged'
  if (refund.provider_refund_id === null || refund.provider_refund_id === providerRefundId) return 'unchanged'
  return transaction(ctx.db, async (tx) => {
    if (!(await markPaidAgain(tx, refund.id, submissionNumber))) return 'unchanged'
    await takeBackRefund(tx, refund.payment_id, refund.amount)
    await raiseDiscrepancy(ctx, tx, {
      channelId: refund.channel_id,
      kind: 'refund_contradiction',
      subjectId: refund.id,
      expected: refund.provider_refund_id ?? '',
      actual: `paid again as ${providerRefundId}`,
      noticedBy: 'gateway',
    })
    return 'applied'
  })
}

/** A failure of a submission that has been replaced says nothing about the refund; a success always does (design.md 20.1). */
async function isOfAnOlderSubmission(ctx: Context, refund: Refund, fact: RefundFact): Promise<boolean> {
  if (fact.submissionNumber === undefined || fact.seen === 'succeeded') return false
  const latest = await latestSubmission(ctx.db, refund.id)
  return latest !== undefined && latest.provider_no !== fact.submissionNumber
}

async function applyInside(ctx: Context, tx: Knex.Transaction, refund: Refund, fact: RefundFact): Promise<Applied> {
  const now = ctx.now()
  const values = {
    now,
    failureReason: fact.detail?.slice(0, 500) ?? null,
    nextCheckAt:
      fact.seen === 'processing' || fact.seen === 'abnormal'
        ? now + (delayMs(runningRefund, 0, ctx.random(), ctx.timeScale) ?? 0)
        : null,
  }
  const alive = movesRefundFrom(fact).filter((status) => status !== 'failed')
  if (await unlessTaken(raiseRefundStatus(tx, refund, fact, alive, values))) {
    await consequences(ctx, tx, refund, fact)
    return 'applied'
  }
  if (fact.seen !== 'succeeded' || !(await unlessTaken(raiseRefundStatus(tx, refund, fact, ['failed'], values))))
    return 'unchanged'
  const taken = await takeBackRefund(tx, refund.payment_id, refund.amount)
  await recordEvent(ctx, tx, { type: 'refund.succeeded', orderId: refund.order_id, subjectId: refund.id })
  await raiseDiscrepancy(ctx, tx, {
    channelId: refund.channel_id,
    kind: 'refund_contradiction',
    subjectId: refund.id,
    expected: 'failed',
    actual: taken === 'over' ? 'succeeded, over the payment' : 'succeeded',
    noticedBy: 'gateway',
  })
  return 'applied'
}

async function consequences(ctx: Context, tx: Knex.Transaction, refund: Refund, fact: RefundFact): Promise<void> {
  const subject = { orderId: refund.order_id, subjectId: refund.id }
  if (fact.seen === 'succeeded') await recordEvent(ctx, tx, { type: 'refund.succeeded', ...subject })
  if (fact.seen === 'abnormal') {
    await recordEvent(ctx, tx, { type: 'refund.abnormal', ...subject })
    await raiseDiscrepancy(ctx, tx, {
      channelId: refund.channel_id,
      kind: 'refund_abnormal',
      subjectId: refund.id,
      noticedBy: 'gateway',
    })
  }
  if (fact.seen !== 'failed') return
  if (!(await releaseRefund(tx, refund.payment_id, refund.amount)))
    throw new Error('a failed refund had no reservation to give back')
  if (refund.initiated_by === 'gateway') await retrySurplus(ctx, tx, refund)
  await recordEvent(ctx, tx, { type: 'refund.failed', ...subject })
}

/** The money of a surplus payment still has to go back: the next number, after a pause, and a person is told. */
async function retrySurplus(ctx: Context, tx: Knex.Transaction, refund: Refund): Promise<void> {
  const payment = await paymentById(tx, refund.payment_id)
  if (payment === undefined) throw new Error('a refund without a payment')
  for (let attempt = 1; attempt < surplusAttemptsMax; attempt += 1) {
    if (surplusRefundId(payment.id, attempt) !== refund.id) continue
    const pause = delayMs(unfundedRefund, attempt - 1, ctx.random(), ctx.timeScale)
    if (pause !== undefined) await refundSurplus(ctx, tx, payment, attempt + 1, ctx.now() + pause)
  }
  await raiseDiscrepancy(ctx, tx, {
    channelId: refund.channel_id,
    kind: 'surplus_not_refunded',
    subjectId: payment.id,
    noticedBy: 'gateway',
  })
}
