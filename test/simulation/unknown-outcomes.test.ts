import { expect } from 'chai'
import type { OrderResource } from '../../src/core/event.ts'
import type { Payment } from '../../src/core/payment.ts'
import type { Refund, RefundSubmission } from '../../src/core/refund.ts'
import { databases } from '../databases.ts'
import { control, open, pay, readOrder, startWorld, until, type World } from '../harness.ts'
import { checkInvariants, readBooks } from '../invariants.ts'
import { spawnGateway, type Child } from './child.ts'
import {
  askClose,
  askRefund,
  askToPay,
  bothChannels,
  calm,
  channels,
  chaos,
  each,
  providerOf,
  requestsOf,
  seedOf,
  startOn,
  untilQuiet,
  type ChannelName,
} from './acts.ts'

/**
 * The classic unknown, two hundred times for each operation: the provider accepted, and the answer was lost (most of
 * them by a connection that dropped, the others by silence until the deadline). Nothing may be called failed, everything ends true,
 * and the truth comes from asking (reliability.md 0.1 point 3, 5.3).
 */

const perChannel = 105
/** A few calls may miss their deadline on a busy machine before they were sent; so many must have been lost as wanted. */
const wanted = 100
const atOnce = 24
const timeScale = 600
const deadlineMs = 800

type Case = { readonly channel: ChannelName; readonly order: OrderResource }

/** Both channels, interleaved. */
const slots: readonly ChannelName[] = Array.from({ length: perChannel }, () => channels).flat()

const database = databases.find(({ name }) => name === 'mariadb') ?? databases[0]
if (database === undefined) throw new Error('no database was chosen')

describe(`unknown outcomes on ${database.name}`, function () {
  this.timeout(120_000)
  let world: World
  let gateway: Child
  let warm = 0

  before(async () => {
    const seed = seedOf('unknown outcomes')
    world = await startWorld({ database, timeScale, start: false, configure: bothChannels, simulators: { seed } })
    // In a process of its own, so that a deadline measures the provider and not this test's own work.
    gateway = await spawnGateway(world, { deadlineMs, leaseMs: 3000 })
    await each(slots.slice(0, 4), 2, async (channel) => void (await startOn(world, channel, (await open(world, 1)).id)))
    warm = (await world.db('payments').select('id')).length
  })
  after(async () => {
    await gateway.kill()
    await world.close()
  })
  afterEach(() => calm(world))

  /** Every answer to this operation is lost after the provider has done it. */
  async function loseAnswers(operation: string): Promise<void> {
    await chaos(world, 'failAfterAccept', 0.7, operation)
    await chaos(world, 'hang', 1, operation)
  }

  /** How many calls lost their answer in each way; names both kinds so that a test cannot pass on one of them. */
  async function expectLost(operation: string): Promise<void> {
    for (const channel of channels) {
      const calls = (await requestsOf(world)).filter(
        (call) => call.provider === providerOf(channel) && call.operation === operation,
      )
      const lost = (fault: string) => calls.filter((call) => call.fault === fault && call.status < 300).length
      expect(lost('reset') + lost('hang'), `answers lost on ${channel}`).to.be.at.least(wanted)
      expect(Math.min(lost('reset'), lost('hang')), `both kinds on ${channel}`).to.be.greaterThan(wanted / 10)
    }
  }

  async function drained(): Promise<void> {
    await untilQuiet(world)
    await checkInvariants(world, { quiet: true })
  }

  it('finds out what became of 200 creates, and the merchant can go on', async () => {
    const orders = await Promise.all(slots.map(() => open(world, 300)))
    await loseAnswers('create')
    await each(orders, atOnce, async (order, index) => {
      const answer = await askToPay(world, order.id, slots[index] ?? 'wechat-main')
      expect([answer.status, answer.body.code]).to.deep.equal([503, 'provider-unavailable'])
    })
    await expectLost('create')
    await calm(world)
    const lost = (await world.db<Payment>('payments').select().orderBy('id')).slice(warm)
    expect(lost.length).to.equal(2 * perChannel)

    await each(orders, atOnce, async (order, index) => {
      const channel = slots[index] ?? 'wechat-main'
      const started = await startOn(world, channel, order.id)
      expect(
        lost.some(({ id }) => id === started.payment.id),
        'a fresh attempt: the invocation of the first is lost',
      ).to.equal(false)
      if (index % 2 === 0) await pay(world, started)
    })
    await until(
      'every lost attempt closed',
      async () => {
        const now = await world.db<Payment>('payments').whereIn(
          'id',
          lost.map(({ id }) => id),
        )
        return now.every(({ status }) => status === 'closed')
      },
      40_000,
    )
    await until(
      'paid orders paid',
      async () => (await world.db('orders').where({ status: 'paid' })).length === orders.length / 2,
    )
    const ended = await world.db<Payment>('payments').whereIn(
      'id',
      lost.map(({ id }) => id),
    )
    for (const { close_reason } of ended) expect(close_reason).to.be.oneOf(['superseded', 'never_sent'])
    const { payable } = await readBooks(world)
    expect(
      ended.filter(({ id }) => payable.has(id.replace('_', ''))),
      'closed here is closed there',
    ).to.deep.equal([])
    await drained()
  })

  it('finds out what became of 200 closes, also of those where the payer was faster', async () => {
    const cases: Case[] = []
    const faster = new Set<string>()
    await each(slots, atOnce, async (channel) => {
      const order = await open(world, 400)
      cases.push({ channel, order })
      const started = await startOn(world, channel, order.id)
      if (cases.length % 10 !== 0) return
      // Nobody tells of this payment but the answer that will be lost, and the question after it.
      await chaos(world, 'notifyNever', 1, 'notify')
      await pay(world, started)
      faster.add(order.id)
    })
    // Huifu closes no order in its first minute.
    await new Promise((done) => setTimeout(done, 60_000 / timeScale + 50))
    await loseAnswers('close')
    await each(cases, atOnce, async ({ order }) => {
      const answer = await askClose(world, order.id)
      expect(answer.status, JSON.stringify(answer.body)).to.equal(200)
      expect(answer.body.status).to.be.oneOf(['open', 'closed', 'paid'])
    })
    await until('as many lost answers', async () => {
      const lost = (await requestsOf(world)).filter(
        ({ operation, fault }) => operation === 'close' && fault !== undefined,
      )
      return lost.length >= 2 * wanted
    })
    await calm(world)
    const ids = cases.map(({ order }) => order.id)
    await until(
      'every order at its end',
      async () => (await world.db('orders').whereIn('id', ids).where({ status: 'open' })).length === 0,
      40_000,
    )
    await each(cases, atOnce, async ({ order }) => {
      const now = await readOrder(world, order.id)
      expect(now.status).to.equal(faster.has(order.id) ? 'paid' : 'closed')
      expect((await askClose(world, order.id)).body.status, 'asked again, the same').to.equal(now.status)
    })
    await drained()
  })

  it('finds out what became of 200 refunds, and pays each out once', async () => {
    const cases: Case[] = []
    await each(slots, atOnce, async (channel) => {
      const order = await open(world, 500)
      cases.push({ channel, order })
      await pay(world, await startOn(world, channel, order.id))
    })
    const orderIds = cases.map(({ order }) => order.id)
    await until(
      'every order paid, and credited where the channel tells',
      async () => {
        const paid = await world.db<Payment>('payments').whereIn('order_id', orderIds).where({ status: 'succeeded' })
        return (
          paid.length === cases.length &&
          paid.every(({ channel_id, account_status }) => channel_id === 'wechat-main' || account_status === 'credited')
        )
      },
      40_000,
    )
    await loseAnswers('refund')
    await chaos(world, 'notifyNever', 1, 'notify')
    const ids = new Map<string, string>()
    await each(cases, atOnce, async ({ order }) => {
      const answer = await askRefund(world, order.id, `${order.merchant_order_no}-r`, 123)
      expect(answer.status, JSON.stringify(answer.body)).to.equal(201)
      expect(answer.body.status).to.be.oneOf(['created', 'processing', 'succeeded'])
      ids.set(order.id, answer.body.id)
    })
    await expectLost('refund')
    await each(cases, atOnce, async ({ order }) => {
      const again = await askRefund(world, order.id, `${order.merchant_order_no}-r`, 123)
      expect([again.status, again.body.id]).to.deep.equal([200, ids.get(order.id)])
    })
    await until(
      'every refund succeeded',
      async () => {
        const refunds = await world.db<Refund>('refunds').select()
        expect(
          refunds.filter(({ status }) => status === 'failed'),
          'no false failure',
        ).to.deep.equal([])
        return refunds.length === 2 * perChannel && refunds.every(({ status }) => status === 'succeeded')
      },
      40_000,
    )
    const submissions = await world.db<RefundSubmission>('refund_submissions').select()
    expect(submissions.length, 'one number for one wish').to.equal(2 * perChannel)
    expect((await readBooks(world)).refunds.length).to.equal(2 * perChannel)
    const asked = new Set(
      (await requestsOf(world))
        .filter(({ operation }) => operation === 'refundQuery')
        .map(({ keys }) => keys['out_refund_no'] ?? keys['org_req_seq_id']),
    )
    for (const id of ids.values()) expect(asked.has(id.replace('_', '')), `${id} was asked about`).to.equal(true)
    await control(world, '/_sim/chaos/reset')
    await drained()
  })
})
