import { accountChain, below, paymentChain, type AccountStatus, type PaymentStatus } from './chain.ts'
import type { PaymentFact } from './fact.ts'
import { money, type Currency } from './money.ts'
import type { Order } from './order.ts'
import type { Invocation, Method, PaymentRef } from './provider.ts'

export type CloseReason = 'expired' | 'superseded' | 'merchant' | 'declined' | 'rejected' | 'never_sent'

/** One attempt to pay an order through one channel. Its id is the out_trade_no. Instants epoch ms, amounts minor units. */
export type Payment = {
  readonly id: string
  readonly order_id: string
  readonly merchant_id: string
  readonly channel_id: string
  readonly settings_version: number
  readonly method: Method
  readonly amount: number
  readonly currency: Currency
  readonly payer_openid: string | null
  readonly client_ip: string
  readonly status: PaymentStatus
  readonly close_reason: CloseReason | null
  readonly account_status: AccountStatus
  readonly transaction_id: string | null
  readonly party_order_id: string | null
  readonly payer_transaction_id: string | null
  /** JSON of the invocation, once the provider has given it. */
  readonly invocation: string | null
  readonly usable_until: number | null
  readonly payer_amount: number | null
  readonly fee: number | null
  readonly settlement_amount: number | null
  readonly settlement_currency: string | null
  readonly exchange_rate: string | null
  readonly refund_reserved: number
  readonly refund_over: number
  readonly refund_count: number
  /** The provider is not sent another refund of this payment before this instant. */
  readonly refund_slot_at: number
  readonly checks: number
  /** How often a hint has been followed by a question; null when no hint is waiting. */
  readonly confirm_step: number | null
  readonly close_attempts: number
  /** When the provider last said that it has no such number. */
  readonly absent_at: number | null
  readonly next_check_at: number | null
  readonly created_at: number
  readonly succeeded_at: number | null
  readonly closed_at: number | null
}

/** What identifies the payment to its provider. */
export function paymentRef(payment: Payment): PaymentRef {
  return {
    paymentId: payment.id,
    createdAt: payment.created_at,
    method: payment.method,
    amount: money(payment.amount, payment.currency),
    ...(payment.transaction_id === null ? {} : { transactionId: payment.transaction_id }),
    ...(payment.party_order_id === null ? {} : { partyOrderId: payment.party_order_id }),
  }
}

/** The invocation stored with the attempt, while it is still worth handing out. */
export function usableInvocation(payment: Payment, now: number): Invocation | undefined {
  if (payment.invocation === null || payment.close_attempts > 0) return undefined
  if (payment.status !== 'created' && payment.status !== 'pending') return undefined
  if (payment.usable_until !== null && payment.usable_until <= now) return undefined
  return JSON.parse(payment.invocation) as Invocation
}

/**
 * Must the attempt be closed at the provider? An attempt is kept alive only while its order is open and unexpired and it
 * is the order's current one with an invocation a payer can have (design.md 6.5).
 * @returns why, or undefined when it is to be kept alive
 */
export function whyClose(order: Order, payment: Payment, now: number): CloseReason | undefined {
  if (payment.status !== 'created' && payment.status !== 'pending') return undefined
  if (order.close_requested_at !== null) return 'merchant'
  if (order.status !== 'open') return order.status === 'paid' ? 'superseded' : 'expired'
  if (order.expires_at <= now) return 'expired'
  if (order.current_payment_id !== payment.id) return 'superseded'
  if (payment.invocation === null) return 'never_sent'
  return undefined
}

export type Judgement =
  | { readonly verdict: 'applies' }
  | {
      readonly verdict: 'mismatch'
      readonly kind: 'amount_mismatch' | 'transaction_mismatch' | 'channel_mismatch'
      readonly expected: string
      readonly actual: string
    }

/**
 * Does the fact describe this payment? Money is called received only when amount and currency are exactly ours
 * (reliability.md 3.1 T12 to T15); a success without an amount is refused like a wrong one.
 */
export function judgePaymentFact(payment: Payment, fact: PaymentFact, channelId: string): Judgement {
  if (payment.channel_id !== channelId) {
    return { verdict: 'mismatch', kind: 'channel_mismatch', expected: payment.channel_id, actual: channelId }
  }
  const ours = `${String(payment.amount)} ${payment.currency}`
  const theirs = fact.amount === undefined ? 'no amount' : `${String(fact.amount.amount)} ${fact.amount.currency}`
  if (fact.amount === undefined ? fact.seen === 'succeeded' : theirs !== ours) {
    return { verdict: 'mismatch', kind: 'amount_mismatch', expected: ours, actual: theirs }
  }
  if (
    payment.transaction_id !== null &&
    fact.transactionId !== undefined &&
    payment.transaction_id !== fact.transactionId
  ) {
    return {
      verdict: 'mismatch',
      kind: 'transaction_mismatch',
      expected: payment.transaction_id,
      actual: fact.transactionId,
    }
  }
  return { verdict: 'applies' }
}

/** The statuses a payment may have for the fact to move it; empty for `absent`, which moves nothing (design.md 6.3). */
export function movesPaymentFrom(fact: PaymentFact): readonly PaymentStatus[] {
  return fact.seen === 'absent' ? [] : below(paymentChain, fact.seen)
}

/** The account statuses a payment may have for the fact to move that axis. */
export function movesAccountFrom(fact: PaymentFact): readonly AccountStatus[] {
  return fact.seen === 'succeeded' && fact.account !== undefined ? below(accountChain, fact.account) : []
}
