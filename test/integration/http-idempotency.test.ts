import { expect } from 'chai'
import { databases } from '../databases.ts'
import { generous, startWorld, type World } from './http-world.ts'

const order = (number: string, more: object = {}) => ({
  merchant_order_no: number,
  amount: 1230,
  subject: 'Tea',
  ...more,
})

for (const database of databases) {
  describe(`Idempotency-Key on ${database.name}`, function () {
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

    it('gives the first answer again, with the resource as it is now', async () => {
      const key = fresh()
      const body = order(fresh())
      const first = await world.call('POST', '/v1/orders', body, { 'idempotency-key': key })
      expect([first.status, first.headers.get('idempotent-replayed')]).to.deep.equal([201, null])
      await world.call('POST', `/v1/orders/${first.json['id']}/close`)
      const again = await world.call('POST', '/v1/orders', body, { 'idempotency-key': `"${key}"` })
      expect([again.status, again.headers.get('idempotent-replayed')]).to.deep.equal([201, 'true'])
      expect(again.json).to.deep.equal((await world.call('GET', `/v1/orders/${first.json['id']}`)).json)
    })

    it('does not care about the order of fields, but about everything else', async () => {
      const key = fresh()
      const { merchant_order_no, amount, subject } = order(fresh())
      const headers = { 'idempotency-key': key }
      expect((await world.call('POST', '/v1/orders', { merchant_order_no, amount, subject }, headers)).status).to.equal(
        201,
      )
      const again = await world.call(
        'POST',
        '/v1/orders',
        { subject, amount, currency: 'CNY', merchant_order_no },
        headers,
      )
      expect(again.headers.get('idempotent-replayed')).to.equal('true')
      const other = await world.call('POST', '/v1/orders', { merchant_order_no, amount: 2, subject }, headers)
      expect([other.status, other.json['code']]).to.deep.equal([422, 'idempotency-key-reuse'])
      const foreign = await world.call('POST', '/v1/orders', order(fresh()), headers, 'other')
      expect(foreign.status).to.equal(201)
    })

    it('lets one of many simultaneous requests through', async () => {
      const { orderId } = await paid()
      const headers = { 'idempotency-key': fresh() }
      const body = { merchant_refund_no: fresh(), amount: 10 }
      const answers = await Promise.all(
        Array.from({ length: 16 }, () => world.call('POST', `/v1/orders/${orderId}/refunds`, body, headers)),
      )
      const made = answers.filter(
        ({ status, headers: got }) => status === 201 && got.get('idempotent-replayed') === null,
      )
      expect(made).to.have.length(1)
      for (const answer of answers) {
        expect(
          answer.status === 201 ||
            (answer.json['code'] === 'request-in-progress' && answer.headers.get('retry-after') === '1'),
          answer.text,
        ).to.equal(true)
      }
      expect(await world.db('refunds').where({ order_id: orderId })).to.have.length(1)
    })

    it('keeps refusals that followed from the state, and forgets those that did not', async () => {
      const { orderId } = await paid()
      const headers = { 'idempotency-key': fresh() }
      const tooMuch = { merchant_refund_no: fresh(), amount: 9999 }
      expect((await world.call('POST', `/v1/orders/${orderId}/refunds`, tooMuch, headers)).status).to.equal(409)
      const again = await world.call('POST', `/v1/orders/${orderId}/refunds`, tooMuch, headers)
      expect([again.status, again.headers.get('idempotent-replayed'), again.headers.get('content-type')]).to.deep.equal(
        [409, 'true', 'application/problem+json'],
      )
      const nowhere = { 'idempotency-key': fresh() }
      const missing = '/v1/orders/ord_01J00000000000000000000000/close'
      expect((await world.call('POST', missing, {}, nowhere)).status).to.equal(404)
      expect((await world.call('POST', '/v1/orders', order(fresh()), nowhere)).status).to.equal(201)
    })

    it('resumes after a runner that died, once its lease is over', async () => {
      const key = fresh()
      const body = order(fresh())
      const first = await world.call('POST', '/v1/orders', body, { 'idempotency-key': key })
      const lost = {
        state: 'running',
        lease_until: world.clock.now + 60_000,
        response_status: null,
        response_body: null,
      }
      await world.db('idempotency_keys').where({ merchant_id: 'acme', key }).update(lost)
      expect((await world.call('POST', '/v1/orders', body, { 'idempotency-key': key })).json['code']).to.equal(
        'request-in-progress',
      )
      world.clock.now += 60_001
      const resumed = await world.call('POST', '/v1/orders', body, { 'idempotency-key': key })
      expect([resumed.status, resumed.json['id']]).to.deep.equal([200, first.json['id']])
    })

    it('refuses keys that are none', async () => {
      for (const key of ['', ' ', 'a b', 'x'.repeat(256), '""']) {
        const answer = await world.call('POST', '/v1/orders', order(fresh()), { 'idempotency-key': key })
        expect([answer.status, answer.json['errors']?.[0].pointer], JSON.stringify(key)).to.deep.equal([
          400,
          'Idempotency-Key',
        ])
      }
    })
  })
}
