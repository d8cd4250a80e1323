import type { Knex } from 'knex'
import type { RefundStatus } from '../core/chain.ts'
import type { RefundFact } from '../core/fact.ts'
import type { RejectionReason } from '../core/provider.ts'
import type { Refund, RefundSubmission } from '../core/refund.ts'

/** Refunds and their submissions in SQL. `raiseRefundStatus` is for flows/apply-refund-fact.ts and nobody else. */

export async function insertRefund(tx: Knex.Transaction, refund: Refund): Promise<void> {
  await tx('refunds').insert(refund)
}

export async function refundById(db: Knex, refundId: string): Promise<Refund | undefined> {
  return db<Refund>('refunds').where({ id: refundId }).first()
}

export async function findRefund(db: Knex, merchantId: string, refundId: string): Promise<Refund | undefined> {
  return db<Refund>('refunds').where({ id: refundId, merchant_id: merchantId }).first()
}

export async function findRefundByNo(
  db: Knex,
  merchantId: string,
  merchantRefundNo: string,
): Promise<Refund | undefined> {
  return db<Refund>('refunds').where({ merchant_id: merchantId, merchant_refund_no: merchantRefundNo }).first()
}

/** Refunds of the given orders, oldest first. */
export async function refundsOfOrders(db: Knex, orderIds: readonly string[]): Promise<readonly Refund[]> {
  return db<Refund>('refunds')
    .whereIn('order_id', [...orderIds])
    .orderBy([{ column: 'created_at' }, { column: 'id' }])
}

/**
 * Moves the status up to what the fact proves.
 * @param from the statuses below the fact's that this call may start from
 * @returns whether this call, and therefore nobody else, made the transition
 */
export async function raiseRefundStatus(
  tx: Knex.Transaction,
  refund: Refund,
  fact: RefundFact,
  from: readonly RefundStatus[],
  values: { readonly now: number; readonly failureReason: string | null; readonly nextCheckAt: number | null },
): Promise<boolean> {
  if (fact.seen === 'absent') return false
  const rows = await tx('refunds')
    .where({ id: refund.id, amount: refund.amount })
    .whereIn('status', [...from])
    .update({
      status: fact.seen,
      checks: 0,
      // A question about another submission is still open; it keeps the row due whatever this one has come to.
      next_check_at: tx.raw('case when confirm_no is null then ? else next_check_at end', [values.nextCheckAt]),
      failure_reason: fact.seen === 'failed' || fact.seen === 'abnormal' ? values.failureReason : null,
      ...(fact.seen === 'succeeded' ? { succeeded_at: fact.occurredAt ?? values.now } : {}),
      ...(fact.providerRefundId === undefined ? {} : { provider_refund_id: fact.providerRefundId }),
    })
  return rows === 1
}

/** Takes the right to work on a refund that is due now, if nobody took it since the row was read. */
export async function claimRefund(db: Knex, refund: Refund, now: number, lease: number): Promise<boolean> {
  const query = db('refunds').where({ id: refund.id }).andWhere('next_check_at', '<=', now)
  void (refund.next_check_at === null
    ? query.whereNull('next_check_at')
    : query.andWhere('next_check_at', refund.next_check_at))
  return (await query.update({ next_check_at: lease })) === 1
}

/** Sets the next look, unless somebody has asked for another since the lease was taken. */
export async function rescheduleRefund(
  db: Knex,
  refundId: string,
  lease: number,
  next: number | null,
  counts: boolean,
): Promise<void> {
  await db('refunds')
    .where({ id: refundId, next_check_at: lease })
    .update({ next_check_at: next, ...(counts ? { checks: db.raw('checks + 1') } : {}) })
}

/** Asks the worker to look at a refund, soon. */
export async function wakeRefund(db: Knex, refundId: string, at: number): Promise<boolean> {
  return (await db('refunds').where({ id: refundId }).whereNotNull('next_check_at').update({ next_check_at: at })) === 1
}

/** The provider is said to have paid a submission that nobody is asking about: ask about that one, whatever the status. */
export async function hintRefund(db: Knex, refundId: string, submissionNo: string, at: number): Promise<void> {
  await db('refunds').where({ id: refundId }).update({ next_check_at: at, confirm_no: submissionNo })
}

/** The question about that submission has been answered. */
export async function clearConfirm(db: Knex, refundId: string, submissionNo: string): Promise<void> {
  await db('refunds').where({ id: refundId, confirm_no: submissionNo }).update({ confirm_no: null })
}

/**
 * Is the refund still to be sent, and has nobody said that it was paid under another number? The write locks the row, so
 * that neither can change between this answer and the sending.
 */
export async function stillToSend(tx: Knex.Transaction, refundId: string): Promise<boolean> {
  const rows = await tx('refunds')
    .where({ id: refundId, status: 'created' })
    .whereNull('confirm_no')
    .update({ next_check_at: tx.ref('next_check_at') })
  return rows === 1
}

/** The merchant's account has been credited: refunds that waited for it may go (design.md 8.4). */
export async function wakeWaitingRefunds(db: Knex, paymentId: string, now: number): Promise<void> {
  await db('refunds')
    .where({ payment_id: paymentId, status: 'created' })
    .andWhere('next_check_at', '>', now)
    .update({ next_check_at: now })
}

export async function latestSubmission(db: Knex, refundId: string): Promise<RefundSubmission | undefined> {
  return db<RefundSubmission>('refund_submissions').where({ refund_id: refundId }).orderBy('attempt', 'desc').first()
}

export async function submissionByNumber(
  db: Knex,
  refundId: string,
  providerNo: string,
): Promise<RefundSubmission | undefined> {
  return db<RefundSubmission>('refund_submissions').where({ refund_id: refundId, provider_no: providerNo }).first()
}

/** Marks a submission that was paid although another had been. @returns whether this call, and nobody before, marked it */
export async function markPaidAgain(tx: Knex.Transaction, refundId: string, providerNo: string): Promise<boolean> {
  const rows = await tx('refund_submissions')
    .where({ refund_id: refundId, provider_no: providerNo })
    .andWhereNot({ outcome: 'paid_again' })
    .update({ outcome: 'paid_again' })
  return rows === 1
}

/** Recorded before it is sent, because only what is recorded can be resent byte for byte (design.md 20.1). */
export async function insertSubmission(tx: Knex.Transaction, submission: RefundSubmission): Promise<void> {
  await tx('refund_submissions').insert(submission)
}

/** Counts a further send of the same submission; until it is answered its outcome is unknown again. */
export async function recordResend(tx: Knex.Transaction, submission: RefundSubmission, now: number): Promise<boolean> {
  const rows = await tx('refund_submissions')
    .where({
      refund_id: submission.refund_id,
      attempt: submission.attempt,
      sends: submission.sends,
      outcome: submission.outcome,
    })
    .update({
      sends: submission.sends + 1,
      last_sent_at: now,
      outcome: 'unknown',
      rejection_reason: null,
      rejection_code: null,
      rejection_detail: null,
      absent_at: null,
    })
  return rows === 1
}

export type SubmissionOutcome = {
  readonly outcome?: 'accepted' | 'rejected' | 'unknown'
  readonly rejection_reason?: RejectionReason | null
  readonly rejection_code?: string | null
  readonly rejection_detail?: string | null
  readonly absent_at?: number | null
}

export async function recordOutcome(
  db: Knex,
  refundId: string,
  attempt: number,
  values: SubmissionOutcome,
): Promise<void> {
  await db('refund_submissions')
    .where({ refund_id: refundId, attempt })
    .andWhereNot({ outcome: 'paid_again' })
    .update(values)
}

/**
 * Records a refusal of exactly the send that it answers. When the submission has been sent again or answered meanwhile,
 * the refusal says nothing any more. @returns whether it was recorded
 */
export async function recordRefusal(
  db: Knex,
  submission: RefundSubmission,
  values: SubmissionOutcome,
): Promise<boolean> {
  const { refund_id, attempt, sends } = submission
  return (await db('refund_submissions').where({ refund_id, attempt, sends, outcome: 'unknown' }).update(values)) === 1
}
