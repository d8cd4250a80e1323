import type { Order } from './order.ts'
import type { Payment } from './payment.ts'
import { refundStatus, type Refund } from './refund.ts'

/** Things that happened, immutable, told to merchants (design.md 9). */
export const eventTypes = [
  'order.paid',
  'order.closed',
  'payment.surplus',
  'payment.credited',
  'payment.credit_failed',
  'refund.succeeded',
  'refund.failed',
  'refund.abnormal',
] as const

export type EventType = (typeof eventTypes)[number]

/** Raised when the shape of the payload changes in a way a receiver must know. */
export const eventSchemaVersion = 1

/** RFC 3339 in UTC, or null: the form of every instant a merchant sees. */
function time(instant: number | null): string | null {
  return instant === null ? null : new Date(instant).toISOString()
}

/**
 * A refund as merchants see it, in API answers and webhooks alike.
 * The same keys on every channel (design.md 20.9): what only one provider knows stays out.
 */
export function refundResource(refund: Refund) {
  return {
    id: refund.id,
    order_id: refund.order_id,
    payment_id: refund.payment_id,
    merchant_refund_no: refund.merchant_refund_no,
    status: refund.status,
    amount: refund.amount,
    currency: refund.currency,
    reason: refund.reason,
    initiated_by: refund.initiated_by,
    failure_reason: refund.failure_reason,
    provider_refund_id: refund.provider_refund_id,
    created_at: time(refund.created_at),
    succeeded_at: time(refund.succeeded_at),
  }
}

/** A payment as merchants see it. The openid stays out: personal data has no business in a webhook (reliability.md 5.7). */
export function paymentResource(payment: Payment) {
  return {
    id: payment.id,
    order_id: payment.order_id,
    channel: payment.channel_id,
    method: payment.method,
    status: payment.status,
    close_reason: payment.close_reason,
    account_status: payment.account_status,
    amount: payment.amount,
    currency: payment.currency,
    payer_amount: payment.payer_amount,
    // Some providers number a payment before it is paid, others do not; merchants see the number once it means something.
    transaction_id: payment.status === 'succeeded' ? payment.transaction_id : null,
    payer_transaction_id: payment.payer_transaction_id,
    created_at: time(payment.created_at),
    succeeded_at: time(payment.succeeded_at),
    closed_at: time(payment.closed_at),
  }
}

/** An order with everything under it, as merchants see it. */
export function orderResource(order: Order, payments: readonly Payment[], refunds: readonly Refund[]) {
  const ofPaid = refunds.filter((refund) => refund.payment_id === order.paid_payment_id)
  const refunded = ofPaid
    .filter((refund) => refund.status === 'succeeded')
    .reduce((sum, refund) => sum + refund.amount, 0)
  const reserved = ofPaid.filter((refund) => refund.status !== 'failed').reduce((sum, refund) => sum + refund.amount, 0)
  return {
    id: order.id,
    merchant_order_no: order.merchant_order_no,
    status: order.status,
    amount: order.amount,
    currency: order.currency,
    subject: order.subject,
    refunded,
    refund_status: refundStatus(refunded, order.amount),
    refundable: order.status === 'paid' ? Math.max(0, order.amount - reserved) : 0,
    paid_payment_id: order.paid_payment_id,
    current_payment_id: order.current_payment_id,
    return_url: order.return_url,
    metadata: order.metadata === null ? null : (JSON.parse(order.metadata) as Record<string, string>),
    expires_at: time(order.expires_at),
    created_at: time(order.created_at),
    paid_at: time(order.paid_at),
    closed_at: time(order.closed_at),
    payments: payments.map(paymentResource),
    refunds: refunds.map(refundResource),
  }
}

export type OrderResource = ReturnType<typeof orderResource>

export type EventInput = {
  readonly id: string
  readonly type: EventType
  readonly sequence: number
  readonly occurredAt: number
  readonly subjectId: string
  readonly order: OrderResource
}

/** The exact bytes of a webhook: type, time and a full snapshot, in the layout the Standard Webhooks document suggests. */
export function eventPayload(event: EventInput): string {
  return JSON.stringify({
    id: event.id,
    type: event.type,
    timestamp: new Date(event.occurredAt).toISOString(),
    schema_version: eventSchemaVersion,
    sequence: event.sequence,
    subject_id: event.subjectId,
    data: { order: event.order },
  })
}
