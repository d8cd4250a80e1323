import { expect } from 'chai'
import type { OrderResource } from '../../src/core/event.ts'
import { databases } from '../databases.ts'
import { call, open, paidOrder, readOrder, start, startWorld, until, type ProblemBody, type World } from '../harness.ts'

/**
 * One scenario on every channel and every database, with only the channel's name changed; what the merchant sees must be
 * equal key by key and type by type (design.md 20.9).
 */

const channels = ['wechat-main', 'huifu-main', 'huifu-v3'] as const

type Outcome = { readonly shapes: unknown; readonly values: unknown }
const outcomes = new Map<string, Outcome>()

/** Keys and types, all the way down: what must be the same on every channel. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf)
  if (typeof value !== 'object' || value === null) return value === null ? 'null' : typeof value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, shapeOf(item)]))
}

/** Ids, times, the page of the very order and the two things a channel may call its own are set aside; everything else is compared by value. */
function valuesOf(value: unknown, key = ''): unknown {
  if (
    /(_at|id|_no|timestamp|sequence)$/.test(key) ||
    key === 'channel' ||
    key === 'cashier_url' ||
    key === 'account_status'
  )
    return value === null ? null : `<${key}>`
  if (Array.isArray(value)) return value.map((item) => valuesOf(item))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, valuesOf(item, name)]))
}

async function scenario(world: World): Promise<Outcome> {
  const seen: unknown[] = []
  const note = (value: unknown) => seen.push(value)

  const { order: paid } = await paidOrder(world, 1234)
  note(paid)
  const refund = (number: string, amount: number) =>
    call<{ id: string; status: string } & ProblemBody>(world, 'POST', `/v1/orders/${paid.id}/refunds`, {
      merchant_refund_no: `${paid.merchant_order_no}-${number}`,
      amount,
      reason: 'broken cup',
    })
  for (const [number, amount] of [
    ['r1', 1000],
    ['r2', 200],
    ['r3', 34],
  ] as const) {
    const answer = await refund(number, amount)
    expect(answer.status, JSON.stringify(answer.body)).to.equal(201)
    expect((await refund(number, amount)).body.id, 'the same number is the same refund').to.equal(answer.body.id)
    await until(`refund ${number} done`, async () => {
      const { body } = await call<{ status: string }>(world, 'GET', `/v1/refunds/${answer.body.id}`)
      return body.status === 'succeeded'
    })
  }
  const fourth = await refund('r4', 1)
  expect(fourth.status).to.equal(409)
  expect(fourth.body.code).to.equal('refund-exceeds-payment')
  note(await readOrder(world, paid.id))

  const unwanted = await open(world, 500)
  await start(world, unwanted.id)
  const closing = await call<OrderResource>(world, 'POST', `/v1/orders/${unwanted.id}/close`, {})
  expect(closing.status).to.equal(200)
  note(
    await until('order closed', async () => {
      const now = await readOrder(world, unwanted.id)
      return now.status === 'closed' ? now : undefined
    }),
  )

  const expected = ['order.paid', 'refund.succeeded', 'refund.succeeded', 'refund.succeeded', 'order.closed']
  await until('webhooks', () => world.webhooks.filter(({ type }) => expected.includes(type)).length >= expected.length)
  const told = world.webhooks
    .filter(({ type }) => !type.startsWith('payment.'))
    .toSorted((a, b) => a.sequence - b.sequence)
  expect(told.map(({ type }) => type)).to.deep.equal(expected)
  note(told)
  return { shapes: shapeOf(seen), values: valuesOf(seen) }
}

for (const database of databases) {
  describe(`one scenario on ${database.name}`, function () {
    this.timeout(90_000)
    for (const channel of channels) {
      it(`runs through ${channel}`, async () => {
        const world = await startWorld({ database, channel })
        try {
          outcomes.set(`${database.name} ${channel}`, await scenario(world))
        } finally {
          await world.close()
        }
      })
    }
    it('looks the same to the merchant on every channel', () => {
      const all = [...outcomes.values()]
      expect(all.length).to.be.at.least(channels.length)
      for (const outcome of all) {
        expect(outcome.shapes).to.deep.equal(all[0]?.shapes)
        expect(outcome.values).to.deep.equal(all[0]?.values)
      }
    })
  })
}
