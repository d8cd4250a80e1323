import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import jsrsasign from 'jsrsasign'

/**
 * SHA256WithRSA and the webhook's MD5. The slow side runs on jsrsasign, so that every signature the gateway makes or
 * checks crosses two independent implementations; the fast side is for load tests (huifu-dougong.md 2.1, 2.5).
 */
export type Signing = {
  /** Base64 signature over exactly these characters as UTF-8, with the simulator's Huifu key. */
  sign(text: string): string
  /** Whether the merchant's key made this base64 signature over exactly these characters. */
  verify(text: string, signature: string): boolean
  /** Upper-case hex MD5 of the raw body followed by the endpoint's key. */
  webhookSign(body: string, key: string): string
}

/** Keys as bare base64: PKCS#8 for the private one, SubjectPublicKeyInfo for the public one (huifu-dougong.md 2.6). */
export type SigningKeys = { readonly privateKey: string; readonly publicKey: string }

/** Base64 of one RSA-2048 signature: 344 characters, padded, no line breaks. */
const SIGNATURE = /^[A-Za-z0-9+/]{342}==$/

const armour = (label: string, base64: string): string =>
  `-----BEGIN ${label}-----\n${(base64.replace(/\s/g, '').match(/.{1,64}/g) ?? []).join('\n')}\n-----END ${label}-----\n`

const hexOf = (text: string): string => Buffer.from(text, 'utf8').toString('hex')

/** Makes the signer and verifier for one pair of keys. Throws when a key cannot be read. */
export function createSigning(keys: SigningKeys, fastCrypto: boolean): Signing {
  return fastCrypto ? onNode(keys) : onJsrsasign(keys)
}

function onNode(keys: SigningKeys): Signing {
  const privateKey = createPrivateKey({
    key: Buffer.from(keys.privateKey, 'base64'),
    format: 'der',
    type: 'pkcs8',
  })
  const publicKey = createPublicKey({ key: Buffer.from(keys.publicKey, 'base64'), format: 'der', type: 'spki' })
  return {
    sign: (text) => sign('sha256', Buffer.from(text, 'utf8'), privateKey).toString('base64'),
    verify: (text, signature) =>
      SIGNATURE.test(signature) &&
      verify('sha256', Buffer.from(text, 'utf8'), publicKey, Buffer.from(signature, 'base64')),
    webhookSign: (body, key) =>
      createHash('md5')
        .update(body + key, 'utf8')
        .digest('hex')
        .toUpperCase(),
  }
}

function onJsrsasign(keys: SigningKeys): Signing {
  const privateKey = rsaKey(armour('PRIVATE KEY', keys.privateKey))
  const publicKey = rsaKey(armour('PUBLIC KEY', keys.publicKey))
  return {
    sign(text) {
      const signer = new jsrsasign.KJUR.crypto.Signature({ alg: 'SHA256withRSA' })
      signer.init(privateKey)
      signer.updateHex(hexOf(text))
      return Buffer.from(signer.sign(), 'hex').toString('base64')
    },
    verify(text, signature) {
      if (!SIGNATURE.test(signature)) return false
      const verifier = new jsrsasign.KJUR.crypto.Signature({ alg: 'SHA256withRSA' })
      verifier.init(publicKey)
      verifier.updateHex(hexOf(text))
      return verifier.verify(Buffer.from(signature, 'base64').toString('hex'))
    },
    webhookSign(body, key) {
      const digest = new jsrsasign.KJUR.crypto.MessageDigest({ alg: 'md5', prov: 'cryptojs' })
      digest.updateHex(hexOf(body + key))
      return digest.digest().toUpperCase()
    },
  }
}

function rsaKey(pem: string): jsrsasign.RSAKey {
  const key = jsrsasign.KEYUTIL.getKey(pem)
  if (!(key instanceof jsrsasign.RSAKey)) throw new TypeError('an RSA key is needed')
  return key
}

let walletKey: string | undefined

/**
 * `paySign` of a `pay_info`: in reality WeChat's partner signs it, so neither Huifu's nor the merchant's key will do.
 * One throw-away key per process is enough, because nobody but the wallet could check it (huifu-dougong.md 4.8).
 */
export function signForWallet(text: string): string {
  walletKey ??= generateKeyPairSync('rsa', { modulusLength: 2048 })
    .privateKey.export({ format: 'pem', type: 'pkcs8' })
    .toString()
  return sign('sha256', Buffer.from(text, 'utf8'), walletKey).toString('base64')
}
