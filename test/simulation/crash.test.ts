import { readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import type { OrderResource } from '../../src/core/event.ts'
import type { Order } from '../../src/core/order.ts'
import type { Payment } from '../../src/core/payment.ts'
import { databases } from '../databases.ts'
import { call, control, open, pay, readOrder, startWorld, until, type World } from '../harness.ts'
import { checkInvariants } from '../invariants.ts'
import {
  askClose,
  askRefund,
  askToPay,
  bothChannels,
  calm,
  channels,
  chaos,
  paidOn,
  providerOf,
  seedOf,
  startOn,
  untilQuiet,
  untilRefund,
  type ChannelName,
} from './acts.ts'
import { standby, type Child } from './child.ts'

/**
 * `kill -9` at every named place between a provider's answer, our commit and our reply (design.md 15). Afterwards a new
 * process finds only what was committed, and from that: nothing is lost, nothing is done twice, and the merchant's
 * repeated request works.
 */

const timeScale = 600
const timing = { deadlineMs: 1000, leaseMs: 1200 }

type Scene = { readonly world: World; readonly channel: ChannelName }

/** One crash: what happens before, what runs into it, and what must be so afterwards. */
type Scenario<State> = {
  readonly places: readonly string[]
  /** Before the place is armed. */
  readonly prepare: (scene: Scene) => Promise<State>
  /** Runs into the crash; its own connection may break. */
  readonly act: (scene: Scene, state: State) => Promise<unknown>
  /** With a new process; ends when the subject is at its end. */
  readonly recover: (scene: Scene, state: State) => Promise<void>
}

const silent = (channel: ChannelName): string => `${providerOf(channel)}.notify`

async function paid(world: World, orderId: string): Promise<OrderResource> {
  return until('order paid', async () => {
    const order = await readOrder(world, orderId)
    return order.status === 'paid' ? order : undefined
  })
}

let numbers = 0
const freshNumber = (): string => `crash-${String(process.pid)}-${String((numbers += 1))}`

const opening: Scenario<string> = {
  places: ['order-recorded'],
  prepare: () => Promise.resolve(freshNumber()),
  act: ({ world }, number) =>
    call(world, 'POST', '/v1/orders', { merchant_order_no: number, amount: 100, currency: 'CNY', subject: 'Oolong' }),
  async recover({ world }, number) {
    const again = await call<OrderResource>(world, 'POST', '/v1/orders', {
      merchant_order_no: number,
      amount: 100,
      currency: 'CNY',
      subject: 'Oolong',
    })
    expect(again.status).to.equal(200)
    expect((await world.db<Order>('orders').where({ merchant_order_no: number })).length).to.equal(1)
  },
}

const starting: Scenario<OrderResource> = {
  places: ['attempt-recorded', 'prepay-answered', 'invocation-stored', 'prepay-applied'],
  prepare: ({ world }) => open(world, 200),
  act: ({ world, channel }, order) => askToPay(world, order.id, channel),
  async recover({ world, channel }, order) {
    const [lost] = await world.db<Payment>('payments').where({ order_id: order.id })
    expect(lost, 'recorded before the provider heard of it').to.not.equal(undefined)
    const askedAt = Date.now() + 1000
    const started = await startOn(world, channel, order.id)
    // A short life of an hour and a half divided by the time scale: a slow machine may outlast it.
    const usable = lost?.invocation !== null && (lost?.usable_until ?? 0) > askedAt
    if (usable) expect(started.payment.id, 'an invocation that was kept is handed out').to.equal(lost?.id)
    await pay(world, started)
    await paid(world, order.id)
    await until('every other attempt closed', async () => {
      const attempts = await world.db<Payment>('payments').where({ order_id: order.id })
      return attempts.every(({ id, status }) =>
        id === started.payment.id ? status === 'succeeded' : status === 'closed',
      )
    })
  },
}

const refusedStart: Scenario<OrderResource> = {
  ...starting,
  places: ['prepay-refused'],
  async act({ world, channel }, order) {
    await chaos(world, 'rateLimit', 1, `${providerOf(channel)}.create`)
    await askToPay(world, order.id, channel)
  },
}

const paying: Scenario<{ order: OrderResource; started: Awaited<ReturnType<typeof startOn>> }> = {
  places: ['notification-stored', 'notification-applied', 'webhook-answered'],
  async prepare({ world, channel }) {
    const order = await open(world, 300)
    return { order, started: await startOn(world, channel, order.id) }
  },
  act: ({ world }, { started }) => pay(world, started),
  async recover({ world }, { order }) {
    await paid(world, order.id)
  },
}

const asking: typeof paying = {
  ...paying,
  places: ['query-answered'],
  async act({ world, channel }, { started }) {
    await chaos(world, 'notifyNever', 1, silent(channel))
    await pay(world, started)
  },
}

const closing: Scenario<OrderResource> = {
  places: ['close-recorded', 'close-answered', 'order-closed'],
  async prepare({ world, channel }) {
    const order = await open(world, 400)
    await startOn(world, channel, order.id)
    // Huifu closes no order in its first minute.
    await sleep(60_000 / timeScale + 20)
    return order
  },
  act: ({ world }, order) => askClose(world, order.id),
  async recover({ world }, order) {
    expect((await askClose(world, order.id)).status).to.equal(200)
    await until('order closed', async () => (await readOrder(world, order.id)).status === 'closed')
  },
}

const refunding: Scenario<OrderResource> = {
  places: ['refund-recorded', 'submission-recorded', 'refund-answered', 'refund-outcome-recorded', 'refund-submitted'],
  prepare: ({ world, channel }) => paidOn(world, channel, 500),
  act: ({ world }, order) => askRefund(world, order.id, `${order.merchant_order_no}-r`, 200),
  async recover({ world }, order) {
    const again = await askRefund(world, order.id, `${order.merchant_order_no}-r`, 200)
    expect(again.status, 'the reservation was committed').to.equal(200)
    await untilRefund(world, again.body.id, 'succeeded')
    const rest = await askRefund(world, order.id, `${order.merchant_order_no}-rest`, 301)
    expect([rest.status, rest.body.code], 'counted once').to.deep.equal([409, 'refund-exceeds-payment'])
  },
}

const askingAboutRefund: Scenario<OrderResource> = {
  ...refunding,
  places: ['refund-query-answered'],
  async act(scene, order) {
    await chaos(scene.world, 'notifyNever', 1, silent(scene.channel))
    await refunding.act(scene, order)
  },
}

const refusedRefund: Scenario<OrderResource> = {
  ...refunding,
  places: ['refund-refused', 'refund-refusal-recorded'],
  async act(scene, order) {
    await balance(scene, 0)
    await refunding.act(scene, order)
  },
  async recover(scene, order) {
    await balance(scene, 1_000_000)
    await refunding.recover(scene, order)
  },
}

async function balance({ world, channel }: Scene, fen: number): Promise<void> {
  await control(world, `/_sim/${providerOf(channel)}/balance`, { fen: String(fen) })
}

/** A scenario with its state hidden, so that scenarios of different states fit into one list. */
type Crash = {
  readonly place: string
  readonly begin: (scene: Scene) => Promise<{ act(): Promise<unknown>; recover(scene: Scene): Promise<void> }>
}

function crashesOf<State>(scenario: Scenario<State>): readonly Crash[] {
  return scenario.places.map((place) => ({
    place,
    async begin(scene) {
      const state = await scenario.prepare(scene)
      return { act: () => scenario.act(scene, state), recover: (after) => scenario.recover(after, state) }
    },
  }))
}

const crashes: readonly Crash[] = [
  ...crashesOf(opening),
  ...crashesOf(starting),
  ...crashesOf(refusedStart),
  ...crashesOf(paying),
  ...crashesOf(asking),
  ...crashesOf(closing),
  ...crashesOf(refunding),
  ...crashesOf(askingAboutRefund),
  ...crashesOf(refusedRefund),
]

/** What no channel takes part in. */
const withoutChannel: ReadonlySet<string> = new Set(['order-recorded'])

/**
 * Every place is crashed at on both databases and on both channels; a usual run pairs them crosswise, by the seed, because
 * each crash costs a process. MORTISE_CRASHES=full runs every pair.
 */
function channelsAt(index: number, turned: number): readonly ChannelName[] {
  const [first = 'wechat-main', second = 'huifu-main'] = channels
  if (withoutChannel.has(crashes[index]?.place ?? '')) return [first]
  if (process.env['MORTISE_CRASHES'] === 'full') return channels
  return [(index + turned) % 2 === 0 ? first : second]
}

const seed = seedOf('crashes')

it('crashes at every place that the flows name', () => {
  const folder = resolve(import.meta.dirname, '../../src/flows')
  const named = readdirSync(folder).flatMap((file) => {
    const text = readFileSync(resolve(folder, file), 'utf8')
    return [...text.matchAll(/ctx\.crash\?\.\('([a-z-]+)'\)/g)].map(([, place]) => place)
  })
  expect(named).to.have.members(crashes.map(({ place }) => place))
})

for (const [position, database] of databases.entries()) {
  describe(`kill -9 of a gateway on ${database.name}`, function () {
    this.timeout(60_000)
    let world: World
    let current: Child
    let next: Promise<Child>

    before(async () => {
      world = await startWorld({ database, timeScale, start: false, configure: bothChannels, simulators: { seed } })
      current = await standby(world, timing)
      await current.start()
      next = standby(world, timing)
    })
    after(async () => {
      await current.kill()
      await (await next).kill()
      await world.close()
    })

    /** The next process takes over; the one after it begins to load. */
    async function takeOver(): Promise<void> {
      current = await next
      await current.start()
      next = standby(world, timing)
    }

    for (const [index, { place, begin }] of crashes.entries()) {
      for (const channel of channelsAt(index, seed + position)) {
        it(`comes back from ${place} on ${channel}`, async () => {
          const scene = { world, channel }
          const running = await begin(scene)
          current.crashAt(place)
          // A message to the process and a request to it travel on different ways.
          await call(world, 'GET', '/v1/orders/ord_00000000000000000000000000').catch(() => undefined)
          await running.act().catch(() => undefined)
          const ending = await Promise.race([current.ended, sleep(15_000, undefined, { ref: false })])
          expect(ending, `the process passed ${place}`).to.deep.equal({ code: null, signal: 'SIGKILL' })
          await calm(world)
          await checkInvariants(world)
          await takeOver()
          await running.recover(scene)
          await untilQuiet(world)
          await checkInvariants(world, { quiet: true })
        })
      }
    }
  })
}
