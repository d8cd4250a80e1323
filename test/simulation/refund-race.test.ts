import { expect } from 'chai'
import type { Refund } from '../../src/core/refund.ts'
import { databases } from '../databases.ts'
import { control, startWorld, until, type World } from '../harness.ts'
import { checkInvariants } from '../invariants.ts'
import {
  askRefund,
  bothChannels,
  chaos,
  calm,
  channels,
  paidOn,
  providerOf,
  requestsOf,
  seedOf,
  untilQuiet,
  type Answer,
  type ChannelName,
} from './acts.ts'
import { freePort } from '../../src/cli/ports.ts'
import { spawnGateway, type Child } from './child.ts'

/**
 * Many processes, one payment, more refund wishes than money (reliability.md 0.1, points 1 and 3): as many are granted as
 * fit and not one more, while a fifth of the provider's answers are lost after it had accepted.
 */

const processes = { sqlite: 3, mariadb: 4 } as const
/** A minute between the refunds of one payment becomes 40 milliseconds. */
const timeScale = 1500

type Wish = { readonly number: string; readonly amount: number }

for (const database of databases) {
  describe(`refund race of ${String(processes[database.name])} processes on ${database.name}`, function () {
    this.timeout(120_000)
    let world: World
    let gateways: Child[] = []

    before(async () => {
      const seed = seedOf(`refund race on ${database.name}`)
      world = await startWorld({ database, timeScale, start: false, configure: bothChannels, simulators: { seed } })
      const first = await spawnGateway(world, { deadlineMs: 700, leaseMs: 1500 })
      const others = Array.from({ length: processes[database.name] - 1 }, async () =>
        spawnGateway(world, { port: await freePort(), deadlineMs: 700, leaseMs: 1500 }),
      )
      gateways = [first, ...(await Promise.all(others))]
    })
    after(async () => {
      await Promise.all(gateways.map((gateway) => gateway.kill()))
      await world.close()
    })
    afterEach(() => calm(world))

    /** Every wish at once, each to the next process. */
    function race(orderId: string, wishes: readonly Wish[]): Promise<Answer[]> {
      return Promise.all(
        wishes.map(({ number, amount }, index) =>
          askRefund(gateways[index % gateways.length]?.world ?? world, orderId, number, amount),
        ),
      )
    }

    async function loseAFifth(channel: ChannelName): Promise<void> {
      await chaos(world, 'failAfterAccept', 0.2, `${providerOf(channel)}.refund`)
      await chaos(world, 'hang', 0.05, `${providerOf(channel)}.refund`)
      // The dice spare fourteen refunds one time in thirty; three of them lose their answer for certain.
      const certain = { fault: 'failAfterAccept', times: '3', operation: `${providerOf(channel)}.refund` }
      await control(world, '/_sim/chaos', certain)
    }

    async function settled(orderId: string): Promise<readonly Refund[]> {
      return until(
        'every refund at its end',
        async () => {
          const refunds = await world.db<Refund>('refunds').where({ order_id: orderId })
          return refunds.every(({ status }) => status === 'succeeded' || status === 'failed') ? refunds : undefined
        },
        40_000,
      )
    }

    for (const channel of channels) {
      it(`grants what fits and not one more through ${channel}`, async () => {
        const order = await paidOn(world, channel, 100)
        await loseAFifth(channel)
        const numbers = Array.from({ length: 64 }, (_, index) => `${order.merchant_order_no}-${String(index)}`)
        const wishes = numbers.map((number) => ({ number, amount: 7 }))
        // The same number at the same moment at other processes, and once with another amount.
        const repeated = numbers.slice(0, 4).flatMap((number) => [
          { number, amount: 7 },
          { number, amount: 7 },
        ])
        const quarrel = { number: numbers[0] ?? '', amount: 8 }
        const all = [...wishes.slice(0, 4), ...repeated, quarrel, ...wishes.slice(4)]
        const answers = await race(order.id, all)

        const granted = new Map<string, Set<string>>()
        answers.forEach((answer, index) => {
          const wish = all[index]
          if (answer.status === 201 || answer.status === 200) {
            granted.set(wish?.number ?? '', (granted.get(wish?.number ?? '') ?? new Set()).add(answer.body.id))
          } else {
            expect(answer.status, JSON.stringify(answer.body)).to.equal(409)
            expect(answer.body.code).to.be.oneOf(['refund-exceeds-payment', 'refund-conflict'])
          }
        })
        const quarrelled = [...granted.keys()].includes(quarrel.number)
        for (const [number, ids] of granted) expect(ids.size, `${number} is one refund`).to.equal(1)
        const refunds = await settled(order.id)
        const eight = refunds.some(({ amount }) => amount === 8)
        expect(refunds.length, 'floor(100 / 7), also when one of them is of 8').to.equal(14)
        expect(granted.size).to.equal(14)
        if (eight) expect(quarrelled).to.equal(true)
        expect(refunds.map(({ status }) => status)).to.deep.equal(refunds.map(() => 'succeeded'))

        await calm(world)
        const [some] = refunds
        const other = await askRefund(world, order.id, some?.merchant_refund_no ?? '', 3)
        expect([other.status, other.body.code]).to.deep.equal([409, 'refund-conflict'])
        const same = await askRefund(world, order.id, some?.merchant_refund_no ?? '', some?.amount ?? 0)
        expect([same.status, same.body.id]).to.deep.equal([200, some?.id])
        const lost = (await requestsOf(world)).filter(
          (call) => call.provider === providerOf(channel) && call.operation === 'refund' && call.fault !== undefined,
        )
        expect(lost.length, 'answers were lost').to.be.greaterThan(0)
        await untilQuiet(world)
        await checkInvariants(world, { quiet: true })
      })
    }

    it('stops at the fifty parts that WeChat allows', async () => {
      const order = await paidOn(world, 'wechat-main', 60)
      await loseAFifth('wechat-main')
      const answers = await race(
        order.id,
        Array.from({ length: 60 }, (_, index) => ({
          number: `${order.merchant_order_no}-${String(index)}`,
          amount: 1,
        })),
      )
      expect(answers.filter(({ status }) => status === 201).length).to.equal(50)
      const refused = answers.filter(({ status }) => status !== 201)
      expect(refused.map(({ status, body }) => `${String(status)} ${body.code}`)).to.deep.equal(
        refused.map(() => '409 refund-limit-reached'),
      )
      const refunds = await settled(order.id)
      expect(refunds.map(({ status }) => status)).to.deep.equal(refunds.map(() => 'succeeded'))
      await untilQuiet(world)
      await checkInvariants(world, { quiet: true })
    })
  })
}
