import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  randomBytes,
  sign,
  verify,
} from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import jsrsasign from 'jsrsasign'

/** RSASSA-PKCS1-v1_5 over SHA-256, base64. Keys are PEM text: PKCS#8, SPKI or an X.509 certificate. */
export type Signing = {
  sign(message: string | Buffer, privateKey: string): string
  /** Never throws: anything that is not a right signature is simply false (wechatpay.md 1.4, signature probing). */
  verify(message: string | Buffer, signature: string, publicKey: string): boolean
}

/** What `KEYUTIL.getKey` may return for our keys, and what a signature object is initialised with. */
type ParsedKey = ReturnType<typeof jsrsasign.KEYUTIL.getKey>

const parsed = new Map<string, ParsedKey>()

function parsedKey(pem: string): ParsedKey {
  const known = parsed.get(pem)
  if (known) return known
  const key = jsrsasign.KEYUTIL.getKey(pem)
  parsed.set(pem, key)
  return key
}

const bytesOf = (message: string | Buffer): Buffer =>
  Buffer.isBuffer(message) ? message : Buffer.from(message, 'utf8')

/** A 2048-bit signature is 256 bytes: 344 base64 characters, nothing else. */
const isSignatureText = (text: string): boolean => /^[A-Za-z0-9+/]{342}==$/.test(text)

function signature(): jsrsasign.KJUR.crypto.Signature {
  return new jsrsasign.KJUR.crypto.Signature({ alg: 'SHA256withRSA' })
}

/** The slow and independent one: every signature of the gateway crosses two implementations (design.md 14). */
const onJsrsasign: Signing = {
  sign(message, privateKey) {
    const signer = signature()
    signer.init(parsedKey(privateKey))
    signer.updateHex(bytesOf(message).toString('hex'))
    return Buffer.from(signer.sign(), 'hex').toString('base64')
  },
  verify(message, text, publicKey) {
    if (!isSignatureText(text)) return false
    try {
      const verifier = signature()
      verifier.init(parsedKey(publicKey))
      verifier.updateHex(bytesOf(message).toString('hex'))
      return verifier.verify(Buffer.from(text, 'base64').toString('hex'))
    } catch {
      return false
    }
  },
}

const nodeKeys = new Map<string, KeyObject>()

function nodeKey(pem: string, make: (pem: string) => KeyObject): KeyObject {
  const known = nodeKeys.get(pem)
  if (known) return known
  const key = make(pem)
  nodeKeys.set(pem, key)
  return key
}

/** For load tests only: jsrsasign needs tens of milliseconds for a signature. */
const onNode: Signing = {
  sign: (message, privateKey) =>
    sign('RSA-SHA256', bytesOf(message), nodeKey(privateKey, createPrivateKey)).toString('base64'),
  verify: (message, text, publicKey) =>
    isSignatureText(text) &&
    verify('RSA-SHA256', bytesOf(message), nodeKey(publicKey, createPublicKey), Buffer.from(text, 'base64')),
}

/** Chooses the implementation; `fastCrypto` gives up the independence of the second one. */
export const createSigning = (fastCrypto = false): Signing => (fastCrypto ? onNode : onJsrsasign)

/** The five lines of a request, each ended by LF (wechatpay.md 1.3). */
export const requestMessage = (
  method: string,
  target: string,
  timestamp: string,
  nonce: string,
  body: Buffer,
): Buffer =>
  Buffer.concat([Buffer.from(`${method}\n${target}\n${timestamp}\n${nonce}\n`, 'utf8'), body, Buffer.from('\n')])

/** The three lines of an answer or a notification (wechatpay.md 1.4). */
export const answerMessage = (timestamp: string, nonce: string, body: string | Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${timestamp}\n${nonce}\n`, 'utf8'), bytesOf(body), Buffer.from('\n')])

/** The four lines of a JSAPI or mini-program launch (wechatpay.md 3.1). */
export const launchMessage = (appid: string, timestamp: string, nonce: string, packageText: string): string =>
  `${appid}\n${timestamp}\n${nonce}\n${packageText}\n`

/** AEAD_AES_256_GCM (wechatpay.md 1.8): base64 of ciphertext followed by the 16-byte tag. */
export function seal(plaintext: string, key: string, nonce: string, associatedData: string): string {
  const cipher = createCipheriv('aes-256-gcm', Buffer.from(key, 'utf8'), Buffer.from(nonce, 'utf8'), {
    authTagLength: 16,
  })
  cipher.setAAD(Buffer.from(associatedData, 'utf8'))
  return Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64')
}

/**
 * Opens what `seal` made.
 * @throws Error when the text was not sealed with this key, nonce and associated data
 */
export function open(ciphertext: string, key: string, nonce: string, associatedData: string): string {
  const bytes = Buffer.from(ciphertext, 'base64')
  if (bytes.length < 16) throw new Error('ciphertext is shorter than its tag')
  const decipher = createDecipheriv('aes-256-gcm', Buffer.from(key, 'utf8'), Buffer.from(nonce, 'utf8'), {
    authTagLength: 16,
  })
  decipher.setAAD(Buffer.from(associatedData, 'utf8'))
  decipher.setAuthTag(bytes.subarray(bytes.length - 16))
  return Buffer.concat([decipher.update(bytes.subarray(0, bytes.length - 16)), decipher.final()]).toString('utf8')
}

/** A deliberately wrong signature, recognisable for logging and never to be accepted (wechatpay.md 1.4). */
export const probeSignature = (): string => `WECHATPAY/SIGNTEST/${randomBytes(64).toString('base64')}`

export const randomNonce = (): string => randomBytes(16).toString('hex')

/** The five headers of a signed answer or notification. */
export function signedHeaders(
  signing: Signing,
  key: { serial: string; privateKey: string },
  timestamp: string,
  body: string | Buffer,
  nonce = randomNonce(),
): Record<string, string> {
  return {
    'Wechatpay-Timestamp': timestamp,
    'Wechatpay-Nonce': nonce,
    'Wechatpay-Signature': signing.sign(answerMessage(timestamp, nonce, body), key.privateKey),
    'Wechatpay-Serial': key.serial,
    'Wechatpay-Signature-Type': 'WECHATPAY2-SHA256-RSA2048',
  }
}
