/**
 * The order as the gateway shows it to merchants, in webhooks and API answers alike. Read defensively: a shop has no
 * reason to trust the shape of what it receives, and ignores fields it does not know.
 */

export type PaymentView = {
  id: string
  channel: string
  method: string
  status: string
  accountStatus: string
  closeReason: string
  amount: number
}

export type RefundView = {
  id: string
  no: string
  paymentId: string
  status: string
  amount: number
  initiatedBy: string
}

export type OrderView = {
  id: string
  no: string
  status: string
  amount: number
  currency: string
  subject: string
  refunded: number
  refundable: number
  paidPaymentId: string
  /** Where the payer pays; empty in webhooks, which do not carry it. */
  cashierUrl: string
  payments: readonly PaymentView[]
  refunds: readonly RefundView[]
}

export type Json = Readonly<Record<string, unknown>>

/** The value as an object, or an empty one. */
export const objectOf = (value: unknown): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {}

/** Text of a field; empty when it is anything else. */
export const textOf = (object: Json, name: string): string => {
  const value = object[name]
  return typeof value === 'string' ? value : ''
}

/** Whole number of a field, fen for amounts; 0 when it is anything else. */
export const wholeOf = (object: Json, name: string): number => {
  const value = object[name]
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : 0
}

const listOf = (value: unknown): readonly Json[] => (Array.isArray(value) ? value.map(objectOf) : [])

const paymentOf = (row: Json): PaymentView => ({
  id: textOf(row, 'id'),
  channel: textOf(row, 'channel'),
  method: textOf(row, 'method'),
  status: textOf(row, 'status'),
  accountStatus: textOf(row, 'account_status'),
  closeReason: textOf(row, 'close_reason'),
  amount: wholeOf(row, 'amount'),
})

const refundOf = (row: Json): RefundView => ({
  id: textOf(row, 'id'),
  no: textOf(row, 'merchant_refund_no'),
  paymentId: textOf(row, 'payment_id'),
  status: textOf(row, 'status'),
  amount: wholeOf(row, 'amount'),
  initiatedBy: textOf(row, 'initiated_by'),
})

/** Reads an order resource; undefined when it has no id. */
export function orderOf(value: unknown): OrderView | undefined {
  const row = objectOf(value)
  if (textOf(row, 'id') === '') return undefined
  return {
    id: textOf(row, 'id'),
    no: textOf(row, 'merchant_order_no'),
    status: textOf(row, 'status'),
    amount: wholeOf(row, 'amount'),
    currency: textOf(row, 'currency'),
    subject: textOf(row, 'subject'),
    refunded: wholeOf(row, 'refunded'),
    refundable: wholeOf(row, 'refundable'),
    paidPaymentId: textOf(row, 'paid_payment_id'),
    cashierUrl: textOf(row, 'cashier_url'),
    payments: listOf(row['payments']).map(paymentOf),
    refunds: listOf(row['refunds']).map(refundOf),
  }
}
