import { hkdfSync } from 'node:crypto'
import { openGcm, sealGcm } from './aes.ts'
import { randomToken } from './digest.ts'

/**
 * Keys derived from one configured secret, each under a label of its own, so that what is made with one proves nothing
 * and opens nothing under another.
 */

/** HKDF-SHA256, 32 bytes. @param label names the purpose; another label gives a key that has nothing to do with this one */
export function deriveKey(secret: string, label: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', `mortise ${label}`, 32))
}

// 72 random bits: a key seals a few texts an hour, so no two of them meet in its life.
const nonceBytes = 9

/** Seals a text as one printable text: a fresh nonce, a dot, and AES-256-GCM's ciphertext with its tag. */
export function sealText(key: Buffer, text: string): string {
  const { nonce, ciphertext } = sealGcm(key, text, randomToken(nonceBytes), 'sealed text')
  return `${nonce}.${ciphertext}`
}

/** Opens a sealed text; undefined when it was not sealed with this key, or not by us. */
export function openText(key: Buffer, sealed: string): string | undefined {
  const dot = sealed.indexOf('.')
  try {
    const parts = { nonce: sealed.slice(0, dot), ciphertext: sealed.slice(dot + 1), associatedData: 'sealed text' }
    return openGcm(key, parts).toString('utf8')
  } catch {
    return undefined
  }
}
