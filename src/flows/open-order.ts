import { ulid } from 'ulid'
import type { Context, Merchant } from '../context.ts'
import { idOf } from '../core/ids.ts'
import type { Currency } from '../core/money.ts'
import type { Order } from '../core/order.ts'
import { Problem } from '../core/problem.ts'
import { randomToken, sha256 } from '../crypto/digest.ts'
import { isConnectionLost, isDuplicate } from '../store/connect.ts'
import { findOrderByNo, insertOrder } from '../store/orders.ts'

export type OpenOrderInput = {
  readonly merchantOrderNo: string
  /** Minor units. */
  readonly amount: number
  readonly currency: Currency
  readonly subject: string
  /** Epoch milliseconds. */
  readonly expiresAt: number
  /** What the merchant asked for as the expiry, word for word: part of what makes two requests the same. */
  readonly expiryAsked?: string
  readonly returnUrl?: string
  readonly metadata?: Readonly<Record<string, string>>
}

/**
 * Opens an order, once for each merchant_order_no: the same content gives the same order, other content is a conflict
 * (design.md 8.1, reliability.md 5.1).
 * @throws Problem `order-conflict`
 */
export async function openOrder(
  ctx: Context,
  merchant: Merchant,
  input: OpenOrderInput,
): Promise<{ order: Order; created: boolean }> {
  const now = ctx.now()
  const order: Order = {
    id: idOf('order', ulid(now)),
    merchant_id: merchant.id,
    merchant_order_no: input.merchantOrderNo,
    amount: input.amount,
    currency: input.currency,
    subject: input.subject,
    status: 'open',
    expires_at: input.expiresAt,
    content_hash: contentHash(input),
    current_payment_id: null,
    paid_payment_id: null,
    cashier_token: randomToken(32),
    return_url: input.returnUrl ?? null,
    metadata: input.metadata === undefined ? null : JSON.stringify(input.metadata),
    close_requested_at: null,
    checks: 0,
    // The schedule's own tolerance: providers let a payment begun in time finish a little after (reliability.md 5.4).
    next_check_at: input.expiresAt + Math.round(5000 / ctx.timeScale),
    created_at: now,
    paid_at: null,
    closed_at: null,
  }
  try {
    await insertOrder(ctx.db, order)
    ctx.crash?.('order-recorded')
    return { order, created: true }
  } catch (error) {
    if (!isDuplicate(error) && !isConnectionLost(error)) throw error
    // A lost connection may have lost only the answer: the natural key tells which (reliability.md 5.2 R6).
    const existing = await findOrderByNo(ctx.db, merchant.id, input.merchantOrderNo)
    if (existing === undefined) throw error
    if (existing.content_hash !== order.content_hash) {
      throw new Problem(
        'order-conflict',
        `merchant_order_no ${input.merchantOrderNo} already names order ${existing.id}, which has other content; use a new number, or repeat the first request exactly`,
        { existing: existing.id },
      )
    }
    return { order: existing, created: existing.id === order.id }
  }
}

function contentHash(input: OpenOrderInput): string {
  const metadata = Object.entries(input.metadata ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return sha256(
    JSON.stringify([
      input.amount,
      input.currency,
      input.subject,
      input.expiryAsked ?? null,
      input.returnUrl ?? null,
      metadata,
    ]),
  )
}
