import type { KeyObject } from 'node:crypto'
import { signRsa, verifyRsa } from '../../crypto/rsa.ts'

/** The request signature and the check of everything received, WECHATPAY2-SHA256-RSA2048 (wechatpay.md 1.3, 1.4). */

const scheme = 'WECHATPAY2-SHA256-RSA2048'
const probePrefix = 'WECHATPAY/SIGNTEST/'
const window_ms = 300_000

export type Signer = { readonly mchid: string; readonly serial: string; readonly privateKey: KeyObject }
export type Signable = { readonly method: 'GET' | 'POST'; readonly target: string; readonly body?: string }

/**
 * The value of `Authorization` (wechatpay.md 1.3).
 * @param timestamp Unix seconds
 */
export async function authorization(
  signer: Signer,
  request: Signable,
  timestamp: number,
  nonce: string,
): Promise<string> {
  const message = `${request.method}\n${request.target}\n${String(timestamp)}\n${nonce}\n${request.body ?? ''}\n`
  const signature = await signRsa(signer.privateKey, message)
  const parts = [
    `mchid="${signer.mchid}"`,
    `nonce_str="${nonce}"`,
    `timestamp="${String(timestamp)}"`,
    `serial_no="${signer.serial}"`,
    `signature="${signature}"`,
  ]
  return `${scheme} ${parts.join(',')}`
}

export type SignedHeaders = {
  readonly timestamp: string
  readonly nonce: string
  readonly serial: string
  readonly signature: string
}

export type Fault = 'missing' | 'type' | 'stale' | 'serial' | 'signature' | 'probe'

// A header received twice arrives joined with ", "; none of these grammars admits a comma or a blank, so a doubled
// value is refused rather than half believed (wechatpay.md 10).
const grammars = {
  timestamp: /^\d{1,12}$/,
  nonce: /^[\x21-\x2b\x2d-\x7e]{1,128}$/,
  serial: /^[A-Za-z0-9_]{1,64}$/,
  signature: /^[A-Za-z0-9+/]{1,1368}={0,2}$/,
} as const

/** The four headers, or undefined when one is missing, empty, doubled or malformed. */
export function signedHeaders(headers: Readonly<Record<string, string | undefined>>): SignedHeaders | undefined {
  const pick = (name: keyof typeof grammars): string | undefined => {
    const value = headers[`wechatpay-${name}`]
    return value !== undefined && grammars[name].test(value) ? value : undefined
  }
  const [timestamp, nonce, serial, signature] = [pick('timestamp'), pick('nonce'), pick('serial'), pick('signature')]
  if (timestamp === undefined || nonce === undefined || serial === undefined || signature === undefined)
    return undefined
  return { timestamp, nonce, serial, signature }
}

/**
 * Checks the signature of an answer or notification, in the order of reliability.md 5.5, steps 2 to 6.
 * Never throws for anything received; a verifier that does has been somebody's outage (wechatpay.md 1.4).
 * @param body the exact bytes
 * @param keyFor the key of exactly this serial; nothing in the message can widen the choice (T02)
 * @param now epoch milliseconds
 * @returns undefined when genuine, otherwise what is wrong
 */
export async function checkSignature(
  headers: Readonly<Record<string, string | undefined>>,
  body: Buffer,
  keyFor: (serial: string) => KeyObject | undefined | Promise<KeyObject | undefined>,
  now: number,
): Promise<Fault | undefined> {
  const signed = signedHeaders(headers)
  if (signed === undefined) return 'missing'
  // Absent means the same default (wechatpay.md 1.4); the message never chooses an algorithm (T07).
  if ((headers['wechatpay-signature-type'] ?? scheme) !== scheme) return 'type'
  if (Math.abs(now - Number.parseInt(signed.timestamp, 10) * 1000) > window_ms) return 'stale'
  // Told apart for the log only; it is refused like any wrong signature, and cannot make us fetch certificates.
  if (signed.signature.startsWith(probePrefix)) return 'probe'
  const key = await keyFor(signed.serial)
  if (key === undefined) return 'serial'
  const head = Buffer.from(`${signed.timestamp}\n${signed.nonce}\n`, 'utf8')
  return verifyRsa(key, Buffer.concat([head, body, Buffer.from('\n')]), signed.signature) ? undefined : 'signature'
}
