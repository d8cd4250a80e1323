import { z } from 'zod'
import type { Fact } from '../../core/fact.ts'
import { idFromProviderNumber } from '../../core/ids.ts'
import { NotificationRejected, type Notification, type NotificationMessage } from '../../core/provider.ts'
import { parseStrictBytes } from '../json.ts'
import type { Variant } from './direct.ts'
import { orderFact, orderShape, refundFact, refundShape } from './facts.ts'
import { openWithAny, type Keys } from './keys.ts'
import type { Settings } from './settings.ts'
import { checkSignature, type Fault } from './signature.ts'

/** Reads a notification: verify, decrypt, translate, in the order of reliability.md 5.5 (wechatpay.md 4). */

const largest = 64 * 1024

const envelopeShape = z.object({
  id: z.string().regex(/^[\x21-\x7e]{1,80}$/),
  event_type: z.string().max(64),
  resource: z.object({
    algorithm: z.literal('AEAD_AES_256_GCM'),
    ciphertext: z.string().regex(/^[A-Za-z0-9+/]+={0,2}$/),
    nonce: z.string().length(12),
    associated_data: z.string().max(16).nullish(),
  }),
})

const reasons: Readonly<Record<Fault, NotificationRejected['why']>> = {
  missing: 'malformed',
  type: 'signature',
  stale: 'stale',
  serial: 'signature',
  signature: 'signature',
  probe: 'probe',
}

/**
 * Verifies, decrypts and translates one message.
 * @throws NotificationRejected for anything that is not provably from WeChat Pay and for this channel's APIv3 key
 */
export async function readNotification(
  message: NotificationMessage,
  settings: Settings,
  variant: Variant,
  keys: Keys,
): Promise<Notification> {
  if (message.door !== 'notify') throw new NotificationRejected('malformed', 'WeChat Pay has no console door')
  if (message.body.length > largest) throw new NotificationRejected('malformed', 'larger than 64 KiB')
  // Refunds made in the console without a v3 address of their own are reported in v2 (wechatpay.md 2.6, 4.3).
  if (message.body.subarray(0, 64).toString('latin1').trimStart().startsWith('<xml')) {
    throw new NotificationRejected('malformed', 'a v2 message: set a v3 notification address at WeChat Pay')
  }
  const fault = await checkSignature(message.headers, message.body, keys.keyFor, message.receivedAt)
  if (fault !== undefined) throw new NotificationRejected(reasons[fault], `not verified: ${fault}`)

  const envelope = envelopeShape.safeParse(parse(message.body))
  if (!envelope.success) throw new NotificationRejected('malformed', 'a notification of an unknown form')
  const { id, event_type, resource } = envelope.data
  const resourceJson = parse(open(settings, resource))
  const content = translate(event_type, resourceJson, settings, variant)
  return {
    eventId: id,
    standing: 'evidence',
    ...content,
    // Only the status counts (wechatpay.md 4.3).
    reply: { status: 204, contentType: 'application/json', body: '' },
  }
}

type Content = { readonly facts: readonly Fact[]; readonly mismatch?: string }

function translate(eventType: string, resource: unknown, settings: Settings, variant: Variant): Content {
  if (eventType === 'TRANSACTION.SUCCESS') return paymentContent(resource, settings, variant)
  if (eventType === 'REFUND.SUCCESS' || eventType === 'REFUND.ABNORMAL' || eventType === 'REFUND.CLOSED') {
    return refundContent(resource, settings, variant)
  }
  // Other products share the mechanism: acknowledged, stored, without consequence (wechatpay.md 4.2).
  return { facts: [] }
}

function paymentContent(resource: unknown, settings: Settings, variant: Variant): Content {
  const order = orderShape.safeParse(resource)
  if (!order.success) throw new NotificationRejected('malformed', 'a payment of an unknown form')
  if (order.data.mchid !== settings.mchid) return { facts: [], mismatch: 'for another mchid' }
  const appids = Object.values(settings.methods).map((method) => method.appid)
  if (!appids.includes(order.data.appid)) return { facts: [], mismatch: 'for another appid' }
  const fact = orderFact(order.data, paymentIdOf(order.data.out_trade_no), variant.currency)
  if (fact === undefined) throw new NotificationRejected('malformed', 'a payment in an unknown state or currency')
  return { facts: [fact] }
}

function refundContent(resource: unknown, settings: Settings, variant: Variant): Content {
  const refund = refundShape.safeParse(resource)
  if (!refund.success || (refund.data.refund_status ?? '') === '') {
    throw new NotificationRejected('malformed', 'a refund of an unknown form')
  }
  if (refund.data.mchid !== settings.mchid) return { facts: [], mismatch: 'for another mchid' }
  const number = safeNumber(refund.data.out_refund_no)
  const ids = {
    refundId: idFromProviderNumber('refund', number) ?? number,
    paymentId: paymentIdOf(refund.data.out_trade_no),
  }
  const fact = refundFact(refund.data, ids, variant.currency)
  if (fact === undefined) throw new NotificationRejected('malformed', 'a refund in an unknown state or currency')
  return { facts: [fact] }
}

/** Our id behind the number; a number that is not ours stays as it is, and the engine stores it as unmatched. */
function paymentIdOf(outTradeNo: string): string {
  const number = safeNumber(outTradeNo)
  return idFromProviderNumber('payment', number) ?? number
}

/** Numbers are `[A-Za-z0-9_-|*@]`, at most 64 (wechatpay.md 2.2, 2.6); nothing else may reach a column or a log. */
function safeNumber(number: string): string {
  if (!/^[A-Za-z0-9_\-|*@]{1,64}$/.test(number))
    throw new NotificationRejected('malformed', 'a number of an unknown form')
  return number
}

function open(settings: Settings, resource: z.output<typeof envelopeShape>['resource']): Buffer {
  try {
    const { ciphertext, nonce, associated_data } = resource
    return openWithAny(settings.apiV3Keys, { ciphertext, nonce, associatedData: associated_data ?? '' })
  } catch {
    // The same words for every failure: an error that explains itself is an oracle (reliability.md T18).
    throw new NotificationRejected('malformed', 'does not open under the APIv3 key of this channel')
  }
}

function parse(bytes: Buffer): unknown {
  try {
    return parseStrictBytes(bytes)
  } catch {
    throw new NotificationRejected('malformed', 'not acceptable JSON')
  }
}
