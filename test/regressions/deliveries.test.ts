import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect } from 'chai'
import { ulid } from 'ulid'
import type { Context, Endpoint, Merchant } from '../../src/context.ts'
import { createWebhookPoster } from '../../src/egress/merchant-endpoint.ts'
import { applyPaymentFact } from '../../src/flows/apply-payment-fact.ts'
import { deliverWebhook } from '../../src/flows/deliver-webhook.ts'
import { redeliverEvent } from '../../src/flows/redeliver-event.ts'
import { claimDue } from '../../src/store/due.ts'
import type { DeliveryRow, EventRow } from '../../src/store/rows.ts'
import { databases } from '../databases.ts'
import { until } from '../harness.ts'
import { order, payment } from '../integration/ledger-rows.ts'
import { contextOf, ids, leaseMs, ledgerOn, scripted, shop, type Ledger } from './ledger.ts'

/** Webhooks that were never sent, and webhooks that kept others waiting. */

const endpoint = (id: string, url: string, events: Endpoint['events'] = ['*']): Endpoint => ({
  id,
  url,
  secrets: [Buffer.alloc(32, 7)],
  events,
})

function merchantOf(id: string, endpoints: readonly Endpoint[]): Merchant {
  return { ...shop, id, endpoints, sandbox: true }
}

for (const database of databases) {
  describe(`webhooks that could be swallowed, on ${database.name}`, function () {
    this.timeout(30_000)
    let ledger: Ledger
    before(async () => {
      ledger = ledgerOn(await database.open())
    })
    after(() => ledger.open.close())

    /** A process that knows these merchants and no other. */
    function processThatKnows(merchants: readonly Merchant[], more: Partial<Context> = {}): Context {
      const get = (id: string) => merchants.find((merchant) => merchant.id === id)
      const known = { get, keyByDigest: () => undefined, ids: () => merchants.map(({ id }) => id) }
      return contextOf(ledger, scripted({}), { merchants: known, ...more })
    }

    /** An order of this merchant is paid, as that process sees it. */
    async function recordedBy(ctx: Context, merchantId: string): Promise<EventRow> {
      const its = ids(ledger)
      const owner = { merchant_id: merchantId }
      const expires_at = ledger.clock.now + 1e9
      const row = { id: its.order, ...owner, expires_at, current_payment_id: its.payment }
      await ledger.db('orders').insert(order(its.number, row))
      await ledger.db('payments').insert(payment(its.order, its.payment, { ...owner, status: 'pending' }))
      const amount = { amount: 100, currency: 'CNY' } as const
      const fact = { about: 'payment', paymentId: its.payment, seen: 'succeeded', amount } as const
      await applyPaymentFact(ctx, 'main', { ...fact, transactionId: `hf${its.number}` }, 'query')
      const event = await ledger.db<EventRow>('events').where({ order_id: its.order }).first()
      if (event === undefined) throw new Error('no event')
      return event
    }

    const deliveriesOf = (event: EventRow) =>
      ledger.db<DeliveryRow>('deliveries').where({ event_id: event.id }).orderBy('endpoint_id')

    /** The worker of that process takes what is due. */
    async function deliverDue(ctx: Context, where: Record<string, unknown>): Promise<number> {
      const rows = await claimDue<DeliveryRow>(ctx.db, {
        table: 'deliveries',
        key: 'id',
        column: 'next_attempt_at',
        now: ctx.now(),
        leaseMs,
        limit: 100,
        where: { status: 'pending', ...where },
        bump: 'attempts',
      })
      await Promise.all(rows.map(({ id }) => deliverWebhook(ctx, id, ctx.now() + leaseMs)))
      return rows.length
    }

    it('by a process whose configuration is behind: the delivery waits for one that knows the endpoint', async () => {
      const knows = processThatKnows([merchantOf('new-shop', [endpoint('hook', 'https://new.example/hook')])])
      const behind = processThatKnows([])
      const event = await recordedBy(knows, 'new-shop')
      const mine = { event_id: event.id }
      expect(await deliverDue(behind, mine)).to.equal(1)
      const [tried] = await deliveriesOf(event)
      expect(tried).to.include({ status: 'pending', attempts: 1 })
      ledger.clock.now = tried?.next_attempt_at ?? 0
      expect(await deliverDue(knows, mine)).to.equal(1)
      expect((await deliveriesOf(event))[0]).to.include({ status: 'delivered', attempts: 2 })
    })

    it('an endpoint that stays away is given up at the end of the schedule', async () => {
      const event = await recordedBy(
        processThatKnows([merchantOf('gone-shop', [endpoint('hook', 'https://gone.example/hook')])]),
        'gone-shop',
      )
      const behind = processThatKnows([])
      for (let time = 1; time <= 10; time += 1) {
        expect(await deliverDue(behind, { event_id: event.id }), `attempt ${String(time)}`).to.equal(1)
        ledger.clock.now += 48 * 3_600_000
      }
      expect((await deliveriesOf(event))[0]).to.include({ status: 'exhausted', attempts: 10 })
    })

    it('redelivering makes the deliveries that the recording process could not make', async () => {
      const event = await recordedBy(processThatKnows([]), 'late-shop')
      expect(await deliveriesOf(event)).to.deep.equal([])
      const merchant = merchantOf('late-shop', [
        endpoint('all', 'https://late.example/all'),
        endpoint('closed-only', 'https://late.example/closed', ['order.closed']),
        endpoint('paid', 'https://late.example/paid', ['order.paid']),
      ])
      const knows = processThatKnows([merchant])
      await redeliverEvent(knows, 'late-shop', event.id)
      const made = await deliveriesOf(event)
      expect(made.map(({ endpoint_id, status, attempts }) => [endpoint_id, status, attempts])).to.deep.equal([
        ['all', 'pending', 0],
        ['paid', 'pending', 0],
      ])
      expect(await deliverDue(knows, { event_id: event.id })).to.equal(2)
      await redeliverEvent(knows, 'late-shop', event.id)
      const again = await deliveriesOf(event)
      expect(again.map(({ id, status }) => [id, status])).to.deep.equal(made.map(({ id }) => [id, 'pending']))
    })

    it('redelivering twice at the same moment makes each delivery once', async () => {
      const event = await recordedBy(processThatKnows([]), 'eager-shop')
      const knows = processThatKnows([merchantOf('eager-shop', [endpoint('hook', 'https://eager.example/hook')])])
      await Promise.all(Array.from({ length: 8 }, () => redeliverEvent(knows, 'eager-shop', event.id)))
      expect(await deliveriesOf(event)).to.have.length(1)
    })

    it('a slow endpoint holds up nobody else, and waiting for it uses up no attempts', async () => {
      const waiting: ServerResponse[] = []
      const slow = createServer((_request, response) => void waiting.push(response))
      let quickHeard = 0
      const quick = createServer((_request, response) => {
        quickHeard += 1
        response.writeHead(204).end()
      })
      const urls: string[] = []
      for (const server of [slow, quick]) {
        await new Promise<void>((listening) => void server.listen(0, '127.0.0.1', listening))
        urls.push(`http://127.0.0.1:${String((server.address() as AddressInfo).port)}/`)
      }
      const poster = createWebhookPoster({ now: () => ledger.clock.now })
      try {
        const slowId = `slow-${ulid()}`
        const quickId = `quick-${ulid()}`
        const ctx = processThatKnows(
          [
            merchantOf(slowId, [endpoint('hook', urls[0] ?? '')]),
            merchantOf(quickId, [endpoint('hook', urls[1] ?? '')]),
          ],
          { postWebhook: poster.post },
        )
        const events: EventRow[] = []
        for (let time = 0; time < 7; time += 1) events.push(await recordedBy(ctx, slowId))
        const other = await recordedBy(ctx, quickId)
        const slowOnes = deliverDue(ctx, { merchant_id: slowId })
        await until('four under way', () => waiting.length === 4)
        await deliverDue(ctx, { merchant_id: quickId })
        expect(quickHeard).to.equal(1)
        expect((await deliveriesOf(other))[0]?.status).to.equal('delivered')
        const rows = () => ledger.db<DeliveryRow>('deliveries').where({ merchant_id: slowId, status: 'pending' })
        const postponed = await until('three postponed', async () => {
          const soon = (await rows()).filter(({ next_attempt_at }) => (next_attempt_at ?? 0) < ctx.now() + leaseMs)
          return soon.length === 3 && soon
        })
        for (const row of postponed) expect(row).to.include({ attempts: 0, next_attempt_at: ctx.now() + 500 })
        expect(waiting, 'nothing more was sent').to.have.length(4)
        const attempts = () =>
          ledger.db('delivery_attempts').whereIn(
            'delivery_id',
            postponed.map(({ id }) => id),
          )
        expect(await attempts()).to.deep.equal([])
        for (const response of waiting.splice(0)) response.writeHead(204).end()
        await slowOnes
        ledger.clock.now += 500
        const rest = deliverDue(ctx, { merchant_id: slowId })
        await until('three more', () => waiting.length === 3)
        for (const response of waiting.splice(0)) response.writeHead(204).end()
        expect(await rest).to.equal(3)
        expect(await rows()).to.deep.equal([])
        const delivered = await ledger.db<DeliveryRow>('deliveries').where({ merchant_id: slowId })
        expect(delivered.map((row) => row.attempts)).to.deep.equal(events.map(() => 1))
      } finally {
        for (const response of waiting) response.destroy()
        await poster.close()
        for (const server of [slow, quick]) {
          server.closeAllConnections()
          await new Promise((closed) => server.close(closed))
        }
      }
    })
  })
}
