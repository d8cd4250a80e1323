import type { KeyObject } from 'node:crypto'
import { signRsa, verifyRsa } from '../../crypto/rsa.ts'
import { canonical, parseLossless, type JsonObject } from './lossless.ts'

/**
 * The envelope around every call: sys_id, product_id, data, sign. Only `data` is signed (huifu-dougong.md 1.4, 2.1).
 */

/** Members of `data` before sending. Scalars only: nested values travel as JSON text, so that sorting never reaches them. */
export type Data = Readonly<Record<string, string | undefined>>

/**
 * The canonical text of a request. Empty members are dropped: an empty `channel_no` alone leads to "no usable channel
 * configured on this route" (huifu-dougong.md 2.2).
 */
export function canonicalData(data: Data): string {
  const members = Object.entries(data)
    .filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== '')
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return `{${members.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`
}

/**
 * Signs and wraps a request. The bytes signed are the bytes sent; the result is the same for the same input, because
 * RSASSA-PKCS1-v1_5 has no randomness.
 */
export async function seal(
  caller: { readonly sysId: string; readonly productId: string },
  key: KeyObject,
  data: Data,
): Promise<string> {
  const signed = canonicalData(data)
  const sign = await signRsa(key, signed)
  const [sysId, productId, signature] = [caller.sysId, caller.productId, sign].map((text) => JSON.stringify(text))
  return `{"sys_id":${sysId},"product_id":${productId},"data":${signed},"sign":${signature}}`
}

export type Opened =
  | { readonly state: 'verified'; readonly data: JsonObject }
  /** No signature at all: a gateway's failure page, never business evidence (huifu-dougong.md 1.5). */
  | { readonly state: 'unsigned'; readonly outer: JsonObject; readonly data: JsonObject | undefined }
  | { readonly state: 'forged' }
  | { readonly state: 'unreadable' }

/**
 * Opens an answer. The signature is checked over the exact text of `data` as received, then over its canonical text,
 * because Huifu promises only the latter (huifu-dougong.md 2.3); anything else fails closed.
 */
export function open(body: Buffer, key: KeyObject): Opened {
  const text = strictText(body)
  if (text === undefined) return { state: 'unreadable' }
  let outer
  try {
    outer = parseLossless(text)
  } catch {
    return { state: 'unreadable' }
  }
  if (outer.kind !== 'object') return { state: 'unreadable' }
  const data = outer.members.get('data')
  const sign = outer.members.get('sign')
  if (
    sign === undefined ||
    (sign.kind === 'text' && sign.text === '') ||
    (sign.kind === 'literal' && sign.text === 'null')
  ) {
    return { state: 'unsigned', outer, data: data?.kind === 'object' ? data : undefined }
  }
  if (sign.kind !== 'text' || data?.kind !== 'object') return { state: 'forged' }
  const genuine =
    verifyRsa(key, text.slice(data.from, data.to), sign.text) || verifyRsa(key, canonical(data), sign.text)
  return genuine ? { state: 'verified', data } : { state: 'forged' }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Bytes as UTF-8, or undefined where they are not: a lenient decoder would make two messages out of one. */
export function strictText(bytes: Buffer): string | undefined {
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}
