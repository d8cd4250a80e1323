import { expect } from 'chai'
import { createPrivateKey, createPublicKey, createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { signRsa, verifyRsa } from '../../src/crypto/rsa.ts'
import { md5Upper } from '../../src/crypto/digest.ts'
import { canonicalData, open, seal } from '../../src/providers/huifu/envelope.ts'
import { invocationOf } from '../../src/providers/huifu/invocation.ts'
import { canonical, parseLossless, textOf } from '../../src/providers/huifu/lossless.ts'
import { notificationReader } from '../../src/providers/huifu/notification.ts'
import { readSettings } from '../../src/providers/huifu/settings.ts'
import type { NotificationMessage } from '../../src/core/provider.ts'

/** Published vectors (huifu-dougong.md Appendix A): the third witness beside adapter and simulator. */

function vector<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`huifu/${name}.json`, import.meta.url), 'utf8')) as T
}

type Signed = { readonly canonical: string; readonly sign: string }
const keys = vector<Record<'merchant' | 'huifu', { privateKey: string; publicKey: string }>>('keys')
const privateOf = (text: string) => createPrivateKey({ key: Buffer.from(text, 'base64'), format: 'der', type: 'pkcs8' })
const publicOf = (text: string) => createPublicKey({ key: Buffer.from(text, 'base64'), format: 'der', type: 'spki' })
const merchant = { private: privateOf(keys.merchant.privateKey), public: publicOf(keys.merchant.publicKey) }
const huifu = { private: privateOf(keys.huifu.privateKey), public: publicOf(keys.huifu.publicKey) }

const settings = readSettings(
  {
    sysId: '6666000100000000',
    productId: 'YYZY',
    huifuId: '6666000100000001',
    privateKey: keys.merchant.privateKey,
    huifuPublicKey: keys.huifu.publicKey,
    webhookKey: '0123456789abcdef0123456789ABCDEF',
    confirm: 'after',
    methods: { wechat_jsapi: { appid: 'wx0000000000000001' } },
  },
  false,
)
const read = notificationReader(settings)

function message(body: string, more: Partial<NotificationMessage> = {}): NotificationMessage {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  return { door: 'notify', query: {}, headers, body: Buffer.from(body), receivedAt: 0, ...more }
}

describe('huifu vectors', () => {
  const v1 = vector<Signed & { input: string; bytes: number; sha256: string }>('v1')

  it('V1: the create request has exactly the published canonical text and signature', async () => {
    const data = JSON.parse(v1.input) as Record<string, string>
    expect(canonicalData(data)).to.equal(v1.canonical)
    expect(canonical(parseLossless(v1.input))).to.equal(v1.canonical)
    expect(Buffer.byteLength(v1.canonical)).to.equal(v1.bytes)
    expect(createHash('sha256').update(v1.canonical).digest('hex')).to.equal(v1.sha256)
    expect(await signRsa(merchant.private, v1.canonical)).to.equal(v1.sign)
    const body = await seal({ sysId: '6666000100000000', productId: 'YYZY' }, merchant.private, data)
    expect(body).to.equal(
      `{"sys_id":"6666000100000000","product_id":"YYZY","data":${v1.canonical},"sign":"${v1.sign}"}`,
    )
  })

  it('V1: a PHP-escaped and a Java-unsorted spelling of the same data have the same canonical text', () => {
    const escaped = v1.input
      .replaceAll('/', '\\/')
      .replaceAll(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
    expect(escaped).to.include('\\/').and.include('\\u6d4b')
    expect(canonical(parseLossless(escaped))).to.equal(v1.canonical)
    const members = Object.entries(JSON.parse(v1.input) as Record<string, string>).reverse()
    const unsorted = JSON.stringify(Object.fromEntries(members), null, 2)
    expect(canonical(parseLossless(unsorted))).to.equal(v1.canonical)
  })

  it('V2: empty members are dropped, nulls are dropped, and both published forms verify', async () => {
    const v2 = vector<{ input: string; keepEmpty: Signed; dropEmpty: Signed }>('v2')
    const members = Object.entries(JSON.parse(v2.input) as Record<string, string | null>)
    const data = Object.fromEntries(members.map(([key, value]) => [key, value ?? undefined]))
    expect(canonicalData(data)).to.equal(v2.dropEmpty.canonical)
    expect(await signRsa(merchant.private, canonicalData(data))).to.equal(v2.dropEmpty.sign)
    expect(canonical(parseLossless(v2.input))).to.equal(v2.keepEmpty.canonical)
    expect(verifyRsa(merchant.public, v2.keepEmpty.canonical, v2.keepEmpty.sign)).to.equal(true)
  })

  it('V3: the create answer opens, and its pay_info becomes the invocation', () => {
    const { body } = vector<{ body: string }>('v3')
    const opened = open(Buffer.from(body), huifu.public)
    if (opened.state !== 'verified') throw new Error(opened.state)
    expect(textOf(opened.data, 'hf_seq_id')).to.equal('002900TOP1A260105120000P001ac13000000001')
    expect(invocationOf(opened.data)).to.deep.equal({
      kind: 'jsapi',
      appId: 'wx0000000000000001',
      timeStamp: '1767585600',
      nonceStr: '5K8264ILTKCH16CQ2502SI8ZNMTM67VS',
      package: 'prepay_id=wx05120000000000testprepay0001',
      signType: 'RSA',
      paySign: 'oR9d8PuhnIc+YZ8cBHFCwfgpaK9gd7vaRvkYD7rthRAZ/X+QBhcCYL21N7cHCTUx==',
    })
    const tampered = body.replace('"trans_amt":"0.10"', '"trans_amt":"0.11"')
    expect(open(Buffer.from(tampered), huifu.public).state).to.equal('forged')
    expect(open(Buffer.from(body), merchant.public).state).to.equal('forged')
  })

  const v4 = vector<{ ack: string; type1: { body: string }; type2: { respData: string; sign: string } }>('v4')
  const type2Body = `resp_code=00000000&sign=${encodeURIComponent(v4.type2.sign)}&resp_data=${encodeURIComponent(v4.type2.respData)}`

  it('V4: both notifications verify, are acknowledged alike, and tell the two axes apart', async () => {
    const first = await read(message(v4.type1.body))
    const second = await read(message(type2Body))
    for (const notification of [first, second]) {
      expect(notification.reply).to.deep.equal({ status: 200, contentType: 'text/plain; charset=utf-8', body: v4.ack })
      expect(notification.standing).to.equal('evidence')
      expect(notification.confirm).to.equal(true)
    }
    expect(first.eventId)
      .to.match(/^[0-9a-f]{64}$/)
      .and.not.equal(second.eventId)
    const common = {
      about: 'payment',
      paymentId: 'T20260105A0000001',
      seen: 'succeeded',
      amount: { amount: 10, currency: 'CNY' },
      payerAmount: { amount: 10, currency: 'CNY' },
      fee: { amount: 0, currency: 'CNY' },
      transactionId: '002900TOP1A260105120000P001ac13000000001',
      partyOrderId: '03242601050000000000001',
      payerTransactionId: '4200000000202601050000000001',
      occurredAt: Date.parse('2026-01-05T12:01:13+08:00'),
      detail: '交易成功',
    }
    expect(first.facts).to.deep.equal([{ ...common, account: 'pending' }])
    expect(second.facts).to.deep.equal([{ ...common, account: 'credited' }])
  })

  it('V4: no byte of resp_data or sign can change', async () => {
    const bytes = Buffer.from(v4.type1.body)
    const from = v4.type1.body.indexOf('sign=') + 'sign='.length
    const accepted: number[] = []
    let refused = 0
    for (let at = from; at < bytes.length; at += 7) {
      const changed = Buffer.from(bytes)
      changed.writeUInt8((bytes[at] ?? 0) ^ 1, at)
      try {
        await read(message('', { body: changed }))
        accepted.push(at)
      } catch (error) {
        expect(error).to.have.property('code', 'NOTIFICATION_REJECTED')
        refused += 1
      }
    }
    expect(accepted).to.deep.equal([])
    expect(refused).to.equal(Math.ceil((bytes.length - from) / 7))
  })

  it('real: the published production answer verifies with the published production key', () => {
    const real = vector<Signed & { huifuPublicKey: string; md5: { key: string; digest: string } }>('real')
    const body = `{"data":${real.canonical},"sign":"${real.sign}"}`
    expect(open(Buffer.from(body), publicOf(real.huifuPublicKey)).state).to.equal('verified')
    expect(open(Buffer.from(body.replace('1.00', '1.01')), publicOf(real.huifuPublicKey)).state).to.equal('forged')
    expect(md5Upper(real.canonical + real.md5.key).toLowerCase()).to.equal(real.md5.digest)
  })

  it('V5: the console webhook is accepted at its door as a hint, over the raw bytes only', async () => {
    const v5 = vector<{ key: string; sign: string; body: string }>('v5')
    const atConsole = { door: 'console', query: { sign: v5.sign }, headers: {} } as const
    const notification = await read(message(v5.body, atConsole))
    expect(notification.standing).to.equal('hint')
    expect(notification.reply.status).to.equal(200)
    const reserialised = JSON.stringify(JSON.parse(v5.body))
    expect(reserialised).to.not.equal(v5.body)
    const refused = await read(message(reserialised, atConsole)).catch((error: unknown) => error)
    expect(refused).to.have.property('why', 'signature')
  })

  it('V6: numbers keep their spelling, or the signature would not verify', () => {
    const v6 = vector<{ raw: string; sign: string; mustFail: string }>('v6')
    expect(canonical(parseLossless(v6.raw))).to.equal(v6.raw)
    expect(open(Buffer.from(`{"sign":"${v6.sign}","data": ${v6.raw} }`), huifu.public).state).to.equal('verified')
    expect(open(Buffer.from(`{"sign":"${v6.sign}","data":${v6.mustFail}}`), huifu.public).state).to.equal('forged')
    const unsorted = '{"req_seq_id":"T20260105A0000001", "ratio":1.50, "amt":0.00}'
    expect(open(Buffer.from(`{"sign":"${v6.sign}","data":${unsorted}}`), huifu.public).state).to.equal('verified')
  })

  it('V7: only the first level is sorted', () => {
    const v7 = vector<{ canonical: string; sign: string; mustFail: string }>('v7')
    const unsorted = '{"b":{"z":"1","a":"2"},"a":"x"}'
    expect(canonical(parseLossless(unsorted))).to.equal(v7.canonical)
    expect(verifyRsa(merchant.public, canonical(parseLossless(unsorted)), v7.sign)).to.equal(true)
    expect(verifyRsa(merchant.public, canonical(parseLossless(v7.mustFail)), v7.sign)).to.equal(false)
  })
})
