import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** Which family of paths an order was created through; the scene object and the answers differ (huifu-dougong.md 4.1). */
export type Version = 'v2' | 'v3' | 'v4'

/** What makes an order a hosted one: its pre-order, known before anybody pays (huifu-dougong.md 11.1). */
export type HostedMarks = {
  readonly kind: '1' | '3'
  readonly preOrderId: string
  readonly needScheme: boolean
  /** The part of `scheme_code` by which WeChat finds the pre-order. */
  readonly ticket: string
}

/** One payment order as Huifu sees it. All amounts are fen, all instants epoch milliseconds. */
export type OrderRow = {
  readonly version: Version
  readonly huifuId: string
  readonly reqDate: string
  readonly reqSeqId: string
  readonly hfSeqId: string
  readonly partyOrderId: string
  readonly outTransId: string
  readonly tradeType: string
  readonly amountFen: number
  readonly goodsDesc: string
  readonly notifyUrl?: string
  readonly remark?: string
  readonly appId?: string
  readonly openId: string
  readonly subOpenId?: string
  readonly attach?: string
  readonly prepayId: string
  readonly createdAt: number
  /** The order can no longer be paid from this instant on. */
  expiresAt: number
  transStat: 'P' | 'S' | 'F'
  acctStat: 'I' | 'S' | 'F'
  bankCode: string
  bankMessage: string
  couponFen: number
  /** What the payer really paid, the base of the fee (huifu-dougong.md 3.1). */
  settlementFen: number
  feeFen: number
  paidAt?: number
  acctDate?: string
  /** A person or test decides about posting; nothing happens by itself. */
  held: boolean
  accountDueAt?: number
  lastRefundAt?: number
  unfrozenAt?: number
  readonly hosted?: HostedMarks
}

/** One refund request that was accepted. */
export type RefundRow = {
  readonly version: Version
  readonly huifuId: string
  readonly reqDate: string
  readonly reqSeqId: string
  readonly hfSeqId: string
  /** `hf_seq_id` of the payment. */
  readonly orderHfSeqId: string
  readonly amountFen: number
  /** Fee and payer's cash that go back with this part. */
  readonly feeFen: number
  readonly cashFen: number
  readonly notifyUrl?: string
  readonly remark?: string
  readonly createdAt: number
  /** How it will end if nobody interferes; decided when it was accepted. */
  readonly fate: 'S' | 'F'
  transStat: 'P' | 'S' | 'F'
  bankMessage: string
  dueAt?: number
  finishedAt?: number
}

/** One accepted request to close a payment. */
export type CloseRow = {
  readonly huifuId: string
  readonly reqDate: string
  readonly reqSeqId: string
  readonly orderHfSeqId: string
  readonly createdAt: number
  transStat: 'P' | 'S' | 'F'
  dueAt?: number
}

type Snapshot = {
  orders: OrderRow[]
  refunds: RefundRow[]
  closes: CloseRow[]
  numbers: string[]
  serial: number
  balanceFen: number
}

/** Huifu's memory: rows, the request numbers already used, and the merchant's balance. */
export type Books = {
  /** By `hf_seq_id`. */
  readonly orders: ReadonlyMap<string, OrderRow>
  readonly refunds: ReadonlyMap<string, RefundRow>
  /** Oldest first. */
  readonly closes: readonly CloseRow[]
  addOrder(row: OrderRow): void
  addRefund(row: RefundRow): void
  addClose(row: CloseRow): void
  orderByNumber(huifuId: string, reqDate: string, reqSeqId: string): OrderRow | undefined
  refundByNumber(huifuId: string, reqDate: string, reqSeqId: string): RefundRow | undefined
  /** Money on the merchant's Huifu account, in fen; refunds are paid from it. */
  balanceFen: number
  /** A number never given before, also across restarts. */
  nextSerial(): number
  /** Marks a request number as used; false when it was used before in the same family (huifu-dougong.md 18.1). */
  claim(family: string, huifuId: string, reqDate: string, reqSeqId: string): boolean
  isClaimed(family: string, huifuId: string, reqDate: string, reqSeqId: string): boolean
  refundsOf(order: OrderRow): readonly RefundRow[]
  /** Says that rows changed; the snapshot follows shortly. */
  touch(): void
  /** Writes the snapshot now. */
  flush(): void
}

/** Rows are written together: a burst of requests costs one file. */
const WRITE_DELAY_MS = 20

/**
 * Opens the books, from a JSON snapshot when a path is given and the file exists.
 * Throws when that file cannot be read as a snapshot, because silently forgetting paid orders helps nobody.
 */
export function openBooks(path?: string): Books {
  const saved = path === undefined ? undefined : load(path)
  const rows = indexRows()
  for (const row of saved?.orders ?? []) rows.addOrder(row)
  for (const row of saved?.refunds ?? []) rows.addRefund(row)
  for (const row of saved?.closes ?? []) rows.addClose(row)
  const numbers = new Set(saved?.numbers)
  let serial = saved?.serial ?? 0
  let timer: NodeJS.Timeout | undefined

  const books: Books = {
    ...rows,
    balanceFen: saved?.balanceFen ?? 0,
    nextSerial: () => (serial += 1),
    claim(...parts) {
      const key = keyOf(...parts)
      if (numbers.has(key)) return false
      numbers.add(key)
      return true
    },
    isClaimed: (...parts) => numbers.has(keyOf(...parts)),
    touch() {
      if (path === undefined) return
      timer ??= setTimeout(() => books.flush(), WRITE_DELAY_MS).unref()
    },
    flush() {
      clearTimeout(timer)
      timer = undefined
      if (path === undefined) return
      save(path, {
        orders: [...rows.orders.values()],
        refunds: [...rows.refunds.values()],
        closes: [...rows.closes],
        numbers: [...numbers],
        serial,
        balanceFen: books.balanceFen,
      })
    },
  }
  return books
}

const keyOf = (...parts: string[]): string => parts.join('/')

type Rows = Pick<
  Books,
  | 'orders'
  | 'refunds'
  | 'closes'
  | 'addOrder'
  | 'addRefund'
  | 'addClose'
  | 'orderByNumber'
  | 'refundByNumber'
  | 'refundsOf'
>

/** The rows with the look-ups the protocol needs, so that a load test does not search through every order. */
function indexRows(): Rows {
  const orders = new Map<string, OrderRow>()
  const refunds = new Map<string, RefundRow>()
  const closes: CloseRow[] = []
  const ordersByNumber = new Map<string, OrderRow>()
  const refundsByNumber = new Map<string, RefundRow>()
  const refundsByOrder = new Map<string, RefundRow[]>()
  return {
    orders,
    refunds,
    closes,
    addOrder(row) {
      orders.set(row.hfSeqId, row)
      ordersByNumber.set(keyOf(row.huifuId, row.reqDate, row.reqSeqId), row)
    },
    addRefund(row) {
      refunds.set(row.hfSeqId, row)
      refundsByNumber.set(keyOf(row.huifuId, row.reqDate, row.reqSeqId), row)
      refundsByOrder.set(row.orderHfSeqId, [...(refundsByOrder.get(row.orderHfSeqId) ?? []), row])
    },
    addClose: (row) => void closes.push(row),
    orderByNumber: (...parts) => ordersByNumber.get(keyOf(...parts)),
    refundByNumber: (...parts) => refundsByNumber.get(keyOf(...parts)),
    refundsOf: (order) => refundsByOrder.get(order.hfSeqId) ?? [],
  }
}

function save(path: string, snapshot: Snapshot): void {
  mkdirSync(dirname(path), { recursive: true })
  // Renaming is atomic: a kill in the middle leaves the snapshot before.
  writeFileSync(`${path}.new`, JSON.stringify(snapshot))
  renameSync(`${path}.new`, path)
}

function load(path: string): Snapshot | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  const value: unknown = JSON.parse(text)
  if (!isSnapshot(value)) throw new TypeError(`${path} holds no Huifu books`)
  return value
}

/** The file is the simulator's own; the outline is checked, the rows are trusted. */
function isSnapshot(value: unknown): value is Snapshot {
  if (typeof value !== 'object' || value === null) return false
  const lists = ['orders', 'refunds', 'closes', 'numbers']
  const entries = new Map<string, unknown>(Object.entries(value))
  return (
    lists.every((name) => Array.isArray(entries.get(name))) &&
    typeof entries.get('serial') === 'number' &&
    typeof entries.get('balanceFen') === 'number'
  )
}
