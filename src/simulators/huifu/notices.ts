import type { CloseRow, OrderRow, RefundRow } from './books.ts'
import { sortedJson } from './json.ts'
import type { Office } from './office.ts'
import { closeRespData, paymentRespData, refundRespData } from './resp-data.ts'

/** An answer later than this counts as none (huifu-dougong.md 13.1); deadlines of a provider never shrink. */
const TIMEOUT_MS = 5000
/** Three more attempts; the spacing is not published and treated as seconds (huifu-dougong.md 13.1). */
const RETRIES_MS = [2000, 4000, 8000]
/** How much later than usual a late notification comes, and an overtaken type 1. */
const LATE_MS = 120_000

/** Java's `URLEncoder`: a blank becomes `+`, `*` stays, everything else outside letters, digits and `.-_` is escaped. */
export function javaFormEncode(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()~]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`)
    .replace(/%20/g, '+')
}

/** The form body in the member order of real notifications (huifu-dougong.md 13.1, A.5). */
export function formBody(
  respData: string,
  sign: string | undefined,
  code = '00000000',
  text = '交易成功[000]',
): string {
  const members = [
    ['resp_desc', text],
    ['resp_code', code],
    ...(sign === undefined ? [] : [['sign', sign]]),
    ['resp_data', respData],
  ]
  return members.map(([name, value]) => `${name}=${javaFormEncode(value ?? '')}`).join('&')
}

/** Why Huifu would not call this address (huifu-dougong.md 13.1), or undefined. */
export function refusalOf(office: Office, url: URL): string | undefined {
  if (url.search !== '') return 'a notification address has no query string'
  const port = url.port === '' ? undefined : Number(url.port)
  const reachable = port === undefined || port === 80 || port === 443 || (port >= 8000 && port <= 9005)
  return reachable || !office.options.strictPorts ? undefined : `port ${port} is outside 80, 443 and 8000–9005`
}

/** A notification ready to go. `sign` undefined leaves the member out; the default is the real signature. */
export type Notice = {
  readonly url: string
  readonly label: string
  readonly respData: string
  /** The number the receiver must repeat behind `RECV_ORD_ID_`. */
  readonly ackNumber: string
  /** Whom to tell about the first delivery. */
  readonly hfSeqId: string
  readonly body?: string
  readonly extraDelayMs?: number
}

/** Hands a notification to the notifier as it is, without any chaos of its own. */
export function deliver(office: Office, notice: Notice): void {
  office.notifier.send({
    provider: 'huifu',
    label: notice.label,
    url: notice.url,
    timeoutMs: TIMEOUT_MS,
    scheduleMs: RETRIES_MS,
    firstDelayMs: notice.extraDelayMs ?? 0,
    refuse: (url) => refusalOf(office, url),
    build() {
      const spoiled = office.chaos.happens('badSignature', 'huifu.notify')
      const sign = notice.body === undefined ? office.signing.sign(notice.respData + (spoiled ? ' ' : '')) : ''
      return {
        headers: { 'Content-Type': 'application/x-www-form-urlencoded', charset: 'UTF-8' },
        body: Buffer.from(notice.body ?? formBody(notice.respData, sign), 'utf8'),
      }
    },
    accepted(status, body) {
      for (const tell of office.listeners.get(notice.hfSeqId) ?? []) tell()
      return status >= 200 && status < 300 && body === `RECV_ORD_ID_${notice.ackNumber}`
    },
  })
}

/** Sends a notification the way production does on a bad day: twice, late or never, as chaos decides. */
function sendWithChaos(office: Office, notice: Notice): void {
  const { chaos } = office
  if (chaos.happens('notifyNever', 'huifu.notify')) return
  const extraDelayMs = (notice.extraDelayMs ?? 0) + (chaos.happens('notifyLate', 'huifu.notify') ? LATE_MS : 0)
  deliver(office, { ...notice, extraDelayMs })
  if (chaos.happens('notifyTwice', 'huifu.notify')) deliver(office, { ...notice, extraDelayMs: extraDelayMs + 500 })
}

/** Tells the merchant about a payment, if the order named an address. Both types carry the same numbers. */
export function notifyPayment(office: Office, order: OrderRow, type: 1 | 2 | 3, extraDelayMs = 0): void {
  if (order.notifyUrl === undefined) return
  sendWithChaos(office, {
    url: order.notifyUrl,
    label: `payment ${order.reqSeqId} type ${type}`,
    respData: sortedJson(paymentRespData(office, order, type)),
    ackNumber: order.reqSeqId,
    hfSeqId: order.hfSeqId,
    extraDelayMs,
  })
}

/** Tells the merchant about a refund, if its request named an address; the ack repeats the refund's number. */
export function notifyRefund(office: Office, refund: RefundRow, order: OrderRow): void {
  if (refund.notifyUrl === undefined) return
  sendWithChaos(office, {
    url: refund.notifyUrl,
    label: `refund ${refund.reqSeqId}`,
    respData: sortedJson(refundRespData(office, refund, order)),
    ackNumber: refund.reqSeqId,
    hfSeqId: refund.hfSeqId,
  })
}

/** Only a hosted close is told, to the address of its pre-order; the ack repeats the payment's number (huifu-dougong.md 13.5). */
export function notifyClose(office: Office, close: CloseRow, order: OrderRow): void {
  if (order.hosted === undefined || order.notifyUrl === undefined) return
  sendWithChaos(office, {
    url: order.notifyUrl,
    label: `close ${close.reqSeqId}`,
    respData: sortedJson(closeRespData(close, order)),
    ackNumber: order.reqSeqId,
    hfSeqId: order.hfSeqId,
  })
}

/** How long an answer is held back for a notification that is to overtake it, in real milliseconds. */
const PATIENCE_MS = 1000

/** Resolves when a notification about that row has been answered, or after a second: an answer must come some time. */
export function firstDelivery(office: Office, hfSeqId: string): Promise<void> {
  return new Promise((resolve) => {
    const listeners = office.listeners.get(hfSeqId) ?? new Set()
    const done = (): void => {
      clearTimeout(timer)
      listeners.delete(done)
      if (listeners.size === 0) office.listeners.delete(hfSeqId)
      resolve()
    }
    const timer = setTimeout(done, PATIENCE_MS)
    listeners.add(done)
    office.listeners.set(hfSeqId, listeners)
  })
}
