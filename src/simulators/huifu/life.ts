import { beijingDate } from './beijing.ts'
import type { CloseRow, OrderRow, RefundRow } from './books.ts'
import { feeOf } from './money.ts'
import { notifyClose, notifyPayment, notifyRefund } from './notices.ts'
import { durations, inFuture, runAt, type Office } from './office.ts'
import { closeEvent, paymentEvent, refundEvent, sendWebhook } from './webhook.ts'

/**
 * What happens to rows by themselves or at the wish of the control door (huifu-dougong.md 15.1, 18.3). Functions that
 * a person can ask for answer with a text when the wish makes no sense, and with undefined when it was done.
 */
type Complaint = string | undefined

/** An unpaid order whose time is over is closed by the channel, without a close call and without a notification (6.2). */
export function refresh(office: Office, order: OrderRow): OrderRow {
  if (order.transStat === 'P' && office.clock.now() >= order.expiresAt) markClosed(office, order)
  return order
}

function markClosed(office: Office, order: OrderRow): void {
  order.transStat = 'F'
  order.bankCode = 'TRADE_CLOSED'
  order.bankMessage = '交易已关单'
  office.books.touch()
}

/** The payer pays. `late` lets money arrive for an order that was already closed, which real channels do (13.7). */
export function pay(office: Office, order: OrderRow, wish: { couponFen?: number; late?: boolean } = {}): Complaint {
  refresh(office, order)
  if (order.transStat === 'S') return 'already paid'
  if (order.transStat === 'F' && wish.late !== true) return 'the order is closed or failed'
  const couponFen = wish.couponFen ?? 0
  if (couponFen < 0 || couponFen >= order.amountFen) return 'the coupon must be smaller than the amount'
  order.transStat = 'S'
  order.bankCode = 'SUCCESS'
  order.bankMessage = '交易成功'
  order.paidAt = office.clock.now()
  order.couponFen = couponFen
  order.settlementFen = order.amountFen - couponFen
  order.feeFen = feeOf(order.settlementFen, office.options.feeRate)
  // The payer was faster than a close under way: the close fails, the payment stands (huifu-dougong.md 6.2).
  for (const close of pendingCloses(office, order)) settleClose(office, close)
  if (office.options.autoAccount && !order.held) planPosting(office, order)
  const overtaken = office.chaos.happens('notifyOutOfOrder', 'huifu.notify')
  notifyPayment(office, order, 1, overtaken ? durations.posting + 2000 : 0)
  sendWebhook(office, `payment ${order.reqSeqId}`, paymentEvent(office, order))
  office.books.touch()
  return undefined
}

function planPosting(office: Office, order: OrderRow): void {
  order.accountDueAt = inFuture(office, durations.posting)
  armPosting(office, order)
}

function armPosting(office: Office, order: OrderRow): void {
  if (order.accountDueAt === undefined) return
  runAt(office, order.accountDueAt, () => {
    if (order.accountDueAt !== undefined) post(office, order, 'S')
  })
}

/** The channel reports that the payment failed for good; no type 2 follows (huifu-dougong.md 13.2). */
export function fail(office: Office, order: OrderRow, message = '支付失败'): Complaint {
  refresh(office, order)
  if (order.transStat !== 'P') return 'the order is final'
  order.transStat = 'F'
  order.bankCode = 'PAYERROR'
  order.bankMessage = message
  notifyPayment(office, order, 1)
  sendWebhook(office, `payment ${order.reqSeqId}`, paymentEvent(office, order))
  office.books.touch()
  return undefined
}

/** The order's time is over now. */
export function expire(office: Office, order: OrderRow): Complaint {
  if (refresh(office, order).transStat !== 'P') return 'the order is final'
  order.expiresAt = office.clock.now()
  refresh(office, order)
  return undefined
}

/** From now on only the control door decides when this order is posted. */
export function hold(office: Office, order: OrderRow): Complaint {
  order.held = true
  delete order.accountDueAt
  office.books.touch()
  return undefined
}

/** Posting to the merchant's account ends well or badly; type 2 tells either (huifu-dougong.md 13.2). */
export function post(office: Office, order: OrderRow, result: 'S' | 'F'): Complaint {
  if (order.transStat !== 'S') return 'only a paid order can be posted'
  if (order.acctStat === 'S') return 'already posted'
  delete order.accountDueAt
  order.acctStat = result
  if (result === 'S') {
    order.acctDate = beijingDate(office.clock.now())
    office.books.balanceFen += order.settlementFen - order.feeFen
  }
  notifyPayment(office, order, 2)
  office.books.touch()
  return undefined
}

/** Frozen funds are released: type 3, which moves no state (huifu-dougong.md 13.2). */
export function unfreeze(office: Office, order: OrderRow): Complaint {
  if (order.transStat !== 'S') return 'only a paid order has funds to release'
  order.unfrozenAt = office.clock.now()
  notifyPayment(office, order, 3)
  office.books.touch()
  return undefined
}

const pendingCloses = (office: Office, order: OrderRow): CloseRow[] =>
  office.books.closes.filter((close) => close.orderHfSeqId === order.hfSeqId && close.transStat === 'P')

export function armClose(office: Office, close: CloseRow): void {
  if (close.dueAt === undefined) return
  runAt(office, close.dueAt, () => void settleClose(office, close))
}

/** A close under way ends: S and the payment F, or F because the payer was faster or the channel refused (6.2). */
export function settleClose(office: Office, close: CloseRow, wish?: 'S' | 'F'): Complaint {
  if (close.transStat !== 'P') return 'the close is final'
  const order = office.books.orders.get(close.orderHfSeqId)
  if (order === undefined) return 'no such order'
  refresh(office, order)
  if (order.transStat === 'S' && wish === 'S') return 'a paid order cannot be closed'
  close.transStat = wish ?? (order.transStat === 'S' ? 'F' : 'S')
  if (close.transStat === 'S' && order.transStat === 'P') markClosed(office, order)
  notifyClose(office, close, order)
  sendWebhook(office, `close of ${order.reqSeqId}`, closeEvent(close, order))
  office.books.touch()
  return undefined
}

export function armRefund(office: Office, refund: RefundRow): void {
  if (refund.dueAt === undefined) return
  runAt(office, refund.dueAt, () => void settleRefund(office, refund, refund.fate))
}

/** What a refund takes from the merchant's balance: the payer's cash less the fee that comes back. */
export const refundCost = (refund: RefundRow): number => refund.cashFen - refund.feeFen

/** A refund under way ends. F gives the reserved money back (huifu-dougong.md 18.3). */
export function settleRefund(office: Office, refund: RefundRow, result: 'S' | 'F'): Complaint {
  if (refund.transStat !== 'P') return 'the refund is final'
  const order = office.books.orders.get(refund.orderHfSeqId)
  if (order === undefined) return 'no such order'
  refund.transStat = result
  refund.finishedAt = office.clock.now()
  refund.bankMessage = result === 'S' ? '退款成功' : '退款失败'
  delete refund.dueAt
  if (result === 'F') office.books.balanceFen += refundCost(refund)
  notifyRefund(office, refund, order)
  sendWebhook(office, `refund ${refund.reqSeqId}`, refundEvent(office, refund, order))
  office.books.touch()
  return undefined
}

/** After a restart: whatever the snapshot says is under way goes on. */
export function resume(office: Office): void {
  for (const order of office.books.orders.values()) armPosting(office, order)
  for (const close of office.books.closes) if (close.transStat === 'P') armClose(office, close)
  for (const refund of office.books.refunds.values()) if (refund.transStat === 'P') armRefund(office, refund)
}
