import { expect } from 'chai'
import { databases } from '../databases.ts'
import { call, control, open, readOrder, startWorld, until, type World } from '../harness.ts'

/** Huifu's hosted mini-program as the launch of a merchant who has none (huifu-dougong.md 11). */

type Launched = { kind: string; user_name: string; path: string; url: string; expires_at: string; code?: string }

for (const database of databases) {
  describe(`launching a hosted mini-program on ${database.name}`, function () {
    this.timeout(60_000)
    let world: World
    before(async () => {
      world = await startWorld({
        database,
        channel: 'huifu-main',
        timeScale: 120,
        configure(config) {
          const settings = config.channels['huifu-main']?.settings ?? {}
          settings['methods'] = { wechat_jsapi: { appid: 'wx00000000000000a1' }, wechat_mini: { hosted: true } }
        },
      })
    })
    after(() => world.close())

    const launch = (orderId: string, target: string) =>
      call<Launched>(world, 'POST', `/v1/orders/${orderId}/launch`, { target, client_ip: '203.0.113.9' })
    const preOrderOf = (path: string) => /\?p=([A-Za-z0-9]+)&s=app$/.exec(path)?.[1] ?? ''
    const calls = async (operation: string, number: string) =>
      (
        await control<{ requests: { path: string; keys: Record<string, string> }[] }>(
          world,
          '/_sim/requests',
          {},
          'GET',
        )
      ).requests.filter(
        ({ path, keys }) => path.endsWith(operation) && JSON.stringify(keys).includes(number.replace('_', '')),
      )

    it('registers the order once, for app and browser alike, and is told of the payment', async () => {
      const order = await open(world, 4200)
      const app = await launch(order.id, 'app')
      expect(app.status).to.equal(200)
      expect(app.body).to.include({ kind: 'miniprogram', user_name: 'gh_000000000001' })
      expect(app.body.path).to.match(/^pages\/cashier\/cashier\?p=H\d+&s=app$/)
      const browser = await launch(order.id, 'browser')
      expect(browser.body.kind).to.equal('scheme')
      expect(browser.body.url).to.match(/^weixin:\/\/dl\/business\/\?t=[0-9A-F]+$/)
      const [payment] = (await readOrder(world, order.id)).payments
      expect(payment?.method).to.equal('wechat_mini')
      expect(await calls('/preorder', payment?.id ?? '')).to.have.length(1)
      await control(world, '/_sim/huifu/pay', { pre_order_id: preOrderOf(app.body.path) })
      const paid = await until('paid', async () => {
        const now = await readOrder(world, order.id)
        return now.status === 'paid' ? now : undefined
      })
      expect(paid.payments).to.have.length(1)
      expect(
        await calls('/queryorderinfo', payment?.id ?? ''),
        'confirmed by its own query',
      ).to.have.length.of.at.least(1)
      await until('credited', async () => (await readOrder(world, order.id)).payments[0]?.account_status === 'credited')
      expect((await launch(order.id, 'app')).body.code).to.equal('order-not-payable')
    })

    it('gives the money back through the hosted refund', async () => {
      const order = await open(world, 900)
      const { path } = (await launch(order.id, 'app')).body
      await control(world, '/_sim/huifu/pay', { pre_order_id: preOrderOf(path) })
      await until('paid', async () => (await readOrder(world, order.id)).status === 'paid')
      const refund = await call<{ id: string }>(world, 'POST', `/v1/orders/${order.id}/refunds`, {
        merchant_refund_no: `R-${order.merchant_order_no}`,
        amount: 300,
      })
      expect(refund.status).to.equal(201)
      const done = await until('refunded', async () => {
        const now = await readOrder(world, order.id)
        return now.refunds[0]?.status === 'succeeded' ? now : undefined
      })
      expect(done.refunded).to.equal(300)
      expect(await calls('/htRefund', refund.body.id)).to.have.length.of.at.least(1)
    })

    it('closes the pre-order of an order that the merchant closes', async () => {
      const order = await open(world, 900)
      const { path } = (await launch(order.id, 'app')).body
      await call(world, 'POST', `/v1/orders/${order.id}/close`)
      const closed = await until('closed', async () => {
        const now = await readOrder(world, order.id)
        return now.status === 'closed' ? now : undefined
      })
      expect(await calls('/hosting/payment/close', closed.payments[0]?.id ?? '')).to.have.length.of.at.least(1)
      const late = await control(world, '/_sim/huifu/pay', { pre_order_id: preOrderOf(path) }).then(
        () => 'paid',
        () => 'refused',
      )
      expect(late).to.equal('refused')
    })

    it('finds the payment by asking when no notification comes', async () => {
      const order = await open(world, 777)
      const { path } = (await launch(order.id, 'app')).body
      await control(world, '/_sim/chaos', { fault: 'notifyNever', rate: '1' })
      await control(world, '/_sim/huifu/pay', { pre_order_id: preOrderOf(path) })
      await until('paid', async () => (await readOrder(world, order.id)).status === 'paid', 20_000)
    })

    it('is offered by launches only: a caller with an openid is told that no channel offers the method', async () => {
      const order = await open(world, 100)
      const refused = await call<{ code: string }>(world, 'POST', `/v1/orders/${order.id}/payments`, {
        method: 'wechat_mini',
        openid: 'oSIM-mini-payer-00000001',
        client_ip: '203.0.113.9',
      })
      expect([refused.status, refused.body.code]).to.deep.equal([422, 'method-unavailable'])
    })

    it('says so when Huifu gets no scheme', async () => {
      await control(world, '/_sim/huifu/options', { scheme_fails: 'on' })
      const order = await open(world, 100)
      const refused = await launch(order.id, 'browser')
      await control(world, '/_sim/huifu/options', { scheme_fails: 'off' })
      expect([refused.status, refused.body.code]).to.deep.equal([422, 'provider-rejected'])
    })
  })
}
