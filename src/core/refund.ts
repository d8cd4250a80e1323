import { below, refundChain, type RefundStatus } from './chain.ts'
import type { RefundFact } from './fact.ts'
import type { Currency } from './money.ts'
import type { RejectionReason } from './provider.ts'

export type RefundInitiator = 'merchant' | 'operator' | 'gateway'

/** Money back for a payment, whole or part. Its id is the out_refund_no. Instants epoch ms, amounts minor units. */
export type Refund = {
  readonly id: string
  readonly payment_id: string
  readonly order_id: string
  readonly merchant_id: string
  readonly channel_id: string
  readonly merchant_refund_no: string | null
  readonly initiated_by: RefundInitiator
  readonly amount: number
  readonly currency: Currency
  readonly reason: string
  readonly content_hash: string
  readonly status: RefundStatus
  readonly failure_reason: string | null
  readonly provider_refund_id: string | null
  readonly checks: number
  readonly next_check_at: number | null
  /** A submission's number that the provider is said to have paid; asked about whatever the status, until answered. */
  readonly confirm_no: string | null
  readonly created_at: number
  readonly succeeded_at: number | null
}

/** The number and day that really went to the provider (design.md 20.1). */
export type RefundSubmission = {
  readonly refund_id: string
  readonly attempt: number
  readonly channel_id: string
  readonly provider_no: string
  readonly day: string
  /** When it was first sent: the source of the date that travels. */
  readonly sent_at: number
  readonly last_sent_at: number
  readonly sends: number
  /** `unknown` until the provider has answered verifiably; `paid_again` when another submission had already been paid. */
  readonly outcome: 'unknown' | 'accepted' | 'rejected' | 'paid_again'
  readonly rejection_reason: RejectionReason | null
  readonly rejection_code: string | null
  readonly rejection_detail: string | null
  readonly absent_at: number | null
}

/** The statuses a refund may have for the fact to move it. */
export function movesRefundFrom(fact: RefundFact): readonly RefundStatus[] {
  return fact.seen === 'absent' ? [] : below(refundChain, fact.seen)
}

/** Rejections that end a refund; after every other one it is tried again later (design.md 8.4). */
export function endsRefund(reason: RejectionReason): boolean {
  return reason === 'declined' || reason === 'invalid_request' || reason === 'unsupported'
}

/**
 * How much of the order has gone back, for people and payloads.
 * @param refunded minor units in refunds that have succeeded
 */
export function refundStatus(refunded: number, amount: number): 'none' | 'partial' | 'full' {
  if (refunded === 0) return 'none'
  return refunded < amount ? 'partial' : 'full'
}
