import { expect } from 'chai'
import type { PrepayRequest } from '../../../../src/core/provider.ts'
import {
  adapter,
  cny,
  createdAt,
  errorOf,
  huifuId,
  inDialect,
  never,
  number,
  openid,
  paid,
  payInfo,
  payment,
  paymentId,
  prepayRequest,
  startHuifu,
  transactionId,
  unpaid,
  type FakeHuifu,
} from './fake-huifu.ts'

const taken = {
  bank_code: 'SUCCESS',
  bank_message: '成功',
  hf_seq_id: transactionId,
  party_order_id: '03242601050000000000001',
  pay_info: payInfo,
  resp_code: '00000100',
  resp_desc: '下单成功',
  trade_type: 'T_JSAPI',
  trans_amt: '0.10',
  trans_stat: 'P',
  unconfirm_amt: '0.10',
}

let fake: FakeHuifu
let stops: (() => Promise<void>)[]
const channel = (more: Readonly<Record<string, unknown>> = {}) => {
  const made = adapter(fake.url, more)
  stops.push(made.stop)
  return made.provider
}
const sent = (index = 0): Record<string, string> => fake.requests[index]?.data ?? {}
const paths = (): string[] => fake.requests.map((request) => request.path)

beforeEach(async () => {
  fake = await startHuifu()
  stops = []
})
afterEach(async () => {
  await Promise.all(stops.map((stop) => stop()))
  await fake.close()
})

describe('huifu prepay', () => {
  const common = {
    req_date: '20260105',
    req_seq_id: number,
    huifu_id: huifuId,
    trade_type: 'T_JSAPI',
    trans_amt: '0.10',
    goods_desc: '测试商品/面包&牛奶 <大>',
    time_expire: '20260106002958',
    risk_check_data: '{"ip_addr":"203.0.113.9"}',
    notify_url: prepayRequest.notifyUrl,
    remark: 'SHOP-1',
  }
  const scene = `{"sub_appid":"wx0000000000000001","sub_openid":"${openid}"}`

  for (const [api, path, member] of [
    ['v3', '/v3/trade/payment/jspay', 'wx_data'],
    ['v4', '/v4/trade/payment/create', 'method_expand'],
  ] as const) {
    it(`${api}: sends exactly the documented members, dated by the attempt and not by the clock`, async () => {
      fake.answer(taken)
      const prepaid = await channel({ api }).prepay(prepayRequest, never)
      expect(paths()).to.deep.equal([path])
      expect(sent()).to.deep.equal({ ...common, [member]: scene })
      expect(prepaid).to.deep.equal({
        invocation: { kind: 'jsapi', ...(JSON.parse(payInfo) as object) },
        usableUntil: prepayRequest.expiresAt,
        transactionId,
        partyOrderId: '03242601050000000000001',
      })
    })
  }

  it('sends the same bytes for the same attempt', async () => {
    fake.answer(taken)
    const provider = channel()
    await provider.prepay(prepayRequest, never)
    await provider.prepay(prepayRequest, never)
    expect(fake.requests[1]?.body).to.equal(fake.requests[0]?.body)
  })

  it('uses the mini program and its appid', async () => {
    fake.answer(taken)
    await channel().prepay({ ...prepayRequest, method: 'wechat_mini' }, never)
    expect(sent()).to.include({
      trade_type: 'T_MINIAPP',
      wx_data: `{"sub_appid":"wx0000000000000002","sub_openid":"${openid}"}`,
    })
  })

  it('cuts and cleans what people wrote, and leaves out an address that does not fit', async () => {
    fake.answer(taken)
    const subject = `a\u2028b\u0007${'长'.repeat(60)}`
    await channel().prepay({ ...prepayRequest, subject, clientIp: '2001:0db8:85a3:0000:0000:8a2e:0370:7334' }, never)
    expect(sent()['goods_desc']).to.equal(`a b ${'长'.repeat(36)}`)
    expect(sent()).to.not.have.property('risk_check_data')
    expect(fake.requests[0]?.genuine).to.equal(true)
  })

  it('never offers a prepay longer than ninety minutes', async () => {
    fake.answer(taken)
    const prepaid = await channel().prepay({ ...prepayRequest, expiresAt: createdAt + 7 * 86_400_000 }, never)
    expect(prepaid.usableUntil).to.equal(createdAt + 90 * 60_000)
  })

  const unsendable: readonly [string, Partial<PrepayRequest>, string][] = [
    ['a method the channel does not have', { method: 'alipay_jsapi' }, 'unsupported'],
    ['another currency', { amount: { amount: 10, currency: 'USD' } }, 'unsupported'],
    ['no openid', { openid: '' }, 'invalid_request'],
    ['a notification address with a query', { notifyUrl: 'https://shop.example.com/n?token=1' }, 'misconfigured'],
    [
      'a notification address that is too long',
      { notifyUrl: `https://shop.example.com/${'n'.repeat(500)}` },
      'misconfigured',
    ],
  ]
  for (const [name, change, reason] of unsendable) {
    it(`refuses ${name} before anything is sent`, async () => {
      const error = await errorOf(channel().prepay({ ...prepayRequest, ...change }, never))
      expect(error).to.include({ name: 'ProviderRejected', reason })
      expect(fake.requests).to.have.length(0)
    })
  }

  const { pay_info: _payInfo, ...withoutPayInfo } = taken
  const { trans_stat: _stat, ...withoutState } = taken
  const info = JSON.parse(payInfo) as Record<string, string>
  const answers: readonly [string, Record<string, unknown>, string, string | undefined][] = [
    ['duplicate number', { resp_code: '20000000', resp_desc: '重复交易' }, 'ProviderUnknown', undefined],
    ['paid already', { ...taken, trans_stat: 'S' }, 'ProviderUnknown', undefined],
    ['state I', { ...taken, trans_stat: 'I' }, 'ProviderUnknown', undefined],
    ['no pay_info', withoutPayInfo, 'ProviderUnknown', undefined],
    ['pay_info that is not JSON', { ...taken, pay_info: 'weixin://' }, 'ProviderUnknown', undefined],
    [
      'pay_info without paySign',
      { ...taken, pay_info: JSON.stringify({ ...info, paySign: '' }) },
      'ProviderUnknown',
      undefined,
    ],
    [
      'pay_info with another signType',
      { ...taken, pay_info: JSON.stringify({ ...info, signType: 'SM2' }) },
      'ProviderUnknown',
      undefined,
    ],
    ['another amount', { ...taken, trans_amt: '0.11' }, 'ProviderUnknown', undefined],
    ['another day', { ...taken, req_date: '20260106' }, 'ProviderUnknown', undefined],
    ['failed', { ...taken, trans_stat: 'F', bank_message: '交易失败' }, 'ProviderRejected', 'declined'],
    [
      'failed, appid not bound',
      { ...taken, trans_stat: 'F', bank_message: 'sub_mch_id与sub_appid不匹配' },
      'ProviderRejected',
      'misconfigured',
    ],
    [
      '90000000 and F',
      { resp_code: '90000000', resp_desc: '业务执行失败', trans_stat: 'F' },
      'ProviderRejected',
      'declined',
    ],
    ['90000000 without F', { resp_code: '90000000', resp_desc: '业务执行失败' }, 'ProviderUnknown', undefined],
    ['date refused', { resp_code: '10000000', resp_desc: '请求日期必须是当前日期' }, 'ProviderUnknown', undefined],
  ]
  for (const [name, members, expected, reason] of answers) {
    it(`${name}: ${expected}`, async () => {
      fake.answer(members)
      const error = await errorOf(channel().prepay(prepayRequest, never))
      expect(error.name).to.equal(expected)
      expect(error.reason).to.equal(reason)
    })
  }

  it('takes an answer without a state, and pay_info as an object', async () => {
    fake.answer({ ...withoutState, pay_info: info })
    expect((await channel().prepay(prepayRequest, never)).invocation).to.include({ kind: 'jsapi', signType: 'RSA' })
  })
})

describe('huifu query', () => {
  for (const api of ['v3', 'v4'] as const) {
    const prefix = api === 'v3' ? 'org_' : ''

    it(`${api}: asks by number and the attempt's day, and reads an unpaid order`, async () => {
      fake.answer(inDialect(api, unpaid))
      const fact = await channel({ api }).queryPayment(payment, never)
      expect(paths()).to.deep.equal([`/${api}/trade/payment/scanpay/query`])
      expect(sent()).to.deep.equal({
        huifu_id: huifuId,
        [`${prefix}req_date`]: '20260105',
        [`${prefix}req_seq_id`]: number,
      })
      expect(fact).to.deep.equal({
        about: 'payment',
        paymentId,
        seen: 'pending',
        amount: cny(10),
        transactionId,
        partyOrderId: '03242601050000000000002',
        detail: '订单未支付',
      })
    })

    it(`${api}: asks by Huifu's number where the channel says so and it is known`, async () => {
      fake.answer(inDialect(api, paid))
      const provider = channel({ api, queryBy: 'hf_seq_id' })
      await provider.queryPayment({ ...payment, transactionId }, never)
      await provider.queryPayment(payment, never)
      expect(sent(0)).to.deep.equal({ huifu_id: huifuId, [`${prefix}hf_seq_id`]: transactionId })
      expect(sent(1)).to.have.property(`${prefix}req_seq_id`, number)
    })

    it(`${api}: a paid and posted order tells everything in fen`, async () => {
      fake.answer(inDialect(api, paid))
      expect(await channel({ api }).queryPayment(payment, never)).to.deep.equal({
        about: 'payment',
        paymentId,
        seen: 'succeeded',
        account: 'credited',
        amount: cny(82_500),
        payerAmount: cny(82_500),
        fee: cny(173),
        transactionId,
        partyOrderId: '03242601050000000000003',
        payerTransactionId: '4200000000202601050000000003',
        occurredAt: Date.parse('2026-01-05T13:17:16+08:00'),
        detail: '交易成功',
      })
    })
  }

  for (const [stat, account] of [
    ['S', 'credited'],
    ['F', 'failed'],
    ['I', 'pending'],
    ['P', 'pending'],
    [undefined, 'pending'],
  ]) {
    it(`posting state ${String(stat)} is account ${String(account)}`, async () => {
      fake.answer(inDialect('v3', { ...paid, acct_stat: stat ?? '' }))
      expect(await channel().queryPayment(payment, never)).to.include({ seen: 'succeeded', account })
    })
  }

  it('reads the fee wherever the dialect has it, and the payer amount from what there is', async () => {
    const { fee_amount: _a, settlement_amt: _b, ...rest } = paid
    fake.answer(inDialect('v4', { ...rest, fee_amt: '1.75' }), inDialect('v4', rest))
    const provider = channel({ api: 'v4' })
    expect(await provider.queryPayment(payment, never)).to.deep.include({ fee: cny(175), payerAmount: cny(82_400) })
    expect(await provider.queryPayment(payment, never)).to.deep.include({ fee: cny(174) })
  })

  it('a closed order is closed, with the words of the channel', async () => {
    fake.answer(inDialect('v3', { ...unpaid, trans_stat: 'F', bank_message: '交易已关单' }))
    expect(await channel().queryPayment(payment, never)).to.include({ seen: 'closed', detail: '交易已关单' })
  })

  for (const code of ['23000001', '20000004']) {
    it(`${code} is absent`, async () => {
      fake.answer({ resp_code: code, resp_desc: '交易不存在' })
      expect(await channel().queryPayment(payment, never)).to.deep.equal({
        about: 'payment',
        paymentId,
        seen: 'absent',
        detail: '交易不存在',
      })
    })
  }

  const unusable: readonly [string, Record<string, unknown>][] = [
    ['another order of ours', { ...paid, req_seq_id: 'pay01KE5Z9Q8R7S6T5V4W3X2Y1Z0B' }],
    ['the same number of another day', { ...paid, req_date: '20260104' }],
    ['another merchant', { ...paid, huifu_id: '6666000100000002' }],
    ['an unknown state', { ...paid, trans_stat: 'X' }],
    ['no state', { ...paid, trans_stat: '' }],
    ['success without an amount', { ...paid, trans_amt: '' }],
    ['success with an amount that is none', { ...paid, trans_amt: '825' }],
    ['absent, but about another number', { resp_code: '23000001', req_seq_id: 'x' }],
  ]
  for (const [name, members] of unusable) {
    it(`${name} is unknown`, async () => {
      fake.answer(inDialect('v3', members))
      expect(await errorOf(channel().queryPayment(payment, never))).to.include({ name: 'ProviderUnknown' })
    })
  }

  it('asked by Huifu number, wants that number back', async () => {
    fake.answer(inDialect('v3', { ...paid, hf_seq_id: 'other' }))
    const asked = channel({ queryBy: 'hf_seq_id' }).queryPayment({ ...payment, transactionId }, never)
    expect(await errorOf(asked)).to.include({ name: 'ProviderUnknown', providerCode: 'WRONG_ECHO' })
  })
})
