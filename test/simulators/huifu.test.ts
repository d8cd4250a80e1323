import { expect } from 'chai'
import { createClock, type Clock } from '../../src/simulators/clock.ts'
import {
  ask,
  identity,
  isHuifus,
  noonOnFifth,
  parsed,
  signAs,
  sorted,
  sub,
  v1,
  world,
  type Data,
} from './huifu-world.ts'

/** The simulator's protocol against huifu-dougong.md 18, 4 and 5. */
describe('huifu simulator: envelope (18.1, 18.2, 18.4)', () => {
  const at = (text: string): Clock => createClock({ now: () => Date.parse(text) })
  const body = (data: string, signature: string): string =>
    `{"sys_id":"${identity.sysId}","product_id":"${identity.productId}","data":${data},"sign":"${signature}"}`
  const path = '/v3/trade/payment/jspay'

  it('accepts V1 sorted, unsorted like JAVA and escaped like PHP; rejects an altered amount', async () => {
    const php = v1.input
      .replace(/\//g, '\\/')
      .replace(/[^\x20-\x7e]/g, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`)
    for (const data of [v1.canonical, v1.input, php, `  ${v1.input.replaceAll('","', '" ,\n "')}`]) {
      const here = world({ clock: at('2026-01-05T04:00:00Z') })
      const answer = await here.raw(path, body(data, v1.sign))
      expect(answer.data['resp_code'], answer.text).to.equal('00000100')
      here.stop()
    }
    const here = world({ clock: at('2026-01-05T04:00:00Z') })
    const altered = await here.raw(path, body(v1.input.replace('"0.10"', '"0.11"'), v1.sign))
    expect(altered.status).to.equal(922)
    expect(altered.sign).to.equal(undefined)
    expect(here.sim.books()).to.have.property('orders').that.deep.equals([])
    here.stop()
  })

  it('accepts and signs the same way on jsrsasign, its default', async () => {
    const here = world({ fastCrypto: false })
    expect((await here.create())['resp_code']).to.equal('00000100')
    expect((await here.raw(path, here.envelope(here.orderData(), v1.sign))).status).to.equal(922)
    here.stop()
  })

  it('knows what day it is in Beijing at half past midnight there', async () => {
    const here = world({ clock: at('2026-01-04T16:30:00Z') })
    const order = await here.create({ req_date: '20260105' })
    expect(order['resp_code']).to.equal('00000100')
    expect(order['hf_seq_id']).to.match(/^002900TOP1A260105003000P\d{3}ac13[0-9a-f]{9}$/)
    const yesterday = await here.create({ req_date: '20260104' })
    expect([yesterday['resp_code'], yesterday['resp_desc']]).to.deep.equal(['10000000', '请求日期必须是当前日期'])
    here.stop()
  })

  it('refuses in the documented order and never signs what the gateway says', async () => {
    const here = world()
    const good = here.orderData()
    const signed = signAs(sorted(good))
    const wrap = (changes: object): string => JSON.stringify({ ...JSON.parse(here.envelope(good)), ...changes })
    const cases: [string, string, number, string][] = [
      ['no JSON', '{', 412, '40001'],
      ['twin keys', here.envelope(good).replace('"data":{', '"data":{"huifu_id":"x",'), 412, '40001'],
      ['data as text', wrap({ data: JSON.stringify(good) }), 200, '40001'],
      ['no sign', wrap({ sign: undefined }), 200, '40001'],
      ['stray member', wrap({ extra: '1' }), 200, '40001'],
      ['stranger', wrap({ sys_id: '6666000100000009' }), 200, '20001'],
      ['bad signature', here.envelope(good, signed.replace(/^.{4}/, 'AAAA')), 922, '40002'],
      ['line separator', here.envelope({ ...good, goods_desc: 'a\u2028b' }), 412, '40001'],
    ]
    for (const [name, text, status, code] of cases) {
      const answer = await here.raw(path, text)
      expect(answer.status, name).to.equal(status)
      expect(answer.response.body, name).to.equal(
        JSON.stringify({ resp_code: code, resp_desc: parsed(answer.text)['resp_desc'] }),
      )
    }
    const product = await here.raw(path, wrap({ product_id: 'NOPE' }))
    expect([product.data['resp_code'], isHuifus(product.text, product.sign ?? '')]).to.deep.equal(['22000000', true])
    const stranger = await here.create({ huifu_id: '6666000100000002' })
    expect(stranger['resp_desc']).to.equal('数据权限认证失败')
    expect((await ask(here.sim.handle, path, '', 'GET')).status).to.equal(404)
    expect((await ask(here.sim.handle, '/v3/trade/payment/scanpay/close', '')).status).to.equal(404)
    expect(
      await here.sim.handle({
        method: 'POST',
        path: '/v3/pay/transactions/jsapi',
        query: '',
        target: '',
        headers: {},
        body: Buffer.alloc(0),
      }),
    ).to.equal(undefined)
    expect(here.sim.books()).to.have.property('orders').that.deep.equals([])
    here.stop()
  })

  it('refuses unknown, nested, overlong and ill-formed members with 10000000', async () => {
    const here = world()
    const cases: object[] = [
      { nonsense: '1' },
      { method_expand: JSON.stringify(sub) },
      { wx_data: sub },
      { wx_data: JSON.stringify({ T_MINIAPP: sub }) },
      { wx_data: JSON.stringify({ sub_appid: 'wx1' }) },
      { goods_desc: '长'.repeat(128) },
      { req_seq_id: 'with blank' },
      { req_seq_id: '' },
      { req_date: '20260230' },
      { trade_type: 'T_SOMETHING' },
      { time_expire: '2026-01-01' },
      { notify_url: 'ftp://shop.example.com/' },
      ...['1', '1.0', '01.00', '-1.00', '+1.00', '1.000', '0.00', '1e2', '123456789012.00', '１.00', ' 1.00'].map(
        (trans_amt) => ({ trans_amt }),
      ),
    ]
    for (const extra of cases) {
      const answer = await here.create(extra)
      expect(answer['resp_code'], JSON.stringify(extra)).to.equal('10000000')
    }
    const number = await here.raw(path, here.envelope({ ...here.orderData(), trans_amt: 100 }))
    expect(number.data['resp_code']).to.equal('10000000')
    expect((await here.create({ goods_desc: '长'.repeat(127), trans_amt: '99999999999.99' }))['resp_code']).to.equal(
      '00000100',
    )
    expect((await here.create({ channel_no: '' }))['resp_desc']).to.equal('该路由下未配置可用通道')
    expect((await here.create({ remark: '' }))['resp_code']).to.equal('00000100')
    await here.act('options?allow_nested=on')
    expect((await here.create({ wx_data: sub }))['resp_code']).to.equal('00000100')
    here.stop()
  })

  it('lets nobody use a number twice on one day, identical body or not', async () => {
    const here = world()
    const order = here.orderData()
    expect((await here.post(path, order))['resp_code']).to.equal('00000100')
    for (const again of [order, { ...order, trans_amt: '1.00' }]) {
      expect(await here.post(path, again)).to.include({ resp_code: '20000000', resp_desc: '重复交易' })
    }
    const refused = here.orderData({ trade_type: 'T_H5' })
    expect((await here.post(path, refused))['resp_code']).to.equal('22000004')
    expect((await here.post(path, { ...refused, trade_type: 'T_JSAPI' }))['resp_code']).to.equal('00000100')
    here.stop()
  })

  it('answers with reversed keys on demand, which still verify after sorting', async () => {
    const here = world()
    await here.act('options?unsorted_answers=on')
    const answer = await here.raw(path, here.envelope(here.orderData()))
    expect(isHuifus(answer.text, answer.sign ?? '')).to.equal(false)
    expect(isHuifus(sorted(answer.data), answer.sign ?? '')).to.equal(true)
    here.stop()
  })

  it('demands the skill headers in strict mode and offers the soft signature error', async () => {
    const here = world()
    await here.act('options?strict_headers=on&soft_signature_error=on')
    expect((await here.raw(path, here.envelope(here.orderData()))).text).to.include('20001')
    const bad = await here.raw(path, here.envelope(here.orderData(), v1.sign))
    expect([bad.status, parsed(bad.text)['resp_code']]).to.deep.equal([200, '40002'])
    here.stop()
  })
})

describe('huifu simulator: orders and queries (4, 5)', () => {
  it('creates through v2, v3 and v4 and hands out pay_info as a string', async () => {
    const here = world()
    const v4Order = here.orderData({ method_expand: JSON.stringify(sub) })
    delete v4Order['wx_data']
    const answers = [
      await here.post('/v2/trade/payment/jspay', here.orderData()),
      await here.post('/v3/trade/payment/jspay', here.orderData({ trade_type: 'T_JSAPI' })),
      await here.post('/v4/trade/payment/create', v4Order),
    ]
    for (const answer of answers) {
      expect(answer).to.include({
        resp_code: '00000100',
        trans_stat: 'P',
        trans_amt: '100.00',
        unconfirm_amt: '100.00',
      })
      const info = JSON.parse(answer['pay_info'] ?? '') as Data
      expect(Object.keys(info).toSorted()).to.deep.equal([
        'appId',
        'nonceStr',
        'package',
        'paySign',
        'signType',
        'timeStamp',
      ])
      expect(info).to.include({ appId: sub.sub_appid, signType: 'RSA' })
      expect(info['package']).to.match(/^prepay_id=wx\d{14}/)
      expect(Buffer.from(info['paySign'] ?? '', 'base64')).to.have.length(256)
      const paid = await here.act(`pay?pay_package=${encodeURIComponent(info['package'] ?? '')}`)
      expect(paid['status']).to.equal(200)
    }
    expect(new Set(answers.map((answer) => answer['pay_info'])).size).to.equal(3)
    expect(
      (await here.post('/v4/trade/payment/create', { ...v4Order, req_seq_id: 'X1', method_expand: '{"openid":"o"}' }))[
        'resp_code'
      ],
    ).to.equal('10000000')
    here.stop()
  })

  it('tells unpaid, paid and posted orders in both dialects', async () => {
    const here = world()
    const order = await here.create()
    const [date, number] = [order['req_date'], order['req_seq_id']]
    const v3 = { huifu_id: identity.huifuId, org_req_date: date, org_req_seq_id: number }
    const v4 = { huifu_id: identity.huifuId, req_date: date, req_seq_id: number }
    const askV3 = () => here.post('/v3/trade/payment/scanpay/query', v3)
    const askV4 = () => here.post('/v4/trade/payment/scanpay/query', v4)
    expect(await askV4()).to.have.all.keys(
      'acct_stat,bank_code,bank_desc,bank_message,fee_amt,hf_seq_id,huifu_id,is_delay_acct,is_div,org_resp_code,org_resp_desc,party_order_id,req_date,req_seq_id,resp_code,resp_desc,settlement_amt,trade_type,trans_amt,trans_stat'.split(
        ',',
      ),
    )
    expect(await askV3()).to.include({
      trans_stat: 'P',
      acct_stat: 'I',
      bank_code: 'NOTPAY',
      org_resp_code: '00000100',
      trans_type: 'T_MINIAPP',
      org_req_seq_id: number,
      org_hf_seq_id: order['hf_seq_id'],
    })
    await here.act(`hold?req_seq_id=${number}`)
    await here.act(`pay?req_seq_id=${number}&coupon=1000`)
    expect(await askV3()).to.include({
      trans_stat: 'S',
      acct_stat: 'I',
      trans_amt: '100.00',
      settlement_amt: '90.00',
      pay_amt: '90.00',
      fee_amt: '0.34',
      fee_type: 'INNER',
    })
    await here.act(`post?req_seq_id=${number}`)
    const [three, four] = [await askV3(), await askV4()]
    expect(three).to.include({ acct_stat: 'S', acct_date: date, delay_acct_flag: 'N', div_flag: 'N' })
    expect(three).to.not.have.any.keys('trade_type', 'hf_seq_id', 'method_expand', 'payment_fee')
    expect(four).to.include({
      acct_stat: 'S',
      hf_seq_id: order['hf_seq_id'],
      trade_type: 'T_MINIAPP',
      fee_amount: '0.34',
    })
    expect(four).to.not.have.any.keys('trans_type', 'org_hf_seq_id', 'wx_response')
    expect(JSON.parse(four['method_expand'] ?? '')).to.include({ coupon_fee: '10.00', ...sub })
    expect(JSON.parse(four['payment_fee'] ?? '')).to.include({ fee_amount: '0.34' })
    expect(JSON.parse(three['wx_response'] ?? '')).to.include(sub)
    const byOut = await here.post('/v4/trade/payment/scanpay/query', {
      huifu_id: identity.huifuId,
      req_date: date,
      out_ord_id: four['out_trans_id'],
    })
    expect(byOut['hf_seq_id']).to.equal(order['hf_seq_id'])
    here.stop()
  })

  it('refuses queries in the wrong dialect, without locator, and for unknown numbers', async () => {
    const here = world()
    const { req_date, req_seq_id } = await here.create()
    const huifu_id = identity.huifuId
    const cases: [string, object, string][] = [
      ['v3', { huifu_id, req_date, req_seq_id }, '10000000'],
      ['v4', { huifu_id, org_req_date: req_date, org_req_seq_id: req_seq_id }, '10000000'],
      ['v2', { huifu_id, org_req_date: req_date }, '21000000'],
      ['v4', { huifu_id, req_date }, '21000000'],
      ['v3', { huifu_id, org_req_seq_id: req_seq_id }, '10000000'],
      ['v3', { huifu_id, org_req_date: req_date, org_req_seq_id: 'NOBODY' }, '23000001'],
      ['v4', { huifu_id, req_date: '20200101', req_seq_id }, '23000001'],
    ]
    for (const [version, data, code] of cases) {
      const answer = await here.post(`/${version}/trade/payment/scanpay/query`, data)
      expect(answer['resp_code'], `${version} ${JSON.stringify(data)}`).to.equal(code)
    }
    here.stop()
  })

  it('closes an order whose time is over, and refuses one whose time is over at birth', async () => {
    const here = world({ clock: createClock({ now: () => noonOnFifth }) })
    expect(await here.create({ time_expire: '20260105115900' })).to.include({
      resp_code: '10000000',
      resp_desc: '订单已超时',
    })
    expect((await here.create({ time_expire: '20260105120058' }))['resp_code']).to.equal('10000000')
    const order = await here.create({ time_expire: '20260105121000' })
    here.clock.advance(600_999)
    const query = () =>
      here.post('/v3/trade/payment/scanpay/query', { huifu_id: identity.huifuId, org_hf_seq_id: order['hf_seq_id'] })
    expect((await query())['trans_stat']).to.equal('P')
    here.clock.advance(1)
    expect(await query()).to.include({
      trans_stat: 'F',
      acct_stat: 'I',
      bank_message: '交易已关单',
      org_resp_code: '90000000',
    })
    expect((await here.act(`pay?req_seq_id=${order['req_seq_id']}`))['status']).to.equal(409)
    expect((await here.act(`pay?req_seq_id=${order['req_seq_id']}&late=on`))['status']).to.equal(200)
    expect((await query())['trans_stat']).to.equal('S')
    const idle = await here.create()
    here.clock.advance(2 * 3_600_000)
    const late = await here.post('/v3/trade/payment/scanpay/query', {
      huifu_id: identity.huifuId,
      org_hf_seq_id: idle['hf_seq_id'],
    })
    expect(late['bank_message']).to.equal('交易已关单')
    here.stop()
  })
})
