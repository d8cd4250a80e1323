import { expect } from 'chai'
import { setTimeout as sleep } from 'node:timers/promises'
import { databases } from '../databases.ts'
import { call, open, readOrder, startWorld, until, type World } from '../harness.ts'
import { pickUpPhone, type Phone } from './phone.ts'

/** The sample mini-program's own page, headless, against a real gateway and simulated providers. */

const [database] = databases

async function launch(world: World, orderId: string): Promise<string> {
  const { body } = await call<{ path: string }>(world, 'POST', `/v1/orders/${orderId}/launch`, { target: 'app' })
  return /\?t=(.*)$/.exec(body.path)?.[1] ?? ''
}

for (const channel of ['wechat-main', 'huifu-main']) {
  describe(`the mini-program through ${channel}`, function () {
    this.timeout(60_000)
    let world: World
    let phone: Phone
    let skew = 0
    before(async () => {
      if (database === undefined) throw new Error('no database')
      world = await startWorld({ database, channel, gateway: { now: () => Date.now() + skew } })
    })
    beforeEach(() => {
      phone = pickUpPhone(world, channel)
    })
    afterEach(() => {
      skew = 0
      phone.close()
    })
    after(() => world.close())

    const reaches = (...states: readonly string[]) =>
      until(`state ${states.join(' or ')}, not ${phone.state()}`, () => states.includes(phone.state()))

    it('logs in, shows the order, pays at a tap, and says paid when the gateway does', async () => {
      const order = await open(world, 123_456, { subject: '乌龙茶' })
      phone.open(await launch(world, order.id))
      await reaches('ready')
      expect(phone.text('.amount')).to.equal('¥1,234.56')
      expect(phone.text('.merchant')).to.equal('Demo Shop')
      expect(phone.text('.subject')).to.equal('乌龙茶')
      expect(phone.counts.login).to.equal(1)
      expect(phone.has('.button-back'), 'nothing to go back with yet').to.equal(false)
      phone.tap('.button-pay')
      phone.tap('.button-pay')
      await reaches('paid')
      expect(phone.counts.pay, 'two taps are one payment').to.equal(1)
      const paid = await readOrder(world, order.id)
      expect([paid.status, paid.payments.length]).to.deep.equal(['paid', 1])
      expect(phone.text('.message')).to.equal('支付成功')
      expect(phone.has('.button-pay')).to.equal(false)
      expect(phone.has('.button-back'), 'the way back to the app').to.equal(true)
      expect(JSON.parse(String(phone.data()['appParameter']))).to.deep.equal({ orderId: order.id })
    })

    it('stays and offers to pay again after a cancel, in English too', async () => {
      const order = await open(world, 50)
      phone.language = 'en'
      phone.sheet = { pays: false, says: 'cancel' }
      phone.open(await launch(world, order.id))
      await reaches('ready')
      phone.tap('.button-pay')
      await reaches('cancelled')
      expect(phone.text('.message')).to.equal('Payment cancelled. You can pay again')
      phone.sheet = { pays: true, says: 'ok' }
      phone.tap('.button-pay')
      await reaches('paid')
      expect((await readOrder(world, order.id)).payments).to.have.length(1)
    })

    it('shows paid when the device says cancel, or fail, of a payment that was made', async () => {
      for (const says of ['cancel', 'fail'] as const) {
        const order = await open(world, 51)
        phone.sheet = { pays: true, says }
        phone.open(await launch(world, order.id))
        await reaches('ready')
        phone.tap('.button-pay')
        await reaches('paid')
        phone.leave()
      }
    })

    it('never says paid for an ok that is no payment, and then offers no second one', async () => {
      const order = await open(world, 52)
      phone.sheet = { pays: false, says: 'ok' }
      phone.open(await launch(world, order.id))
      await reaches('ready')
      phone.tap('.button-pay')
      await reaches('slow')
      expect(phone.has('.button-pay')).to.equal(false)
      expect(phone.has('.button-check')).to.equal(true)
      phone.tap('.button-check')
      await reaches('confirming')
      await reaches('slow')
      expect((await readOrder(world, order.id)).status).to.equal('open')
    })

    it('shows an expired launch as such, cold and when its session ends', async () => {
      const order = await open(world, 53)
      const token = await launch(world, order.id)
      skew = 11 * 60_000
      phone.open(token)
      await reaches('expired')
      expect([phone.has('.button-pay'), phone.has('.amount')]).to.deep.equal([false, false])
      phone.open('forged')
      await reaches('opening')
      await reaches('expired', 'failed')
      phone.open('')
      expect(phone.state(), 'a warm start without a token leaves the page as it is').to.equal('expired')
    })

    it('is opened again warm: with a new token it is another order, with the same one nothing begins anew', async () => {
      const first = await open(world, 54)
      const second = await open(world, 5500)
      const token = await launch(world, first.id)
      phone.open(token)
      await reaches('ready')
      phone.open(token)
      await sleep(100)
      expect(phone.counts.login).to.equal(1)
      phone.open(await launch(world, second.id), 1194)
      await until('the second order', () => phone.text('.amount') === '¥55.00' && phone.state() === 'ready')
      phone.tap('.button-pay')
      await reaches('paid')
      expect(phone.has('.button-back'), 'opened by a link this time').to.equal(false)
      expect((await readOrder(world, second.id)).status).to.equal('paid')
      expect((await readOrder(world, first.id)).status).to.equal('open')
    })

    it('lets nobody else in with the same link', async () => {
      const order = await open(world, 56)
      const token = await launch(world, order.id)
      phone.open(token)
      await reaches('ready')
      phone.leave()
      phone.person = 'oSIM-mini-stranger'
      phone.open(token)
      await reaches('taken')
      expect(phone.has('.amount')).to.equal(false)
    })

    it('tells a refusal of this way of paying from a failure', async () => {
      const order = await open(world, 57)
      phone.open(await launch(world, order.id))
      await reaches('ready')
      phone.sheet = { pays: false, says: 'fail' }
      phone.tap('.button-pay')
      await reaches('failed')
      phone.sheet = {
        pays: false,
        says: 'fail',
        errMsg: 'requestPayment:fail 当前商户该支付方式存在异常，暂时无法支付',
      }
      phone.tap('.button-pay')
      await reaches('refused')
      expect(phone.has('.button-pay')).to.equal(false)
    })

    it('recovers from a lost network, and never offers to pay what may be paid', async () => {
      const order = await open(world, 58)
      const token = await launch(world, order.id)
      phone.offline = true
      phone.open(token)
      await reaches('offline')
      phone.offline = false
      phone.show()
      await reaches('ready')
      phone.tap('.button-pay')
      await until('the sheet', () => phone.counts.pay === 1)
      phone.offline = true
      await reaches('offline', 'paid')
      expect(phone.has('.button-pay')).to.equal(false)
      phone.offline = false
      phone.show()
      await reaches('paid')
    })
  })
}
