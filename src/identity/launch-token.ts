import { timingSafeEqual } from 'node:crypto'
import { idOf, isId } from '../core/ids.ts'
import { hmacSha256, randomToken, sha256 } from '../crypto/digest.ts'
import { deriveKey } from '../crypto/derive-key.ts'

/**
 * Launch tokens (experience.md 4.3): what a payer's mini-program is opened with. 56 characters that need no escaping in a
 * URL: a key id, base64url of order, expiry and nonce, a dot, and half of an HMAC-SHA256. Whoever holds one may see the
 * order's amount and pay it, until it expires, and nothing else.
 */

export type LaunchTokens = {
  /** @param expiresAt epoch milliseconds; the token counts whole seconds and never lives longer than this */
  issue(orderId: string, expiresAt: number): string
  /** What a token says, expired or not; undefined for anything that we did not issue. */
  read(token: string): { readonly orderId: string; readonly expiresAt: number } | undefined
}

const shape = /^[A-Za-z0-9_-]{33}\.[A-Za-z0-9_-]{22}$/
const macBytes = 16
/** Inside the MAC, so that nothing else that is ever signed with this key can pass for a launch token. */
const purpose = 'launch.v1'

/** @param secret the configured secret from which the key is derived */
export function createLaunchTokens(secret: string): LaunchTokens {
  const key = deriveKey(secret, 'launch token')
  // Names the key: a token from before the secret was replaced is told from a forged one without trying every key.
  const keyId = Buffer.from(sha256(key), 'hex').toString('base64url').slice(0, 1)
  const macOf = (signed: string) => hmacSha256(key, `${purpose}\n${signed}`).subarray(0, macBytes)
  return {
    issue(orderId, expiresAt) {
      const bytes = Buffer.alloc(24)
      ulidBytes(orderId).copy(bytes, 0)
      bytes.writeUInt32BE(Math.floor(expiresAt / 1000), 16)
      Buffer.from(randomToken(4), 'base64url').copy(bytes, 20)
      const signed = keyId + bytes.toString('base64url')
      return `${signed}.${macOf(signed).toString('base64url')}`
    },
    read(token) {
      if (!shape.test(token)) return undefined
      const signed = token.slice(0, 33)
      const mac = Buffer.from(token.slice(34), 'base64url')
      // 22 digits of base64url hold four bits more than 16 bytes: another spelling of the same MAC is not accepted.
      if (mac.toString('base64url') !== token.slice(34) || !timingSafeEqual(mac, macOf(signed))) return undefined
      const bytes = Buffer.from(signed.slice(1), 'base64url')
      const orderId = orderIdOf(bytes.subarray(0, 16))
      return isId('order', orderId) ? { orderId, expiresAt: bytes.readUInt32BE(16) * 1000 } : undefined
    },
  }
}

const digits = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** The 128 bits that the 26 Crockford digits of an id stand for. */
function ulidBytes(orderId: string): Buffer {
  if (!isId('order', orderId)) throw new TypeError('not the id of an order')
  let value = 0n
  for (const digit of orderId.slice(4)) value = value * 32n + BigInt(digits.indexOf(digit))
  return Buffer.from(value.toString(16).padStart(32, '0'), 'hex')
}

function orderIdOf(bytes: Buffer): string {
  // Five bits a digit: base 32 of BigInt counts the same way, only with other letters.
  const text = BigInt(`0x${bytes.toString('hex')}`)
    .toString(32)
    .padStart(26, '0')
  const digitOf = (letter: string) => digits[Number.parseInt(letter, 32)] ?? ''
  return idOf('order', text.replaceAll(/./g, digitOf))
}
