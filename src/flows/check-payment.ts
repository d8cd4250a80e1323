import type { Channel, Context } from '../context.ts'
import type { PaymentFact } from '../core/fact.ts'
import type { Order } from '../core/order.ts'
import { paymentRef, whyClose, type CloseReason, type Payment } from '../core/payment.ts'
import { ProviderRejected, ProviderUnknown } from '../core/provider.ts'
import {
  absenceAfterMs,
  absenceApartMs,
  accountCredit,
  closedPayment,
  closingPayment,
  confirmHint,
  delayMs,
  openPayment,
  unknownPrepay,
  type Schedule,
} from '../core/schedule.ts'
import { orderById, wakeEndedOrder } from '../store/orders.ts'
import { claimPayment, paymentById, recordCloseAttempt, reschedulePayment } from '../store/payments.ts'
import { applyPaymentFact } from './apply-payment-fact.ts'
import { callProvider } from './call-provider.ts'
import { leaseUntil } from './lease.ts'
import { raiseDiscrepancy } from './raise-discrepancy.ts'

/**
 * Asks the provider about one attempt, or has it closed when nobody wants it any more (design.md 6.5, 8).
 * @param claimed the lease under which the worker holds the row; without it the row is claimed here, and when somebody
 *   else holds it nothing is done
 * @param nudged true for a look that a payer's device asked for: it only asks, and uses up nothing of the schedule
 */
export async function checkPayment(ctx: Context, paymentId: string, claimed?: number, nudged = false): Promise<void> {
  const payment = await paymentById(ctx.db, paymentId)
  if (payment === undefined) return
  const lease = claimed ?? leaseUntil(ctx)
  if (claimed === undefined && !(await claimPayment(ctx.db, payment, lease))) return
  const order = await orderById(ctx.db, payment.order_id)
  if (order === undefined) throw new Error('a payment without an order')
  const channel = await ctx.channels.version(payment.channel_id, payment.settings_version)
  if (channel === undefined) {
    ctx.log.error('the channel of a payment can no longer be built', { channelId: payment.channel_id, paymentId })
    return reschedulePayment(ctx.db, payment.id, lease, {
      next_check_at: ctx.now() + Math.round(300_000 / ctx.timeScale),
    })
  }
  if (isSettled(payment, channel))
    return reschedulePayment(ctx.db, payment.id, lease, { next_check_at: null, confirm_step: null })

  // A payer's device may make us ask, and nothing more.
  const reason = nudged ? undefined : whyClose(order, payment, ctx.now())
  const fact = await ask(ctx, channel, payment, reason)
  const absence = fact === undefined ? {} : await draw(ctx, order, payment, fact, reason)
  await scheduleNext(ctx, channel, payment.id, lease, absence, nudged ? payment.next_check_at : undefined)
}

const day_ms = 24 * 60 * 60 * 1000

/** Nothing more to learn: paid, and credited or never to be told. */
function isSettled(payment: Payment, channel: Channel): boolean {
  if (payment.status !== 'succeeded') return false
  return !channel.provider.rules.tellsAccount || payment.account_status === 'credited'
}

/** @returns the provider's answer, or undefined when it gave none that counts */
async function ask(
  ctx: Context,
  channel: Channel,
  payment: Payment,
  reason: CloseReason | undefined,
): Promise<PaymentFact | undefined> {
  const subject = { paymentId: payment.id, orderId: payment.order_id }
  const query = async () => {
    const reference = paymentRef(payment)
    const fact = await callProvider(ctx, channel, 'query', subject, (signal) =>
      channel.provider.queryPayment(reference, signal),
    )
    ctx.crash?.('query-answered')
    return fact
  }
  const old = ctx.now() >= payment.created_at + channel.provider.rules.closeAfterMs
  try {
    if (reason === undefined || !old || !(await recordCloseAttempt(ctx.db, payment, reason))) return await query()
    ctx.crash?.('close-recorded')
    const close = { ...paymentRef(payment), attempt: payment.close_attempts + 1, requestedAt: ctx.now() }
    const fact = await callProvider(ctx, channel, 'close', subject, (signal) =>
      channel.provider.closePayment(close, signal),
    )
    ctx.crash?.('close-answered')
    return fact
  } catch (error) {
    if (error instanceof ProviderUnknown) return undefined
    if (error instanceof ProviderRejected) return error.reason === 'too_early' ? undefined : quietly(query)
    throw error
  }
}

async function quietly(query: () => Promise<PaymentFact>): Promise<PaymentFact | undefined> {
  try {
    return await query()
  } catch (error) {
    if (error instanceof ProviderUnknown || error instanceof ProviderRejected) return undefined
    throw error
  }
}

/** Draws the conclusion of an answer. @returns the columns to remember about absence */
async function draw(
  ctx: Context,
  order: Order,
  payment: Payment,
  fact: PaymentFact,
  reason: CloseReason | undefined,
): Promise<{ absent_at?: number | null }> {
  if (fact.seen !== 'absent') {
    const closeReason = reason ?? (order.expires_at <= ctx.now() ? 'expired' : 'declined')
    await applyPaymentFact(ctx, payment.channel_id, fact, 'query', closeReason)
    return payment.absent_at === null ? {} : { absent_at: null }
  }
  if (payment.status !== 'created' && payment.status !== 'pending') return {}
  const now = ctx.now()
  if (payment.absent_at === null) return { absent_at: now }
  // Providers are eventually consistent: absence counts only when old enough and said twice (reliability.md 5.3).
  const proven =
    now - payment.created_at >= absenceAfterMs / ctx.timeScale &&
    now - payment.absent_at >= absenceApartMs / ctx.timeScale
  if (!proven) return {}
  if (payment.invocation !== null) {
    await raiseDiscrepancy(ctx, ctx.db, {
      channelId: payment.channel_id,
      kind: 'payment_absent',
      subjectId: payment.id,
      noticedBy: 'query',
    })
  }
  // An invocation that was handed out is a claim that the provider knew the number; only an unwanted attempt is given up.
  if (payment.invocation === null || reason !== undefined) {
    const closed = { about: 'payment', paymentId: payment.id, seen: 'closed' } as const
    await applyPaymentFact(ctx, payment.channel_id, closed, 'query', reason ?? 'never_sent')
  }
  return {}
}

async function scheduleNext(
  ctx: Context,
  channel: Channel,
  paymentId: string,
  lease: number,
  absence: { absent_at?: number | null },
  planned: number | null | undefined,
): Promise<void> {
  const payment = await paymentById(ctx.db, paymentId)
  if (payment === undefined) return
  // Only an attempt that has ended can let its order end; waking the order for a living one would spin.
  if (payment.status === 'closed') await wakeEndedOrder(ctx.db, payment.order_id, ctx.now())
  if (isSettled(payment, channel)) {
    return reschedulePayment(ctx.db, paymentId, lease, { next_check_at: null, confirm_step: null, absent_at: null })
  }
  const hinted =
    payment.confirm_step === null ? undefined : delayMs(confirmHint, payment.confirm_step, ctx.random(), ctx.timeScale)
  const scheduled = hinted ?? delayMs(scheduleOf(payment), payment.checks, ctx.random(), ctx.timeScale)
  const delay = scheduled ?? (await afterSchedule(ctx, payment))
  const next = delay === undefined ? null : ctx.now() + delay
  const values = {
    // A look between the planned ones leaves the plan as it was.
    next_check_at: planned == null || next === null ? next : Math.min(planned, next),
    confirm_step: hinted === undefined || payment.confirm_step === null ? null : payment.confirm_step + 1,
    ...absence,
  }
  // Looks that a hint asked for do not use up the attempt's own schedule.
  await reschedulePayment(ctx.db, paymentId, lease, values, hinted === undefined && planned === undefined)
}

/** A closed attempt may rest. Money that was paid and never credited may not: a person is told, and it is asked on daily. */
async function afterSchedule(ctx: Context, payment: Payment): Promise<number | undefined> {
  if (payment.status !== 'succeeded') return undefined
  await raiseDiscrepancy(ctx, ctx.db, {
    channelId: payment.channel_id,
    kind: 'credit_missing',
    subjectId: payment.id,
    noticedBy: 'query',
  })
  return Math.round(day_ms / ctx.timeScale)
}

function scheduleOf(payment: Payment): Schedule {
  if (payment.status === 'succeeded') return accountCredit
  if (payment.status === 'closed') return closedPayment
  if (payment.close_attempts > 0) return closingPayment
  return payment.invocation === null ? unknownPrepay : openPayment
}
