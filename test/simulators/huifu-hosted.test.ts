import { expect } from 'chai'
import { identity, receiver, staged, until, world, type Data, type Here } from './huifu-world.ts'

/** Hosted pre-orders of kinds 1 and 3, their query, close and refund (huifu-dougong.md 11), signed like every call. */
const base = '/v2/trade/hosting/payment/'
const mini = { need_scheme: 'Y', private_info: 'order 7' }

describe('the simulated Huifu, hosted', () => {
  let here: Here
  let count = 0
  beforeEach(() => {
    here = world()
  })
  afterEach(() => here.stop())

  const own = (): Data => {
    const { req_date = '' } = here.orderData()
    return { req_date, req_seq_id: `H${String((count += 1)).padStart(8, '0')}`, huifu_id: identity.huifuId }
  }
  const order = (more: object = {}): Data => ({
    ...own(),
    trans_amt: '0.88',
    goods_desc: '一杯乌龙',
    pre_order_type: '3',
    miniapp_data: JSON.stringify(mini),
    ...more,
  })
  const preorder = (more: object = {}): Promise<Data> => here.post(`${base}preorder`, order(more))
  const locate = (made: Data): Data => ({
    ...own(),
    org_req_date: made['req_date'] ?? '',
    org_req_seq_id: made['req_seq_id'] ?? '',
  })
  const query = (made: Data): Promise<Data> => here.post(`${base}queryorderinfo`, locate(made))

  it('answers a mini-program pre-order with what opens it', async () => {
    const made = await preorder()
    expect(made).to.include({ resp_code: '00000000', trans_amt: '0.88' })
    expect(made['pre_order_id']).to.match(/^H\d{26}$/)
    const data = JSON.parse(made['miniapp_data'] ?? '') as Data
    expect(data).to.include({ gh_id: 'gh_000000000001', path: 'pages/cashier/cashier', need_scheme: 'Y' })
    expect(data['scheme_code']).to.match(/^weixin:\/\/dl\/business\/\?t=\w+$/)
    const plugin = await preorder({ miniapp_data: JSON.stringify({ need_scheme: 'N' }) })
    expect((JSON.parse(plugin['miniapp_data'] ?? '') as Data)['scheme_code']).to.equal('')
  })

  it('answers an H5 pre-order with a page and its ten minutes', async () => {
    const hosting = JSON.stringify({ project_title: 'Tea', project_id: 'PROJECT1' })
    const made = await preorder({ pre_order_type: '1', miniapp_data: undefined, hosting_data: hosting })
    expect(made['jump_url']).to.contain(`/hostingH5/cashier/${made['pre_order_id'] ?? ''}`)
    expect(made).to.include.keys('current_time', 'time_expire', 'hosting_data')
    const without = await preorder({
      pre_order_type: '1',
      miniapp_data: undefined,
      hosting_data: hosting,
      trans_type: 'T_JSAPI',
    })
    expect(without['resp_desc']).to.equal('hosting_data.request_type不能为空')
  })

  it('refuses what the documents do not know', async () => {
    const refused: [object, string][] = [
      [{ goods_desc: '长'.repeat(41) }, '10000000'],
      [{ req_seq_id: 'x'.repeat(65) }, '10000000'],
      [{ pre_order_type: '9' }, '10000000'],
      [{ pre_order_type: '2' }, '22000004'],
      [{ miniapp_data: JSON.stringify({ ...mini, amount: '1' }) }, '10000000'],
      [{ miniapp_data: JSON.stringify({}) }, '10000000'],
      [{ trade_type: 'T_MINIAPP' }, '10000000'],
      [{ time_expire: '20200101000000' }, '10000000'],
    ]
    for (const [more, code] of refused) {
      expect((await preorder(more))['resp_code'], JSON.stringify(more)).to.equal(code)
    }
    const made = await preorder({ req_seq_id: 'ONCE1' })
    expect(made['resp_code']).to.equal('00000000')
    expect((await preorder({ req_seq_id: 'ONCE1' }))['resp_code']).to.equal('99010002')
    await here.act('options?scheme_fails=on')
    expect((await preorder())['resp_code']).to.equal('90000000')
    const body = here.envelope(order(), 'A'.repeat(342) + '==')
    expect((await here.raw(`${base}preorder`, body)).status, 'a wrong signature').to.equal(922)
  })

  it('goes from paying to paid to refunded, known by the hosted paths only', async () => {
    const made = await preorder()
    expect(await query(made)).to.include({ order_stat: '2', trans_stat: 'P', pre_order_id: made['pre_order_id'] })
    const scan = { huifu_id: identity.huifuId, org_req_date: made['req_date'], org_req_seq_id: made['req_seq_id'] }
    expect((await here.post('/v3/trade/payment/scanpay/query', scan))['resp_code']).to.equal('23000001')
    await here.act(`hold?pre_order_id=${made['pre_order_id']}`)
    expect((await here.act(`pay?pre_order_id=${made['pre_order_id']}`))['status']).to.equal(200)
    expect(await query(made)).to.include({ order_stat: '1', trans_stat: 'S', ref_amt: '0.88', is_div: 'N' })
    await here.act(`post?pre_order_id=${made['pre_order_id']}`)
    const refund = await here.post(`${base}htRefund`, { ...locate(made), ord_amt: '0.30' })
    expect(refund).to.include({ resp_code: '00000100', fee_amt: refund['fee_amt'] })
    await here.act(`refund?req_seq_id=${refund['req_seq_id']}`)
    expect(await query(made)).to.include({ order_stat: '6', ref_amt: '0.58' })
    const asked = { ...own(), org_req_date: refund['req_date'], org_req_seq_id: refund['req_seq_id'] }
    expect(await here.post(`${base}queryRefundInfo`, asked)).to.include({ trans_stat: 'S', ord_amt: '0.30' })
    const elsewhere = {
      huifu_id: identity.huifuId,
      org_req_date: refund['req_date'],
      org_req_seq_id: refund['req_seq_id'],
    }
    expect((await here.post('/v3/trade/payment/scanpay/refundquery', elsewhere))['resp_code']).to.equal('23000001')
  })

  it('expires after ten minutes, and then refuses to close', async () => {
    const made = await preorder()
    here.clock.advance(10 * 60_000)
    expect(await query(made)).to.include({ order_stat: '5', trans_stat: 'F' })
    expect((await here.post(`${base}close`, locate(made)))['resp_code']).to.equal('30000001')
    expect((await here.post(`${base}close`, { ...locate(made), org_req_seq_id: 'NOBODY' }))['resp_code']).to.equal(
      '99010003',
    )
  })

  it('closes, and tells the address of the pre-order, which repeats the payment’s number', () =>
    staged(
      async (there, shop) => {
        const data = { ...order(), notify_url: shop.url }
        const made = await there.post(`${base}preorder`, data)
        const close = await there.post(`${base}close`, locate(made))
        expect(close).to.include({ close_stat: 'P', org_trans_stat: 'P' })
        await until(() => shop.seen.length === 1)
        expect(shop.seen[0]?.data).to.include({
          close_stat: 'S',
          org_trans_stat: 'F',
          org_req_seq_id: made['req_seq_id'],
        })
        expect(shop.seen[0]?.data).to.not.have.property('req_seq_id')
      },
      (seen) => ({ status: 200, body: `RECV_ORD_ID_${String(seen.data['org_req_seq_id'])}` }),
    ))

  it('notifies a payment with the private text as remark', async () => {
    const shop = await receiver()
    try {
      const made = await preorder({ notify_url: shop.url })
      await here.act(`pay?pre_order_id=${made['pre_order_id']}`)
      await until(() => shop.seen.length >= 1)
      expect(shop.seen[0]?.data).to.include({ trans_stat: 'S', remark: 'order 7', req_seq_id: made['req_seq_id'] })
    } finally {
      await shop.close()
    }
  })
})
