import { hmacSha256 } from './digest.ts'

/**
 * Standard Webhooks signatures, version 1 (reliability.md 5.8): HMAC-SHA256 over `id.timestamp.body`, one signature for
 * every secret that is live, so that a receiver can rotate its secret without losing an event.
 */

/** Bytes of a `whsec_…` secret. @throws Error when it is not 24 to 64 bytes of base64 behind that prefix */
export function readWebhookSecret(text: string): Buffer {
  const match = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text)
  const bytes = match?.[1] === undefined ? Buffer.alloc(0) : Buffer.from(match[1], 'base64')
  if (bytes.length < 24 || bytes.length > 64) {
    throw new Error('a webhook secret is whsec_ followed by the base64 of 24 to 64 random bytes')
  }
  return bytes
}

/**
 * The value of `webhook-signature`.
 * @param secrets live secrets, newest first
 * @param timestamp Unix seconds of this attempt
 */
export function signWebhook(secrets: readonly Buffer[], id: string, timestamp: number, body: string): string {
  const text = `${id}.${String(timestamp)}.${body}`
  return secrets.map((secret) => `v1,${hmacSha256(secret, text).toString('base64')}`).join(' ')
}
