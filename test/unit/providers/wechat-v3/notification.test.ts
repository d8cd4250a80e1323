import { expect } from 'chai'
import { NotificationRejected, type NotificationMessage } from '../../../../src/core/provider.ts'
import {
  appid,
  certificateSettings,
  epoch,
  failureOf,
  keys,
  publicKeySettings,
  seal,
  signatureHeaders,
  start,
  type Fixture,
  type SignOptions,
} from './platform.ts'

const number = 'pay01K6Y9ZQ8V0000000000000001'
const payment = {
  mchid: keys.mchid,
  appid,
  out_trade_no: number,
  transaction_id: '4200000000202510090000000001',
  trade_state: 'SUCCESS',
  trade_state_desc: '支付成功',
  success_time: '2025-10-09T16:54:01+08:00',
  payer: { openid: 'oUpF8uMuAJO_M2pxb1Q9zNjWeS6o' },
  amount: { total: 100, payer_total: 90, currency: 'CNY', payer_currency: 'CNY' },
}
const refund = {
  mchid: keys.mchid,
  out_trade_no: number,
  transaction_id: '4200000000202510090000000001',
  out_refund_no: 'ref01K6Y9ZQ8V000000000000000202',
  refund_id: '50300000002025100900000000001',
  refund_status: 'SUCCESS',
  success_time: '2025-10-09T16:57:01+08:00',
  amount: { total: 100, refund: 40, payer_total: 100, payer_refund: 40 },
}

type Sealing = { nonce?: string; aad?: string; key?: string; ciphertext?: string; algorithm?: string }

function envelope(plain: unknown, eventType = 'TRANSACTION.SUCCESS', sealing: Sealing = {}): string {
  const text = typeof plain === 'string' ? plain : JSON.stringify(plain)
  const { nonce = '0123456789ab', aad = 'transaction', key } = sealing
  return JSON.stringify({
    id: 'EV-2018022511223320873',
    create_time: '20180225112233',
    resource_type: 'encrypt-resource',
    event_type: eventType,
    summary: '支付成功',
    resource: {
      original_type: 'transaction',
      algorithm: sealing.algorithm ?? 'AEAD_AES_256_GCM',
      ciphertext: sealing.ciphertext ?? seal(text, nonce.slice(0, 12).padEnd(12, '0'), aad, key),
      associated_data: aad,
      nonce,
    },
  })
}

function message(body: string, options: SignOptions = {}, headers: object = {}): NotificationMessage {
  const all = { ...signatureHeaders(body, epoch, options), ...headers }
  return { door: 'notify', query: {}, headers: all, body: Buffer.from(body), receivedAt: epoch }
}

describe('wechat-v3 notifications', () => {
  let f: Fixture
  before(async () => {
    f = await start()
  })
  after(() => f.close())

  const why = async (of: NotificationMessage, provider = f.provider): Promise<string> => {
    const error = await failureOf(provider.readNotification(of))
    if (!(error instanceof NotificationRejected)) throw new Error(`not a refusal: ${String(error)}`)
    expect(error.message).to.not.match(/oUpF8|pay01/)
    return error.why
  }

  it('reads a payment', async () => {
    const read = await f.provider.readNotification(message(envelope(payment)))
    expect(read.eventId).to.equal('EV-2018022511223320873')
    expect(read.standing).to.equal('evidence')
    expect(read.reply).to.deep.equal({ status: 204, contentType: 'application/json', body: '' })
    expect(read).to.not.have.property('mismatch')
    expect(read.facts).to.deep.equal([
      {
        about: 'payment',
        paymentId: 'pay_01K6Y9ZQ8V0000000000000001',
        seen: 'succeeded',
        amount: { amount: 100, currency: 'CNY' },
        payerAmount: { amount: 90, currency: 'CNY' },
        transactionId: payment.transaction_id,
        payerTransactionId: payment.transaction_id,
        occurredAt: Date.parse(payment.success_time),
        detail: '支付成功',
      },
    ])
  })

  for (const [event, status, seen] of [
    ['REFUND.SUCCESS', 'SUCCESS', 'succeeded'],
    ['REFUND.ABNORMAL', 'ABNORMAL', 'abnormal'],
    ['REFUND.CLOSED', 'CLOSED', 'failed'],
    ['REFUND.CLOSED', 'CLOSE', 'failed'],
  ] as const) {
    it(`reads ${event} with status ${status}, finding our refund behind a later submission`, async () => {
      const read = await f.provider.readNotification(message(envelope({ ...refund, refund_status: status }, event)))
      expect(read.facts).to.have.length(1)
      expect(read.facts[0]).to.deep.include({
        about: 'refund',
        refundId: 'ref_01K6Y9ZQ8V0000000000000002',
        paymentId: 'pay_01K6Y9ZQ8V0000000000000001',
        submissionNumber: refund.out_refund_no,
        seen,
        amount: { amount: 40, currency: 'CNY' },
        providerRefundId: refund.refund_id,
      })
    })
  }

  it('keeps a number that is not ours as it is, and refuses one outside the alphabet', async () => {
    const read = await f.provider.readNotification(message(envelope({ ...payment, out_trade_no: 'SHOP|1*2' })))
    expect(read.facts[0]).to.include({ paymentId: 'SHOP|1*2' })
    for (const bad of ['', 'a b', "x'--", '订单', 'x'.repeat(65), 'a\u0000b']) {
      expect(await why(message(envelope({ ...payment, out_trade_no: bad }))), bad).to.equal('malformed')
      expect(await why(message(envelope({ ...refund, out_refund_no: bad }, 'REFUND.SUCCESS'))), bad).to.equal(
        'malformed',
      )
    }
  })

  it('marks what is genuine but for somebody else, without facts', async () => {
    for (const [plain, event, mismatch] of [
      [{ ...payment, mchid: '1900000110' }, 'TRANSACTION.SUCCESS', 'for another mchid'],
      [{ ...payment, appid: 'wx6666666666666666' }, 'TRANSACTION.SUCCESS', 'for another appid'],
      [{ ...refund, mchid: '1900000110' }, 'REFUND.SUCCESS', 'for another mchid'],
    ] as const) {
      const read = await f.provider.readNotification(message(envelope(plain, event)))
      expect(read).to.deep.include({ mismatch, facts: [] })
      expect(read.reply.status).to.equal(204)
    }
  })

  it('acknowledges events it does not know, once they open under its key', async () => {
    const read = await f.provider.readNotification(message(envelope({ anything: 1 }, 'PROFITSHARING.SUCCESS')))
    expect(read.facts).to.deep.equal([])
    const foreign = envelope({ anything: 1 }, 'PROFITSHARING.SUCCESS', { key: 'x'.repeat(32) })
    expect(await why(message(foreign))).to.equal('malformed')
  })

  it('refuses every flipped byte of the body', async () => {
    const good = message(envelope(payment))
    for (let at = 0; at < good.body.length; at += 1) {
      const body = Buffer.from(good.body)
      body[at] = (body[at] ?? 0) ^ (1 << (at % 8))
      expect(['signature', 'malformed']).to.include(await why({ ...good, body }), `byte ${String(at)}`)
    }
    for (const body of [good.body.subarray(0, -1), Buffer.concat([good.body, Buffer.from('\n')]), Buffer.alloc(0)]) {
      expect(await why({ ...good, body })).to.equal('signature')
    }
  })

  it('refuses every flipped bit of the ciphertext, also when the envelope is signed again', async () => {
    const bytes = Buffer.from(seal(JSON.stringify(payment)), 'base64')
    for (let bit = 0; bit < bytes.length * 8; bit += 7) {
      const changed = Buffer.from(bytes)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const body = envelope(payment, undefined, { ciphertext: changed.toString('base64') })
      expect(await why(message(body)), `bit ${String(bit)}`).to.equal('malformed')
    }
  })

  it('refuses ciphertexts of every length up to 64 bytes, nonces and algorithms of other forms', async () => {
    for (let length = 0; length <= 64; length += 1) {
      const ciphertext = Buffer.from(seal(JSON.stringify(payment)), 'base64')
        .subarray(0, length)
        .toString('base64')
      expect(await why(message(envelope(payment, undefined, { ciphertext }))), String(length)).to.equal('malformed')
    }
    for (const nonce of ['', '0', '0123456789a', '0123456789abc', '0123456789aü']) {
      expect(await why(message(envelope(payment, undefined, { nonce, ciphertext: seal('{}') }))), nonce).to.equal(
        'malformed',
      )
    }
    for (const algorithm of ['', 'aead_aes_256_gcm', 'AEAD_SM4_GCM', 'AES_256_CBC', 'AEAD_AES_256_GCM ']) {
      expect(await why(message(envelope(payment, undefined, { algorithm }))), algorithm).to.equal('malformed')
    }
    const wrongAad = envelope(payment).replace('"associated_data":"transaction"', '"associated_data":"refund"')
    expect(await why(message(wrongAad))).to.equal('malformed')
  })

  it('opens an empty or absent associated data', async () => {
    const empty = envelope(payment, undefined, { aad: '' })
    const absent = empty.replace('"associated_data":"",', '')
    expect(absent).to.not.equal(empty)
    for (const body of [empty, absent]) {
      expect((await f.provider.readNotification(message(body))).facts).to.have.length(1)
    }
  })

  it('opens with the previous APIv3 key while the change is under way', async () => {
    const old = 'OldApiV3Key0123456789abcdefABCDE'
    const both = await start({ ...publicKeySettings, previousApiV3Key: old })
    for (const key of [old, keys.apiV3Key]) {
      expect(
        (await both.provider.readNotification(message(envelope(payment, undefined, { key })))).facts,
      ).to.have.length(1)
    }
    expect(await why(message(envelope(payment, undefined, { key: old })))).to.equal('malformed')
    await both.close()
  })

  it('needs each of the four headers, once and not empty', async () => {
    const body = envelope(payment)
    const good = signatureHeaders(body, epoch)
    for (const name of ['timestamp', 'nonce', 'serial', 'signature'].map((short) => `wechatpay-${short}`)) {
      const value = good[name] ?? ''
      const bad = [
        undefined,
        '',
        ' ',
        `${value}, ${value}`,
        `${value},${value}`,
        `${value} `,
        ` ${value}`,
        `${value}\n`,
        'x'.repeat(65_536),
      ]
      for (const changed of bad) {
        expect(await why(message(body, {}, { [name]: changed })), `${name}: ${String(changed).slice(0, 80)}`).to.equal(
          'malformed',
        )
      }
    }
  })

  it('accepts an absent signature type and refuses every other', async () => {
    const body = envelope(payment)
    const absent = message(body, {}, { 'wechatpay-signature-type': undefined })
    expect((await f.provider.readNotification(absent)).facts).to.have.length(1)
    const types = [
      '',
      'WECHATPAY2-SM2-WITH-SM3',
      'wechatpay2-sha256-rsa2048',
      'WECHATPAY2-SHA256-RSA2048 ',
      'none',
      'RSA',
      'MD5',
    ]
    for (const type of [...types, 'WECHATPAY2-SHA256-RSA2048, WECHATPAY2-SHA256-RSA2048']) {
      expect(await why(message(body, {}, { 'wechatpay-signature-type': type })), type).to.equal('signature')
    }
  })

  for (const [skew, accepted] of [
    [-301, false],
    [-300, true],
    [0, true],
    [300, true],
    [301, false],
  ] as const) {
    it(`${accepted ? 'accepts' : 'refuses'} a timestamp ${String(skew)} s away`, async () => {
      const of = message(envelope(payment), { timestamp: String(epoch / 1000 + skew) })
      if (accepted) expect((await f.provider.readNotification(of)).facts).to.have.length(1)
      else expect(await why(of)).to.equal('stale')
    })
  }

  it('refuses timestamps in other spellings, however well signed', async () => {
    const seconds = String(epoch / 1000)
    const arabic = seconds.replaceAll(/\d/g, (digit) => String.fromCodePoint(0x660 + Number(digit)))
    const spellings = [
      '1e3',
      '-1',
      `+${seconds}`,
      `${seconds}.0`,
      `0x${seconds}`,
      '9'.repeat(20),
      arabic,
      `${seconds}n`,
      'NaN',
    ]
    for (const timestamp of spellings) {
      expect(await why(message(envelope(payment), { timestamp })), timestamp).to.equal('malformed')
    }
    expect(await why(message(envelope(payment), { timestamp: '0' }))).to.equal('stale')
    expect(await why(message(envelope(payment), { timestamp: '9'.repeat(12) }))).to.equal('stale')
  })

  it('chooses the key by exact serial and fetches nothing in public key mode', async () => {
    const body = envelope(payment)
    f.platform.answer((response) => void response.end())
    for (const serial of [
      keys.platformSerial,
      `${keys.publicKeyId}0`,
      keys.publicKeyId.toLowerCase(),
      'PUB_KEY_ID_',
      keys.merchantSerial,
    ]) {
      expect(await why(message(body, { serial })), serial).to.equal('signature')
    }
    expect(await why(message(body, { privateKey: keys.merchantPrivateKey }))).to.equal('signature')
    expect(f.platform.received).to.have.length(0)
  })

  it('refuses a probe without throwing anything else, and fetches nothing for it', async () => {
    const signature = `WECHATPAY/SIGNTEST/${'A'.repeat(88)}`
    expect(await why(message(envelope(payment), { signature }))).to.equal('probe')
    const certificate = await start(certificateSettings)
    certificate.platform.answer((response) => void response.end())
    expect(await why(message(envelope(payment), { signature }), certificate.provider)).to.equal('probe')
    expect(certificate.platform.received).to.have.length(0)
    await certificate.close()
  })

  it('refuses v2 messages, other doors, large bodies and JSON that is not strict', async () => {
    expect(await why(message('<xml><return_code>SUCCESS</return_code></xml>'))).to.equal('malformed')
    expect(await why({ ...message(envelope(payment)), door: 'console' })).to.equal('malformed')
    const padded = (length: number): string =>
      envelope(payment) + ' '.repeat(length - Buffer.byteLength(envelope(payment)))
    expect((await f.provider.readNotification(message(padded(65_536)))).facts).to.have.length(1)
    expect(await why(message(padded(65_537)))).to.equal('malformed')
    const twice = envelope(payment).replace('{', '{"event_type":"TRANSACTION.SUCCESS",')
    for (const body of [twice, '[]', 'null', '{}', '', '{', `\ufeff${envelope(payment)}`, `${envelope(payment)}x`]) {
      expect(await why(message(body)), body.slice(0, 40)).to.equal('malformed')
    }
    const plain = JSON.stringify(payment)
    const inner = [
      plain.replace('{', '{"trade_state":"SUCCESS",'),
      plain.replace('"total":100', '"total":1e2'),
      'x',
      '[]',
      '{}',
    ]
    for (const text of [
      ...inner,
      plain.replace('"total":100', '"total":100.0'),
      plain.replace('"total":100', '"total":"100"'),
    ]) {
      expect(await why(message(envelope(text))), text.slice(0, 60)).to.equal('malformed')
    }
  })

  it('refuses payments that say nothing definite', async () => {
    const changes = [
      { trade_state: 'PAID' },
      { amount: undefined },
      { amount: { total: 0, currency: 'CNY' } },
      { amount: { total: 100_000_000_001, currency: 'CNY' } },
      { amount: { total: 100, currency: 'XXX' } },
      { transaction_id: undefined },
      { mchid: undefined },
      { appid: 7 },
    ]
    for (const change of changes) {
      expect(await why(message(envelope({ ...payment, ...change }))), JSON.stringify(change)).to.equal('malformed')
    }
    expect(
      await why(message(envelope({ ...refund, refund_status: undefined, status: 'SUCCESS' }, 'REFUND.SUCCESS'))),
    ).to.equal('malformed')
    expect(await why(message(envelope(refund)))).to.equal('malformed')
  })

  it('reads the exact bytes: escapes, blanks and line ends included', async () => {
    const body = envelope(payment).replace('"id":', '\r\n "\\u0069d" :')
    expect((await f.provider.readNotification(message(body))).eventId).to.equal('EV-2018022511223320873')
  })
})
