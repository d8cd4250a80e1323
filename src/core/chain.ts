/**
 * The one ordering rule. A status is a place on a chain, and it only moves up: merging two messages is taking the
 * maximum, which is commutative, associative and idempotent, so the order and the number of messages cannot matter.
 * Rule: design.md 6.2.
 */

export const orderChain = ['open', 'closed', 'paid'] as const
export const paymentChain = ['created', 'pending', 'closed', 'succeeded'] as const
export const accountChain = ['none', 'pending', 'failed', 'credited'] as const
export const refundChain = ['created', 'processing', 'abnormal', 'failed', 'succeeded'] as const

export type OrderStatus = (typeof orderChain)[number]
export type PaymentStatus = (typeof paymentChain)[number]
export type AccountStatus = (typeof accountChain)[number]
export type RefundStatus = (typeof refundChain)[number]

/** Every status below the given one: exactly those a row may have for the given one to be a step up. */
export function below<S extends string>(chain: readonly S[], status: S): readonly S[] {
  return chain.slice(0, chain.indexOf(status))
}

/** The higher of two statuses. */
export function later<S extends string>(chain: readonly S[], a: S, b: S): S {
  return chain.indexOf(a) >= chain.indexOf(b) ? a : b
}
