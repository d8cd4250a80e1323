import type { Knex } from 'knex'
import type { Channel, Context } from '../context.ts'
import { compactDay } from '../core/business-day.ts'
import type { RefundFact } from '../core/fact.ts'
import { submissionNumber } from '../core/ids.ts'
import { money } from '../core/money.ts'
import { paymentRef, type Payment } from '../core/payment.ts'
import { ProviderRejected, ProviderUnknown, type RefundRef, type RejectionReason } from '../core/provider.ts'
import { endsRefund, type Refund, type RefundSubmission } from '../core/refund.ts'
import {
  absenceAfterMs,
  absenceApartMs,
  delayMs,
  postponedRefund,
  runningRefund,
  unfundedRefund,
  type Schedule,
} from '../core/schedule.ts'
import { claimRefundSlot, paymentById, releaseRefundSlot } from '../store/payments.ts'
import {
  claimRefund,
  clearConfirm,
  insertSubmission,
  latestSubmission,
  recordOutcome,
  recordRefusal,
  recordResend,
  refundById,
  rescheduleRefund,
  stillToSend,
  submissionByNumber,
} from '../store/refunds.ts'
import { transaction } from '../store/transaction.ts'
import { applyRefundFact } from './apply-refund-fact.ts'
import { callProvider } from './call-provider.ts'
import { leaseUntil } from './lease.ts'
import { raiseDiscrepancy } from './raise-discrepancy.ts'

type Work = {
  readonly ctx: Context
  readonly channel: Channel
  readonly refund: Refund
  readonly payment: Payment
}

/** What to do next: follow a schedule, wait for the payment's turn, or nothing because the refund has ended. */
type Next = { readonly follow: Schedule } | { readonly waitUntil: number } | 'ended'

/**
 * Submits a refund, or asks what became of it (design.md 8.4 and 20.1).
 *
 * A refund and its submissions are two things. Only the recorded submission is ever resent, and a new number exists only
 * after the one before has proven not to have happened: a verified rejection of its only send, or "not found" said
 * twice. Everything in between is asked about, never guessed.
 *
 * @param claimed the lease under which the worker holds the row; without it the row is claimed here
 */
export async function checkRefund(ctx: Context, refundId: string, claimed?: number): Promise<void> {
  const refund = await refundById(ctx.db, refundId)
  if (refund === undefined || (hasEnded(refund) && refund.confirm_no === null)) return
  const lease = claimed ?? leaseUntil(ctx)
  if (claimed === undefined && !(await claimRefund(ctx.db, refund, ctx.now(), lease))) return
  const payment = await paymentById(ctx.db, refund.payment_id)
  if (payment === undefined) throw new Error('a refund without a payment')
  const channel = await ctx.channels.version(payment.channel_id, payment.settings_version)
  if (channel === undefined) {
    ctx.log.error('the channel of a refund can no longer be built', { channelId: payment.channel_id, refundId })
    return rescheduleRefund(ctx.db, refund.id, lease, ctx.now() + Math.round(300_000 / ctx.timeScale), false)
  }
  const work = { ctx, channel, refund, payment }
  const next = refund.confirm_no === null ? await advance(work) : await confirm(work, refund.confirm_no)
  await reschedule(work, lease, next)
}

function hasEnded(refund: Refund): boolean {
  return refund.status === 'succeeded' || refund.status === 'failed'
}

/** The provider is said to have paid this submission, although the refund has ended or goes by another number by now. */
async function confirm(work: Work, number: string): Promise<Next> {
  const { ctx, refund } = work
  const submission = await submissionByNumber(ctx.db, refund.id, number)
  if (submission !== undefined) return ask(work, submission)
  await clearConfirm(ctx.db, refund.id, number)
  return hasEnded(refund) ? 'ended' : { follow: runningRefund }
}

async function advance(work: Work): Promise<Next> {
  const { ctx, refund, channel } = work
  const submission = await latestSubmission(ctx.db, refund.id)
  if (submission === undefined) return submit(work, undefined)
  if (refund.status === 'processing' || refund.status === 'abnormal') return ask(work, submission)
  // Proven not to have happened: the same number again where it is for ever, a new one where numbers are for a day.
  if (submission.outcome === 'rejected') {
    return submit(work, channel.provider.rules.refundNumbers === 'once' ? submission : undefined, submission.attempt)
  }
  return ask(work, submission)
}

/** Asks the provider about one submission and draws the conclusion. */
async function ask(work: Work, submission: RefundSubmission): Promise<Next> {
  const { ctx, channel, refund, payment } = work
  const subject = { refundId: refund.id, paymentId: payment.id }
  try {
    const reference = refundRef(work, submission)
    const fact = await callProvider(ctx, channel, 'refund_query', subject, (signal) =>
      channel.provider.queryRefund(reference, signal),
    )
    ctx.crash?.('refund-query-answered')
    if (fact.seen !== 'absent') return await conclude(work, submission, fact)
    // Only a hint led here; what to do about an absent number is decided where the refund stands, not here.
    if (refund.confirm_no !== null) return { follow: runningRefund }
  } catch (error) {
    if (error instanceof ProviderUnknown || error instanceof ProviderRejected) return { follow: runningRefund }
    throw error
  }
  return absent(work, submission)
}

/** The provider has no such number: resend the same bytes where that is safe, give the number up where it is proven. */
async function absent(work: Work, submission: RefundSubmission): Promise<Next> {
  const { ctx, channel, refund } = work
  // What the provider once signed as taken is not given up because it says later that it knows nothing of it.
  if (refund.status !== 'created' || submission.outcome === 'accepted') return { follow: runningRefund }
  const now = ctx.now()
  const proven =
    submission.absent_at !== null &&
    now - submission.last_sent_at >= absenceAfterMs / ctx.timeScale &&
    now - submission.absent_at >= absenceApartMs / ctx.timeScale
  if (submission.absent_at === null) await recordOutcome(ctx.db, refund.id, submission.attempt, { absent_at: now })
  const { refundNumbers } = channel.provider.rules
  if (submission.rejection_reason !== null) {
    // A resend was refused after an earlier send had gone unanswered: only now does the refusal speak for both.
    if (!proven) return { follow: runningRefund }
    // Guarded by what was read: another process may have been told the opposite a moment ago.
    if (!(await recordRefusal(ctx.db, submission, { outcome: 'rejected' }))) return { follow: runningRefund }
    return afterRejection(work, submission, submission.rejection_reason, submission.rejection_detail ?? '')
  }
  if (refundNumbers === 'once' || submission.day === compactDay(now)) return submit(work, submission)
  if (!proven) return { follow: runningRefund }
  if (!(await recordRefusal(ctx.db, submission, { outcome: 'rejected' }))) return { follow: runningRefund }
  return submit(work, undefined, submission.attempt)
}

/**
 * Sends one submission, when it is this payment's turn.
 * @param resend the submission to send again; without it a new one is minted
 * @param after the attempt that a new one follows
 */
async function submit(work: Work, resend: RefundSubmission | undefined, after = 0): Promise<Next> {
  const { ctx, channel, refund, payment } = work
  const slot = leaseUntil(ctx)
  const submission = await transaction(ctx.db, async (tx) => {
    const now = ctx.now()
    if (!(await stillToSend(tx, refund.id))) return undefined
    if (!(await claimRefundSlot(tx, payment.id, now, slot))) return undefined
    // Read under the lock that the slot has taken: an earlier refund may have proven paid since this work began.
    const isBack = refund.initiated_by === 'gateway' && ((await paymentById(tx, payment.id))?.refund_over ?? 0) > 0
    const record = () => (resend === undefined ? mint(work, tx, after + 1, now) : again(tx, resend, now))
    const recorded = isBack ? undefined : await record()
    // Somebody else has sent it since it was read: the place is given back, for nobody here is going to use it.
    if (recorded === undefined) await releaseRefundSlot(tx, payment.id, slot, now)
    return isBack ? 'held' : recorded
  })
  if (submission === 'held') return moneyIsBackAlready(work)
  if (submission === undefined) {
    // While a call is under way its slot reaches to the end of its lease; it is usually given back long before.
    const turn = (await paymentById(ctx.db, payment.id))?.refund_slot_at ?? 0
    return {
      waitUntil:
        ctx.now() + Math.max(20, Math.min(turn - ctx.now(), Math.ceil(channel.provider.rules.refundSpacingMs))),
    }
  }
  ctx.crash?.('submission-recorded')
  // Whoever was held up so long no longer has the payment's turn; what was recorded is asked about, not sent.
  if (ctx.now() >= slot) return { follow: runningRefund }
  const provable = resend === undefined || resend.outcome === 'rejected'
  const subject = { refundId: refund.id, paymentId: payment.id }
  const spacing = Math.ceil(channel.provider.rules.refundSpacingMs)
  try {
    const request = { ...refundRef(work, submission), reason: refund.reason, notifyUrl: channel.notifyUrl }
    const fact = await callProvider(ctx, channel, 'refund', subject, (signal) =>
      channel.provider.refund(request, signal),
    )
    ctx.crash?.('refund-answered')
    const next = await conclude(work, submission, fact)
    await releaseRefundSlot(ctx.db, payment.id, slot, ctx.now() + spacing)
    return next
  } catch (error) {
    const rejection = error instanceof ProviderRejected ? error : undefined
    if (rejection === undefined && !(error instanceof ProviderUnknown)) throw error
    if (rejection !== undefined) ctx.crash?.('refund-refused')
    // The refusal is written down before anybody else may send: a late word about an old send must not meet a new one.
    const next =
      rejection === undefined ? { follow: runningRefund } : await refused(work, submission, rejection, provable)
    const free = rejection === undefined || rejection.reason === 'rate_limited' ? ctx.now() + spacing : ctx.now()
    await releaseRefundSlot(ctx.db, payment.id, slot, free)
    return next
  }
}

/** An earlier refund of the same surplus has proven paid after all: sending another would give the money back twice. */
async function moneyIsBackAlready(work: Work): Promise<Next> {
  const { ctx, refund, payment } = work
  await raiseDiscrepancy(ctx, ctx.db, {
    channelId: refund.channel_id,
    kind: 'refund_contradiction',
    subjectId: payment.id,
    actual: 'a further refund of a surplus payment is held back',
    noticedBy: 'gateway',
  })
  return { follow: unfundedRefund }
}

async function mint(work: Work, tx: Knex.Transaction, attempt: number, now: number): Promise<RefundSubmission> {
  const { channel, refund } = work
  const daily = channel.provider.rules.refundNumbers === 'per_day'
  const submission: RefundSubmission = {
    refund_id: refund.id,
    attempt,
    channel_id: refund.channel_id,
    provider_no: submissionNumber(refund.id, attempt),
    day: daily ? compactDay(now) : '',
    sent_at: now,
    last_sent_at: now,
    sends: 1,
    outcome: 'unknown',
    rejection_reason: null,
    rejection_code: null,
    rejection_detail: null,
    absent_at: null,
  }
  await insertSubmission(tx, submission)
  return submission
}

async function again(
  tx: Knex.Transaction,
  submission: RefundSubmission,
  now: number,
): Promise<RefundSubmission | undefined> {
  return (await recordResend(tx, submission, now))
    ? { ...submission, sends: submission.sends + 1, last_sent_at: now, outcome: 'unknown' }
    : undefined
}

async function conclude(work: Work, submission: RefundSubmission, fact: RefundFact): Promise<Next> {
  const { ctx, refund } = work
  await recordOutcome(ctx.db, refund.id, submission.attempt, { outcome: 'accepted', absent_at: null })
  ctx.crash?.('refund-outcome-recorded')
  await applyRefundFact(ctx, refund.channel_id, { ...fact, submissionNumber: submission.provider_no }, 'query')
  if (fact.seen === 'succeeded' || fact.seen === 'failed') await clearConfirm(ctx.db, refund.id, submission.provider_no)
  return { follow: runningRefund }
}

/** A verified refusal. It proves that nothing happened only if no earlier send of this number went unanswered. */
async function refused(
  work: Work,
  submission: RefundSubmission,
  rejection: ProviderRejected,
  provable: boolean,
): Promise<Next> {
  const { ctx } = work
  const stands = await recordRefusal(ctx.db, submission, {
    outcome: provable ? 'rejected' : 'unknown',
    rejection_reason: rejection.reason,
    rejection_code: rejection.providerCode,
    rejection_detail: rejection.message.slice(0, 200),
  })
  ctx.crash?.('refund-refusal-recorded')
  if (!provable || !stands) return { follow: runningRefund }
  return afterRejection(work, submission, rejection.reason, rejection.message)
}

async function afterRejection(
  work: Work,
  submission: RefundSubmission,
  reason: RejectionReason,
  detail: string,
): Promise<Next> {
  const { ctx, refund, payment } = work
  if (endsRefund(reason)) {
    const fact = {
      about: 'refund',
      refundId: refund.id,
      paymentId: payment.id,
      seen: 'failed',
      submissionNumber: submission.provider_no,
      detail,
    } as const
    await applyRefundFact(ctx, refund.channel_id, fact, 'query')
    return 'ended'
  }
  if (reason !== 'insufficient_balance') return { follow: postponedRefund }
  await raiseDiscrepancy(ctx, ctx.db, {
    channelId: refund.channel_id,
    kind: 'refund_stuck',
    subjectId: refund.id,
    actual: detail,
    noticedBy: 'gateway',
  })
  return { follow: unfundedRefund }
}

function refundRef(work: Work, submission: RefundSubmission): RefundRef {
  const { refund, payment } = work
  return {
    refundId: refund.id,
    submission: { number: submission.provider_no, sentAt: submission.sent_at },
    createdAt: refund.created_at,
    amount: money(refund.amount, refund.currency),
    payment: paymentRef(payment),
  }
}

async function reschedule(work: Work, lease: number, next: Next): Promise<void> {
  const { ctx } = work
  const refund = await refundById(ctx.db, work.refund.id)
  if (refund === undefined) return
  if (next === 'ended' || (hasEnded(refund) && refund.confirm_no === null)) {
    return rescheduleRefund(ctx.db, refund.id, lease, null, false)
  }
  if ('waitUntil' in next) {
    // Everybody who waits for the same turn would knock at the same instant; a little spread lets one in at a time.
    const spread = Math.round((ctx.random() * 1000) / ctx.timeScale)
    return rescheduleRefund(ctx.db, refund.id, lease, next.waitUntil + spread, false)
  }
  const delay = delayMs(next.follow, refund.checks, ctx.random(), ctx.timeScale)
  if (delay === undefined) {
    await raiseDiscrepancy(ctx, ctx.db, {
      channelId: refund.channel_id,
      kind: 'refund_stuck',
      subjectId: refund.id,
      noticedBy: 'gateway',
    })
  }
  const day = Math.round((24 * 60 * 60 * 1000) / ctx.timeScale)
  await rescheduleRefund(ctx.db, refund.id, lease, ctx.now() + (delay ?? day), true)
}
