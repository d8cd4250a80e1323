import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

/** Digests, message authentication, comparison in constant time, and random tokens. */

/** SHA-256, lower-case hexadecimal. */
export function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}

/** MD5, upper-case hexadecimal. Only because a provider's wire format asks for it (huifu-dougong.md 2.5); proves nothing by itself. */
export function md5Upper(data: string | Buffer): string {
  return createHash('md5').update(data).digest('hex').toUpperCase()
}

/** HMAC-SHA256. */
export function hmacSha256(key: string | Buffer, data: string | Buffer): Buffer {
  return createHmac('sha256', key).update(data).digest()
}

/**
 * Are two texts equal? Both are hashed first, so that neither length nor content shows in the time it takes.
 */
export function sameSecret(a: string, b: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(a), hash(b))
}

/** Random text for URLs and headers: base64url of so many random bytes. */
export function randomToken(bytes: number): string {
  return randomBytes(bytes).toString('base64url')
}

/** A nonce of 32 upper-case hexadecimal digits (wechatpay.md 10). */
export function randomNonce(): string {
  return randomBytes(16).toString('hex').toUpperCase()
}
