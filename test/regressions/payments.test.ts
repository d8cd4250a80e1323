import { expect } from 'chai'
import type { PaymentFact } from '../../src/core/fact.ts'
import { applyPaymentFact } from '../../src/flows/apply-payment-fact.ts'
import { raiseDiscrepancy, type FoundDiscrepancy } from '../../src/flows/raise-discrepancy.ts'
import { paymentFactOf } from '../../src/providers/huifu/facts.ts'
import { parseLossless } from '../../src/providers/huifu/lossless.ts'
import { databases } from '../databases.ts'
import { order, payment } from '../integration/ledger-rows.ts'
import {
  contextOf,
  discrepanciesOf,
  ids,
  ledgerOn,
  paid,
  paymentRow,
  scripted,
  workOnPayment,
  type Ledger,
} from './ledger.ts'

/** Money that came, and nobody was told. */

for (const database of databases) {
  describe(`payments that could be missed, on ${database.name}`, function () {
    this.timeout(30_000)
    let ledger: Ledger
    before(async () => {
      ledger = ledgerOn(await database.open())
    })
    after(() => ledger.open.close())

    for (const [length, kept] of [
      [64, true],
      [65, false],
      [128, false],
    ] as const) {
      it(`a number of ${String(length)} characters on the payer's bill does not keep the order unpaid`, async () => {
        const its = ids(ledger)
        await ledger
          .db('orders')
          .insert(
            order(its.number, { id: its.order, expires_at: ledger.clock.now + 1e6, current_payment_id: its.payment }),
          )
        await ledger.db('payments').insert(payment(its.order, its.payment, { status: 'pending' }))
        const number = '9'.repeat(length)
        const answer = parseLossless(
          JSON.stringify({
            trans_stat: 'S',
            acct_stat: 'S',
            trans_amt: '1.00',
            hf_seq_id: `h${its.number}`,
            out_trans_id: number,
            party_order_id: number,
          }),
        )
        const fact = paymentFactOf(answer as Parameters<typeof paymentFactOf>[0], its.payment)
        if (fact === undefined) throw new Error('no fact')
        expect(await applyPaymentFact(contextOf(ledger, scripted({})), 'main', fact, 'query')).to.equal('applied')
        const row = await paymentRow(ledger, its)
        expect(row.status).to.equal('succeeded')
        expect([row.payer_transaction_id, row.party_order_id]).to.deep.equal(kept ? [number, number] : [null, null])
        expect(await ledger.db('orders').where({ id: its.order, status: 'paid' })).to.have.length(1)
      })
    }

    describe('a payment that is never credited', () => {
      const pending = (paymentId: string): PaymentFact => ({
        about: 'payment',
        paymentId,
        seen: 'succeeded',
        account: 'pending',
        amount: { amount: 100, currency: 'CNY' },
      })

      /** The worker does whatever is due, for so long. @returns how often it asked */
      async function look(forMs: number, paymentId: string, account: 'pending' | 'credited'): Promise<number> {
        let questions = 0
        const ctx = contextOf(
          ledger,
          scripted({
            queryPayment(reference) {
              questions += 1
              return Promise.resolve({ ...pending(reference.paymentId), account })
            },
          }),
        )
        const end = ledger.clock.now + forMs
        for (;;) {
          const row = await ledger
            .db<{ id: string; next_check_at: number | null }>('payments')
            .where({ id: paymentId })
            .first()
          const next = row?.next_check_at ?? null
          if (next === null || next > end) break
          ledger.clock.now = Math.max(ledger.clock.now, next)
          await workOnPayment(ledger, ctx, paymentId)
        }
        ledger.clock.now = end
        return questions
      }

      it('is put before a person and asked about every day', async () => {
        const its = await paid(ledger, { account_status: 'pending', next_check_at: ledger.clock.now })
        const day = 24 * 3_600_000
        await look(3 * day, its.payment, 'pending')
        expect(await discrepanciesOf(ledger, its.payment), 'not before its schedule is over').to.deep.equal([])
        await look(2 * day, its.payment, 'pending')
        expect((await discrepanciesOf(ledger, its.payment)).map(({ kind }) => kind)).to.deep.equal(['credit_missing'])
        expect(await look(7 * day, its.payment, 'pending')).to.equal(7)
        await look(2 * day, its.payment, 'credited')
        expect(await paymentRow(ledger, its)).to.include({ account_status: 'credited', next_check_at: null })
      })
    })

    describe('a disagreement that happens again', () => {
      const found = (subjectId: string): FoundDiscrepancy => ({
        channelId: 'main',
        kind: 'refund_stuck',
        subjectId,
        actual: 'again',
        noticedBy: 'gateway',
      })

      for (const [status, expected] of [
        ['resolved', 'open'],
        ['ignored', 'ignored'],
        ['open', 'open'],
      ] as const) {
        it(`after it was called ${status} is ${expected}`, async () => {
          const { refund } = ids(ledger)
          const ctx = contextOf(ledger, scripted({}))
          await raiseDiscrepancy(ctx, ledger.db, { ...found(refund), actual: 'first' })
          const closing = status === 'open' ? {} : { resolved_by: 'lin', resolved_at: ledger.clock.now, note: 'looked' }
          await ledger
            .db('discrepancies')
            .where({ subject_id: refund })
            .update({ status, ...closing })
          await raiseDiscrepancy(ctx, ledger.db, found(refund))
          const rows = await discrepanciesOf(ledger, refund)
          expect(rows).to.have.length(1)
          expect(rows[0]?.status).to.equal(expected)
          if (status === 'resolved')
            expect(rows[0]).to.include({ resolved_by: null, resolved_at: null, actual: 'again' })
          if (status === 'ignored') expect(rows[0]).to.include({ resolved_by: 'lin', note: 'looked' })
        })
      }
    })
  })
}
