import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from '../context.ts'
import type { Order } from '../core/order.ts'
import { claimNudge } from '../store/order-nudges.ts'
import { alivePayments } from '../store/payments.ts'
import { checkPayment } from './check-payment.ts'

/** A payer's page may cause one question per order in this time, in whatever number of processes (design.md 20.12). */
const apartMs = 2000
/** How long the page waits for the answer; after that the rows speak as they are and the next request sees more. */
const patienceMs = 1500
const mostAttempts = 3

/**
 * A payer's device says that something happened. Nothing is believed; the provider is asked at once instead of at the
 * next turn of the schedule.
 */
export async function nudgePayment(ctx: Context, order: Order): Promise<void> {
  if (order.status === 'paid') return
  const now = ctx.now()
  if (!(await claimNudge(ctx.db, order.id, now, now + apartMs))) return
  const attempts = await alivePayments(ctx.db, order.id)
  // One that is being made at this moment is not asked about: whoever makes it is about to know.
  const made = attempts.filter(
    (payment) => payment.invocation !== null || payment.created_at + ctx.providerDeadlineMs < now,
  )
  const asked = made.slice(-mostAttempts).map((payment) => checkPayment(ctx, payment.id, undefined, true))
  const answered = Promise.all(asked.map((check) => logged(ctx, order, check)))
  await Promise.race([answered, sleep(patienceMs, undefined, { ref: false })])
}

async function logged(ctx: Context, order: Order, check: Promise<void>): Promise<void> {
  try {
    await check
  } catch (error) {
    ctx.log.warn('a nudged payment could not be checked', { orderId: order.id, error })
  }
}
