import { randomBytes, randomUUID } from 'node:crypto'
import { beijing, type Order, type Refund } from './ledger.ts'
import { paidView } from './views.ts'
import { notifyUrlProblem } from './rules.ts'
import { answerMessage, probeSignature, randomNonce, seal, signedHeaders } from './signing.ts'
import type { SigningKey } from './platform-keys.ts'
import { operationName, type World } from './world.ts'

/** Repeats after the first failure (wechatpay.md 4.3): 15 steps, 24 h 4 min in total. */
export const RETRY_SCHEDULE_MS: readonly number[] = [
  15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600,
].map((seconds) => seconds * 1000)

export type WechatEvent = {
  label: string
  url: string
  eventType: string
  summary: string
  originalType: 'transaction' | 'refund'
  plaintext: object
  associatedData?: string
}

/** Event of a successful payment: the query answer with trade_state SUCCESS (wechatpay.md 4.2). */
export const paymentEvent = (world: World, order: Order): WechatEvent => ({
  label: `payment ${order.outTradeNo}`,
  url: order.notifyUrl,
  eventType: 'TRANSACTION.SUCCESS',
  summary: '支付成功',
  originalType: 'transaction',
  plaintext: paidView(world, order),
})

const REFUND_SUMMARY = {
  SUCCESS: '退款成功',
  ABNORMAL: '退款异常',
  CLOSED: '退款关闭',
  PROCESSING: '退款处理中',
} as const

/** Event of a refund result; the field is `refund_status`, not `status` (wechatpay.md 4.2). */
export function refundEvent(world: World, order: Order, refund: Refund, url: string): WechatEvent {
  const payment = order.payment
  return {
    label: `refund ${refund.outRefundNo}`,
    url,
    eventType: `REFUND.${refund.status}`,
    summary: REFUND_SUMMARY[refund.status],
    originalType: 'refund',
    plaintext: {
      mchid: world.credentials.mchid,
      transaction_id: payment?.transactionId,
      out_trade_no: order.outTradeNo,
      refund_id: refund.refundId,
      out_refund_no: refund.outRefundNo,
      refund_status: refund.status,
      ...(refund.status === 'SUCCESS' ? { success_time: beijing(refund.settledAt ?? world.clock.now()) } : {}),
      user_received_account: '支付用户零钱',
      amount: {
        total: order.total,
        refund: refund.refund,
        payer_total: payment?.payerTotal ?? order.total,
        payer_refund: refund.payerRefund,
      },
    },
  }
}

/** The body of a notification: made once, the same on every repeat (wechatpay.md 4.1, 4.3). */
export function notificationBody(world: World, event: WechatEvent): Buffer {
  const nonce = randomBytes(6).toString('hex')
  const associatedData = event.associatedData ?? event.originalType
  return Buffer.from(
    JSON.stringify({
      id: randomUUID(),
      create_time: beijing(world.clock.now()),
      resource_type: 'encrypt-resource',
      event_type: event.eventType,
      summary: event.summary,
      resource: {
        original_type: event.originalType,
        algorithm: 'AEAD_AES_256_GCM',
        ciphertext: seal(JSON.stringify(event.plaintext), world.credentials.apiV3Key, nonce, associatedData),
        associated_data: associatedData,
        nonce,
      },
    }),
  )
}

/** Headers of one delivery; timestamp, nonce and signature are new each time. */
export function notificationHeaders(
  world: World,
  body: Buffer,
  key: SigningKey,
  atMs = world.clock.now(),
): Record<string, string> {
  return {
    'Content-Type': 'application/json',
    'User-Agent': 'Mozilla/4.0',
    Accept: '*/*',
    ...signedHeaders(world.signing, key, String(Math.floor(atMs / 1000)), body),
  }
}

/** Only the status counts: 200 with {"code":"FAIL"} is success (wechatpay.md 4.3). */
export const isAccepted = (status: number): boolean => status === 200 || status === 204

type Damage = 'probe' | 'badSignature' | 'unsigned'

function damageOf(world: World, attempt: number): Damage | undefined {
  // Never on a repeat (wechatpay.md 9.3): the second delivery must be acceptable.
  if (attempt > 1) return undefined
  const kinds: Damage[] = ['probe', 'badSignature', 'unsigned']
  return kinds.find((kind) => world.chaos.happens(kind, operationName('notify')))
}

/** Applies a deliberate defect to the signature headers of an answer or a notification. */
export function damaged(
  world: World,
  headers: Record<string, string>,
  body: Buffer | string,
  damage: Damage,
  key: SigningKey,
): Record<string, string> {
  if (damage === 'probe') return { ...headers, 'Wechatpay-Signature': probeSignature() }
  if (damage === 'unsigned')
    return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith('Wechatpay-')))
  const other = answerMessage(headers['Wechatpay-Timestamp'] ?? '', randomNonce(), body)
  return { ...headers, 'Wechatpay-Signature': world.signing.sign(other, key.privateKey) }
}

function sendCopy(
  world: World,
  event: WechatEvent,
  body: Buffer,
  firstDelayMs: number,
  forced: SigningKey | undefined,
): void {
  let damage: Damage | undefined
  world.notifier.send({
    provider: 'wechat-pay',
    label: event.label,
    url: event.url,
    scheduleMs: RETRY_SCHEDULE_MS,
    firstDelayMs,
    refuse: (url) => notifyUrlProblem(url.href),
    build(attempt) {
      const key = forced ?? world.keys.notificationKey()
      const headers = notificationHeaders(world, body, key)
      damage = damageOf(world, attempt)
      if (damage === undefined) return { headers, body }
      world.probes.sent += 1
      return { headers: damaged(world, headers, body, damage, key), body }
    },
    accepted(status) {
      if (damage === undefined) return isAccepted(status)
      if (isAccepted(status)) world.probes.wronglyAccepted += 1
      // Delivered again with a right signature, whatever the receiver said.
      return false
    },
  })
}

/** Delivers an event on the published schedule, with whatever misbehaviour chaos wants. */
export function notify(world: World, event: WechatEvent, forced?: SigningKey): void {
  const happens = (fault: Parameters<World['chaos']['happens']>[0]): boolean =>
    world.chaos.happens(fault, operationName('notify'))
  if (happens('notifyNever')) return
  const body = notificationBody(world, event)
  let delayMs = 0
  if (happens('notifyLate')) delayMs = 60_000
  else if (happens('notifyOutOfOrder')) delayMs = 5000
  sendCopy(world, event, body, delayMs, forced)
  if (happens('notifyTwice')) sendCopy(world, event, body, delayMs + 1000, forced)
}
