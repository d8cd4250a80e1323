import type { Knex } from 'knex'
import type { AccountStatus, PaymentStatus } from '../core/chain.ts'
import type { PaymentFact } from '../core/fact.ts'
import type { CloseReason, Payment } from '../core/payment.ts'

/** Payments in SQL. `raisePaymentStatus` and `raiseAccountStatus` are for flows/apply-payment-fact.ts and nobody else. */

export async function insertPayment(tx: Knex.Transaction, payment: Payment): Promise<void> {
  await tx('payments').insert(payment)
}

export async function paymentById(db: Knex, paymentId: string): Promise<Payment | undefined> {
  return db<Payment>('payments').where({ id: paymentId }).first()
}

export async function findPayment(db: Knex, merchantId: string, paymentId: string): Promise<Payment | undefined> {
  return db<Payment>('payments').where({ id: paymentId, merchant_id: merchantId }).first()
}

/** Attempts of the given orders, oldest first. */
export async function paymentsOfOrders(db: Knex, orderIds: readonly string[]): Promise<readonly Payment[]> {
  return db<Payment>('payments')
    .whereIn('order_id', [...orderIds])
    .orderBy('id')
}

/** How many attempts an order has had. */
export async function countPayments(db: Knex, orderId: string): Promise<number> {
  const row = await db('payments').where({ order_id: orderId }).count({ total: '*' }).first()
  return Number.parseInt(String(row?.total ?? 0), 10)
}

/** Attempts of an order that a payer may still be able to pay. */
export async function alivePayments(db: Knex, orderId: string): Promise<readonly Payment[]> {
  return db<Payment>('payments').where({ order_id: orderId }).whereIn('status', ['created', 'pending']).orderBy('id')
}

/**
 * Keeps what the provider gave us for the payer's device. Refused once the attempt is being closed, and then the
 * invocation is not handed out: one that nobody received cannot be paid (design.md 6.3).
 */
export async function storeInvocation(
  db: Knex,
  paymentId: string,
  values: { readonly invocation: string; readonly usable_until: number; readonly next_check_at: number },
): Promise<boolean> {
  const rows = await db('payments')
    .where({ id: paymentId, close_attempts: 0 })
    .whereIn('status', ['created', 'pending'])
    .whereNull('invocation')
    .update(values)
  return rows === 1
}

/** Counts a close before it is sent: its number goes to the provider, and the invocation is never handed out again. */
export async function recordCloseAttempt(db: Knex, payment: Payment, reason: CloseReason): Promise<boolean> {
  const rows = await db('payments')
    .where({ id: payment.id, close_attempts: payment.close_attempts })
    .whereIn('status', ['created', 'pending'])
    .update({ close_attempts: payment.close_attempts + 1, close_reason: payment.close_reason ?? reason })
  return rows === 1
}

/**
 * Moves the trade status up to what the fact proves, and keeps what the fact says. Amount, currency and the provider's
 * number are in the guard as well as in the judgement before it, because this statement is what counts.
 * @param from the statuses below the fact's
 * @returns whether this call, and therefore nobody else, made the transition
 */
export async function raisePaymentStatus(
  tx: Knex.Transaction,
  payment: Payment,
  fact: PaymentFact,
  from: readonly PaymentStatus[],
  values: { readonly now: number; readonly closeReason: CloseReason; readonly nextCheckAt: number | null },
): Promise<boolean> {
  const query = tx('payments')
    .where({ id: payment.id, amount: payment.amount, currency: payment.currency })
    .whereIn('status', [...from])
  if (fact.transactionId !== undefined) {
    const number = fact.transactionId
    void query.andWhere((same) => void same.whereNull('transaction_id').orWhere('transaction_id', number))
  }
  const rows = await query.update({
    ...factColumns(fact),
    ...(fact.seen === 'succeeded'
      ? {
          status: 'succeeded',
          close_reason: null,
          succeeded_at: fact.occurredAt ?? values.now,
          checks: 0,
          next_check_at: values.nextCheckAt,
          absent_at: null,
        }
      : {}),
    ...(fact.seen === 'closed'
      ? {
          status: 'closed',
          closed_at: values.now,
          close_reason: tx.raw('coalesce(close_reason, ?)', [values.closeReason]),
          checks: 0,
          next_check_at: values.nextCheckAt,
          absent_at: null,
        }
      : {}),
    ...(fact.seen === 'pending' ? { status: 'pending' } : {}),
  })
  return rows === 1
}

/** Moves the account status up, independently of the trade status (design.md 6.4). */
export async function raiseAccountStatus(
  tx: Knex.Transaction,
  payment: Payment,
  fact: PaymentFact,
  to: AccountStatus,
  from: readonly AccountStatus[],
): Promise<boolean> {
  const query = tx('payments')
    .where({ id: payment.id, amount: payment.amount, currency: payment.currency, status: 'succeeded' })
    .whereIn('account_status', [...from])
  return (await query.update({ account_status: to, ...(fact.fee === undefined ? {} : { fee: fact.fee.amount }) })) === 1
}

/** The columns a fact fills in; what a fact does not say is left as it is. */
function factColumns(fact: PaymentFact) {
  return {
    ...(fact.transactionId === undefined ? {} : { transaction_id: fact.transactionId }),
    ...(fact.partyOrderId === undefined ? {} : { party_order_id: fact.partyOrderId }),
    ...(fact.payerTransactionId === undefined ? {} : { payer_transaction_id: fact.payerTransactionId }),
    ...(fact.payerAmount === undefined ? {} : { payer_amount: fact.payerAmount.amount }),
    ...(fact.fee === undefined ? {} : { fee: fact.fee.amount }),
    ...(fact.settlement === undefined
      ? {}
      : {
          settlement_amount: fact.settlement.amount.amount,
          settlement_currency: fact.settlement.amount.currency,
          ...(fact.settlement.rate === undefined ? {} : { exchange_rate: fact.settlement.rate }),
        }),
  }
}

/**
 * Reserves an amount for a refund: the row that carries the limit is the row that is written (reliability.md 0.1, point 1).
 * @param refundsMax how many refunds of one payment the provider allows
 */
export async function reserveRefund(
  tx: Knex.Transaction,
  paymentId: string,
  amount: number,
  refundsMax: number,
): Promise<boolean> {
  const rows = await tx('payments')
    .where({ id: paymentId, status: 'succeeded' })
    .andWhereRaw('refund_reserved + refund_over + ? <= amount', [amount])
    .andWhere('refund_count', '<', refundsMax)
    .update({ refund_reserved: tx.raw('refund_reserved + ?', [amount]), refund_count: tx.raw('refund_count + 1') })
  return rows === 1
}

/** Gives a failed refund's reservation back. */
export async function releaseRefund(tx: Knex.Transaction, paymentId: string, amount: number): Promise<boolean> {
  const rows = await tx('payments')
    .where({ id: paymentId })
    .andWhere('refund_reserved', '>=', amount)
    .andWhere('refund_count', '>', 0)
    .update({ refund_reserved: tx.raw('refund_reserved - ?', [amount]), refund_count: tx.raw('refund_count - 1') })
  return rows === 1
}

/**
 * A refund called failed has proven to have succeeded: its amount is taken again, or, where it no longer fits, recorded
 * as refunded over the payment (design.md 6.8, invariant 2).
 */
export async function takeBackRefund(
  tx: Knex.Transaction,
  paymentId: string,
  amount: number,
): Promise<'reserved' | 'over'> {
  const fits = await tx('payments')
    .where({ id: paymentId })
    .andWhereRaw('refund_reserved + ? <= amount', [amount])
    .update({ refund_reserved: tx.raw('refund_reserved + ?', [amount]), refund_count: tx.raw('refund_count + 1') })
  if (fits === 1) return 'reserved'
  await tx('payments')
    .where({ id: paymentId })
    .update({ refund_over: tx.raw('refund_over + ?', [amount]), refund_count: tx.raw('refund_count + 1') })
  return 'over'
}

/** Takes the payment's one place for talking to the provider about refunds, until the given instant. */
export async function claimRefundSlot(
  tx: Knex.Transaction,
  paymentId: string,
  now: number,
  until: number,
): Promise<boolean> {
  return (
    (await tx('payments')
      .where({ id: paymentId })
      .andWhere('refund_slot_at', '<=', now)
      .update({ refund_slot_at: until })) === 1
  )
}

/** Gives the place back, free from the given instant on. */
export async function releaseRefundSlot(db: Knex, paymentId: string, claimed: number, freeAt: number): Promise<void> {
  await db('payments').where({ id: paymentId, refund_slot_at: claimed }).update({ refund_slot_at: freeAt })
}

/** Takes the right to look at a payment now, if nobody took it since the row was read. */
export async function claimPayment(db: Knex, payment: Payment, lease: number): Promise<boolean> {
  const query = db('payments').where({ id: payment.id })
  void (payment.next_check_at === null
    ? query.whereNull('next_check_at')
    : query.andWhere('next_check_at', payment.next_check_at))
  return (await query.update({ next_check_at: lease })) === 1
}

/** Sets the next look, unless somebody has asked for another since the lease was taken. */
export async function reschedulePayment(
  db: Knex,
  paymentId: string,
  lease: number,
  values: {
    readonly next_check_at: number | null
    readonly confirm_step?: number | null
    readonly absent_at?: number | null
  },
  counts = true,
): Promise<void> {
  await db('payments')
    .where({ id: paymentId, next_check_at: lease })
    .update({ ...values, ...(counts ? { checks: db.raw('checks + 1') } : {}) })
}

/** Asks the worker to look at an attempt that may still be alive, soon. */
export async function wakePayment(db: Knex, paymentId: string, at: number): Promise<void> {
  await db('payments').where({ id: paymentId }).whereIn('status', ['created', 'pending']).update({ next_check_at: at })
}

/** The order has been paid by one of its attempts: the others are to be closed now, not at their next date. */
export async function wakeSiblings(db: Knex, orderId: string, paymentId: string, now: number): Promise<void> {
  await db('payments')
    .where({ order_id: orderId })
    .andWhereNot({ id: paymentId })
    .whereIn('status', ['created', 'pending'])
    .andWhere('next_check_at', '>', now)
    .update({ next_check_at: now })
}

/**
 * A hint arrived: ask now, and a few times more if the provider is not ready to confirm (reliability.md 5.4). The
 * schedule starts anew, because something has happened that the answers so far did not show.
 */
export async function hintPayment(db: Knex, paymentId: string, at: number): Promise<boolean> {
  return (await db('payments').where({ id: paymentId }).update({ next_check_at: at, confirm_step: 1, checks: 0 })) === 1
}
