import { expect } from 'chai'
import {
  expectError,
  isSigned,
  openResource,
  rejection,
  startReceiver,
  useSimulator,
  type Json,
} from './wechat-pay-merchant.ts'

describe('WeChat Pay simulator: notifications and chaos', () => {
  const world = useSimulator()

  describe('notifications (wechatpay.md 4)', () => {
    type Notification = {
      id: string
      event_type: string
      resource_type: string
      resource: { original_type: string; ciphertext: string; nonce: string; associated_data: string }
    }
    const opened = (body: string): { notification: Notification; content: Json } => {
      const notification: Notification = JSON.parse(body)
      const content: Json = JSON.parse(openResource(world.merchant.wechat.apiV3Key, notification.resource))
      return { notification, content }
    }

    let receiver: Awaited<ReturnType<typeof startReceiver>> | undefined
    beforeEach(async () => {
      receiver = await startReceiver()
      await world.restart({ timeScale: 10_000 })
    })
    afterEach(() => receiver?.close())
    const door = (): Awaited<ReturnType<typeof startReceiver>> => {
      if (!receiver) throw new Error('no receiver')
      return receiver
    }

    it('tells a payment as the query does, signed and sealed', async () => {
      const number = await world.merchant.paidOrder({ notify_url: door().url })
      await world.sim.notifier.idle()
      const [delivery] = door().deliveries
      if (!delivery) throw new Error('nothing delivered')
      expect(isSigned(world.merchant.wechat, (name) => delivery.headers[name], delivery.body)).to.equal(true)
      expect(delivery.headers['wechatpay-serial']).to.equal(world.merchant.wechat.publicKeyId)
      const { notification, content } = opened(delivery.body)
      expect(notification).to.include({ event_type: 'TRANSACTION.SUCCESS', resource_type: 'encrypt-resource' })
      expect(notification.resource).to.include({ original_type: 'transaction', associated_data: 'transaction' })
      expect(content).to.deep.equal((await world.merchant.query(number)).json)
    })

    it('repeats with the same body and a new signature until 200 or 204', async () => {
      door().statuses.push(500, 302, 201, 204)
      await world.merchant.paidOrder({ notify_url: door().url })
      await world.sim.notifier.idle()
      const { deliveries } = door()
      expect(deliveries).to.have.length(4)
      expect(new Set(deliveries.map((one) => one.body)).size).to.equal(1)
      expect(new Set(deliveries.map((one) => one.headers['wechatpay-nonce'])).size).to.equal(4)
      expect(
        deliveries.every((one) => isSigned(world.merchant.wechat, (name) => one.headers[name], one.body)),
      ).to.equal(true)
    })

    for (const [result, type] of [
      ['SUCCESS', 'REFUND.SUCCESS'],
      ['ABNORMAL', 'REFUND.ABNORMAL'],
      ['CLOSED', 'REFUND.CLOSED'],
    ] as const) {
      it(`tells a refund's result as ${type}`, async () => {
        await world.merchant.control('wechat-pay/refund-delay?ms=never')
        const number = await world.merchant.paidOrder()
        await world.merchant.refund(number, 'R1', 40, 100, { notify_url: door().url })
        await world.merchant.control(`wechat-pay/refund?out_refund_no=R1&result=${result}`)
        while (door().deliveries.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
        const { notification, content } = opened(door().deliveries[0]?.body ?? '')
        expect(notification.event_type).to.equal(type)
        expect(notification.resource.original_type).to.equal('refund')
        expect(content).to.include({
          refund_status: result,
          out_refund_no: 'R1',
          out_trade_no: number,
          mchid: world.merchant.wechat.mchid,
        })
        expect(content).to.not.have.any.keys('status', 'channel', 'funds_account')
        expect('success_time' in content).to.equal(result === 'SUCCESS')
      })
    }

    it('sends no word about refunds without notify_url, failed attempts or closed orders', async () => {
      const order = world.merchant.order({ notify_url: door().url })
      await world.merchant.create(order)
      await world.merchant.control(`wechat-pay/pay?out_trade_no=${String(order['out_trade_no'])}&outcome=fail`)
      await world.merchant.close(order['out_trade_no'])
      await world.sim.notifier.idle()
      expect(door().deliveries).to.deep.equal([])
    })

    it('probes once, delivers right the second time, and counts who accepted the probe', async () => {
      door().statuses.push(401, 204, 204)
      world.sim.chaos.script('probe', 'wechat-pay.notify', 2)
      await world.merchant.paidOrder({ notify_url: door().url })
      await world.sim.notifier.idle()
      const signatures = door().deliveries.map((one) => one.headers['wechatpay-signature'] ?? '')
      expect(signatures.map((one) => one.startsWith('WECHATPAY/SIGNTEST/'))).to.deep.equal([true, false])
      await world.merchant.paidOrder({ notify_url: door().url })
      await world.sim.notifier.idle()
      expect((await world.merchant.control('wechat-pay/books', 'GET')).json['probes']).to.deep.equal({
        sent: 2,
        wronglyAccepted: 1,
      })
    })

    it('signs with either key while switching, and as the door asks', async () => {
      await world.merchant.paidOrder({ notify_url: door().url }, '&signed_by=cert')
      await world.merchant.paidOrder({ notify_url: door().url }, '&signed_by=pubkey')
      await world.sim.notifier.idle()
      expect(door().deliveries.map((one) => one.headers['wechatpay-serial'])).to.have.members([
        world.merchant.wechat.platform[0].serial,
        world.merchant.wechat.publicKeyId,
      ])
      await world.merchant.control('wechat-pay/mode?keys=switching&share=0.5')
      door().deliveries.length = 0
      for (let index = 0; index < 12; index += 1) await world.merchant.paidOrder({ notify_url: door().url })
      await world.sim.notifier.idle()
      expect(new Set(door().deliveries.map((one) => one.headers['wechatpay-serial'])).size).to.equal(2)
    })

    it('delivers twice, late or never on demand', async () => {
      world.sim.chaos.script('notifyTwice', '*', 1)
      await world.merchant.paidOrder({ notify_url: door().url })
      await world.sim.notifier.idle()
      expect(door().deliveries).to.have.length(2)
      world.sim.chaos.script('notifyNever', '*', 1)
      await world.merchant.paidOrder({ notify_url: door().url })
      await world.sim.notifier.idle()
      expect(door().deliveries).to.have.length(2)
    })

    const lies: [string, boolean, (content: Json) => void][] = [
      ['none', true, (content) => expect(content).to.include({ trade_state: 'SUCCESS' })],
      [
        'wrong-amount',
        true,
        (content) =>
          expect(content).to.deep.include({
            amount: { total: 101, payer_total: 101, currency: 'CNY', payer_currency: 'CNY' },
          }),
      ],
      ['wrong-mchid', true, (content) => expect(content).to.include({ mchid: '1900000999' })],
      ['wrong-appid', true, (content) => expect(content).to.include({ appid: 'wx00000000000000ff' })],
      ['empty-associated-data', true, (content) => expect(content).to.include({ trade_state: 'SUCCESS' })],
      ['stale', true, (content) => expect(content).to.include({ trade_state: 'SUCCESS' })],
      ['forged', false, (content) => expect(content).to.include({ trade_state: 'SUCCESS' })],
      ['unsigned', false, (content) => expect(content).to.include({ trade_state: 'SUCCESS' })],
      ['unknown-serial', false, (content) => expect(content).to.include({ trade_state: 'SUCCESS' })],
      ['probe', false, (content) => expect(content).to.include({ trade_state: 'SUCCESS' })],
    ]
    for (const [mutate, signed, check] of lies) {
      it(`delivers on demand: ${mutate}`, async () => {
        const number = await world.merchant.paidOrder()
        world.sim.notifier.stop()
        await world.restart({ timeScale: 10_000 })
        const fresh = await world.merchant.paidOrder({ notify_url: door().url, out_trade_no: number })
        await world.sim.notifier.idle()
        door().deliveries.length = 0
        const told = await world.merchant.control(`wechat-pay/notify?out_trade_no=${fresh}&mutate=${mutate}&times=2`)
        expect(told.json['attempts']).to.have.length(2)
        expect(door().deliveries).to.have.length(2)
        for (const delivery of door().deliveries) {
          expect(isSigned(world.merchant.wechat, (name) => delivery.headers[name], delivery.body)).to.equal(signed)
          check(opened(delivery.body).content)
          const age = Math.floor(world.sim.clock.now() / 1000) - Number(delivery.headers['wechatpay-timestamp'] ?? 4e9)
          expect(age > 300).to.equal(mutate === 'stale')
        }
      })
    }
  })

  describe('chaos', () => {
    it('drops before the effect, and after it', async () => {
      const [before, afterwards] = [world.merchant.order(), world.merchant.order()]
      world.sim.chaos.script('reset', 'create', 1)
      expect(await rejection(world.merchant.create(before))).to.be.instanceOf(Error)
      expectError(await world.merchant.query(before['out_trade_no']), 404, 'ORDER_NOT_EXIST')
      world.sim.chaos.script('failAfterAccept', 'wechat-pay.create', 1)
      expect(await rejection(world.merchant.create(afterwards))).to.be.instanceOf(Error)
      expect(await world.state(afterwards['out_trade_no'])).to.equal('NOTPAY')
      expect((await world.merchant.create(afterwards)).status).to.equal(200)
      const { json } = await world.merchant.control('requests', 'GET')
      const calls = (json['requests'] as Json[]).filter((one) => one['operation'] === 'create')
      expect(calls.map((one) => [one['fault'], one['duplicates']])).to.deep.equal([
        ['reset', 0],
        ['reset', 0],
        [undefined, 1],
      ])
      expect(JSON.stringify(json)).to.not.match(/openid|oSIM|signature|Authorization/)
    })

    it('never answers a hanging call, whose effect stands', async () => {
      const order = world.merchant.order()
      await world.merchant.control('chaos?fault=hang&times=1&operation=wechat-pay.create')
      const raced = await Promise.race([
        world.merchant.create(order).catch(() => 'gone'),
        new Promise((resolve) => setTimeout(() => resolve('waiting'), 150)),
      ])
      expect(raced).to.equal('waiting')
      expect(await world.state(order['out_trade_no'])).to.equal('NOTPAY')
    })

    it('cuts the body short', async () => {
      world.sim.chaos.script('truncate', 'create', 1)
      expect(await rejection(world.merchant.create(world.merchant.order()))).to.be.instanceOf(Error)
    })

    it('answers 502, 500 and 429 without the effect', async () => {
      const order = world.merchant.order()
      for (const fault of ['refuse', 'serverError', 'rateLimit'] as const) world.sim.chaos.script(fault, 'create', 1)
      const statuses = [
        await world.merchant.create(order),
        await world.merchant.create(order),
        await world.merchant.create(order),
      ].map((one) => one.status)
      expect(statuses).to.have.members([502, 500, 429])
      expectError(await world.merchant.query(order['out_trade_no']), 404, 'ORDER_NOT_EXIST')
    })

    it('probes an answer once and never its retry', async () => {
      const order = world.merchant.order()
      world.sim.chaos.script('probe', 'create', 2)
      const first = await world.merchant.create(order)
      expect([first.status, first.verified]).to.deep.equal([200, false])
      expect(first.headers.get('wechatpay-signature')).to.match(/^WECHATPAY\/SIGNTEST\//)
      expect((await world.merchant.create(order)).verified).to.equal(true)
    })

    it('answers unsigned or wrongly signed on demand', async () => {
      world.sim.chaos.script('unsigned', 'query', 1)
      world.sim.chaos.script('badSignature', 'query', 1)
      const [one, two] = [await world.merchant.paidOrder(), await world.merchant.paidOrder()]
      const answers = [await world.merchant.query(one), await world.merchant.query(two)]
      expect(
        answers.map((answer) => [answer.verified, answer.headers.get('wechatpay-signature') === null]),
      ).to.deep.equal([
        [false, false],
        [false, true],
      ])
    })

    it('lets refunds become abnormal or fail later', async () => {
      for (const [fault, status] of [
        ['refundAbnormal', 'ABNORMAL'],
        ['refundFailsLater', 'CLOSED'],
      ] as const) {
        const number = await world.merchant.paidOrder()
        world.sim.chaos.script(fault, 'refund', 1)
        await world.merchant.refund(number, `X${status}`, 1)
        world.sim.clock.advance(2000)
        await new Promise((resolve) => setTimeout(resolve, 10))
        expect((await world.merchant.refundQuery(`X${status}`)).json).to.include({ status })
      }
    })
  })
})
