import type { Knex } from 'knex'
import { loadConfig } from '../config/load.ts'
import { orderResource, type OrderResource } from '../core/event.ts'
import { idFromProviderNumber, isId } from '../core/ids.ts'
import { connect } from '../store/connect.ts'
import { findEvent } from '../store/events.ts'
import { findOrder, findOrderByNo } from '../store/orders.ts'
import { findPayment, paymentsOfOrders } from '../store/payments.ts'
import { findRefund, findRefundByNo, refundsOfOrders } from '../store/refunds.ts'
import { CommandFailure } from './exit-codes.ts'
import { configPath } from './places.ts'
import { result, say, styled } from './terminal.ts'

/** The order behind any of the numbers a person may have at hand; merchants' own numbers are tried last. */
async function orderIdOf(db: Knex, merchantId: string, number: string): Promise<string | undefined> {
  if (isId('order', number)) return number
  if (isId('event', number)) return (await findEvent(db, merchantId, number))?.order_id
  const paymentId = isId('payment', number) ? number : idFromProviderNumber('payment', number)
  if (paymentId !== undefined) return (await findPayment(db, merchantId, paymentId))?.order_id
  const refundId = isId('refund', number) ? number : idFromProviderNumber('refund', number)
  if (refundId !== undefined) return (await findRefund(db, merchantId, refundId))?.order_id
  const order = await findOrderByNo(db, merchantId, number)
  return order?.id ?? (await findRefundByNo(db, merchantId, number))?.order_id
}

type Shown = { readonly merchant: string; readonly order: OrderResource }

async function find(db: Knex, merchants: readonly string[], number: string): Promise<readonly Shown[]> {
  const found: Shown[] = []
  for (const merchant of merchants) {
    const id = await orderIdOf(db, merchant, number)
    const order = id === undefined ? undefined : await findOrder(db, merchant, id)
    if (order === undefined) continue
    const payments = await paymentsOfOrders(db, [order.id])
    found.push({ merchant, order: orderResource(order, payments, await refundsOfOrders(db, [order.id])) })
  }
  return found
}

function print({ merchant, order }: Shown): void {
  const line = (name: string, value: string): void => say(`  ${name.padEnd(11)}${value}`)
  const money = (amount: number): string => `${String(amount)} ${order.currency} (minor units)`
  say(`${styled('bold', order.id)}  ${order.status}`)
  line('merchant', `${merchant}, ${order.merchant_order_no}`)
  line('amount', `${money(order.amount)}, refunded ${String(order.refunded)}, refundable ${String(order.refundable)}`)
  line('opened', `${String(order.created_at)}, expires ${String(order.expires_at)}`)
  for (const payment of order.payments) {
    const account = payment.account_status === 'none' ? '' : `, account ${payment.account_status}`
    line('payment', `${payment.id}  ${payment.status}${account}  ${payment.channel} ${payment.method}`)
    if (payment.transaction_id !== null) line('', `transaction ${payment.transaction_id}`)
  }
  for (const refund of order.refunds) {
    line('refund', `${refund.id}  ${refund.status}  ${money(refund.amount)}  ${refund.merchant_refund_no ?? ''}`)
  }
}

/**
 * Shows the order behind any number of ours, of the merchant's, or as the provider sees it.
 * @throws CommandFailure when no merchant has it
 */
export async function show(number: string, options: { config?: string; json: boolean }): Promise<void> {
  const config = await loadConfig(configPath(options.config))
  const db = connect(config.database)
  try {
    const found = await find(db, Object.keys(config.merchants), number)
    if (found.length === 0) throw new CommandFailure(`no order, payment, refund or event with the number ${number}`)
    for (const one of found) {
      if (options.json) result(one)
      else print(one)
    }
  } finally {
    await db.destroy()
  }
}
