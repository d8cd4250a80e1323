import type { Fact } from '../../core/fact.ts'
import { idFromProviderNumber } from '../../core/ids.ts'
import { NotificationRejected, type Notification, type NotificationMessage } from '../../core/provider.ts'
import { md5Upper, sameSecret, sha256 } from '../../crypto/digest.ts'
import { strictText } from './envelope.ts'
import { firstText, objectOf, parseLossless, type JsonObject } from './lossless.ts'
import type { HuifuSettings } from './settings.ts'

/**
 * The console webhook (huifu-dougong.md 2.5 and 14): MD5 over the raw body and a shared key. MD5 so used is good enough
 * to ask a question and never good enough for an answer, so whatever it says is a hint and its facts claim nothing.
 */

const safeNumber = /^[A-Za-z0-9_-]{1,128}$/

/** @throws NotificationRejected unless the digest fits the raw bytes */
export function readConsole(settings: HuifuSettings, message: NotificationMessage): Notification {
  if (settings.webhookKey === undefined) {
    throw new NotificationRejected('signature', 'this channel has no webhook key')
  }
  // Some versions send it as a header (huifu-dougong.md 17 row 36).
  const given = message.query['sign'] ?? message.headers['sign']
  const expected = md5Upper(Buffer.concat([message.body, Buffer.from(settings.webhookKey, 'utf8')]))
  if (given === undefined || !/^[0-9A-Fa-f]{32}$/.test(given) || !sameSecret(given.toUpperCase(), expected)) {
    throw new NotificationRejected('signature', 'the webhook digest does not fit the body')
  }
  const body = bodyOf(message.body)
  if (body === undefined) throw new NotificationRejected('malformed', 'the webhook body is not one JSON object')
  const eventId = sha256(Buffer.concat([Buffer.from('console\n'), message.body]))
  const reply = { status: 200, contentType: 'text/plain; charset=utf-8', body: 'OK' } as const
  if (firstText(body, 'huifu_id', 'huifuId') !== settings.huifuId) {
    return { eventId, standing: 'hint', facts: [], mismatch: 'huifu_id is not this channel’s', reply }
  }
  const fact = hintOf(body)
  return { eventId, standing: 'hint', facts: fact === undefined ? [] : [fact], reply }
}

/** Which of our payments or refunds to ask about. The state is always "not final", whatever the message claims. */
function hintOf(body: JsonObject): Fact | undefined {
  const event = firstText(body, 'event_define_no', 'eventDefineNo') ?? ''
  const inner = objectOf(body, 'data')
  const find = (...names: readonly string[]): string | undefined => {
    const number = firstText(body, ...names) ?? (inner === undefined ? undefined : firstText(inner, ...names))
    return number !== undefined && safeNumber.test(number) ? number : undefined
  }
  if (event === 'refund.standard') {
    const number = find('req_seq_id', 'reqSeqId')
    if (number === undefined) return undefined
    const refundId = idFromProviderNumber('refund', number) ?? number
    return { about: 'refund', refundId, seen: 'processing', submissionNumber: number }
  }
  const number =
    event === 'trans.close'
      ? find('org_req_seq_id', 'orgReqSeqId', 'org_mer_ord_id')
      : /^(?:pay|hosting)\./.test(event)
        ? find('req_seq_id', 'reqSeqId', 'mer_ord_id', 'merOrdId')
        : undefined
  if (number === undefined) return undefined
  return { about: 'payment', paymentId: idFromProviderNumber('payment', number) ?? number, seen: 'pending' }
}

function bodyOf(bytes: Buffer): JsonObject | undefined {
  const text = strictText(bytes)
  if (text === undefined) return undefined
  try {
    const value = parseLossless(text)
    return value.kind === 'object' ? value : undefined
  } catch {
    return undefined
  }
}
