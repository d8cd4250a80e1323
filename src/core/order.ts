import type { OrderStatus } from './chain.ts'
import type { Currency } from './money.ts'

/**
 * What a merchant wants paid, once. Field names are the column names, so that code, columns and API say the same word.
 * Instants are epoch milliseconds, amounts minor units.
 */
export type Order = {
  readonly id: string
  readonly merchant_id: string
  readonly merchant_order_no: string
  readonly amount: number
  readonly currency: Currency
  readonly subject: string
  readonly status: OrderStatus
  readonly expires_at: number
  readonly content_hash: string
  readonly current_payment_id: string | null
  readonly paid_payment_id: string | null
  readonly cashier_token: string
  readonly return_url: string | null
  readonly metadata: string | null
  readonly close_requested_at: number | null
  readonly checks: number
  readonly next_check_at: number | null
  readonly created_at: number
  readonly paid_at: number | null
  readonly closed_at: number | null
}

/** May a new attempt be made? Only while open and not expired (design.md 8.1). */
export function mayBePaid(order: Order, now: number): boolean {
  return order.status === 'open' && order.expires_at > now
}

/** The statuses from which a success pays the order; otherwise the payment is surplus (design.md 20.3). */
export function payableFrom(latePayment: 'refund' | 'accept'): readonly OrderStatus[] {
  return latePayment === 'accept' ? ['open', 'closed'] : ['open']
}

/** Why the gateway closes the attempts of an order that has ended. */
export function closeReasonOf(order: Order): 'merchant' | 'expired' {
  return order.close_requested_at === null ? 'expired' : 'merchant'
}
