import { expect } from 'chai'
import { databases } from '../databases.ts'
import { control, open, readOrder, start, startWorld, until, type World } from '../harness.ts'

/** The act a newcomer uses: one address, whichever provider carries the payment. */

describe('paying at the control door', function () {
  this.timeout(60_000)
  let world: World
  const [database] = databases
  before(async () => {
    if (database === undefined) throw new Error('no database chosen')
    world = await startWorld({ database, channel: 'wechat-main' })
  })
  after(() => world.close())

  for (const channel of ['wechat-main', 'huifu-main']) {
    it(`takes the id that the gateway gave, through ${channel}`, async () => {
      world.configure((config) => {
        for (const line of config.merchants['demo-shop']?.routes ?? []) line.channels = [channel]
      })
      await until('route', () => world.gateway.context.merchants.get('demo-shop')?.routes[0]?.channels?.[0] === channel)
      const order = await open(world, 88)
      const { payment } = await start(world, order.id)
      expect(payment.channel).to.equal(channel)
      await control(world, '/_sim/pay', { payment: payment.id })
      await until('paid', async () => (await readOrder(world, order.id)).status === 'paid')
    })
  }

  it('says so when nobody knows the payment', async () => {
    const answer = await fetch(`${world.simulators.controlUrl}/_sim/pay?payment=pay_unknown`, { method: 'POST' })
    expect(answer.status).to.equal(404)
    expect(await answer.text()).to.contain('payunknown')
  })
})
