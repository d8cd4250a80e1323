import { expect } from 'chai'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClock } from '../../src/simulators/clock.ts'
import { feeOf, fenOf, rateOf, shareOf, yuanOf } from '../../src/simulators/huifu/money.ts'
import { identity, noonOnFifth, until, world, type Data } from './huifu-world.ts'

/** Close, refund and arithmetic of the Huifu simulator (huifu-dougong.md 3.1, 6, 7, 18.3). */
const CLOSE = '/v2/trade/payment/scanpay/close'
const CLOSE_QUERY = '/v2/trade/payment/scanpay/closequery'
const MINUTE = 60_000

type Here = ReturnType<typeof world>
/** A world in which time stands still unless it is told to move. */
const frozen = (): Here => world({ clock: createClock({ now: () => noonOnFifth }) })
const state = async (here: Here, order: Data): Promise<Data> =>
  here.post('/v3/trade/payment/scanpay/query', { huifu_id: identity.huifuId, org_hf_seq_id: order['hf_seq_id'] })
const sums = (here: Here): Record<string, number> => (here.sim.books() as { sums: Record<string, number> }).sums

describe('huifu simulator: amounts (3.1)', () => {
  it('charges and returns fees as the published examples do', () => {
    const rate = (text: string) => rateOf(text) ?? { formula: '', perHundredThousand: Number.NaN }
    expect(feeOf(235_500, rate('0.0021'))).to.equal(495)
    expect(feeOf(8160, rate('0.0075'))).to.equal(61)
    expect(feeOf(82_500, rate('0.0021'))).to.equal(173)
    expect(shareOf(964, 24_400, 71_416, { part: 0, share: 0 })).to.equal(329)
    expect(shareOf(964, 71_416 - 24_400, 71_416, { part: 24_400, share: 329 })).to.equal(964 - 329)
    expect(fenOf('99999999999.99')).to.equal(9_999_999_999_999)
    expect(['0.05', '1.00', '99999999999.99'].map((yuan) => yuanOf(fenOf(yuan) ?? -1))).to.deep.equal([
      '0.05',
      '1.00',
      '99999999999.99',
    ])
  })
})

describe('huifu simulator: close (6)', () => {
  it('refuses within the first minute, then closes, and never twice', async () => {
    const here = frozen()
    const order = await here.create()
    here.clock.advance(MINUTE - 1)
    expect(await here.post(CLOSE, here.closeData(order))).to.include({ resp_code: '20000001' })
    here.clock.advance(1)
    const request = here.closeData(order)
    expect(await here.post(CLOSE, request)).to.include({
      resp_code: '00000000',
      resp_desc: '操作成功',
      sub_resp_code: '00000100',
      sub_resp_desc: '关单处理中',
      trans_stat: 'P',
      org_trans_stat: 'P',
    })
    expect((await here.post(CLOSE, request))['resp_code']).to.equal('20000000')
    expect((await here.post(CLOSE, here.closeData(order)))['resp_desc']).to.equal('关单状态为终态')
    here.clock.advance(1000)
    await new Promise((resolve) => setTimeout(resolve, 30))
    const asked = here.closeData(order)
    expect(await here.post(CLOSE_QUERY, asked)).to.include({
      trans_stat: 'S',
      org_trans_stat: 'F',
      req_seq_id: asked['req_seq_id'],
    })
    expect((await here.post(CLOSE_QUERY, asked))['resp_code']).to.equal('20000000')
    expect(await state(here, order)).to.include({ trans_stat: 'F', bank_message: '交易已关单' })
    here.stop()
  })

  it('gives way to a faster payer', async () => {
    const here = frozen()
    const order = await here.create()
    here.clock.advance(MINUTE)
    await here.post(CLOSE, here.closeData(order))
    await here.act(`pay?req_seq_id=${order['req_seq_id']}`)
    here.clock.advance(1000)
    expect(await here.post(CLOSE_QUERY, here.closeData(order))).to.include({ trans_stat: 'F', org_trans_stat: 'S' })
    here.stop()
  })

  it('refuses paid, UnionPay, unknown and unlocated orders; a refused close may be repeated', async () => {
    const here = frozen()
    const [paid, union, plain] = [
      await here.create(),
      await here.create({ trade_type: 'U_NATIVE', wx_data: undefined }),
      await here.create(),
    ]
    await here.act(`pay?req_seq_id=${paid['req_seq_id']}`)
    here.clock.advance(MINUTE)
    const close = async (data: object): Promise<string | undefined> => (await here.post(CLOSE, data))['resp_code']
    expect(await close(here.closeData(paid))).to.equal('23000000')
    expect(await close(here.closeData(union))).to.equal('23000004')
    expect(await close(here.closeData(plain, { org_req_seq_id: 'NOBODY' }))).to.equal('23000001')
    expect(await close(here.closeData(plain, { org_req_seq_id: undefined }))).to.equal('21000000')
    expect(await close(here.closeData(plain, { req_date: '20260104' }))).to.equal('10000000')
    expect((await here.post(CLOSE_QUERY, here.closeData(plain)))['resp_code']).to.equal('23000001')
    await here.act('options?auto_close=off')
    expect(await close(here.closeData(plain))).to.equal('00000000')
    await here.act(`close?req_seq_id=${plain['req_seq_id']}&result=F`)
    expect(await here.post(CLOSE_QUERY, here.closeData(plain))).to.include({ trans_stat: 'F', org_trans_stat: 'P' })
    expect(await close(here.closeData(plain))).to.equal('00000000')
    here.stop()
  })
})

describe('huifu simulator: refund (7)', () => {
  for (const version of ['v2', 'v3', 'v4'] as const) {
    const [REFUND, QUERY] = [
      `/${version}/trade/payment/scanpay/refund`,
      `/${version}/trade/payment/scanpay/refundquery`,
    ]

    it(`${version}: waits for posting, spaces refunds, keeps the remainder, returns fees`, async () => {
      const here = frozen()
      const order = await here.create()
      const refund = async (amount: string): Promise<Data> => here.post(REFUND, here.refundData(order, amount))
      expect((await refund('1.00'))['resp_code']).to.equal('23000000')
      await here.act(`hold?req_seq_id=${order['req_seq_id']}`)
      await here.act(`pay?req_seq_id=${order['req_seq_id']}`)
      expect((await refund('1.00'))['resp_desc']).to.equal('原交易未入账，不能发起退款')
      await here.act(`post?req_seq_id=${order['req_seq_id']}`)
      expect((await refund('100.01'))['resp_code']).to.equal('23000003')
      const first = await refund('33.33')
      expect(first).to.include({
        resp_code: '00000100',
        trans_stat: 'P',
        ord_amt: '33.33',
        product_id: 'YYZY',
        org_hf_seq_id: order['hf_seq_id'],
      })
      expect(first['hf_seq_id']).to.match(/^003100/)
      expect(first['trade_type']).to.equal(version === 'v4' ? 'TRANS_REFUND' : undefined)
      expect((await refund('66.68'))['resp_desc'], 'pending refunds count').to.equal('申请退款金额大于可退款余额')
      expect((await refund('10.00'))['resp_code'], 'within a minute').to.equal('20000001')
      here.clock.advance(MINUTE)
      await until(() => sums(here)['refundedFen'] === 3333)
      expect((await refund('66.67'))['resp_code']).to.equal('00000100')
      here.clock.advance(MINUTE)
      await until(() => sums(here)['refundedFen'] === 10_000)
      expect((await refund('0.01'))['resp_code']).to.equal('23000003')
      expect(sums(here)).to.include({
        paidFen: 10_000,
        feesFen: 38,
        returnedFeesFen: 38,
        pendingRefundFen: 0,
        balanceFen: 0,
      })
      const told = await here.post(QUERY, {
        huifu_id: identity.huifuId,
        org_req_date: first['req_date'],
        org_req_seq_id: first['req_seq_id'],
      })
      expect(told).to.include({
        resp_code: '00000000',
        trans_stat: 'S',
        ord_amt: '33.33',
        actual_ref_amt: '33.33',
        org_hf_seq_id: first['hf_seq_id'],
        bank_message: '正常结束',
      })
      expect(told[version === 'v4' ? 'trade_type' : 'trans_type']).to.equal('TRANS_REFUND')
      expect(told[version === 'v4' ? 'fee_amount' : 'fee_amt']).to.equal('0.12')
      here.stop()
    })

    it(`${version}: finds the payment by exactly one of three numbers, the refund by its own only`, async () => {
      const here = frozen()
      const orders = [await here.posted(), await here.posted(), await here.posted()]
      const ways = ['org_req_seq_id', 'org_hf_seq_id', 'org_party_order_id']
      for (const [index, order] of orders.entries()) {
        const value = [order['req_seq_id'], order['hf_seq_id'], order['party_order_id']][index]
        const answer = await here.post(
          REFUND,
          here.refundData(order, '1.00', { org_req_seq_id: undefined, [ways[index] ?? '']: value }),
        )
        expect([answer['resp_code'], answer['org_req_seq_id']]).to.deep.equal(['00000100', order['req_seq_id']])
      }
      const [order = {}] = orders
      const both = here.refundData(order, '1.00', { org_hf_seq_id: order['hf_seq_id'] })
      expect((await here.post(REFUND, both))['resp_code']).to.equal('10000000')
      expect(
        (await here.post(REFUND, here.refundData(order, '1.00', { org_req_seq_id: undefined })))['resp_code'],
      ).to.equal('21000000')
      expect(
        (await here.post(REFUND, here.refundData(order, '1.00', { org_req_date: '20260104' })))['resp_code'],
      ).to.equal('23000001')
      expect((await here.post(REFUND, here.refundData(order, '1.00', { req_date: '20260104' })))['resp_code']).to.equal(
        '10000000',
      )
      for (const keys of [
        { org_req_date: order['req_date'], org_req_seq_id: order['req_seq_id'] },
        { org_hf_seq_id: order['hf_seq_id'] },
      ]) {
        const answer = await here.post(QUERY, { huifu_id: identity.huifuId, ...keys })
        expect(answer).to.include({ resp_code: '23000001', [version === 'v4' ? 'trade_type' : 'trans_type']: '' })
      }
      here.stop()
    })
  }

  it('frees amount and balance when a refund fails later, and burns its number', async () => {
    const here = frozen()
    const order = await here.posted()
    here.chaos.script('refundFailsLater', 'huifu.refund', 1)
    const request = here.refundData(order, '100.00')
    expect((await here.post('/v3/trade/payment/scanpay/refund', request))['trans_stat']).to.equal('P')
    expect(sums(here)).to.include({ pendingRefundFen: 10_000, balanceFen: 0 })
    here.clock.advance(MINUTE)
    await until(() => sums(here)['pendingRefundFen'] === 0)
    expect(sums(here)).to.include({ refundedFen: 0, balanceFen: 9962 })
    expect((await here.post('/v3/trade/payment/scanpay/refund', request))['resp_code']).to.equal('20000000')
    expect(
      (await here.post('/v3/trade/payment/scanpay/refund', here.refundData(order, '100.00')))['resp_code'],
    ).to.equal('00000100')
    here.stop()
  })

  it('pays refunds from the balance, settles on demand, and refuses after 360 days', async () => {
    const here = frozen()
    const order = await here.posted()
    await here.act('options?auto_refund=off')
    await here.act('balance?fen=10')
    const refund = () => here.post('/v3/trade/payment/scanpay/refund', here.refundData(order, '1.00'))
    expect((await refund())['resp_desc']).to.equal('账户余额不足')
    await here.act('balance?fen=1000')
    const accepted = await refund()
    here.clock.advance(MINUTE)
    expect(sums(here)['pendingRefundFen']).to.equal(100)
    expect((await here.act(`refund?req_seq_id=${accepted['req_seq_id']}&result=F`))['status']).to.equal(200)
    expect((await here.act(`refund?req_seq_id=${accepted['req_seq_id']}&result=S`))['status']).to.equal(409)
    expect(sums(here)).to.include({ pendingRefundFen: 0, refundedFen: 0, balanceFen: 1000 })
    here.clock.advance(360 * 86_400_000 + 1)
    expect((await refund())['resp_code']).to.equal('23000004')
    here.stop()
  })

  it('marks a failed posting, which allows no refund', async () => {
    const here = frozen()
    const order = await here.create()
    await here.act(`hold?req_seq_id=${order['req_seq_id']}`)
    await here.act(`pay?req_seq_id=${order['req_seq_id']}`)
    await here.act(`post?req_seq_id=${order['req_seq_id']}&result=fail`)
    expect(await state(here, order)).to.include({ trans_stat: 'S', acct_stat: 'F' })
    expect((await here.post('/v3/trade/payment/scanpay/refund', here.refundData(order, '1.00')))['resp_code']).to.equal(
      '23000000',
    )
    expect(sums(here)).to.include({ paidFen: 10_000, postedFen: 0, balanceFen: 0 })
    here.stop()
  })
})

describe('huifu simulator: books on disk', () => {
  it('finds orders, numbers and plans again after a restart', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'huifu-'))
    try {
      const books = join(folder, 'var', 'huifu.json')
      const before = world({ books })
      const order = await before.create()
      await before.act(`pay?req_seq_id=${order['req_seq_id']}`)
      before.stop()
      const after = world({ books })
      await until(() => sums(after)['postedFen'] === 10_000)
      expect(await state(after, order)).to.include({ trans_stat: 'S', acct_stat: 'S' })
      const again = after.orderData({ req_seq_id: order['req_seq_id'] })
      expect((await after.post('/v3/trade/payment/jspay', again))['resp_code']).to.equal('20000000')
      expect((await after.create({ req_seq_id: 'ANOTHER' }))['hf_seq_id']).to.not.equal(order['hf_seq_id'])
      after.stop()
      writeFileSync(books, '{"orders":1}')
      expect(() => world({ books })).to.throw(TypeError, 'holds no Huifu books')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
