import { beijingDate } from './beijing.ts'
import type { OrderRow } from './books.ts'
import { refresh } from './life.ts'
import type { Office } from './office.ts'

const sum = <Row>(rows: readonly Row[], pick: (row: Row) => number): number =>
  rows.reduce((total, row) => total + pick(row), 0)

/** The books as plain data: rows, and sums in fen that a test can hold against the gateway's ledger. */
export function accountOf(office: Office) {
  const { books } = office
  const orders = [...books.orders.values()].map((order) => refresh(office, order))
  const refunds = [...books.refunds.values()]
  const paid = orders.filter((order) => order.transStat === 'S')
  const refundsIn = (state: string) => refunds.filter((refund) => refund.transStat === state)
  return {
    orders: orders.map((order) => ({ ...order })),
    refunds: refunds.map((refund) => ({ ...refund })),
    closes: books.closes.map((close) => ({ ...close })),
    sums: {
      paidFen: sum(paid, (order) => order.amountFen),
      postedFen: sum(
        paid.filter((order) => order.acctStat === 'S'),
        (order) => order.amountFen,
      ),
      feesFen: sum(paid, (order) => order.feeFen),
      refundedFen: sum(refundsIn('S'), (refund) => refund.amountFen),
      pendingRefundFen: sum(refundsIn('P'), (refund) => refund.amountFen),
      returnedFeesFen: sum(refundsIn('S'), (refund) => refund.feeFen),
      balanceFen: books.balanceFen,
    },
    webhookUrls: [...office.webhookUrls],
    notifications: office.notifier.attempts().filter((attempt) => attempt.provider === 'huifu'),
  }
}

/** Finds an order the way a person names it: request number (newest first, or of one day), pre-order, or what `pay_info` held. */
export function findOrder(
  office: Office,
  by: { reqSeqId?: string; reqDate?: string; hfSeqId?: string; payPackage?: string; preOrder?: string },
): OrderRow | undefined {
  const prepayId = by.payPackage?.replace(/^prepay_id=/, '')
  const named = [by.reqSeqId, by.hfSeqId, prepayId, by.preOrder].some((name) => name !== undefined)
  if (!named) return undefined
  // The usual question first, so that a load test which pays every order does not search through all of them.
  const day = by.reqDate ?? beijingDate(office.clock.now())
  const usual =
    by.hfSeqId === undefined && prepayId === undefined && by.preOrder === undefined && by.reqSeqId !== undefined
      ? office.books.orderByNumber(office.identity.huifuId, day, by.reqSeqId)
      : undefined
  if (usual !== undefined) return refresh(office, usual)
  const found = [...office.books.orders.values()].findLast(
    (order) =>
      (by.reqSeqId === undefined || order.reqSeqId === by.reqSeqId) &&
      (by.reqDate === undefined || order.reqDate === by.reqDate) &&
      (by.hfSeqId === undefined || order.hfSeqId === by.hfSeqId) &&
      (by.preOrder === undefined || [order.hosted?.preOrderId, order.hosted?.ticket].includes(by.preOrder)) &&
      (prepayId === undefined || order.prepayId === prepayId),
  )
  return found && refresh(office, found)
}
