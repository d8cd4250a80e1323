import type { Fact } from '../../core/fact.ts'
import { idFromProviderNumber } from '../../core/ids.ts'
import { NotificationRejected, type Notification, type NotificationMessage, type Reply } from '../../core/provider.ts'
import { sha256 } from '../../crypto/digest.ts'
import { verifyRsa } from '../../crypto/rsa.ts'
import { readConsole } from './console-webhook.ts'
import { strictText } from './envelope.ts'
import { paymentFactOf, refundFactOf } from './facts.ts'
import { readForm } from './form.ts'
import { firstText, parseLossless, textOf, type JsonObject } from './lossless.ts'
import { isHosted, type HuifuSettings } from './settings.ts'

/**
 * Messages from Huifu. The door decides the verifier, never the message: RSA over the exact `resp_data` at the
 * notification door, MD5 with the terminal key at the console door (design.md 20.6; reliability.md T08).
 */

const largest_bytes = 256 * 1024
const safeNumber = /^[A-Za-z0-9_-]{1,128}$/

/** Makes the reader of one channel. It never touches the network. */
export function notificationReader(settings: HuifuSettings): (message: NotificationMessage) => Promise<Notification> {
  // A reader that is async throws only by rejecting, which is what the port promises.
  // oxlint-disable-next-line typescript/require-await
  return async (message) => {
    if (message.body.length > largest_bytes) throw new NotificationRejected('malformed', 'the body is too large')
    return message.door === 'console' ? readConsole(settings, message) : readNotice(settings, message)
  }
}

/** huifu-dougong.md 13.6 and reliability.md 5.5: verify, parse, match the channel, state facts. */
function readNotice(settings: HuifuSettings, message: NotificationMessage): Notification {
  const { respData, sign } = signedPart(message)
  if (!verifyRsa(settings.huifuPublicKey, respData, sign)) {
    throw new NotificationRejected('signature', 'the signature does not verify over resp_data')
  }
  const data = objectFrom(respData)
  if (data === undefined) throw new NotificationRejected('malformed', 'resp_data is not one JSON object')
  // A hosted close has no req_seq_id of its own (huifu-dougong.md 13.5).
  const number = firstText(data, 'req_seq_id', 'org_req_seq_id')
  if (number === undefined || !safeNumber.test(number)) {
    throw new NotificationRejected('malformed', 'resp_data has no usable req_seq_id')
  }
  const kind = kindOf(data)
  const eventId = sha256(`${kind}\n${respData}`)
  const reply = acknowledgement(number)
  const mismatch = mismatchOf(settings, data)
  if (mismatch !== undefined) return { eventId, standing: 'evidence', facts: [], mismatch, reply }
  const fact = factOf(kind, data, number)
  if (fact === undefined) return { eventId, standing: 'evidence', facts: [], reply }
  // The signature covers no time, so a captured message is genuine for ever (design.md 18.9, reliability.md T10).
  // A hosted order's query says nothing of crediting, so its account notification is the only witness there is (11.2).
  const onlyWitness = kind === 'payment.2' && isHosted(settings, 'wechat_mini') && isMini(data)
  if (settings.confirm === 'before' && !onlyWitness) return { eventId, standing: 'hint', facts: [fact], reply }
  return { eventId, standing: 'evidence', confirm: true, facts: [fact], reply }
}

function isMini(data: JsonObject): boolean {
  return firstText(data, 'trans_type', 'trade_type') === 'T_MINIAPP'
}

type Kind = 'payment.1' | 'payment.2' | 'unfreeze' | 'refund' | 'other'

/** huifu-dougong.md 13.2. `notify_type` is a number in life and text in a guide; textOf makes them one. */
function kindOf(data: JsonObject): Kind {
  switch (textOf(data, 'notify_type')) {
    case '1':
      return 'payment.1'
    case '2':
      return 'payment.2'
    case '3':
      return 'unfreeze'
    case undefined:
      return firstText(data, 'trans_type', 'trade_type') === 'TRANS_REFUND' ? 'refund' : 'other'
    default:
      return 'other'
  }
}

/** Unfreezing, splits and configuration are kept and shown, and move no status (design.md 20.6). */
function factOf(kind: Kind, data: JsonObject, number: string): Fact | undefined {
  if (kind === 'payment.1' || kind === 'payment.2') {
    // A number that is not ours keeps its own spelling: the flow finds no row and puts it before a person.
    return paymentFactOf(data, idFromProviderNumber('payment', number) ?? number)
  }
  if (kind !== 'refund') return undefined
  const original = textOf(data, 'org_req_seq_id')
  const paymentId = original === undefined ? undefined : idFromProviderNumber('payment', original)
  const refundId = idFromProviderNumber('refund', number) ?? number
  return refundFactOf(data, { refundId, paymentId, submissionNumber: number }, 'hf_seq_id')
}

/** Huifu's key is shared by all its merchants: a genuine message may be somebody else's (reliability.md T11). */
function mismatchOf(settings: HuifuSettings, data: JsonObject): string | undefined {
  if (textOf(data, 'huifu_id') !== settings.huifuId) return 'huifu_id is not this channel’s'
  const productId = textOf(data, 'product_id')
  return productId === undefined || productId === settings.productId ? undefined : 'product_id is not this channel’s'
}

/** huifu-dougong.md 13.1: exactly this text, nothing around it. The number is verified and safe by now. */
function acknowledgement(number: string): Reply {
  return { status: 200, contentType: 'text/plain; charset=utf-8', body: `RECV_ORD_ID_${number}` }
}

/** `resp_data` and `sign`, each exactly once, from a form or defensively from JSON (huifu-dougong.md 13.1). */
function signedPart(message: NotificationMessage): { readonly respData: string; readonly sign: string } {
  const type = message.headers['content-type'] ?? ''
  const isJson = /^\s*application\/json\b/i.test(type) || (type === '' && message.body[0] === 0x7b)
  const [respData, sign] = isJson ? fromJson(message.body) : fromForm(message.body)
  if (respData === undefined || respData === '' || sign === undefined || sign === '') {
    throw new NotificationRejected('malformed', 'resp_data and sign must each be there exactly once')
  }
  return { respData, sign }
}

function fromForm(body: Buffer): readonly [string | undefined, string | undefined] {
  const fields = readForm(body)
  const only = (name: string): string | undefined => {
    const values = fields?.get(name)
    return values?.length === 1 ? values[0] : undefined
  }
  return [only('resp_data'), only('sign')]
}

function fromJson(body: Buffer): readonly [string | undefined, string | undefined] {
  const outer = objectFrom(strictText(body))
  const only = (name: string): string | undefined => {
    const member = outer?.members.get(name)
    // Only text: an object would have to be serialised again, and then it is no longer what was signed.
    return member?.kind === 'text' ? member.text : undefined
  }
  return [only('resp_data'), only('sign')]
}

function objectFrom(text: string | undefined): JsonObject | undefined {
  if (text === undefined) return undefined
  try {
    const value = parseLossless(text)
    return value.kind === 'object' ? value : undefined
  } catch {
    return undefined
  }
}
