import { createCipheriv, createDecipheriv } from 'node:crypto'

/**
 * AES-256-GCM as WeChat Pay uses it for notifications and certificates (wechatpay.md 1.8): the key is the 32 bytes of a
 * text, the nonce 12 bytes, the last 16 bytes of the ciphertext are the tag.
 */

const tagBytes = 16
const nonceBytes = 12

export type Sealed = {
  /** base64 of ciphertext followed by the tag. */
  readonly ciphertext: string
  readonly nonce: string
  readonly associatedData: string
}

/**
 * Opens a sealed text. Node accepts shorter tags unless told the length, and hands out plaintext before it has checked
 * the tag (reliability.md 0.1, point 9); both are closed off here, and nothing is returned before `final()`.
 * @param key 32 bytes
 * @throws Error when anything is malformed or does not authenticate; the message says no more than that
 */
export function openGcm(key: Buffer, sealed: Sealed): Buffer {
  const nonce = Buffer.from(sealed.nonce, 'utf8')
  const aad = Buffer.from(sealed.associatedData, 'utf8')
  const bytes = Buffer.from(sealed.ciphertext, 'base64')
  if (key.length !== 32 || nonce.length !== nonceBytes || aad.length > 16 || bytes.length <= tagBytes) {
    throw new Error('sealed text cannot be opened')
  }
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes })
    decipher.setAAD(aad)
    decipher.setAuthTag(bytes.subarray(-tagBytes))
    const head = decipher.update(bytes.subarray(0, -tagBytes))
    return Buffer.concat([head, decipher.final()])
  } catch {
    throw new Error('sealed text cannot be opened')
  }
}

/** Seals a text in the same form. @param nonce 12 ASCII characters, never used twice with one key */
export function sealGcm(key: Buffer, plaintext: string, nonce: string, associatedData: string): Sealed {
  const cipher = createCipheriv('aes-256-gcm', key, Buffer.from(nonce, 'utf8'), { authTagLength: tagBytes })
  cipher.setAAD(Buffer.from(associatedData, 'utf8'))
  const body = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final(), cipher.getAuthTag()])
  return { ciphertext: body.toString('base64'), nonce, associatedData }
}
