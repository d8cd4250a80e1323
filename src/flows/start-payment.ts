import { setTimeout as sleep } from 'node:timers/promises'
import { ulid } from 'ulid'
import type { Channel, Context, Merchant } from '../context.ts'
import { idOf } from '../core/ids.ts'
import { money } from '../core/money.ts'
import { mayBePaid, type Order } from '../core/order.ts'
import { paymentRef, usableInvocation, type Payment } from '../core/payment.ts'
import { Problem } from '../core/problem.ts'
import { ProviderRejected, ProviderUnknown, type Invocation, type Method, type Prepaid } from '../core/provider.ts'
import { chooseChannels } from '../core/route.ts'
import { absenceAfterMs, delayMs, openPayment, unknownPrepay } from '../core/schedule.ts'
import { findOrder, setCurrentPayment } from '../store/orders.ts'
import { countPayments, insertPayment, paymentById, storeInvocation, wakePayment } from '../store/payments.ts'
import { transaction } from '../store/transaction.ts'
import { applyPaymentFact } from './apply-payment-fact.ts'
import { callProvider } from './call-provider.ts'

export type StartPaymentInput = {
  readonly method: Method
  readonly openid?: string
  /** Whose the openid is, where it is known: channels of another appid are not tried with it (design.md 20.13). */
  readonly appid?: string
  readonly clientIp: string
  /** True for a launch of the provider's own mini-program, which finds out by itself who the payer is. */
  readonly hosted?: boolean
}
export type StartedPayment = { readonly payment: Payment; readonly invocation: Invocation; readonly created: boolean }

/** Every event carries all attempts of its order, so that there must be an end to them (design.md 2, principle 8). */
const attemptsMax = 100

/** Rejections after which another channel may be tried: certainly nothing happened, and it was not the payer's fault. */
const fallbackAfter: readonly string[] = ['misconfigured', 'unreachable', 'rate_limited']

/**
 * Routes, records the attempt, registers it with the provider and hands out the invocation (design.md 8.1).
 *
 * The attempt is committed before the provider hears of it, so that neither a crash nor a notification that overtakes
 * the answer finds us without a row. A loser of the race for the order's current attempt gets the winner's.
 *
 * @throws Problem `not-found`, `order-not-payable`, `method-unavailable`, `provider-rejected`, `provider-unavailable`
 */
export async function startPayment(
  ctx: Context,
  merchant: Merchant,
  orderId: string,
  input: StartPaymentInput,
): Promise<StartedPayment> {
  const order = await payableOrder(ctx, merchant, orderId)
  const offering = routeFor(ctx, merchant, order, input.method, input.hosted)
  const candidates = offering.filter((channel) => takesOpenidOf(channel, input))
  const again = await currentAttempt(ctx, order, input, candidates)
  if (again !== undefined) return again

  const attempts = await countPayments(ctx.db, order.id)
  if (attempts >= attemptsMax) {
    throw new Problem('order-not-payable', `the order has had ${String(attempts)} attempts; open a new order`)
  }
  let previous = order.current_payment_id
  let refusal: Problem | undefined
  for (const channel of candidates) {
    const payment = newAttempt(ctx, order, channel, input)
    if (!(await recordAttempt(ctx, payment, previous))) return winnersAttempt(ctx, merchant, orderId, input, candidates)
    if (previous !== null) await wakePayment(ctx.db, previous, ctx.now())
    ctx.crash?.('attempt-recorded')
    const outcome = await register(ctx, channel, order, payment, input)
    if (!(outcome instanceof Problem)) return outcome
    if (!fallbackAfter.includes(outcome.extras.provider?.reason ?? '')) throw outcome
    refusal = outcome
    previous = payment.id
  }
  throw refusal ?? new Problem('method-unavailable', `no route offers ${input.method} for this order`)
}

function takesOpenidOf(channel: Channel, input: StartPaymentInput): boolean {
  return input.appid === undefined || channel.provider.methods[input.method]?.openidOf === input.appid
}

async function payableOrder(ctx: Context, merchant: Merchant, orderId: string): Promise<Order> {
  const order = await findOrder(ctx.db, merchant.id, orderId)
  if (order === undefined) throw new Problem('not-found', `no order ${orderId}`)
  if (!mayBePaid(order, ctx.now())) {
    const state = order.status === 'open' ? 'expired' : order.status
    throw new Problem('order-not-payable', `the order is ${state}; open a new order if the payer still wants to pay`)
  }
  return order
}

/** The channels of the merchant's route that offer the method, best first, whoever's page collects the payment. */
export function channelsOffering(ctx: Context, merchant: Merchant, order: Order, method: Method): readonly Channel[] {
  const names = chooseChannels(merchant.routes, {
    method,
    amount: order.amount,
    currency: order.currency,
    orderId: order.id,
  })
  const channels = names.map((name) => ctx.channels.current(name)).filter((channel) => channel !== undefined)
  return channels.filter((channel) => channel.provider.methods[method]?.currencies.includes(order.currency))
}

/**
 * The channels an attempt would be made with, best first. Asked before the payer's openid is fetched, because an openid
 * belongs to the appid of its channel (design.md 20.13).
 * @throws Problem `method-unavailable` when there is none
 */
export function routeFor(
  ctx: Context,
  merchant: Merchant,
  order: Order,
  method: Method,
  hosted = false,
): readonly Channel[] {
  const offering = channelsOffering(ctx, merchant, order, method).filter(
    (channel) => (channel.provider.methods[method]?.hosted ?? false) === hosted,
  )
  if (offering.length === 0) {
    throw new Problem(
      'method-unavailable',
      `no channel of merchant ${merchant.id} offers ${method} for ${String(order.amount)} ${order.currency}; choose another method, or add a route`,
    )
  }
  return offering
}

/** The attempt the order already has, when the same payer asks again for the same thing while it is usable. */
async function currentAttempt(
  ctx: Context,
  order: Order,
  input: StartPaymentInput,
  candidates: readonly Channel[],
): Promise<StartedPayment | undefined> {
  if (order.current_payment_id === null) return undefined
  const giveUpAt = ctx.now() + ctx.providerDeadlineMs
  for (;;) {
    const payment = await paymentById(ctx.db, order.current_payment_id)
    if (payment === undefined || !asksForTheSame(payment, input, candidates)) return undefined
    const invocation = usableInvocation(payment, ctx.now())
    if (invocation !== undefined) return { payment, invocation, created: false }
    // Another request is talking to the provider about this very attempt; a second one would double the payer's choice.
    const inFlight =
      payment.status === 'created' && payment.checks === 0 && payment.created_at + ctx.providerDeadlineMs > ctx.now()
    if (!inFlight || ctx.now() > giveUpAt) return undefined
    await sleep(50)
  }
}

function asksForTheSame(payment: Payment, input: StartPaymentInput, candidates: readonly Channel[]): boolean {
  return (
    payment.method === input.method &&
    payment.payer_openid === (input.openid ?? null) &&
    candidates.some((channel) => channel.id === payment.channel_id && channel.version === payment.settings_version)
  )
}

async function winnersAttempt(
  ctx: Context,
  merchant: Merchant,
  orderId: string,
  input: StartPaymentInput,
  candidates: readonly Channel[],
): Promise<StartedPayment> {
  const order = await payableOrder(ctx, merchant, orderId)
  const winner = await currentAttempt(ctx, order, input, candidates)
  if (winner !== undefined) return winner
  throw new Problem(
    'provider-unavailable',
    'another attempt for this order was started at the same moment; repeat the request',
    { retryAfter: 1 },
  )
}

function newAttempt(ctx: Context, order: Order, channel: Channel, input: StartPaymentInput): Payment {
  const now = ctx.now()
  return {
    id: idOf('payment', ulid(now)),
    order_id: order.id,
    merchant_id: order.merchant_id,
    channel_id: channel.id,
    settings_version: channel.version,
    method: input.method,
    amount: order.amount,
    currency: order.currency,
    payer_openid: input.openid ?? null,
    client_ip: input.clientIp,
    status: 'created',
    close_reason: null,
    account_status: 'none',
    transaction_id: null,
    party_order_id: null,
    payer_transaction_id: null,
    invocation: null,
    usable_until: null,
    payer_amount: null,
    fee: null,
    settlement_amount: null,
    settlement_currency: null,
    exchange_rate: null,
    refund_reserved: 0,
    refund_over: 0,
    refund_count: 0,
    refund_slot_at: 0,
    checks: 0,
    confirm_step: null,
    close_attempts: 0,
    absent_at: null,
    // If we crash now, the worker finds the row; not before this request must have ended by its own deadline.
    next_check_at: now + Math.max(Math.round(absenceAfterMs / ctx.timeScale), ctx.providerDeadlineMs + 2000),
    created_at: now,
    succeeded_at: null,
    closed_at: null,
  }
}

async function recordAttempt(ctx: Context, payment: Payment, previous: string | null): Promise<boolean> {
  return transaction(ctx.db, async (tx) => {
    const change = { orderId: payment.order_id, previous, next: payment.id, now: ctx.now() }
    if (!(await setCurrentPayment(tx, change))) return false
    await insertPayment(tx, payment)
    return true
  })
}

/** One conversation with the provider about one attempt. A Problem comes back as a value: another channel may be left. */
async function register(
  ctx: Context,
  channel: Channel,
  order: Order,
  payment: Payment,
  input: StartPaymentInput,
): Promise<StartedPayment | Problem> {
  const subject = { merchantId: order.merchant_id, orderId: order.id, paymentId: payment.id }
  try {
    const request = {
      ...paymentRef(payment),
      merchantOrderNo: order.merchant_order_no,
      subject: order.subject,
      ...(input.openid === undefined ? {} : { openid: input.openid }),
      clientIp: input.clientIp,
      expiresAt: order.expires_at,
      notifyUrl: channel.notifyUrl,
      ...(order.return_url === null ? {} : { returnUrl: order.return_url }),
    }
    const prepaid = await callProvider(ctx, channel, 'prepay', subject, (signal) =>
      channel.provider.prepay(request, signal),
    )
    ctx.crash?.('prepay-answered')
    return await handOut(ctx, payment, prepaid)
  } catch (error) {
    if (error instanceof ProviderRejected) return rejected(ctx, channel, payment, error)
    if (error instanceof ProviderUnknown) return unknown(ctx, payment)
    throw error
  }
}

async function handOut(ctx: Context, payment: Payment, prepaid: Prepaid): Promise<StartedPayment | Problem> {
  const stored = await storeInvocation(ctx.db, payment.id, {
    invocation: JSON.stringify(prepaid.invocation),
    usable_until: Math.floor(prepaid.usableUntil),
    next_check_at: ctx.now() + (delayMs(openPayment, 0, ctx.random(), ctx.timeScale) ?? 0),
  })
  ctx.crash?.('invocation-stored')
  await applyPaymentFact(
    ctx,
    payment.channel_id,
    {
      about: 'payment',
      paymentId: payment.id,
      seen: 'pending',
      amount: money(payment.amount, payment.currency),
      ...(prepaid.transactionId === undefined ? {} : { transactionId: prepaid.transactionId }),
      ...(prepaid.partyOrderId === undefined ? {} : { partyOrderId: prepaid.partyOrderId }),
    },
    'query',
  )
  ctx.crash?.('prepay-applied')
  const now = await paymentById(ctx.db, payment.id)
  if (!stored || now === undefined) {
    return new Problem(
      'provider-unavailable',
      'the attempt ended while the provider was answering; repeat the request for a new one',
      { retryAfter: 1 },
    )
  }
  return { payment: now, invocation: prepaid.invocation, created: true }
}

async function rejected(ctx: Context, channel: Channel, payment: Payment, error: ProviderRejected): Promise<Problem> {
  ctx.crash?.('prepay-refused')
  const fact = { about: 'payment', paymentId: payment.id, seen: 'closed', detail: error.message } as const
  await applyPaymentFact(ctx, payment.channel_id, fact, 'query', 'rejected')
  const provider = { channel: channel.id, reason: error.reason, code: error.providerCode }
  return error.reason === 'unreachable' || error.reason === 'rate_limited'
    ? new Problem('provider-unavailable', `${error.message}; repeat the request`, { provider, retryAfter: 5 })
    : new Problem('provider-rejected', error.message, { provider })
}

async function unknown(ctx: Context, payment: Payment): Promise<Problem> {
  const delay = delayMs(unknownPrepay, 0, ctx.random(), ctx.timeScale) ?? 0
  await wakePayment(ctx.db, payment.id, ctx.now() + delay)
  return new Problem(
    'provider-unavailable',
    'the provider did not answer clearly; repeat the request for a new attempt, the gateway finds out what became of this one',
    { retryAfter: 2 },
  )
}
