import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'

/**
 * SHA256-RSA (RSASSA-PKCS1-v1_5) on node:crypto. Keys are parsed once into KeyObjects; parsing per call costs four to
 * six times the operation itself, and signing happens on the thread pool so that the event loop stays free
 * (performance.md A; design.md 18.1 says why not jsrsasign).
 */

const signOffLoop = promisify<string, Buffer, KeyObject, Buffer>(sign)

/** Signs text. @returns base64 without line breaks */
export async function signRsa(key: KeyObject, text: string | Buffer): Promise<string> {
  const signature = await signOffLoop('sha256', toBytes(text), key)
  return signature.toString('base64')
}

/**
 * Is this a signature of these bytes? Answers false for anything malformed: a verifier that throws past its error
 * handler has been somebody's outage (wechatpay.md 1.4, probes).
 * @param signature base64
 */
export function verifyRsa(key: KeyObject, bytes: string | Buffer, signature: string): boolean {
  if (!/^[A-Za-z0-9+/]{16,1368}={0,2}$/.test(signature)) return false
  try {
    return verify('sha256', toBytes(bytes), key, Buffer.from(signature, 'base64'))
  } catch {
    return false
  }
}

/**
 * Reads an RSA private key: PEM (PKCS#8 or PKCS#1) or bare base64 DER of either, as the providers' consoles hand them out
 * (huifu-dougong.md 2.6).
 * @throws Error naming the rule; the key material itself never appears in the message
 */
export function readPrivateKey(text: string): KeyObject {
  return readKey(text, 'private')
}

/** Reads an RSA public key: PEM or bare base64 SubjectPublicKeyInfo. @throws Error like readPrivateKey */
export function readPublicKey(text: string): KeyObject {
  return readKey(text, 'public')
}

function readKey(text: string, half: 'private' | 'public'): KeyObject {
  const key = parse(text, half)
  if (key === undefined) throw new Error(`not an RSA ${half} key: give PEM text or the bare base64 of its DER form`)
  if (key.asymmetricKeyType !== 'rsa') throw new Error(`the ${half} key is not RSA`)
  if ((key.asymmetricKeyDetails?.modulusLength ?? 0) < 2048)
    throw new Error(`the ${half} key is shorter than 2048 bits`)
  return key
}

function parse(text: string, half: 'private' | 'public'): KeyObject | undefined {
  const attempts =
    half === 'private'
      ? [
          () => createPrivateKey(text),
          () => createPrivateKey({ key: derOf(text), format: 'der', type: 'pkcs8' }),
          () => createPrivateKey({ key: derOf(text), format: 'der', type: 'pkcs1' }),
        ]
      : [() => createPublicKey(text), () => createPublicKey({ key: derOf(text), format: 'der', type: 'spki' })]
  for (const attempt of attempts) {
    try {
      return attempt()
    } catch {
      // The next form may fit; the caller reports when none does.
    }
  }
  return undefined
}

function derOf(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s/g, ''), 'base64')
}

function toBytes(text: string | Buffer): Buffer {
  return typeof text === 'string' ? Buffer.from(text, 'utf8') : text
}
