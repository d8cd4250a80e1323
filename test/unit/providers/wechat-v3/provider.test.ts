import { createPublicKey } from 'node:crypto'
import { expect } from 'chai'
import { ProviderRejected, ProviderUnknown } from '../../../../src/core/provider.ts'
import { verifyRsa } from '../../../../src/crypto/rsa.ts'
import { appid, epoch, failureOf, keys, publicKeySettings, signed, start, unsigned, type Fixture } from './platform.ts'
import {
  goodAnswers,
  never,
  number,
  openid,
  paid,
  payment,
  paymentId,
  prepaid,
  prepayRequest,
  refundId,
  refundNumber,
  refundRequest,
  refunding,
  transactionId,
  unpaid,
  verbsOf,
} from './samples.ts'

describe('wechat-v3 calls', () => {
  let f: Fixture
  const now = (): number => f.clock.now
  const verbs = verbsOf(() => f)
  const good = goodAnswers(now)
  before(async () => {
    f = await start()
  })
  after(() => f.close())
  beforeEach(() => {
    f.clock.now = epoch
    f.lines.length = 0
  })

  it('orders, and hands out launch parameters that verify', async () => {
    f.platform.answer(signed(200, prepaid, now))
    const result = await f.provider.prepay(prepayRequest, never)
    const [request] = f.platform.received
    expect(request?.authentic).to.equal(true)
    expect(request?.target).to.equal('/v3/pay/transactions/jsapi')
    expect(request?.headers['wechatpay-serial']).to.equal(keys.publicKeyId)
    expect(request?.headers['content-type']).to.equal('application/json')
    expect(request?.headers.accept).to.equal('application/json')
    expect(request?.headers['user-agent']).to.match(/^Mortise\//)
    expect(JSON.parse(request?.body ?? '')).to.deep.equal({
      appid,
      mchid: keys.mchid,
      description: '测试商品-Mug',
      out_trade_no: number,
      time_expire: '2025-10-09T17:23:20+08:00',
      attach: 'A-1',
      notify_url: 'https://pay.example/notify/wx/seg',
      amount: { total: 100, currency: 'CNY' },
      payer: { openid },
      scene_info: { payer_client_ip: '203.0.113.7' },
    })
    expect(result.usableUntil).to.equal(prepayRequest.expiresAt)
    const { invocation } = result
    if (invocation.kind !== 'jsapi') throw new Error('expected jsapi')
    const text = `${appid}\n${invocation.timeStamp}\n${invocation.nonceStr}\nprepay_id=${prepaid.prepay_id}\n`
    expect(verifyRsa(createPublicKey(keys.merchantCertificate), text, invocation.paySign)).to.equal(true)
  })

  it('repeats an order byte for byte, under a fresh nonce', async () => {
    f.platform.answer(signed(200, prepaid, now))
    await f.provider.prepay(prepayRequest, never)
    f.clock.now += 86_400_000
    await f.provider.prepay(prepayRequest, never)
    const [first, second] = f.platform.received
    expect(second?.body).to.equal(first?.body)
    expect(second?.headers.authorization).to.not.equal(first?.headers.authorization)
  })

  it('offers a handle for ninety minutes at most, and uses the appid of the method', async () => {
    f.platform.answer(signed(200, prepaid, now))
    const late = { ...prepayRequest, method: 'wechat_mini', expiresAt: epoch + 86_400_000 } as const
    const result = await f.provider.prepay(late, never)
    expect(result.usableUntil).to.equal(epoch + 90 * 60_000)
    expect(f.platform.received[0]?.body).to.contain('"appid":"wx7777777777777777"')
    expect(result.invocation).to.include({ appId: 'wx7777777777777777' })
  })

  it('shortens a long subject by whole characters', async () => {
    f.platform.answer(signed(200, prepaid, now))
    await f.provider.prepay({ ...prepayRequest, subject: '🍵'.repeat(200), clientIp: 'unknown' }, never)
    const body: unknown = JSON.parse(f.platform.received[0]?.body ?? '')
    expect(body).to.have.property('description', '🍵'.repeat(127))
    expect(body).to.not.have.property('scene_info')
  })

  it('refuses what it cannot do without sending anything', async () => {
    f.platform.answer(signed(200, prepaid, now))
    const cases = [
      [{ ...prepayRequest, method: 'wechat_native' }, 'unsupported'],
      [{ ...prepayRequest, amount: { amount: 100, currency: 'HKD' } }, 'unsupported'],
      [{ ...prepayRequest, openid: '' }, 'invalid_request'],
    ] as const
    for (const [request, reason] of cases) {
      expect(await failureOf(f.provider.prepay(request, never)))
        .to.be.instanceOf(ProviderRejected)
        .include({ reason })
    }
    expect(f.platform.received).to.have.length(0)
  })

  it('queries by our number until it knows the other', async () => {
    f.platform.answer(signed(200, unpaid, now), signed(200, paid, now))
    expect(await f.provider.queryPayment(payment, never)).to.deep.equal({
      about: 'payment',
      paymentId,
      seen: 'pending',
      detail: '订单未支付',
    })
    expect(await f.provider.queryPayment({ ...payment, transactionId }, never)).to.deep.equal({
      about: 'payment',
      paymentId,
      seen: 'succeeded',
      amount: { amount: 100, currency: 'CNY' },
      payerAmount: { amount: 90, currency: 'CNY' },
      transactionId,
      payerTransactionId: transactionId,
      occurredAt: Date.parse('2025-10-09T16:54:01+08:00'),
      detail: '支付成功',
    })
    expect(f.platform.received.map((request) => request.target)).to.deep.equal([
      `/v3/pay/transactions/out-trade-no/${number}?mchid=1900000109`,
      `/v3/pay/transactions/id/${transactionId}?mchid=1900000109`,
    ])
    expect(f.platform.received.every((request) => request.authentic)).to.equal(true)
  })

  const states = {
    SUCCESS: 'succeeded',
    REFUND: 'succeeded',
    NOTPAY: 'pending',
    USERPAYING: 'pending',
    ACCEPT: 'pending',
  }
  for (const [state, seen] of Object.entries({ ...states, PAYERROR: 'pending', CLOSED: 'closed', REVOKED: 'closed' })) {
    it(`reads trade state ${state} as ${seen}`, async () => {
      f.platform.answer(signed(200, { ...paid, trade_state: state }, now))
      expect(await verbs.query()).to.include({ seen })
    })
  }

  const refundStates = {
    PROCESSING: 'processing',
    SUCCESS: 'succeeded',
    CLOSED: 'failed',
    CLOSE: 'failed',
    ABNORMAL: 'abnormal',
  }
  for (const [status, seen] of Object.entries(refundStates)) {
    it(`reads refund status ${status} as ${seen}`, async () => {
      f.platform.answer(signed(200, { ...refunding, status }, now))
      const expected = { seen, refundId, submissionNumber: refundNumber, providerRefundId: refunding.refund_id }
      expect(await verbs.refund()).to.include(expected)
      expect(await verbs.queryRefund()).to.include(expected)
    })
  }

  it('refunds by our numbers, the same bytes before and after the transaction id is known', async () => {
    f.platform.answer(good.refund())
    await verbs.refund()
    await f.provider.refund({ ...refundRequest, payment }, never)
    const [first, second] = f.platform.received
    expect(JSON.parse(first?.body ?? '')).to.deep.equal({
      out_trade_no: number,
      out_refund_no: refundNumber,
      reason: 'out of stock',
      notify_url: 'https://pay.example/notify/wx/seg',
      amount: { refund: 40, total: 100, currency: 'CNY' },
    })
    expect(second?.body).to.equal(first?.body)
    await verbs.queryRefund()
    expect(f.platform.received[2]?.target).to.equal(`/v3/refund/domestic/refunds/${refundNumber}`)
  })

  it('closes with the merchant number in the body', async () => {
    f.platform.answer(good.close())
    expect(await verbs.close()).to.deep.equal({ about: 'payment', paymentId, seen: 'closed' })
    expect(f.platform.received[0]?.target).to.equal(`/v3/pay/transactions/out-trade-no/${number}/close`)
    expect(f.platform.received[0]?.body).to.equal('{"mchid":"1900000109"}')
  })

  for (const code of ['ORDER_PAID', 'ORDERPAID', 'INVALID_REQUEST']) {
    it(`asks after a close refused with ${code}, and gives the verified answer`, async () => {
      f.platform.answer(unsigned(400, { code, message: '该订单已支付' }), signed(200, paid, now))
      expect(await verbs.close()).to.include({ seen: 'succeeded', transactionId })
    })
  }

  it('gives closed after ORDER_CLOSED, absent after ORDER_NOT_EXIST', async () => {
    f.platform.answer(unsigned(400, { code: 'ORDER_CLOSED' }), signed(200, { ...unpaid, trade_state: 'CLOSED' }, now))
    expect(await verbs.close()).to.include({ seen: 'closed' })
    f.platform.answer(unsigned(404, { code: 'ORDERNOTEXIST' }))
    expect(await verbs.close()).to.include({ seen: 'absent' })
  })

  it('is unreachable only when nothing was sent, and then tries the backup host', async () => {
    const lonely = await start({ ...publicKeySettings, baseUrl: 'http://127.0.0.1:1' })
    const error = await failureOf(lonely.provider.prepay(prepayRequest, never))
    expect(error).to.be.instanceOf(ProviderRejected).include({ reason: 'unreachable' })
    await lonely.close()
    f.platform.answer(good.prepay())
    const backed = await start({ ...publicKeySettings, baseUrl: 'http://127.0.0.1:1', backupUrl: f.platform.url })
    expect(await backed.provider.prepay(prepayRequest, never)).to.have.property('invocation')
    await backed.close()
  })

  it('does not turn to the backup host when the answer was lost', async () => {
    const backed = await start({ ...publicKeySettings, backupUrl: f.platform.url })
    f.platform.answer(good.prepay())
    backed.platform.answer((response) => void response.socket?.destroy())
    expect(await failureOf(backed.provider.prepay(prepayRequest, never))).to.be.instanceOf(ProviderUnknown)
    expect(f.platform.received).to.have.length(0)
    await backed.close()
  })

  it('logs only the closed list of fields, and nothing of payer or keys', async () => {
    f.platform.answer(good.prepay())
    await verbs.prepay()
    f.platform.answer(unsigned(403, { code: 'NO_AUTH', message: openid }))
    await failureOf(verbs.prepay())
    f.platform.answer((response) => void response.socket?.destroy())
    await failureOf(verbs.prepay())
    const allowed = ['operation', 'outcome', 'providerCode', 'providerRequestId', 'httpStatus', 'durationMs', 'reason']
    expect(f.lines).to.have.length(3)
    for (const line of f.lines) expect(allowed).to.include.members(Object.keys(line.fields ?? {}))
    expect(f.lines.map((line) => line.fields?.outcome)).to.deep.equal(['done', 'rejected', 'unknown'])
    expect(f.lines[1]?.fields).to.include({
      providerCode: 'NO_AUTH',
      providerRequestId: '08F78BB5C706-268447840',
      httpStatus: 403,
    })
    expect(JSON.stringify(f.lines)).to.not.match(/oUpF8|WECHATPAY2|BEGIN|openid/)
  })

  it('tells the engine its limits', async () => {
    const rules = {
      tellsAccount: false,
      refundNumbers: 'once',
      refundsPerPayment: 50,
      refundDays: 365,
      closeAfterMs: 0,
    }
    expect(f.provider.rules).to.deep.equal({ ...rules, refundSpacingMs: 60_000 })
    expect(f.provider.methods).to.deep.equal({
      wechat_jsapi: { currencies: ['CNY'], openidOf: appid },
      wechat_mini: { currencies: ['CNY'], openidOf: 'wx7777777777777777' },
    })
    const fast = await start(publicKeySettings, 60)
    expect(fast.provider.rules.refundSpacingMs).to.equal(1_000)
    await fast.close()
  })
})
