import { expect } from 'chai'
import { databases } from '../databases.ts'
import { startWorld, type World } from '../harness.ts'
import { checkInvariants } from '../invariants.ts'
import { askRefund, bothChannels, paidOn, seedOf, untilQuiet, untilRefund } from './acts.ts'

/** A checker that never complains proves nothing: every lie told to the database must be named. */

type Lie = {
  readonly name: string
  readonly table: string
  readonly where: Record<string, string>
  readonly set: Record<string, string | number | null>
  readonly says: RegExp
}

const lies: readonly Lie[] = [
  {
    name: 'a reservation given back',
    table: 'payments',
    where: { channel_id: 'huifu-main' },
    set: { refund_reserved: 0 },
    says: /has reserved 0 \+ 0, its refunds are 40/,
  },
  {
    name: 'a refund not counted',
    table: 'payments',
    where: { channel_id: 'huifu-main' },
    set: { refund_count: 0 },
    says: /counts 0 refunds and has 1/,
  },
  {
    name: 'a paid order reopened',
    table: 'orders',
    where: { status: 'paid' },
    set: { status: 'open' },
    says: /fell to open/,
  },
  {
    name: 'a payment forgotten',
    table: 'payments',
    where: { channel_id: 'wechat-main' },
    set: { status: 'closed' },
    says: /is closed; the provider was paid/,
  },
  {
    name: 'a refund called failed that was paid out',
    table: 'refunds',
    where: { channel_id: 'huifu-main' },
    set: { status: 'failed' },
    says: /is failed; the provider has it done/,
  },
  {
    name: 'a refund of another amount',
    table: 'refunds',
    where: { channel_id: 'wechat-main' },
    set: { amount: 41 },
    says: /is 41; the provider has 40/,
  },
  {
    name: 'a number that was not recorded',
    table: 'refund_submissions',
    where: { channel_id: 'huifu-main' },
    set: { provider_no: 'ref0' },
    says: /which nobody recorded before sending/,
  },
  {
    name: 'an event of something that did not happen',
    table: 'events',
    where: { type: 'order.paid' },
    set: { type: 'order.closed' },
    says: /no event for ord_\w+ order\.paid[^]*an event without its status/,
  },
  {
    name: 'a gap in the sequence',
    table: 'events',
    where: { sequence: '1' },
    set: { sequence: 99 },
    says: /sequence 99 stands at place/,
  },
  {
    name: 'a webhook not delivered',
    table: 'deliveries',
    where: { status: 'delivered' },
    set: { status: 'pending' },
    says: /the delivery of evt_\w+ is pending/,
  },
  {
    name: 'a refund that nobody looks at any more',
    table: 'refunds',
    where: { channel_id: 'wechat-main' },
    set: { status: 'processing', next_check_at: null },
    says: /waits for nothing/,
  },
]

describe('the checker of invariants', function () {
  this.timeout(60_000)
  let world: World

  before(async () => {
    const seed = seedOf('lies')
    const [database] = databases
    if (database === undefined) throw new Error('no database was chosen')
    world = await startWorld({ database, timeScale: 600, configure: bothChannels, simulators: { seed } })
    for (const channel of ['wechat-main', 'huifu-main'] as const) {
      const order = await paidOn(world, channel, 100)
      const answer = await askRefund(world, order.id, `${order.merchant_order_no}-r`, 40)
      await untilRefund(world, answer.body.id, 'succeeded')
    }
    await untilQuiet(world)
    await world.gateway.worker.stop()
  })
  after(() => world.close())

  it('finds nothing where nothing is wrong', () => checkInvariants(world, { quiet: true }))

  for (const { name, table, where, set, says } of lies) {
    it(`names ${name}`, async () => {
      const truth = (await world.db(table).where(where).first()) as Record<string, string | number | null> | undefined
      if (truth === undefined) throw new Error('there is nothing to lie about')
      const key = table === 'refund_submissions' ? 'refund_id' : 'id'
      const row = () => world.db(table).where({ [key]: truth[key] })
      await row().update(set)
      try {
        const complaint = await checkInvariants(world, { quiet: true }).then(
          () => 'nothing',
          (error: unknown) => (error instanceof Error ? error.message : String(error)),
        )
        expect(complaint).to.match(says)
      } finally {
        await row().update(Object.fromEntries(Object.keys(set).map((column) => [column, truth[column] ?? null])))
      }
    })
  }
})
