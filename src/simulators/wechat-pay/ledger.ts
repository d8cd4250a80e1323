import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock } from '../clock.ts'

/** Any JSON object. */
export type Json = Record<string, unknown>

export type Handle = { prepayId: string; at: number }

/** What WeChat believes about one order. Amounts are integers in fen, times milliseconds. */
export type Order = {
  outTradeNo: string
  /** The first request, against which every repeat is compared. */
  request: Json
  appid: string
  openid: string
  description: string
  total: number
  attach: string | undefined
  notifyUrl: string
  createdAt: number
  expiresAt: number | undefined
  handles: Handle[]
  state: 'NOTPAY' | 'SUCCESS' | 'REFUND' | 'CLOSED'
  failedAttempts: number
  payment?: { transactionId: string; paidAt: number; payerTotal: number; bankType: string }
}

export type RefundStatus = 'PROCESSING' | 'SUCCESS' | 'ABNORMAL' | 'CLOSED'

/** One accepted refund. */
export type Refund = {
  refundId: string
  outRefundNo: string
  outTradeNo: string
  request: Json
  refund: number
  payerRefund: number
  notifyUrl: string | undefined
  fundsAccount: string
  createdAt: number
  status: RefundStatus
  settledAt?: number
}

type State = {
  orders: Order[]
  refunds: Refund[]
  /** openid → the appid it belongs to. */
  openids: Record<string, string>
  /** What the merchant can refund from, in fen. */
  balance: number
  counter: number
}

/** Unpaid orders are closed by the platform after seven days (wechatpay.md 3.7). */
const UNPAID_LIFE_MS = 7 * 24 * 3600_000
/** Long enough to gather a burst of changes, short enough that a crash of a sandbox loses next to nothing. */
const SAVE_DELAY_MS = 50
const DEFAULT_BALANCE = 1_000_000_000_000

export type Ledger = ReturnType<typeof createLedger>

/** Beijing time as WeChat prints it: 2025-10-09T16:54:01+08:00. */
export const beijing = (ms: number): string => `${new Date(ms + 8 * 3600_000).toISOString().slice(0, 19)}+08:00`

const digitsOf = (ms: number): string => new Date(ms + 8 * 3600_000).toISOString().replaceAll(/\D/g, '').slice(0, 17)

function load(file: string | undefined, openids: Record<string, string>): State {
  const empty: State = { orders: [], refunds: [], openids, balance: DEFAULT_BALANCE, counter: 0 }
  if (file === undefined || !existsSync(file)) return empty
  // The file was written by this program; a damaged one should stop the start, not be guessed at.
  const stored: State = JSON.parse(readFileSync(file, 'utf8'))
  return { ...empty, ...stored, openids: { ...stored.openids, ...openids } }
}

/** Writes the state shortly after each change; without a file nothing happens. */
function snapshots(file: string | undefined, take: () => State): { changed: () => void; flush: () => void } {
  let timer: NodeJS.Timeout | undefined
  const save = (): void => {
    clearTimeout(timer)
    timer = undefined
    if (file === undefined) return
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    writeFileSync(`${file}.new`, JSON.stringify(take()), { mode: 0o600 })
    renameSync(`${file}.new`, file)
  }
  return {
    /** Call after every change. */
    changed(): void {
      if (file === undefined || timer) return
      timer = setTimeout(save, SAVE_DELAY_MS)
      timer.unref()
    },
    /** Writes what is not yet written. */
    flush(): void {
      if (timer) save()
    },
  }
}

/**
 * WeChat's books: orders, refunds, openids and the balance refunds are paid from.
 * @param options `file`: JSON snapshot, written shortly after each change, so that a restart finds its orders;
 *   `openids`: who the simulated payers are, by openid
 */
export function createLedger(options: { clock: Clock; file?: string; openids: Record<string, string> }) {
  const { clock, file } = options
  const state = load(file, options.openids)
  const orders = new Map(state.orders.map((order) => [order.outTradeNo, order]))
  const refunds = new Map(state.refunds.map((refund) => [refund.outRefundNo, refund]))
  const { changed, flush } = snapshots(file, () => ({
    ...state,
    orders: [...orders.values()],
    refunds: [...refunds.values()],
  }))
  const number = (prefix: string): string => {
    state.counter += 1
    return `${prefix}${digitsOf(clock.now())}${String(state.counter % 1_000_000).padStart(6, '0')}`
  }
  const aged = (order: Order | undefined): Order | undefined => {
    if (order?.state === 'NOTPAY' && clock.now() - order.createdAt >= clock.shrink(UNPAID_LIFE_MS)) {
      order.state = 'CLOSED'
      changed()
    }
    return order
  }

  return {
    changed,
    order: (outTradeNo: string): Order | undefined => aged(orders.get(outTradeNo)),
    orderByTransaction: (transactionId: string): Order | undefined =>
      [...orders.values()].find((order) => order.payment?.transactionId === transactionId),
    orderByPrepay: (prepayId: string): Order | undefined =>
      aged([...orders.values()].find((order) => order.handles.some((handle) => handle.prepayId === prepayId))),
    orders: (): Order[] => [...orders.values()].map((order) => aged(order) ?? order),
    addOrder(order: Order): void {
      orders.set(order.outTradeNo, order)
      changed()
    },
    refund: (outRefundNo: string): Refund | undefined => refunds.get(outRefundNo),
    refundsOf: (outTradeNo: string): Refund[] =>
      [...refunds.values()].filter((refund) => refund.outTradeNo === outTradeNo),
    refunds: (): Refund[] => [...refunds.values()],
    addRefund(refund: Refund): void {
      refunds.set(refund.outRefundNo, refund)
      changed()
    },
    /** A fresh prepay_id; earlier ones of the order stay valid (wechatpay.md 1.10). */
    newHandle(order: Order): string {
      const prepayId = `wx${digitsOf(clock.now()).slice(0, 14)}${randomBytes(10).toString('hex')}`
      order.handles.push({ prepayId, at: clock.now() })
      changed()
      return prepayId
    },
    newTransactionId: (): string => number('42000'),
    newRefundId: (): string => number('503000'),
    openidOwner: (openid: string): string | undefined => state.openids[openid],
    bindOpenid(openid: string, appid: string): void {
      state.openids[openid] = appid
      changed()
    },
    balance: (): number => state.balance,
    setBalance(fen: number): void {
      state.balance = fen
      changed()
    },
    flush,
  }
}
