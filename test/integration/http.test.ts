import { connect } from 'node:net'
import { expect } from 'chai'
import { problems } from '../../src/core/problem.ts'
import {
  eventSchema,
  orderSchema,
  problemSchema,
  refundSchema,
  startedPaymentSchema,
} from '../../src/http/resources.ts'
import { databases } from '../databases.ts'
import { generous, startWorld, type World } from './http-world.ts'

const order = (number: string, more: object = {}) => ({
  merchant_order_no: number,
  amount: 1230,
  subject: 'Tea',
  ...more,
})

for (const database of databases) {
  describe(`http on ${database.name}`, function () {
    this.timeout(60_000)
    let world: World
    let count = 0
    const fresh = () => `N-${String((count += 1))}`

    before(async () => {
      world = await startWorld(database, generous)
    })
    after(() => world.stop())

    const paid = async () => {
      const opened = await world.call('POST', '/v1/orders', order(fresh()))
      const started = await world.call('POST', `/v1/orders/${opened.json['id']}/payments`, {
        method: 'wechat_native',
        client_ip: '203.0.113.7',
      })
      expect(started.status, started.text).to.equal(201)
      const told = { paymentId: started.json['payment'].id, amount: 1230 }
      const answer = await world.call('POST', '/notify/main/segment', told, { 'x-good': 'yes' }, '')
      expect(answer.status, answer.text).to.equal(200)
      return { orderId: String(opened.json['id']), paymentId: String(told.paymentId) }
    }

    it('opens an order once, and says where it is', async () => {
      const number = fresh()
      const first = await world.call('POST', '/v1/orders', order(number))
      expect(first.status, first.text).to.equal(201)
      orderSchema.parse(first.json)
      expect(first.headers.get('location')).to.equal(`/v1/orders/${first.json['id']}`)
      const again = await world.call('POST', '/v1/orders', order(number))
      expect([again.status, again.json['id']]).to.deep.equal([200, first.json['id']])
      const other = await world.call('POST', '/v1/orders', order(number, { amount: 1 }))
      expect([other.status, other.json['code'], other.json['existing']]).to.deep.equal([
        409,
        'order-conflict',
        first.json['id'],
      ])
      expect((await world.call('GET', `/v1/orders/${first.json['id']}`)).json).to.deep.equal(first.json)
      expect((await world.call('GET', `/v1/orders?merchant_order_no=${number}`)).json).to.deep.equal(first.json)
    })

    it('finds an order again after its expires_at has come near, but opens no such order', async () => {
      const number = fresh()
      const body = order(number, { expires_at: new Date(world.clock.now + 61_000).toISOString() })
      expect((await world.call('POST', '/v1/orders', body)).status).to.equal(201)
      world.clock.now += 5000
      expect((await world.call('POST', '/v1/orders', body)).status).to.equal(200)
      const late = await world.call('POST', '/v1/orders', { ...body, merchant_order_no: fresh() })
      expect([late.status, late.json['errors']?.[0].pointer]).to.deep.equal([400, '/expires_at'])
    })

    it('pays, refunds and tells the events', async () => {
      const { orderId, paymentId } = await paid()
      const whole = await world.call('GET', `/v1/orders/${orderId}`)
      orderSchema.parse(whole.json)
      expect([whole.json['status'], whole.json['paid_payment_id'], whole.json['refundable']]).to.deep.equal([
        'paid',
        paymentId,
        1230,
      ])
      expect((await world.call('GET', `/v1/payments/${paymentId}`)).json).to.deep.equal(whole.json['payments'][0])

      const number = fresh()
      const refund = await world.call('POST', `/v1/orders/${orderId}/refunds`, {
        merchant_refund_no: number,
        amount: 1000,
      })
      expect(refund.status, refund.text).to.equal(201)
      refundSchema.parse(refund.json)
      expect(refund.headers.get('location')).to.equal(`/v1/refunds/${refund.json['id']}`)
      const again = await world.call('POST', `/v1/orders/${orderId}/refunds`, {
        merchant_refund_no: number,
        amount: 1000,
      })
      expect([again.status, again.json['id']]).to.deep.equal([200, refund.json['id']])
      const more = await world.call('POST', `/v1/orders/${orderId}/refunds`, {
        merchant_refund_no: fresh(),
        amount: 231,
      })
      expect([more.status, more.json['code']]).to.deep.equal([409, 'refund-exceeds-payment'])
      expect((await world.call('GET', `/v1/refunds?merchant_refund_no=${number}`)).json['id']).to.equal(
        refund.json['id'],
      )
      expect((await world.call('GET', `/v1/refunds/${refund.json['id']}`)).status).to.equal(200)

      const page = await world.call('GET', '/v1/events?limit=1')
      expect(page.json['data']).to.have.length(1)
      eventSchema.parse(page.json['data'][0])
      let cursor = '0'
      const seen: string[] = []
      for (let hasMore = true; hasMore;) {
        const next = await world.call('GET', `/v1/events?after=${cursor}&limit=1`)
        seen.push(...next.json['data'].map((event: { type: string }) => event.type))
        cursor = next.json['next_cursor']
        hasMore = next.json['has_more']
      }
      expect(seen).to.include('order.paid')
      const id = page.json['data'][0].id
      expect((await world.call('POST', `/v1/events/${id}/redeliver`)).status).to.equal(400)
      const redelivered = await world.call('POST', `/v1/events/${id}/redeliver`, undefined, {
        'idempotency-key': fresh(),
      })
      expect([redelivered.status, redelivered.json['id']], redelivered.text).to.deep.equal([200, id])
    })

    it('starts a payment once and gives the same invocation again', async () => {
      const opened = await world.call('POST', '/v1/orders', order(fresh()))
      const body = { method: 'wechat_native', client_ip: '203.0.113.7' }
      const first = await world.call('POST', `/v1/orders/${opened.json['id']}/payments`, body)
      startedPaymentSchema.parse(first.json)
      const again = await world.call('POST', `/v1/orders/${opened.json['id']}/payments`, body)
      expect([first.status, again.status]).to.deep.equal([201, 200])
      expect(again.json['invocation']).to.deep.equal(first.json['invocation'])
    })

    it('closes with or without a body', async () => {
      for (const body of [undefined, {}]) {
        const opened = await world.call('POST', '/v1/orders', order(fresh()))
        const closed = await world.call('POST', `/v1/orders/${opened.json['id']}/close`, body)
        expect([closed.status, closed.json['id']], closed.text).to.deep.equal([200, opened.json['id']])
      }
    })

    it('pages through orders by cursor, each once', async () => {
      for (let at = 0; at < 3; at += 1) await world.call('POST', '/v1/orders', order(fresh()))
      const ids: string[] = []
      let path = '/v1/orders?limit=2'
      for (let rounds = 0; rounds < 100; rounds += 1) {
        const page = await world.call('GET', path)
        expect(page.status, page.text).to.equal(200)
        ids.push(...page.json['data'].map((one: { id: string }) => one.id))
        if (page.json['has_more'] !== true) break
        path = `/v1/orders?limit=2&after=${page.json['next_cursor']}`
      }
      const rows = await world.db('orders').where({ merchant_id: 'acme' })
      expect(new Set(ids).size).to.equal(ids.length)
      expect(ids).to.have.length(rows.length)
    })

    it('exchanges login codes', async () => {
      const good = await world.call('POST', '/v1/openid', { appid: 'wx1', code: 'good' })
      expect([good.status, good.json]).to.deep.equal([200, { openid: 'oUpF8uMuAJO' }])
      const bad = await world.call('POST', '/v1/openid', { appid: 'wx1', code: 'bad' })
      expect([bad.status, bad.json['code']]).to.deep.equal([422, 'openid-rejected'])
    })

    it('hides every resource of one merchant from the other', async () => {
      const { orderId, paymentId } = await paid()
      const number = fresh()
      const refund = await world.call('POST', `/v1/orders/${orderId}/refunds`, {
        merchant_refund_no: number,
        amount: 1,
      })
      const row = await world.db('events').where({ order_id: orderId }).first()
      const orderRow = await world.db('orders').where({ id: orderId }).first()
      const attempts: readonly (readonly [string, string, object?])[] = [
        ['GET', `/v1/orders/${orderId}`],
        ['GET', `/v1/orders?merchant_order_no=${orderRow.merchant_order_no}`],
        ['GET', `/v1/orders?after=${orderId}`],
        ['POST', `/v1/orders/${orderId}/close`],
        ['POST', `/v1/orders/${orderId}/payments`, { method: 'wechat_native', client_ip: '203.0.113.7' }],
        ['POST', `/v1/orders/${orderId}/refunds`, { merchant_refund_no: fresh(), amount: 1 }],
        ['GET', `/v1/payments/${paymentId}`],
        ['GET', `/v1/refunds/${refund.json['id']}`],
        ['GET', `/v1/refunds?merchant_refund_no=${number}`],
        ['POST', `/v1/events/${row.id}/redeliver`],
      ]
      for (const [method, path, body] of attempts) {
        const answer = await world.call(method, path, body, { 'idempotency-key': fresh() }, 'other')
        expect([answer.status, answer.json['code']], `${method} ${path}`).to.deep.equal([404, 'not-found'])
      }
      expect((await world.call('GET', '/v1/events', undefined, {}, 'other')).json['data']).to.deep.equal([])
    })

    it('answers ids of any shape with not-found', async () => {
      for (const id of [
        'x',
        'ord_',
        'ord_01J000000000000000000000000',
        "ord_'--",
        '%00',
        '..%2f..',
        'ord_01j0000000000000000000000z',
        'a'.repeat(5000),
      ]) {
        expect((await world.call('GET', `/v1/orders/${id}`)).status, id).to.equal(404)
      }
      expect((await world.call('GET', '/v1/orders/%zz')).json['code']).to.equal('invalid-request')
    })

    it('refuses unknown, repeated and misshapen query parameters', async () => {
      for (const query of [
        'colour=red',
        'limit=0',
        'limit=101',
        'limit=1&limit=2',
        'limit=1e1',
        'after=x',
        'merchant_order_no=',
        'merchant_order_no=A&limit=2',
        'limit[]=1',
      ]) {
        const answer = await world.call('GET', `/v1/orders?${query}`)
        expect([answer.status, answer.json['code']], query).to.deep.equal([400, 'invalid-request'])
        expect(answer.json['errors'][0].pointer).to.match(/^\?/)
      }
      expect((await world.call('GET', '/v1/refunds')).status).to.equal(400)
    })

    describe('keys', () => {
      const bad = [
        '',
        'Basic abc',
        'gw_test_wrong00000000000000000',
        'orphan',
        'gw_',
        `gw_${'x'.repeat(9000)}`,
        'é'.repeat(3),
      ]
      it('answers every wrong key alike', async () => {
        const answers = await Promise.all(
          bad.map((key) =>
            world.call(
              'GET',
              '/v1/orders',
              undefined,
              key === 'é'.repeat(3) ? { authorization: 'Bearer \xe9' } : {},
              key === 'é'.repeat(3) ? '' : key,
            ),
          ),
        )
        for (const answer of answers) {
          expect(answer.status).to.equal(401)
          expect(answer.headers.get('www-authenticate')).to.match(/^Bearer/)
        }
        const bodies = answers.map(({ json }) => JSON.stringify({ ...json, instance: '' }))
        expect(new Set(bodies).size).to.equal(1)
      })
      it('asks for the key before it reads a body', async () => {
        const answer = await world.call('POST', '/v1/orders', 'x'.repeat(40_000), {}, 'gw_wrong_wrong_wrong')
        expect(answer.status).to.equal(401)
      })
      it('keeps to the scopes of a key', async () => {
        expect((await world.call('GET', '/v1/orders', undefined, {}, 'reader')).status).to.equal(200)
        const answer = await world.call('POST', '/v1/orders', order(fresh()), {}, 'reader')
        expect([answer.status, answer.json['code']]).to.deep.equal([403, 'forbidden'])
      })
      it('leaves no key in the log', async () => {
        await world.call('GET', '/v1/orders')
        for (const key of Object.values(world.keys)) expect(world.lines.join('')).not.to.include(key)
      })
    })

    it('names paths and methods that do not exist', async () => {
      const missing = await world.call('GET', '/v2/orders')
      expect([missing.status, missing.headers.get('content-type')]).to.deep.equal([404, 'application/problem+json'])
      problemSchema.parse(missing.json)
      expect(missing.json['type']).to.equal('https://pay.example/problems#not-found')
      for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
        const answer = await world.call(method, '/v1/orders')
        expect([answer.status, answer.headers.get('allow')], method).to.deep.equal([405, 'GET, HEAD, POST'])
      }
    })

    it('gives every answer an id of ours, forbids caching and names no framework', async () => {
      const answer = await world.call('GET', '/v1/orders?limit=x', undefined, { 'x-request-id': 'forged' })
      expect(answer.headers.get('x-request-id'))
        .to.match(/^req_[0-9A-Z]{26}$/)
        .and.to.equal(answer.json['instance'])
      expect(answer.headers.get('cache-control')).to.equal('no-store')
      expect(answer.headers.get('x-powered-by')).to.equal(null)
      expect(answer.headers.get('x-content-type-options')).to.equal('nosniff')
    })

    it('limits bodies of merchants, announced or not', async () => {
      const answer = await world.call('POST', '/v1/orders', `{"a":"${'x'.repeat(32_768)}"}`)
      expect([answer.status, answer.json['code']]).to.deep.equal([413, 'payload-too-large'])
      expect((await world.call('POST', '/v1/orders', '{}', { 'content-encoding': 'gzip' })).status).to.equal(415)
      expect(
        (await world.call('POST', '/v1/orders', 'a=b', { 'content-type': 'application/x-www-form-urlencoded' })).status,
      ).to.equal(415)
    })

    it('survives callers who leave in the middle', async () => {
      const head = `POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${world.keys['acme'] ?? ''}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"a"`
      await new Promise<void>((resolve) => {
        const socket = connect(world.port, '127.0.0.1', () =>
          socket.write(head, () => setTimeout(() => void socket.destroy(), 30)),
        )
        socket.on('close', () => resolve())
      })
      expect((await world.call('GET', '/v1/orders')).status).to.equal(200)
      expect(world.lines.join('')).not.to.include('CLIENT_GONE')
    })

    it('hides what breaks inside, and logs it under the id it tells', async () => {
      const answer = await world.call('POST', '/v1/openid', { appid: 'wx1', code: 'broken' })
      expect([answer.status, answer.json['code']]).to.deep.equal([500, 'internal'])
      expect(answer.text).not.to.include('CANARY')
      const line = world.lines.find((one) => one.includes(String(answer.json['instance'])))
      expect(line).to.include('inner CANARY detail').and.to.include('/v1/openid')
    })

    it('shows health, readiness and metrics on the private listener only', async () => {
      for (const path of ['/healthz', '/readyz', '/metrics']) {
        expect((await fetch(world.privateOrigin + path)).status, path).to.equal(200)
        expect((await world.call('GET', path)).status, path).to.equal(404)
      }
      const text = await (await fetch(`${world.privateOrigin}/metrics`)).text()
      expect(text).to.include('http_requests_total{method="POST",route="/v1/orders/{id}/refunds",status="201"}')
      expect(text).not.to.match(/route="[^"]*ord_/)
      expect((await fetch(`${world.privateOrigin}/v1/orders`)).status).to.equal(404)
    })

    it('has a page for every problem', async () => {
      const page = await world.call('GET', '/problems', undefined, {}, '')
      for (const code of Object.keys(problems)) expect(page.text).to.include(`\n## ${code}\n`)
    })
  })

  describe(`limits of http on ${database.name}`, function () {
    this.timeout(60_000)
    it('holds up wrong keys but not right ones, and greedy keys but not others', async () => {
      const limits = { perKey: { rate: 1, burst: 5 }, wrongKeysPerMinute: 3, notificationsAtOnce: 2 }
      const world = await startWorld(database, {
        limits,
        health: {
          checks: () => [{ name: 'worker', ok: false }],
          metrics: { text: () => Promise.resolve(''), contentType: 'text/plain' },
        },
      })
      try {
        const wrong: number[] = []
        for (let at = 0; at < 5; at += 1)
          wrong.push((await world.call('GET', '/v1/events', undefined, {}, 'gw_wrong_wrong_wrong')).status)
        expect(wrong).to.deep.equal([401, 401, 401, 429, 429])
        expect((await world.call('GET', '/v1/events', undefined, {}, 'other')).status).to.equal(200)

        const answers = await Promise.all(
          Array.from({ length: 8 }, () => world.call('POST', '/v1/openid', { appid: 'wx1', code: 'good' })),
        )
        const limited = answers.filter(({ status }) => status === 429)
        expect(limited).to.have.length(3)
        for (const answer of limited) expect(Number(answer.headers.get('retry-after'))).to.be.at.least(1)
        expect((await world.call('GET', '/v1/events', undefined, {}, 'other')).status).to.equal(200)

        let release = () => {}
        const gate = new Promise<void>((resolve) => (release = resolve))
        world.hooks.onNotification = () => gate
        const told = Array.from({ length: 5 }, () => world.call('POST', '/notify/main/segment', '{}', {}, ''))
        const early = await Promise.race(told)
        expect(early.status).to.equal(503)
        release()
        const statuses = (await Promise.all(told)).map(({ status }) => status).toSorted((a, b) => a - b)
        expect(statuses).to.deep.equal([401, 401, 503, 503, 503])

        const ready = await fetch(`${world.privateOrigin}/readyz`)
        expect([
          ready.status,
          ((await ready.json()) as { checks: { name: string; ok: boolean }[] }).checks,
        ]).to.deep.equal([
          503,
          [
            { name: 'database', ok: true },
            { name: 'worker', ok: false },
          ],
        ])
        await world.db.schema.dropTable('idempotency_keys')
        const broken = (await (await fetch(`${world.privateOrigin}/readyz`)).json()) as { checks: unknown[] }
        expect(broken.checks[0]).to.deep.equal({ name: 'database', ok: false, detail: 'not writable' })
      } finally {
        await world.stop()
      }
    })
  })
}
