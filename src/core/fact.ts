import type { Money } from './money.ts'

/**
 * Facts: what a provider has told us, verified. Adapters state facts; the core draws conclusions (design.md 1 and 7).
 * Notification, query, close answer and statement line are all the same thing by the time they arrive here.
 */

/** Something a provider has told us about one payment. */
export type PaymentFact = {
  readonly about: 'payment'
  readonly paymentId: string
  readonly seen: 'absent' | 'pending' | 'closed' | 'succeeded'
  /** Whether the provider has credited the merchant's account; only alongside seen: 'succeeded'. */
  readonly account?: 'pending' | 'failed' | 'credited'
  /** What was asked for. Must equal ours before anything moves to succeeded. */
  readonly amount?: Money
  /** What the payer gave, after coupons. */
  readonly payerAmount?: Money
  /** Cross-border: what the merchant gets. */
  readonly settlement?: { readonly amount: Money; readonly rate?: string }
  readonly fee?: Money
  /** The provider's own number: WeChat transaction_id, Huifu hf_seq_id. */
  readonly transactionId?: string
  /** The merchant number on the payer's bill (Huifu party_order_id). */
  readonly partyOrderId?: string
  /** The transaction number on the payer's bill (Huifu out_trans_id). */
  readonly payerTransactionId?: string
  /** When it happened according to the provider, epoch milliseconds. */
  readonly occurredAt?: number
  /** The provider's own words, for people. */
  readonly detail?: string
}

/** Something a provider has told us about one refund. */
export type RefundFact = {
  readonly about: 'refund'
  readonly refundId: string
  /** Absent where the provider's message does not name the payment. */
  readonly paymentId?: string
  readonly seen: 'absent' | 'processing' | 'abnormal' | 'failed' | 'succeeded'
  /** The number of the submission the fact is about; absent where there is only one. */
  readonly submissionNumber?: string
  readonly amount?: Money
  readonly providerRefundId?: string
  readonly occurredAt?: number
  readonly detail?: string
}

export type Fact = PaymentFact | RefundFact
