import type { OrderView } from './snapshot.ts'

/**
 * The shop's own books, made from webhooks and nothing else. Webhooks come at least once and in any order, so the shop
 * keeps the rule the gateway's documents recommend: every status has a place on a chain, and only a step up counts.
 */

const chains = {
  order: ['open', 'closed', 'paid'],
  payment: ['created', 'pending', 'closed', 'succeeded'],
  account: ['none', 'pending', 'failed', 'credited'],
  refund: ['created', 'processing', 'abnormal', 'failed', 'succeeded'],
} as const

/** The higher of two statuses; a word the shop does not know never replaces one it knows. */
const risen = (chain: readonly string[], known: string, heard: string): string =>
  chain.indexOf(heard) > chain.indexOf(known) ? heard : known

export type LedgerPayment = { id: string; channel: string; amount: number; status: string; accountStatus: string }
export type LedgerRefund = { id: string; no: string; paymentId: string; amount: number; status: string }

export type LedgerOrder = {
  id: string
  no: string
  amount: number
  status: string
  paidPaymentId: string
  payments: Map<string, LedgerPayment>
  refunds: Map<string, LedgerRefund>
}

export type Ledger = {
  /**
   * Enters one verified webhook.
   * @param webhookId the `webhook-id` header, the same on every repeat
   * @returns false when this webhook was entered before
   */
  enter(webhookId: string, order: OrderView | undefined): boolean
  order(id: string): LedgerOrder | undefined
  /** Plain data for comparisons; amounts in fen. */
  books(): LedgerBooks
}

export type LedgerBooks = {
  orders: {
    id: string
    merchant_order_no: string
    status: string
    amount: number
    paid_payment_id: string
    refunded: number
    payments: LedgerPayment[]
    refunds: LedgerRefund[]
  }[]
  webhook_ids: string[]
  sums: { paid: number; refunded: number }
}

const sum = (amounts: readonly number[]): number => amounts.reduce((total, amount) => total + amount, 0)

/** What has come back to the payer, in fen, over every payment of the order. */
export const refundedOf = (order: LedgerOrder): number =>
  sum([...order.refunds.values()].filter((refund) => refund.status === 'succeeded').map((refund) => refund.amount))

/** What the payer has paid, in fen: more than the price when an order was paid twice. */
const paidOf = (order: LedgerOrder): number =>
  sum([...order.payments.values()].filter((one) => one.status === 'succeeded').map((one) => one.amount))

function merge(known: LedgerOrder, heard: OrderView): void {
  known.status = risen(chains.order, known.status, heard.status)
  if (known.paidPaymentId === '') known.paidPaymentId = heard.paidPaymentId
  for (const payment of heard.payments) {
    const old = known.payments.get(payment.id)
    known.payments.set(payment.id, {
      id: payment.id,
      channel: payment.channel,
      amount: payment.amount,
      status: risen(chains.payment, old?.status ?? '', payment.status),
      accountStatus: risen(chains.account, old?.accountStatus ?? '', payment.accountStatus),
    })
  }
  for (const refund of heard.refunds) {
    const old = known.refunds.get(refund.id)
    known.refunds.set(refund.id, {
      id: refund.id,
      no: refund.no,
      paymentId: refund.paymentId,
      amount: refund.amount,
      status: risen(chains.refund, old?.status ?? '', refund.status),
    })
  }
}

/** Opens empty books. */
export function createLedger(): Ledger {
  const orders = new Map<string, LedgerOrder>()
  const entered = new Set<string>()
  return {
    enter(webhookId, heard) {
      if (entered.has(webhookId)) return false
      entered.add(webhookId)
      if (heard === undefined) return true
      const known = orders.get(heard.id) ?? {
        id: heard.id,
        no: heard.no,
        amount: heard.amount,
        status: '',
        paidPaymentId: '',
        payments: new Map(),
        refunds: new Map(),
      }
      merge(known, heard)
      orders.set(heard.id, known)
      return true
    },
    order: (id) => orders.get(id),
    books() {
      const all = [...orders.values()]
      return {
        orders: all.map((order) => ({
          id: order.id,
          merchant_order_no: order.no,
          status: order.status,
          amount: order.amount,
          paid_payment_id: order.paidPaymentId,
          refunded: refundedOf(order),
          payments: [...order.payments.values()],
          refunds: [...order.refunds.values()],
        })),
        webhook_ids: [...entered],
        sums: { paid: sum(all.map(paidOf)), refunded: sum(all.map(refundedOf)) },
      }
    },
  }
}
