import { ulid } from 'ulid'
import type { Channel, Context } from '../context.ts'
import type { Fact, PaymentFact, RefundFact } from '../core/fact.ts'
import { idOf, isId } from '../core/ids.ts'
import { judgePaymentFact } from '../core/payment.ts'
import { NotificationRejected, type Notification, type NotificationMessage, type Reply } from '../core/provider.ts'
import type { Refund } from '../core/refund.ts'
import { delayMs, rematch as rematchSchedule } from '../core/schedule.ts'
import { isDuplicate } from '../store/connect.ts'
import { resolveDiscrepancy } from '../store/discrepancies.ts'
import { countRepeat, insertNotification, notificationById, recordNotificationOutcome } from '../store/notifications.ts'
import { hintPayment, paymentById } from '../store/payments.ts'
import { hintRefund, latestSubmission, refundById, wakeRefund } from '../store/refunds.ts'
import type { NotificationOutcome, NotificationRow } from '../store/rows.ts'
import { applyPaymentFact, type Applied } from './apply-payment-fact.ts'
import { applyRefundFact } from './apply-refund-fact.ts'
import { raiseDiscrepancy } from './raise-discrepancy.ts'

/** A captured message replays for ever where its signature covers no time; so often, and no oftener, it makes us ask. */
const hintRepeatsMax = 10

/**
 * Evidence in, facts applied, the provider's reply out: stored, applied, committed, and only then acknowledged
 * (design.md 8.2, 18.8; reliability.md 5.5). The caller answers 500 to whatever else this throws, and the provider repeats.
 *
 * @param channels versions of the channel's settings to try, newest first: a message about an older attempt is verified
 *   with what that attempt was made with
 * @throws NotificationRejected when no version can verify the message; then nothing was stored
 */
export async function receiveNotification(
  ctx: Context,
  channels: readonly Channel[],
  message: NotificationMessage,
): Promise<Reply> {
  const { channel, notification } = await read(channels, message)
  const row = notificationRow(ctx, channel, message, notification)
  const stored = await store(ctx, row)
  ctx.crash?.('notification-stored')
  // A repeat whose first arrival was cut off by a crash is applied now; any other has had its effect already.
  if (stored.outcome === 'received' || mayHintAgain(stored)) await settle(ctx, channel.id, stored, notification)
  ctx.crash?.('notification-applied')
  return notification.reply
}

/** A provider repeats because it sees no effect; a hint that was asked about in vain is asked about again, a few times. */
function mayHintAgain(stored: NotificationRow): boolean {
  return stored.outcome === 'hint' && stored.seen_count <= hintRepeatsMax
}

async function read(
  channels: readonly Channel[],
  message: NotificationMessage,
): Promise<{ channel: Channel; notification: Notification }> {
  let refusal = new NotificationRejected('signature', 'no such channel')
  for (const [index, channel] of channels.entries()) {
    try {
      return { channel, notification: await channel.provider.readNotification(message) }
    } catch (error) {
      if (!(error instanceof NotificationRejected)) throw error
      if (index === 0) refusal = error
    }
  }
  throw refusal
}

function notificationRow(
  ctx: Context,
  channel: Channel,
  message: NotificationMessage,
  notification: Notification,
): NotificationRow {
  return {
    id: idOf('notification', ulid(ctx.now())),
    channel_id: channel.id,
    settings_version: channel.version,
    door: message.door,
    provider_event_id: notification.eventId,
    headers: JSON.stringify(evidenceHeaders(message.headers)),
    body: message.body.toString('utf8'),
    facts: JSON.stringify(notification.facts),
    outcome: 'received',
    subject_id: subjectOf(notification.facts),
    seen_count: 1,
    matches: 0,
    next_match_at: null,
    received_at: message.receivedAt,
  }
}

/** Only what takes part in verification is kept: other headers may carry addresses and cookies of people in between. */
function evidenceHeaders(headers: NotificationMessage['headers']): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => name.startsWith('wechatpay-') || name === 'content-type'),
  )
}

function subjectOf(facts: readonly Fact[]): string | null {
  const fact = facts[0]
  if (fact === undefined) return null
  return (fact.about === 'payment' ? fact.paymentId : fact.refundId).slice(0, 64)
}

async function store(ctx: Context, row: NotificationRow): Promise<NotificationRow> {
  try {
    await insertNotification(ctx.db, row)
    return row
  } catch (error) {
    if (!isDuplicate(error)) throw error
    const first = await countRepeat(ctx.db, row.channel_id, row.provider_event_id)
    if (first === undefined) throw error
    return first
  }
}

async function settle(
  ctx: Context,
  channelId: string,
  row: NotificationRow,
  notification: Notification,
): Promise<void> {
  if (notification.mismatch !== undefined) {
    await raiseDiscrepancy(ctx, ctx.db, {
      channelId,
      kind: 'merchant_mismatch',
      subjectId: row.id,
      actual: notification.mismatch,
      noticedBy: 'notification',
    })
    return recordNotificationOutcome(ctx.db, row.id, { outcome: 'mismatch', next_match_at: null })
  }
  const outcome = await effect(ctx, channelId, notification.standing, notification.confirm === true, notification.facts)
  await finish(ctx, channelId, row, outcome, notification.facts)
}

/** Applies evidence; turns a hint into a question for the worker, because a hint moves no status. */
async function effect(
  ctx: Context,
  channelId: string,
  standing: Notification['standing'],
  confirm: boolean,
  facts: readonly Fact[],
): Promise<NotificationOutcome> {
  const results: Applied[] = []
  for (const fact of facts) {
    if (standing === 'evidence') results.push(await apply(ctx, channelId, fact))
    if (standing === 'hint' || confirm) {
      const hinted = await hint(ctx, channelId, fact)
      if (standing === 'hint') results.push(hinted)
    }
  }
  if (results.length === 0) return 'ignored'
  if (results.includes('unmatched')) return 'unmatched'
  if (results.includes('mismatch')) return 'mismatch'
  if (standing === 'hint') return 'hint'
  return results.includes('applied') ? 'applied' : 'unchanged'
}

function apply(ctx: Context, channelId: string, fact: Fact): Promise<Applied> {
  return fact.about === 'payment'
    ? applyPaymentFact(ctx, channelId, fact, 'notification')
    : applyRefundFact(ctx, channelId, fact, 'notification')
}

/** @returns `applied` when the worker has been asked to ask, `mismatch` when the hint does not fit what it names */
async function hint(ctx: Context, channelId: string, fact: Fact): Promise<Applied> {
  return fact.about === 'payment' ? hintAboutPayment(ctx, channelId, fact) : hintAboutRefund(ctx, channelId, fact)
}

async function hintAboutPayment(ctx: Context, channelId: string, fact: PaymentFact): Promise<Applied> {
  const payment = isId('payment', fact.paymentId) ? await paymentById(ctx.db, fact.paymentId) : undefined
  if (payment === undefined) return 'unmatched'
  const judged = judgePaymentFact(payment, fact, channelId)
  if (judged.verdict === 'mismatch') {
    await raiseDiscrepancy(ctx, ctx.db, { channelId, subjectId: payment.id, noticedBy: 'notification', ...judged })
    return 'mismatch'
  }
  // Where everything a hint could lead to is known already, asking again would only cost the provider a call.
  if (payment.status === 'succeeded' && payment.account_status === 'credited') return 'unchanged'
  await hintPayment(ctx.db, payment.id, ctx.now())
  ctx.poke()
  return 'applied'
}

async function hintAboutRefund(ctx: Context, channelId: string, fact: RefundFact): Promise<Applied> {
  const refund = isId('refund', fact.refundId) ? await refundById(ctx.db, fact.refundId) : undefined
  if (refund === undefined) return 'unmatched'
  if (refund.channel_id !== channelId) return 'mismatch'
  const number = fact.seen === 'succeeded' ? fact.submissionNumber : undefined
  if (number !== undefined && (await isAskedByNobody(ctx, refund, fact))) {
    await hintRefund(ctx.db, refund.id, number, ctx.now())
  } else {
    await wakeRefund(ctx.db, refund.id, ctx.now())
  }
  ctx.poke()
  return 'applied'
}

/**
 * Is this success about a submission that the worker does not ask about: one that was replaced, or one of a refund that
 * has ended? Left alone, money that went out would never be noticed (design.md 6.6, contradiction).
 */
async function isAskedByNobody(ctx: Context, refund: Refund, fact: RefundFact): Promise<boolean> {
  if (refund.status === 'succeeded') return refund.provider_refund_id !== (fact.providerRefundId ?? null)
  if (refund.status === 'failed') return true
  const latest = await latestSubmission(ctx.db, refund.id)
  // One that was refused or given up is about to be replaced, and the worker would not ask about it either.
  return latest === undefined || latest.provider_no !== fact.submissionNumber || latest.outcome === 'rejected'
}

async function finish(
  ctx: Context,
  channelId: string,
  row: NotificationRow,
  outcome: NotificationOutcome,
  facts: readonly Fact[],
): Promise<void> {
  const matched = outcome !== 'unmatched'
  const delay = matched ? undefined : delayMs(rematchSchedule, row.matches, ctx.random(), ctx.timeScale)
  const kind = facts[0]?.about === 'refund' ? 'foreign_refund' : 'unmatched_notification'
  if (!matched && row.matches === 0) {
    await raiseDiscrepancy(ctx, ctx.db, {
      channelId,
      kind,
      subjectId: row.id,
      ...(row.subject_id === null ? {} : { actual: row.subject_id }),
      noticedBy: 'notification',
    })
  }
  if (matched && row.matches > 0) {
    await resolveDiscrepancy(ctx.db, kind, row.id, 'matched later', ctx.now())
  }
  await recordNotificationOutcome(ctx.db, row.id, {
    outcome,
    next_match_at: delay === undefined ? null : ctx.now() + delay,
    matches: row.matches + 1,
  })
}

/**
 * Matches a genuine notification again that named nothing of ours when it came (design.md 20.5). Its facts were verified
 * then and stored with it.
 */
export async function rematchNotification(ctx: Context, notificationId: string): Promise<void> {
  const row = await notificationById(ctx.db, notificationId)
  if (row?.outcome !== 'unmatched' || row.facts === null) return
  const facts = JSON.parse(row.facts) as readonly Fact[]
  // Whatever standing it came with, a question to the provider settles it: by now the moment has passed anyway.
  const outcome = await effect(ctx, row.channel_id, 'hint', false, facts)
  await finish(ctx, row.channel_id, row, outcome, facts)
}
