import type { EventType } from '../core/event.ts'

/** The row type of every table that has no noun of its own in core (orders, payments and refunds live there). */

export type { Order as OrderRow } from '../core/order.ts'
export type { Payment as PaymentRow } from '../core/payment.ts'
export type { Refund as RefundRow, RefundSubmission as RefundSubmissionRow } from '../core/refund.ts'

export type NotificationOutcome = 'received' | 'applied' | 'unchanged' | 'hint' | 'mismatch' | 'unmatched' | 'ignored'

/** What a provider sent, word for word. Evidence, not a lock: idempotency comes from the chains. */
export type NotificationRow = {
  readonly id: string
  readonly channel_id: string
  readonly settings_version: number
  readonly door: 'notify' | 'console'
  readonly provider_event_id: string
  readonly headers: string
  readonly body: string
  readonly facts: string | null
  readonly outcome: NotificationOutcome
  readonly subject_id: string | null
  readonly seen_count: number
  readonly matches: number
  readonly next_match_at: number | null
  readonly received_at: number
}

export type EventRow = {
  readonly id: string
  readonly merchant_id: string
  readonly sequence: number
  readonly schema_version: number
  readonly type: EventType
  readonly subject_id: string
  readonly order_id: string
  /** The exact bytes sent. */
  readonly payload: string
  readonly occurred_at: number
}

export type DeliveryStatus = 'pending' | 'delivered' | 'exhausted'

export type DeliveryRow = {
  readonly id: string
  readonly event_id: string
  readonly merchant_id: string
  readonly endpoint_id: string
  readonly status: DeliveryStatus
  readonly attempts: number
  readonly next_attempt_at: number | null
  readonly delivered_at: number | null
}

export type DeliveryAttemptRow = {
  readonly delivery_id: string
  readonly attempted_at: number
  readonly duration_ms: number
  readonly http_status: number | null
  readonly error: string | null
  readonly response_excerpt: string | null
}

export type EndpointHealthRow = {
  readonly merchant_id: string
  readonly endpoint_id: string
  readonly failures: number
  readonly first_failure_at: number | null
  readonly disabled_at: number | null
}

export type DiscrepancyKind =
  | 'amount_mismatch'
  | 'transaction_mismatch'
  | 'channel_mismatch'
  | 'merchant_mismatch'
  | 'unmatched_notification'
  | 'foreign_refund'
  | 'refund_contradiction'
  | 'refund_abnormal'
  | 'refund_stuck'
  | 'payment_absent'
  | 'credit_failed'
  | 'credit_missing'
  | 'surplus_held'
  | 'surplus_not_refunded'

export type DiscrepancyRow = {
  readonly id: string
  readonly channel_id: string
  readonly kind: DiscrepancyKind
  readonly subject_id: string
  readonly expected: string | null
  readonly actual: string | null
  readonly noticed_by: 'notification' | 'query' | 'statement' | 'gateway'
  readonly status: 'open' | 'resolved' | 'ignored'
  readonly note: string | null
  readonly resolved_by: string | null
  readonly created_at: number
  readonly resolved_at: number | null
}

/** What an older attempt is verified and refunded with: settings as configured, secrets only as references. */
export type ChannelSettingsRow = {
  readonly channel_id: string
  readonly version: number
  readonly settings_digest: string
  readonly provider: string
  readonly settings: string
  readonly active_from: number
}

export type IdempotencyKeyRow = {
  readonly merchant_id: string
  readonly key: string
  readonly route: string
  readonly fingerprint: string
  readonly state: 'running' | 'done'
  readonly lease_until: number
  readonly response_status: number | null
  readonly response_body: string | null
  readonly created_at: number
}
