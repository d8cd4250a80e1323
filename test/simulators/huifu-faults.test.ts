import { expect } from 'chai'
import { createClock } from '../../src/simulators/clock.ts'
import { serve } from '../../src/simulators/http.ts'
import { ask, genuine, isHuifus, paid, staged, types, until, world, type Data, type Here } from './huifu-world.ts'

/** Faults, wallet and control door of the Huifu simulator (huifu-dougong.md 18.3). */
describe('huifu simulator: faults (18.3)', () => {
  const PATH = '/v3/trade/payment/jspay'
  const orders = (here: Here): number => (here.sim.books() as { orders: unknown[] }).orders.length

  it('fails before the effect with reset, refuse, serverError and rateLimit', async () => {
    const here = world()
    const order = here.orderData()
    for (const [fault, status] of [
      ['reset', 500],
      ['refuse', 500],
      ['serverError', 500],
      ['rateLimit', 911],
    ] as const) {
      here.chaos.script(fault, 'huifu.create', 1)
      const answer = await here.raw(PATH, here.envelope(order))
      expect([answer.status, answer.response.fault, answer.sign], fault).to.deep.equal([
        status,
        fault === 'reset' ? 'reset' : undefined,
        undefined,
      ])
      expect(orders(here), fault).to.equal(0)
    }
    expect((await here.post(PATH, order))['resp_code']).to.equal('00000100')
    here.stop()
  })

  it('loses, spoils or delays the answer after the effect', async () => {
    const here = world()
    for (const [index, [fault, applied]] of (
      [
        ['failAfterAccept', 'reset'],
        ['hang', 'hang'],
        ['truncate', 'truncate'],
      ] as const
    ).entries()) {
      here.chaos.script(fault, 'huifu.create', 1)
      expect((await here.raw(PATH, here.envelope(here.orderData()))).response.fault).to.equal(applied)
      expect(orders(here)).to.equal(index + 1)
    }
    here.chaos.script('unsigned', 'huifu.create', 1)
    const unsigned = await here.raw(PATH, here.envelope(here.orderData()))
    expect([unsigned.data['resp_code'], unsigned.sign]).to.deep.equal(['00000100', undefined])
    here.chaos.script('badSignature', 'huifu.create', 1)
    const bad = await here.raw(PATH, here.envelope(here.orderData()))
    expect(bad.sign).to.have.length(344)
    expect(isHuifus(bad.text, bad.sign ?? '')).to.equal(false)
    here.chaos.script('slow', 'huifu.create', 1)
    expect((await here.raw(PATH, here.envelope(here.orderData()))).response.delayMs).to.be.within(200, 1000)
    here.chaos.script('duplicateOrder', 'huifu.create', 1)
    expect((await here.create())['resp_code']).to.equal('20000000')
    expect(orders(here)).to.equal(7)
    here.stop()
  })

  it('notifies twice, never, in the wrong order and with a wrong signature once', () =>
    staged(async (here, shop) => {
      here.chaos.script('notifyOutOfOrder', 'huifu.notify', 1)
      await paid(here, shop)
      await until(() => shop.seen.length === 2)
      expect(types(shop.seen)).to.deep.equal([2, 1])
      expect(shop.seen[1]?.data['acct_stat']).to.equal('I')
      here.chaos.script('notifyNever', 'huifu.notify', 1)
      await paid(here, shop)
      await until(() => shop.seen.length === 3)
      expect(types(shop.seen)).to.deep.equal([2, 1, 2])
      here.chaos.script('notifyTwice', 'huifu.notify', 1)
      await paid(here, shop)
      await until(() => shop.seen.length === 6)
      expect(types(shop.seen).slice(3)).to.have.members([1, 1, 2])
      here.chaos.script('badSignature', 'huifu.notify', 1)
      await paid(here, shop)
      await until(() => shop.seen.length >= 8)
      expect(shop.seen.slice(6).filter((one) => !genuine(one))).to.have.length(1)
    }))

  it('lets a notification overtake the answer that caused it', () =>
    staged(async (here, shop) => {
      const order = await here.posted()
      here.chaos.script('notifyBeforeResponse', 'huifu.refund', 1)
      const refund = await here.post(
        '/v3/trade/payment/scanpay/refund',
        here.refundData(order, '1.00', { notify_url: shop.url }),
      )
      expect(shop.seen).to.have.length(1)
      expect([refund['trans_stat'], shop.seen[0]?.data['trans_stat']]).to.deep.equal(['P', 'S'])
      here.chaos.script('notifyBeforeResponse', 'huifu.create', 1)
      const created = here.create({ notify_url: shop.url, req_seq_id: 'EARLY1' })
      await until(() => orders(here) === 2)
      await here.act('pay?req_seq_id=EARLY1')
      expect(await created).to.include({ resp_code: '00000100', trans_stat: 'P' })
      expect(shop.seen.at(1)?.data).to.include({ req_seq_id: 'EARLY1', notify_type: 1 })
    }))
})

describe('huifu simulator: wallet and control door', () => {
  it('pays over real HTTP from a page that works without scripts', async () => {
    const here = world({ clock: createClock({ scale: 100 }) })
    const server = await serve([here.sim.handle, here.sim.control], {
      host: '127.0.0.1',
      port: 0,
      log: () => undefined,
    })
    try {
      const goods = '<b>面包</b> & "牛奶"'
      const body = here.envelope(here.orderData({ goods_desc: goods }))
      const created = await fetch(`${server.url}/v3/trade/payment/jspay`, {
        method: 'POST',
        body,
        headers: { 'Content-Type': 'application/json;charset=UTF-8' },
      })
      expect(created.headers.get('content-type')).to.equal('application/json;charset=UTF-8')
      const order = ((await created.json()) as { data: Data }).data
      const page = await (await fetch(`${server.url}/_sim/huifu/wallet?req_seq_id=${order['req_seq_id']}`)).text()
      expect(page)
        .to.include('¥100.00')
        .and.include('&#60;b&#62;面包')
        .and.include('prefers-color-scheme')
        .and.not.include('<b>面包')
      const form = new URLSearchParams({ hf_seq_id: order['hf_seq_id'] ?? '', return: 'wallet' })
      const pressed = await fetch(`${server.url}/_sim/huifu/pay`, { method: 'POST', body: form })
      expect(pressed.url).to.include('/_sim/huifu/wallet?hf_seq_id=')
      expect(await pressed.text())
        .to.include('data-stat="S"')
        .and.not.include('<form')
      const wrong = await fetch(`${server.url}/v3/trade/payment/jspay`, {
        method: 'POST',
        body: body.replace('100.00', '200.00'),
        headers: { 'Content-Type': 'application/json' },
      })
      expect(wrong.status).to.equal(922)
    } finally {
      await server.close()
      here.stop()
    }
  })

  it('takes JSON, refuses nonsense, and shows the books', async () => {
    const here = world()
    const order = await here.create()
    const answer = await ask(
      here.sim.control,
      '/_sim/huifu/pay',
      JSON.stringify({ req_seq_id: order['req_seq_id'], coupon: 1 }),
    )
    expect(answer.status).to.equal(200)
    for (const [path, status] of [
      ['pay?req_seq_id=NOBODY', 404],
      [`pay?req_seq_id=${order['req_seq_id']}`, 409],
      ['pay', 404],
      ['constructor', 404],
      ['balance?fen=1.5', 400],
      ['options?nonsense=on', 400],
    ] as const) {
      expect((await here.act(path))['status'], path).to.equal(status)
    }
    expect((await here.act('pay', 'GET'))['status']).to.equal(405)
    expect(await here.act('books', 'GET')).to.have.nested.property('sums.paidFen', 10_000)
    here.stop()
  })
})
