import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { parseAuthorization } from '../../src/simulators/wechat-pay/authorization.ts'
import {
  answerMessage,
  createSigning,
  launchMessage,
  open,
  requestMessage,
  seal,
  signedHeaders,
} from '../../src/simulators/wechat-pay/signing.ts'

type Keys = Record<
  | 'mchid'
  | 'merchantSerial'
  | 'platformSerial'
  | 'publicKeyId'
  | 'apiV3Key'
  | 'merchantPrivateKey'
  | 'merchantCertificate'
  | 'platformPrivateKey'
  | 'platformCertificate'
  | 'platformPublicKey',
  string
>
type RequestVector = {
  method: string
  target: string
  timestamp: string
  nonce_str: string
  body: string
  message?: string
  signature: string
  authorization?: string
}
type AnswerHeaders = Record<
  'Wechatpay-Timestamp' | 'Wechatpay-Nonce' | 'Wechatpay-Serial' | 'Wechatpay-Signature',
  string
>
type AnswerVector = { headers: AnswerHeaders; body: string; message?: string }
type Aead = { key: string; nonce: string; associated_data: string; ciphertext: string }
type NotificationVector = AnswerVector & { resource_plaintext: string; aead: Aead }
type CertificateVector = {
  aead: Omit<Aead, 'ciphertext'>
  plaintext_length: number
  plaintext_sha256: string
  ciphertext_length: number
  ciphertext_sha256: string
  ciphertext_head: string
  ciphertext_tail: string
}
type LaunchVector = {
  message: string
  params: Record<'appId' | 'timeStamp' | 'nonceStr' | 'package' | 'paySign', string>
}

/** What JSON.parse gives is taken on trust here and nowhere else: the vectors are ours. */
const vector = (name: string) => JSON.parse(readFileSync(new URL(`wechat-pay/${name}.json`, import.meta.url), 'utf8'))

const keys: Keys = vector('keys')
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

for (const fast of [false, true]) {
  describe(`WeChat Pay simulator against the dossier's vectors (${fast ? 'node:crypto' : 'jsrsasign'})`, () => {
    const signing = createSigning(fast)

    for (const name of ['a1', 'a2', 'a3', 'a4', 'a5']) {
      it(`${name}: signs and verifies the request`, () => {
        const { method, target, timestamp, nonce_str, body, ...expected }: RequestVector = vector(name)
        const message = requestMessage(method, target, timestamp, nonce_str, Buffer.from(body))
        if (expected.message !== undefined) expect(message.toString('utf8')).to.equal(expected.message)
        expect(signing.sign(message, keys.merchantPrivateKey)).to.equal(expected.signature)
        expect(signing.verify(message, expected.signature, keys.merchantCertificate)).to.equal(true)
        expect(signing.verify(`${message.toString('utf8')} `, expected.signature, keys.merchantCertificate)).to.equal(
          false,
        )
      })
    }

    it('a1: reads the Authorization header', () => {
      const { authorization, signature, timestamp, nonce_str }: RequestVector = vector('a1')
      expect(parseAuthorization(authorization)).to.deep.equal({
        mchid: keys.mchid,
        nonce: nonce_str,
        timestamp,
        serial: keys.merchantSerial,
        signature,
      })
    })

    for (const name of ['b1', 'b2', 'c1', 'c2']) {
      it(`${name}: signs and verifies the answer`, () => {
        const { headers, body, message }: AnswerVector = vector(name)
        const made = answerMessage(headers['Wechatpay-Timestamp'], headers['Wechatpay-Nonce'], body)
        if (message !== undefined) expect(made.toString('utf8')).to.equal(message)
        const key = { serial: headers['Wechatpay-Serial'], privateKey: keys.platformPrivateKey }
        expect(
          signedHeaders(signing, key, headers['Wechatpay-Timestamp'], body, headers['Wechatpay-Nonce']),
        ).to.deep.equal(headers)
        const publicKey = key.serial === keys.publicKeyId ? keys.platformPublicKey : keys.platformCertificate
        expect(signing.verify(made, headers['Wechatpay-Signature'], publicKey)).to.equal(true)
      })
    }

    for (const name of ['c1', 'c2']) {
      it(`${name}: seals and opens the resource`, () => {
        const { aead, resource_plaintext }: NotificationVector = vector(name)
        expect(aead.key).to.equal(keys.apiV3Key)
        expect(seal(resource_plaintext, aead.key, aead.nonce, aead.associated_data)).to.equal(aead.ciphertext)
        expect(open(aead.ciphertext, aead.key, aead.nonce, aead.associated_data)).to.equal(resource_plaintext)
        expect(() => open(aead.ciphertext, aead.key, aead.nonce, 'other')).to.throw()
      })
    }

    it('d1: seals the platform certificate', () => {
      const { aead, ...expected }: CertificateVector = vector('d1')
      const sealed = seal(keys.platformCertificate, aead.key, aead.nonce, aead.associated_data)
      expect(keys.platformCertificate).to.have.length(expected.plaintext_length)
      expect(sha256(keys.platformCertificate)).to.equal(expected.plaintext_sha256)
      expect(sealed).to.have.length(expected.ciphertext_length)
      expect(sha256(sealed)).to.equal(expected.ciphertext_sha256)
      expect(sealed.startsWith(expected.ciphertext_head)).to.equal(true)
      expect(sealed.endsWith(expected.ciphertext_tail)).to.equal(true)
    })

    it('f1: signs and verifies the launch parameters', () => {
      const { message, params }: LaunchVector = vector('f1')
      expect(launchMessage(params.appId, params.timeStamp, params.nonceStr, params.package)).to.equal(message)
      expect(signing.sign(message, keys.merchantPrivateKey)).to.equal(params.paySign)
      expect(signing.verify(message, params.paySign, keys.merchantCertificate)).to.equal(true)
    })

    it('g1: reports a probe as false without throwing', () => {
      const { headers, body }: AnswerVector = vector('g1')
      const message = answerMessage(headers['Wechatpay-Timestamp'], headers['Wechatpay-Nonce'], body)
      expect(signing.verify(message, headers['Wechatpay-Signature'], keys.platformCertificate)).to.equal(false)
    })
  })
}
