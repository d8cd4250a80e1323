import { generateKeyPairSync, randomUUID } from 'node:crypto'
import type { NotifierAttempt } from '../notifier.ts'
import type { Json, Order } from './ledger.ts'
import {
  isAccepted,
  notificationBody,
  notificationHeaders,
  paymentEvent,
  refundEvent,
  type WechatEvent,
} from './notifications.ts'
import type { SigningKey } from './platform-keys.ts'
import { isObject } from './rules.ts'
import { probeSignature } from './signing.ts'
import { paidView } from './views.ts'
import type { World } from './world.ts'

/** Every kind of delivery the control door can make, and what is wrong with it. */
export const mutations = {
  none: 'genuine, delivered again',
  replay: 'the same bytes and headers `times` times',
  'wrong-amount': 'genuine signature, amount one fen higher',
  'wrong-currency': 'genuine signature, currency USD',
  'wrong-mchid': 'genuine signature, another merchant',
  'wrong-appid': 'genuine signature, another application',
  'wrong-order': 'genuine signature, an order number nobody knows',
  'unknown-event': 'genuine signature, event type of another product',
  'empty-associated-data': 'genuine, empty associated data',
  forged: 'signed by a stranger under the platform’s serial',
  tampered: 'body changed after signing',
  stale: 'genuine signature, made ten minutes ago',
  'unknown-serial': 'genuine signature under a serial nobody knows',
  probe: 'signature probe',
  unsigned: 'no Wechatpay-* headers',
  'bad-ciphertext': 'genuine signature over a resource sealed with another key',
  oversized: 'two megabytes, genuinely signed',
} as const

export type Mutation = keyof typeof mutations
export const isMutation = (text: string): text is Mutation => Object.hasOwn(mutations, text)

const strangersKey = (): string =>
  generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  }).privateKey

/** For an order nobody paid: what a liar would claim. */
const invented = (world: World, order: Order): Order => ({
  ...order,
  payment: order.payment ?? {
    transactionId: world.ledger.newTransactionId(),
    paidAt: world.clock.now(),
    payerTotal: order.total,
    bankType: 'OTHERS',
  },
})

function changedPlaintext(plaintext: object, mutate: Mutation): object {
  const value: Json = { ...plaintext }
  const amount = isObject(value['amount']) ? value['amount'] : {}
  if (mutate === 'wrong-amount') {
    const raise = (fen: unknown): unknown => (typeof fen === 'number' ? fen + 1 : fen)
    return { ...value, amount: { ...amount, total: raise(amount['total']), payer_total: raise(amount['payer_total']) } }
  }
  if (mutate === 'wrong-currency') return { ...value, amount: { ...amount, currency: 'USD', payer_currency: 'USD' } }
  if (mutate === 'wrong-mchid') return { ...value, mchid: '1900000999' }
  if (mutate === 'wrong-appid') return { ...value, appid: 'wx00000000000000ff' }
  return mutate === 'wrong-order' ? { ...value, out_trade_no: 'NOBODYKNOWSTHIS' } : value
}

function bodyOf(world: World, event: WechatEvent, mutate: Mutation): Buffer {
  const changed: WechatEvent = {
    ...event,
    plaintext: changedPlaintext(event.plaintext, mutate),
    ...(mutate === 'unknown-event' ? { eventType: 'SOMETHING.NEW' } : {}),
    ...(mutate === 'empty-associated-data' ? { associatedData: '' } : {}),
  }
  if (mutate === 'oversized') changed.summary = 'x'.repeat(2 * 1024 * 1024)
  const otherKey = { ...world, credentials: { ...world.credentials, apiV3Key: '0'.repeat(32) } }
  return notificationBody(mutate === 'bad-ciphertext' ? otherKey : world, changed)
}

function packageOf(
  world: World,
  event: WechatEvent,
  mutate: Mutation,
  key: SigningKey,
): { headers: Record<string, string>; body: Buffer } {
  const body = bodyOf(world, event, mutate)
  const signer: SigningKey = mutate === 'forged' ? { ...key, privateKey: strangersKey() } : key
  const at = mutate === 'stale' ? world.clock.now() - 600_000 : world.clock.now()
  const headers = notificationHeaders(world, body, signer, at)
  if (mutate === 'unknown-serial') headers['Wechatpay-Serial'] = 'F'.repeat(40)
  if (mutate === 'probe') headers['Wechatpay-Signature'] = probeSignature()
  if (mutate === 'tampered') return { headers, body: Buffer.concat([body.subarray(0, -1), Buffer.from(' }')]) }
  if (mutate !== 'unsigned') return { headers, body }
  return {
    headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith('Wechatpay-'))),
    body,
  }
}

/** The event of an order, or of one of its refunds; an unpaid order gets an invented payment. */
export function eventOf(world: World, order: Order, outRefundNo: string | undefined): WechatEvent | undefined {
  if (outRefundNo === undefined) {
    const paid = invented(world, order)
    return { ...paymentEvent(world, paid), plaintext: paidView(world, paid) }
  }
  const refund = world.ledger.refund(outRefundNo)
  return refund?.notifyUrl === undefined ? undefined : refundEvent(world, order, refund, refund.notifyUrl)
}

/**
 * Delivers an event `times` times, once each, without repeats, and waits for the answers.
 * @returns the attempts, with the status the receiver answered
 */
export async function deliver(
  world: World,
  event: WechatEvent,
  options: { mutate: Mutation; times: number; key: SigningKey },
): Promise<NotifierAttempt[]> {
  const label = `${event.label} (${options.mutate}) ${randomUUID()}`
  const first = packageOf(world, event, options.mutate, options.key)
  for (let copy = 0; copy < options.times; copy += 1) {
    const parcel =
      options.mutate === 'replay' || copy === 0 ? first : packageOf(world, event, options.mutate, options.key)
    world.notifier.send({
      provider: 'wechat-pay',
      label,
      url: event.url,
      scheduleMs: [],
      build: () => parcel,
      accepted: isAccepted,
    })
  }
  const mine = (): NotifierAttempt[] => world.notifier.attempts().filter((attempt) => attempt.label === label)
  const deadline = Date.now() + 6000
  while (mine().length < options.times && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5))
  return mine()
}
