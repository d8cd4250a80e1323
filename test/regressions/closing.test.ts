import { expect } from 'chai'
import { Problem } from '../../src/core/problem.ts'
import { applyPaymentFact } from '../../src/flows/apply-payment-fact.ts'
import { closeOrder } from '../../src/flows/close-order.ts'
import { startPayment } from '../../src/flows/start-payment.ts'
import { databases } from '../databases.ts'
import { failure, order, payment } from '../integration/ledger-rows.ts'
import {
  contextOf,
  dailyRules,
  ids,
  ledgerOn,
  paymentRow,
  scripted,
  shop,
  workOnPayment,
  type Ledger,
} from './ledger.ts'

/** Attempts that nobody wants any more, and how many there may be. */

for (const database of databases) {
  describe(`attempts to be closed, on ${database.name}`, function () {
    this.timeout(30_000)
    let ledger: Ledger
    before(async () => {
      ledger = ledgerOn(await database.open())
    })
    after(() => ledger.open.close())

    async function openOrder(change: Record<string, unknown> = {}) {
      const its = ids(ledger)
      const row = { id: its.order, expires_at: ledger.clock.now + 6e6, current_payment_id: its.payment, ...change }
      await ledger.db('orders').insert(order(its.number, row))
      return its
    }

    it('the siblings of the attempt that has paid are closed at once', async () => {
      const its = await openOrder()
      const sibling = ids(ledger)
      const { now } = ledger.clock
      await ledger.db('orders').where({ id: its.order }).update({ current_payment_id: sibling.payment })
      const alive = { status: 'pending', invocation: '{}', created_at: now - 120_000 }
      await ledger.db('payments').insert(payment(its.order, its.payment, { ...alive, next_check_at: now + 1000 }))
      await ledger
        .db('payments')
        .insert(payment(its.order, sibling.payment, { ...alive, checks: 7, next_check_at: now + 1_800_000 }))
      const closes: string[] = []
      const ctx = contextOf(
        ledger,
        scripted({
          closePayment({ paymentId }) {
            closes.push(paymentId)
            return Promise.resolve({ about: 'payment', paymentId, seen: 'closed' })
          },
        }),
      )
      const amount = { amount: 100, currency: 'CNY' } as const
      const fact = { about: 'payment', paymentId: its.payment, seen: 'succeeded', amount } as const
      await applyPaymentFact(ctx, 'main', { ...fact, transactionId: `hf${its.number}` }, 'query')
      expect(await workOnPayment(ledger, ctx, sibling.payment), 'due at once').to.equal(true)
      expect(closes).to.deep.equal([sibling.payment])
      expect((await paymentRow(ledger, sibling)).status).to.equal('closed')
    })

    it('repeating the request to close does not repeat it at the provider', async () => {
      const its = await openOrder()
      const { now } = ledger.clock
      const alive = { status: 'pending', invocation: '{}', created_at: now - 120_000, next_check_at: now + 5000 }
      await ledger.db('payments').insert(payment(its.order, its.payment, alive))
      let closes = 0
      const ctx = contextOf(
        ledger,
        scripted({
          closePayment({ paymentId }) {
            closes += 1
            return Promise.resolve({ about: 'payment', paymentId, seen: 'pending' })
          },
        }),
      )
      for (let time = 0; time < 50; time += 1)
        expect((await closeOrder(ctx, 'shop', its.order)).status).to.equal('open')
      expect(closes).to.equal(1)
      ledger.clock.now = (await paymentRow(ledger, its)).next_check_at ?? 0
      expect(await workOnPayment(ledger, ctx, its.payment), 'the worker goes on').to.equal(true)
      expect(closes).to.equal(2)
    })

    for (const [had, allowed] of [
      [99, true],
      [100, false],
    ] as const) {
      it(`an order that has had ${String(had)} attempts ${allowed ? 'gets one more' : 'gets no more'}`, async () => {
        const its = await openOrder({ current_payment_id: null })
        const rows = Array.from({ length: had }, () => payment(its.order, ids(ledger).payment, { status: 'closed' }))
        await ledger.db.batchInsert('payments', rows, 20)
        let prepays = 0
        const ctx = contextOf(
          ledger,
          scripted({
            methods: { wechat_native: { currencies: ['CNY'] } },
            rules: dailyRules,
            prepay(request) {
              prepays += 1
              return Promise.resolve({
                invocation: { kind: 'qr', content: 'weixin://pay' },
                usableUntil: request.expiresAt,
              })
            },
          }),
        )
        const starting = startPayment(ctx, shop, its.order, { method: 'wechat_native', clientIp: '192.0.2.1' })
        if (allowed) {
          expect((await starting).created).to.equal(true)
          // The hundredth is still handed out to whoever asks for it again.
          const again = await startPayment(ctx, shop, its.order, { method: 'wechat_native', clientIp: '192.0.2.1' })
          expect([again.created, prepays]).to.deep.equal([false, 1])
        } else {
          const problem = await failure(starting)
          expect(problem).to.be.instanceOf(Problem).and.to.include({ code: 'order-not-payable' })
          expect(String(problem)).to.include('100 attempts')
          expect(prepays).to.equal(0)
        }
      })
    }
  })
}
