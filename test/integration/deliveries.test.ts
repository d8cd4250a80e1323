import { expect } from 'chai'
import { Webhook } from 'standardwebhooks'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import { join } from 'node:path'
import { keepHouse } from '../../src/worker/housekeeping.ts'
import { databases } from '../databases.ts'
import { call, paidOrder, startWorld, until, type World } from '../harness.ts'

/** Webhooks to merchants: outbox, signatures, schedule, redelivery (reliability.md 5.7, 5.8). */

type Attempt = { delivery_id: string; attempted_at: number; http_status: number | null }
type Delivery = { id: string; event_id: string; status: string; attempts: number; next_attempt_at: number | null }

for (const database of databases) {
  describe(`webhooks on ${database.name}`, function () {
    this.timeout(60_000)
    let world: World
    before(async () => {
      world = await startWorld({ database, timeScale: 20_000 })
    })
    after(() => world.close())

    const deliveriesOf = (subject: string) =>
      world
        .db<Delivery>('deliveries')
        .join('events', 'events.id', 'deliveries.event_id')
        .where('events.subject_id', subject)
        .select('deliveries.*')

    it('keeps at it while the merchant fails, with the same id and bytes, and stops when it is taken', async () => {
      world.answerWebhooks(500)
      const { order } = await paidOrder(world, 700)
      const tried = await until('three attempts', async () => {
        const [delivery] = await deliveriesOf(order.id)
        const attempts = await world.db<Attempt>('delivery_attempts').where({ delivery_id: delivery?.id ?? '' })
        return attempts.length >= 3 ? attempts : undefined
      })
      expect(tried.every(({ http_status }) => http_status === 500)).to.equal(true)
      world.answerWebhooks(204)
      await until('delivered', async () => (await deliveriesOf(order.id))[0]?.status === 'delivered')
      expect(world.webhooks.filter(({ subject_id }) => subject_id === order.id)).to.have.length(1)
    })

    it('gives up after ten attempts and delivers again when asked', async () => {
      world.answerWebhooks(503)
      const { order } = await paidOrder(world, 710)
      // 75 h 35 min of schedule are 14 s at this scale.
      const exhausted = await until(
        'exhausted',
        async () => (await deliveriesOf(order.id)).find(({ status }) => status === 'exhausted'),
        40_000,
      )
      expect(exhausted.attempts).to.equal(10)
      world.answerWebhooks(204)
      const events = await call<{ data: { id: string; subject_id: string }[] }>(
        world,
        'GET',
        '/v1/events?after=0&limit=100',
      )
      const event = events.body.data.find(({ subject_id }) => subject_id === order.id)
      const asked = await call(
        world,
        'POST',
        `/v1/events/${event?.id ?? ''}/redeliver`,
        {},
        { 'idempotency-key': `again-${order.id}` },
      )
      expect(asked.status).to.be.oneOf([200, 202])
      await until('delivered', async () => (await deliveriesOf(order.id))[0]?.status === 'delivered')
    })

    it('gives an endpoint up that says it is gone', async () => {
      world.answerWebhooks(410)
      const { order } = await paidOrder(world, 720)
      await until('given up', async () => (await deliveriesOf(order.id))[0]?.status === 'exhausted')
      expect((await deliveriesOf(order.id))[0]?.attempts).to.equal(1)
      world.answerWebhooks(204)
    })

    it('signs with both live secrets, so that either verifies', async () => {
      const received: { body: string; headers: Record<string, string> }[] = []
      const server = http.createServer((request, response) => {
        const chunks: Buffer[] = []
        request.on('data', (chunk: Buffer) => chunks.push(chunk))
        request.on('end', () => {
          const headers = Object.fromEntries(
            Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
          )
          received.push({ body: Buffer.concat(chunks).toString('utf8'), headers })
          response.writeHead(204).end()
        })
      })
      await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
      const address = server.address()
      const port = address !== null && typeof address === 'object' ? address.port : 0
      world.configure((config) => {
        const endpoint = config.merchants['demo-shop']?.endpoints[0]
        if (endpoint !== undefined)
          config.merchants['demo-shop']?.endpoints.push({
            ...endpoint,
            id: 'second',
            url: `http://127.0.0.1:${String(port)}/`,
          })
      })
      await until('second endpoint', () => world.gateway.context.merchants.get('demo-shop')?.endpoints.length === 2)
      const { order } = await paidOrder(world, 730)
      const got = await until('second delivery', () => received.find(({ body }) => body.includes(order.id)))
      for (const name of ['webhook_secret.txt', 'webhook_secret_previous.txt']) {
        const secret = readFileSync(join(world.folder, 'sandbox/shop', name), 'utf8').trim()
        expect(() => new Webhook(secret).verify(got.body, got.headers), name).not.to.throw()
      }
      expect(() =>
        new Webhook(`whsec_${Buffer.alloc(32, 7).toString('base64')}`).verify(got.body, got.headers),
      ).to.throw()
      const stored = await world
        .db<{ subject_id: string; type: string; payload: string }>('events')
        .where({ subject_id: order.id, type: 'order.paid' })
        .first()
      expect(got.body, 'the bytes sent are the bytes stored').to.equal(stored?.payload)
      expect(await deliveriesOf(order.id)).to.have.length(2)
      await new Promise<void>((done) => {
        server.close(() => done())
        server.closeAllConnections()
      })
      world.configure((config) => void config.merchants['demo-shop']?.endpoints.pop())
      await until('one endpoint', () => world.gateway.context.merchants.get('demo-shop')?.endpoints.length === 1)
    })

    it('numbers the events of a merchant without gaps', async () => {
      await Promise.all([paidOrder(world, 740), paidOrder(world, 741), paidOrder(world, 742)])
      const rows = await world
        .db<{ merchant_id: string; sequence: number }>('events')
        .where({ merchant_id: 'demo-shop' })
        .orderBy('sequence')
        .select('sequence')
      expect(rows.map(({ sequence }) => sequence)).to.deep.equal(rows.map((_, index) => index + 1))
    })

    it('forgets the words of old notifications and keeps their rows', async () => {
      const { order } = await paidOrder(world, 750)
      const payment = order.payments[0]?.id ?? ''
      expect(await world.db('notifications').where({ subject_id: payment }).andWhere('body', '<>', '')).to.have.length(
        1,
      )
      const later = { ...world.gateway.context, now: () => Date.now() + 91 * 24 * 60 * 60 * 1000 }
      expect(await keepHouse(later)).to.be.at.least(1)
      const kept = await world.db('notifications').where({ subject_id: payment })
      expect(kept).to.have.length(1)
      expect(kept[0]).to.include({ body: '' })
      expect(kept[0].outcome, 'what became of it is kept').to.be.oneOf(['applied', 'unchanged'])
    })
  })
}
