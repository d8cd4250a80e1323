import { listOf, objectOf, textOf, wholeOf, type Json } from './api.ts'

/**
 * What one side believes about money that moved: provider's number → fen. Numbers are those the provider sees, because
 * only they are known to all three sides.
 */
export type Books = { readonly paid: ReadonlyMap<string, number>; readonly refunded: ReadonlyMap<string, number> }

const sum = (amounts: Iterable<number>): number => [...amounts].reduce((total, amount) => total + amount, 0)

/** Sums in fen. */
export const sumsOf = (books: Books) => ({ paid: sum(books.paid.values()), refunded: sum(books.refunded.values()) })

const numberOf = (id: string): string => id.replace('_', '')

const amounts = (rows: readonly Json[], number: (row: Json) => string, amount: (row: Json) => number) =>
  new Map(rows.map((row) => [number(row), amount(row)]))

const succeeded = (rows: unknown): readonly Json[] => listOf(rows).filter((row) => row['status'] === 'succeeded')

/** Orders as the gateway's API shows them, or as the shop keeps them from webhooks: the same words. */
export function booksOfOrders(orders: readonly Json[]): Books {
  const rows = (name: string): readonly Json[] => orders.flatMap((order) => succeeded(order[name]))
  const read = (name: string) =>
    amounts(
      rows(name),
      (row) => numberOf(textOf(row, 'id')),
      (row) => wholeOf(row, 'amount'),
    )
  return { paid: read('payments'), refunded: read('refunds') }
}

/** The WeChat simulator's books: `GET /_sim/wechat-pay/books`. */
export function booksOfWechat(books: Json): Books {
  const paid = listOf(books['orders']).filter((order) => ['SUCCESS', 'REFUND'].includes(textOf(order, 'trade_state')))
  const refunds = listOf(books['refunds']).filter((refund) => refund['status'] === 'SUCCESS')
  return {
    paid: amounts(
      paid,
      (row) => textOf(row, 'out_trade_no'),
      (row) => wholeOf(objectOf(row['amount']), 'total'),
    ),
    refunded: amounts(
      refunds,
      (row) => textOf(row, 'out_refund_no'),
      (row) => wholeOf(objectOf(row['amount']), 'refund'),
    ),
  }
}

/** A refund's further submissions carry two characters more than its own number (design.md 20.1). */
const ownNumber = (number: string): string => number.slice(0, 'ref'.length + 26)

/** The Huifu simulator's books: `GET /_sim/huifu/books`. */
export function booksOfHuifu(books: Json): Books {
  const done = (name: string): readonly Json[] => listOf(books[name]).filter((row) => row['transStat'] === 'S')
  return {
    paid: amounts(
      done('orders'),
      (row) => textOf(row, 'reqSeqId'),
      (row) => wholeOf(row, 'amountFen'),
    ),
    refunded: amounts(
      done('refunds'),
      (row) => ownNumber(textOf(row, 'reqSeqId')),
      (row) => wholeOf(row, 'amountFen'),
    ),
  }
}

/** Two providers are one side when both were used. */
export const together = (left: Books, right: Books): Books => ({
  paid: new Map([...left.paid, ...right.paid]),
  refunded: new Map([...left.refunded, ...right.refunded]),
})

/**
 * Every number on which the sides differ, in words; empty when all agree.
 * @param sides name → books
 */
export function differences(sides: Readonly<Record<string, Books>>): readonly string[] {
  const names = Object.keys(sides)
  return (['paid', 'refunded'] as const).flatMap((kind) => {
    const numbers = new Set(Object.values(sides).flatMap((books) => [...books[kind].keys()]))
    return [...numbers].flatMap((number) => {
      const beliefs = names.map((name) => sides[name]?.[kind].get(number))
      if (new Set(beliefs).size === 1) return []
      const words = names.map((name, index) => `${name}: ${String(beliefs[index] ?? 'nothing')}`)
      return [`${kind} ${number}: ${words.join(', ')}`]
    })
  })
}
