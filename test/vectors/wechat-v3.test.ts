import { createPublicKey, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import type { Fact } from '../../src/core/fact.ts'
import { NotificationRejected, type NotificationMessage } from '../../src/core/provider.ts'
import type { Transport, WireRequest } from '../../src/core/transport.ts'
import { openGcm, sealGcm } from '../../src/crypto/aes.ts'
import { readCertificate } from '../../src/crypto/certificate.ts'
import { sha256 } from '../../src/crypto/digest.ts'
import { readPrivateKey, readPublicKey, signRsa } from '../../src/crypto/rsa.ts'
import { direct } from '../../src/providers/wechat-v3/direct.ts'
import { jsapiInvocation } from '../../src/providers/wechat-v3/invocation.ts'
import { wechatV3 } from '../../src/providers/wechat-v3/provider.ts'
import { authorization, checkSignature } from '../../src/providers/wechat-v3/signature.ts'

/** The published examples of wechatpay.md 7.8 against the adapter's own code. */

type Json = Record<string, unknown>

function vector(name: string): Json {
  const value: unknown = JSON.parse(readFileSync(new URL(`wechat-pay/${name}.json`, import.meta.url), 'utf8'))
  return value as Json
}

function text(holder: unknown, ...path: string[]): string {
  let at: unknown = holder
  for (const name of path) at = at !== null && typeof at === 'object' ? Reflect.get(at, name) : undefined
  if (typeof at !== 'string') throw new Error(`no text at ${path.join('.')}`)
  return at
}

function headersOf(of: Json): Record<string, string> {
  const entries = Object.entries(of['headers'] ?? {}).map(
    ([name, value]) => [name.toLowerCase(), String(value)] as const,
  )
  return Object.fromEntries(entries)
}

const keys = vector('keys')
const signer = {
  mchid: text(keys, 'mchid'),
  serial: text(keys, 'merchantSerial'),
  privateKey: readPrivateKey(text(keys, 'merchantPrivateKey')),
}
const settings = {
  mchid: signer.mchid,
  serial: signer.serial,
  privateKey: text(keys, 'merchantPrivateKey'),
  apiV3Key: text(keys, 'apiV3Key'),
  keyMode: 'both',
  bothUntil: '2043-01-01T00:00:00+08:00',
  wechatKey: { id: text(keys, 'publicKeyId'), publicKey: text(keys, 'platformPublicKey') },
  methods: { wechat_jsapi: { appid: 'wx8888888888888888' } },
}

/** Hands out the certificate list of vector D1 and records what was asked. */
function platform(asked: WireRequest[], now: number): Transport {
  return async (request) => {
    asked.push(request)
    const list = {
      data: [
        {
          serial_no: text(keys, 'platformSerial'),
          encrypt_certificate: {
            algorithm: 'AEAD_AES_256_GCM',
            ...(vector('d1')['aead'] as Json),
            ciphertext: sealGcm(
              Buffer.from(settings.apiV3Key),
              text(keys, 'platformCertificate'),
              '61f9c719728a',
              'certificate',
            ).ciphertext,
          },
        },
      ],
    }
    const body = JSON.stringify(list)
    const timestamp = String(Math.floor(now / 1000))
    const signature = await signRsa(readPrivateKey(text(keys, 'platformPrivateKey')), `${timestamp}\nn\n${body}\n`)
    const headers = {
      'wechatpay-timestamp': timestamp,
      'wechatpay-nonce': 'n',
      'wechatpay-serial': text(keys, 'platformSerial'),
      'wechatpay-signature': signature,
    }
    return { status: 200, headers, body: Buffer.from(body) }
  }
}

function channelAt(seconds: number, asked: WireRequest[] = []) {
  const now = seconds * 1000
  const quiet = (): void => undefined
  return wechatV3(direct)(settings, {
    transport: platform(asked, now),
    now: () => now,
    log: { info: quiet, warn: quiet, error: quiet },
    timeScale: 1,
    sandbox: false,
  })
}

function messageOf(of: Json, seconds: number): NotificationMessage {
  return {
    door: 'notify',
    query: {},
    headers: headersOf(of),
    body: Buffer.from(text(of, 'body'), 'utf8'),
    receivedAt: seconds * 1000,
  }
}

describe('WeChat Pay vectors, wechatpay.md 7.8', () => {
  for (const name of ['a1', 'a2', 'a3', 'a4', 'a5']) {
    it(`${name.toUpperCase()}: signs the request`, async () => {
      const of = vector(name)
      const method = text(of, 'method') === 'GET' ? 'GET' : 'POST'
      const body = text(of, 'body')
      const request = { method, target: text(of, 'target'), ...(body === '' ? {} : { body }) } as const
      const header = await authorization(signer, request, Number(text(of, 'timestamp')), text(of, 'nonce_str'))
      expect(header).to.contain(`signature="${text(of, 'signature')}"`)
      if (name === 'a1') expect(header).to.equal(text(of, 'authorization'))
    })
  }

  it('A2 to A4: builds the targets', () => {
    expect(direct.queryByNumber('1900000109', 'SIM20251009000001')).to.equal(text(vector('a2'), 'target'))
    expect(direct.queryByNumber('1900000109', 'SIM|20251009')).to.equal(text(vector('a3'), 'target'))
    expect(direct.close('SIM20251009000001')).to.equal(text(vector('a4'), 'target'))
    expect(JSON.stringify(direct.closeIdentity('1900000109'))).to.equal(text(vector('a4'), 'body'))
    expect(direct.refund).to.equal(text(vector('a5'), 'target'))
  })

  const certificate = readCertificate(text(keys, 'platformCertificate'))
  const known = new Map<string, KeyObject>([
    [certificate.serial, certificate.publicKey],
    [text(keys, 'publicKeyId'), readPublicKey(text(keys, 'platformPublicKey'))],
  ])
  const keyFor = (serial: string): KeyObject | undefined => known.get(serial)

  it('reads the platform certificate under its serial', () => {
    expect(certificate.serial).to.equal(text(keys, 'platformSerial'))
    expect(createPublicKey(text(keys, 'platformPublicKey')).equals(certificate.publicKey)).to.equal(true)
  })

  for (const name of ['b1', 'b2', 'c1', 'c2', 'c3']) {
    it(`${name.toUpperCase()}: verifies, and no longer after one changed byte`, async () => {
      const of = vector(name)
      const headers = headersOf(of)
      const body = Buffer.from(text(of, 'body'), 'utf8')
      const now = Number(headers['wechatpay-timestamp']) * 1000
      expect(await checkSignature(headers, body, keyFor, now)).to.equal(undefined)
      expect(await checkSignature(headers, Buffer.concat([body, Buffer.from(' ')]), keyFor, now)).to.equal('signature')
    })
  }

  it('G1: a probe is refused and recognised', async () => {
    const of = vector('g1')
    const fault = await checkSignature(headersOf(of), Buffer.from(text(of, 'body')), keyFor, 1_760_000_001_000)
    expect(fault).to.equal('probe')
    const probe = await channelAt(1_760_000_001)
      .readNotification(messageOf(of, 1_760_000_001))
      .then(
        () => undefined,
        (error: unknown) => error,
      )
    expect(probe).to.be.instanceOf(NotificationRejected).with.property('why', 'probe')
  })

  it('D1: opens the certificate entry', () => {
    const of = vector('d1')
    const key = Buffer.from(text(of, 'aead', 'key'))
    const pem = text(keys, 'platformCertificate')
    const sealed = sealGcm(key, pem, text(of, 'aead', 'nonce'), 'certificate')
    expect(sha256(pem)).to.equal(text(of, 'plaintext_sha256'))
    expect(sealed.ciphertext.slice(0, 48)).to.equal(text(of, 'ciphertext_head'))
    expect(sealed.ciphertext.slice(-48)).to.equal(text(of, 'ciphertext_tail'))
    expect(sha256(Buffer.from(sealed.ciphertext))).to.equal(text(of, 'ciphertext_sha256'))
    expect(openGcm(key, sealed).toString('utf8')).to.equal(pem)
  })

  it('C1: becomes a payment fact, with the certificate fetched on the way', async () => {
    const asked: WireRequest[] = []
    const read = await channelAt(1_760_000_042, asked).readNotification(messageOf(vector('c1'), 1_760_000_042))
    const facts: Fact[] = [
      {
        about: 'payment',
        paymentId: 'SIM20251009000001',
        seen: 'succeeded',
        amount: { amount: 100, currency: 'CNY' },
        payerAmount: { amount: 100, currency: 'CNY' },
        transactionId: '4200000000202510090000000001',
        payerTransactionId: '4200000000202510090000000001',
        occurredAt: Date.parse('2025-10-09T16:54:01+08:00'),
        detail: '支付成功',
      },
    ]
    expect(read).to.deep.equal({
      eventId: '3f6a1c58-9b0e-5d27-8c41-1f2e3d4c5b6a',
      standing: 'evidence',
      facts,
      reply: { status: 204, contentType: 'application/json', body: '' },
    })
    expect(asked.map((request) => request.url)).to.deep.equal(['https://api.mch.weixin.qq.com/v3/certificates'])
  })

  it('C2: becomes a refund fact', async () => {
    const read = await channelAt(1_760_000_222).readNotification(messageOf(vector('c2'), 1_760_000_222))
    expect(read.facts).to.deep.equal([
      {
        about: 'refund',
        refundId: 'SIMR20251009000001',
        paymentId: 'SIM20251009000001',
        seen: 'succeeded',
        submissionNumber: 'SIMR20251009000001',
        amount: { amount: 40, currency: 'CNY' },
        providerRefundId: '50300000002025100900000000001',
        occurredAt: Date.parse('2025-10-09T16:57:01+08:00'),
        detail: 'SUCCESS',
      },
    ])
  })

  it('F1: signs the launch parameters', async () => {
    const params = vector('f1')['params'] as Json
    const invocation = await jsapiInvocation(
      signer.privateKey,
      'wx8888888888888888',
      'wx09165320000000e0f3d8a1b2c3d4e50000',
      1_760_000_002,
      '5K8264ILTKCH16CQ2502SI8ZNMTM67VS',
    )
    expect(invocation).to.deep.equal({ kind: 'jsapi', ...params })
  })
})
