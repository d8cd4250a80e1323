import { expect } from 'chai'
import type { OrderResource } from '../../src/core/event.ts'
import { databases } from '../databases.ts'
import {
  call,
  control,
  open,
  paidOrder,
  pay,
  payer,
  readOrder,
  route,
  start,
  startWorld,
  until,
  type ProblemBody,
  type World,
} from '../harness.ts'

/** The life of an order through the real API: attempts, races, surplus, closing, switching (design.md 6.7, 8, 11). */

for (const database of databases) {
  describe(`orders on ${database.name}`, function () {
    this.timeout(60_000)
    let world: World
    before(async () => {
      world = await startWorld({ database, timeScale: 120 })
    })
    after(() => world.close())

    const useChannel = async (channel: string) => {
      world.configure((config) => route(config, channel))
      await until(`route to ${channel}`, () => {
        const merchant = world.gateway.context.merchants.get('demo-shop')
        return merchant?.routes.every((line) => line.channels?.[0] === channel)
      })
    }

    it('opens an order once for each merchant_order_no', async () => {
      const body = { merchant_order_no: `once-${String(Date.now())}`, amount: 100, currency: 'CNY', subject: 'Mug' }
      const answers = await Promise.all(
        Array.from({ length: 8 }, () => call<OrderResource>(world, 'POST', '/v1/orders', body)),
      )
      expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).to.deep.equal([200, 200, 200, 200, 200, 200, 200, 201])
      expect(new Set(answers.map((answer) => answer.body.id)).size).to.equal(1)
      const other = await call<ProblemBody>(world, 'POST', '/v1/orders', { ...body, amount: 101 })
      expect(other.status).to.equal(409)
      expect(other.body.code).to.equal('order-conflict')
    })

    it('gives three fast taps one attempt', async () => {
      const order = await open(world, 300)
      const taps = await Promise.all([start(world, order.id), start(world, order.id), start(world, order.id)])
      expect(new Set(taps.map((tap) => tap.payment.id)).size).to.equal(1)
      expect(new Set(taps.map((tap) => tap.invocation.package)).size).to.equal(1)
      expect((await readOrder(world, order.id)).payments).to.have.length(1)
    })

    for (const channel of ['wechat-main', 'huifu-main']) {
      it(`refunds the second of two payments for one order, through ${channel}`, async () => {
        await useChannel(channel)
        const order = await open(world, 450)
        const first = await start(world, order.id)
        // Nobody closes the first attempt while the payer holds both: the moment in which people pay twice.
        await world.gateway.worker.stop()
        const second = await start(world, order.id, 'wechat_mini')
        expect(second.payment.id).not.to.equal(first.payment.id)
        await Promise.all([pay(world, first), pay(world, second)])
        world.gateway.worker.start()
        const settled = await until(
          'one paid, one refunded',
          async () => {
            const now = await readOrder(world, order.id)
            const succeeded = now.payments.filter(({ status }) => status === 'succeeded')
            const surplus = now.refunds.find(({ initiated_by }) => initiated_by === 'gateway')
            return succeeded.length === 2 && surplus?.status === 'succeeded' ? now : undefined
          },
          30_000,
        )
        expect(settled.status).to.equal('paid')
        expect(settled.refunds).to.have.length(1)
        expect(settled.refunds[0]?.payment_id).not.to.equal(settled.paid_payment_id)
        expect(settled.refunds[0]?.amount).to.equal(450)
        expect(settled.refunded, 'the order itself keeps its money').to.equal(0)
        await until('surplus told', () =>
          world.webhooks.some(({ type, order: told }) => type === 'payment.surplus' && told.id === order.id),
        )
        expect(
          world.webhooks.filter(({ type, subject_id }) => type === 'order.paid' && subject_id === order.id),
        ).to.have.length(1)
      })

      it(`reports paid when the payer was faster than the close, through ${channel}`, async () => {
        await useChannel(channel)
        const order = await open(world, 460)
        const started = await start(world, order.id)
        // Its notification never comes, so that only the close can find out.
        await control(world, '/_sim/chaos', { fault: 'notifyNever', times: '5', operation: 'notify' })
        await pay(world, started)
        await call(world, 'POST', `/v1/orders/${order.id}/close`, {})
        const now = await until('order settled', async () => {
          const read = await readOrder(world, order.id)
          return read.status === 'open' ? undefined : read
        })
        expect(now.status).to.equal('paid')
        await control(world, '/_sim/chaos/reset')
      })

      it(`closes an order that nobody pays when it expires, through ${channel}`, async () => {
        await useChannel(channel)
        const order = await open(world, 480, { expires_in: 2 })
        await start(world, order.id)
        await until('order closed', async () => (await readOrder(world, order.id)).status === 'closed', 30_000)
        const again = await call<ProblemBody>(world, 'POST', `/v1/orders/${order.id}/payments`, {
          method: 'wechat_jsapi',
          openid: payer,
          client_ip: '203.0.113.9',
        })
        expect(again.status).to.equal(409)
        expect(again.body.code).to.equal('order-not-payable')
        await until('closing told', () =>
          world.webhooks.some(({ type, subject_id }) => type === 'order.closed' && subject_id === order.id),
        )
      })
    }

    it('refunds a payment that comes after the order was closed', async () => {
      // WeChat Pay refuses to take money for a closed order; Huifu documents that a late success is possible (huifu-dougong.md 6.2).
      await useChannel('huifu-main')
      const order = await open(world, 470)
      const started = await start(world, order.id)
      await call(world, 'POST', `/v1/orders/${order.id}/close`, {})
      await until('order closed', async () => (await readOrder(world, order.id)).status === 'closed')
      await control(world, '/_sim/huifu/pay', { pay_package: started.invocation.package, late: 'on' })
      const settled = await until(
        'late money sent back',
        async () => {
          const now = await readOrder(world, order.id)
          return now.refunds[0]?.status === 'succeeded' ? now : undefined
        },
        30_000,
      )
      expect(settled.status).to.equal('closed')
      expect(settled.refunds[0]?.initiated_by).to.equal('gateway')
      expect(world.webhooks.some(({ type, subject_id }) => type === 'order.paid' && subject_id === order.id)).to.equal(
        false,
      )
    })

    it('switches a method to another channel by one line, and goes on serving the old one', async () => {
      await useChannel('wechat-main')
      const before = await paidOrder(world, 600)
      const waiting = await open(world, 610)
      const oldAttempt = await start(world, waiting.id)
      expect(oldAttempt.payment.channel).to.equal('wechat-main')

      await useChannel('huifu-main')
      const after = await paidOrder(world, 620)
      expect(after.started.payment.channel).to.equal('huifu-main')
      await pay(world, oldAttempt)
      await until('the old channel still pays', async () => (await readOrder(world, waiting.id)).status === 'paid')
      const refund = await call<{ id: string }>(world, 'POST', `/v1/orders/${before.order.id}/refunds`, {
        merchant_refund_no: `sw-${before.order.id}`,
        amount: 600,
        reason: 'changed',
      })
      expect(refund.status).to.equal(201)
      await until(
        'the old channel still refunds',
        async () =>
          (await call<{ status: string }>(world, 'GET', `/v1/refunds/${refund.body.id}`)).body.status === 'succeeded',
      )
    })

    it('keeps serving attempts of a channel whose settings have changed or that has left the configuration', async () => {
      await useChannel('huifu-v3')
      const order = await open(world, 630)
      const started = await start(world, order.id)
      let removed: unknown
      world.configure((config) => {
        removed = config.channels['huifu-v3']
        delete config.channels['huifu-v3']
        route(config, 'wechat-main')
      })
      await until('channel gone', () => world.gateway.context.channels.current('huifu-v3') === undefined)
      await pay(world, started)
      await until('still paid', async () => (await readOrder(world, order.id)).status === 'paid')
      world.configure((config) => {
        config.channels['huifu-v3'] = removed as (typeof config.channels)[string]
      })
      await until('channel back', () => world.gateway.context.channels.current('huifu-v3') !== undefined)
    })

    it('keeps the configuration it has when the new one is faulty', async () => {
      await useChannel('wechat-main')
      world.configure((config) => route(config, 'no-such-channel'))
      await new Promise((done) => setTimeout(done, 800))
      expect(world.gateway.context.merchants.get('demo-shop')?.routes[0]?.channels).to.deep.equal(['wechat-main'])
      expect((await start(world, (await open(world, 640)).id)).payment.channel).to.equal('wechat-main')
      await useChannel('wechat-main')
    })

    it('tries the next channel only when the first certainly did nothing', async () => {
      world.configure((config) => {
        for (const merchant of Object.values(config.merchants))
          for (const line of merchant.routes) line.channels = ['dead', 'wechat-main']
        const wechat = structuredClone(config.channels['wechat-main'])
        if (wechat === undefined) throw new Error('no channel to copy')
        wechat.settings['baseUrl'] = 'http://127.0.0.1:9'
        config.channels['dead'] = wechat
      })
      await until(
        'dead channel there',
        () => world.gateway.context.merchants.get('demo-shop')?.routes[0]?.channels?.length === 2,
      )
      const order = await open(world, 650)
      expect((await start(world, order.id)).payment.channel).to.equal('wechat-main')
      const tried = (await readOrder(world, order.id)).payments
      expect(tried.map(({ channel, status, close_reason }) => [channel, status, close_reason])).to.deep.equal([
        ['dead', 'closed', 'rejected'],
        ['wechat-main', 'pending', null],
      ])
      await useChannel('wechat-main')
      // An unknown outcome is no reason to try elsewhere: the payer could be charged twice.
      const unknown = await open(world, 660)
      await control(world, '/_sim/chaos', { fault: 'failAfterAccept', times: '1', operation: 'wechat-pay.create' })
      const answer = await call<ProblemBody>(world, 'POST', `/v1/orders/${unknown.id}/payments`, {
        method: 'wechat_jsapi',
        openid: payer,
        client_ip: '203.0.113.9',
      })
      expect(answer.status).to.be.oneOf([201, 503])
    })
  })
}
