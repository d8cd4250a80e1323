import { expect } from 'chai'
import type { PaymentFact, RefundFact } from '../../src/core/fact.ts'
import { ProviderUnknown } from '../../src/core/provider.ts'
import { applyRefundFact } from '../../src/flows/apply-refund-fact.ts'
import { submissionNumber } from '../../src/core/ids.ts'
import { wakeWaitingRefunds } from '../../src/store/refunds.ts'
import { databases } from '../databases.ts'
import { order, payment } from '../integration/ledger-rows.ts'
import {
  asked,
  contextOf,
  discrepanciesOf,
  hint,
  ids,
  ledgerOn,
  paid,
  paymentRow,
  refundRow,
  said,
  scripted,
  sent,
  submissionsOf,
  workOnPayment,
  workOnRefund,
  type Ids,
  type Ledger,
} from './ledger.ts'

/** A hint proves nothing, and whoever does not follow it up may miss money that has moved. */

for (const database of databases) {
  describe(`hints that must not be lost, on ${database.name}`, function () {
    this.timeout(30_000)
    let ledger: Ledger
    before(async () => {
      ledger = ledgerOn(await database.open())
    })
    after(() => ledger.open.close())

    const refunded = (its: Ids, submission: string): RefundFact => ({
      about: 'refund',
      refundId: its.refund,
      paymentId: its.payment,
      seen: 'succeeded',
      submissionNumber: submission,
      providerRefundId: `HF-${submission}`,
      amount: { amount: 40, currency: 'CNY' },
    })

    /** Answers every question about a refund with "paid", and remembers the numbers it was asked about. */
    function paidThemAll() {
      const questions: string[] = []
      const sends: string[] = []
      const provider = scripted({
        queryRefund(reference) {
          const { number } = reference.submission
          questions.push(number)
          return Promise.resolve(said(reference, 'succeeded', { providerRefundId: `HF-${number}` }))
        },
        refund(request) {
          sends.push(request.submission.number)
          return Promise.reject(new ProviderUnknown('no answer'))
        },
      })
      return { questions, sends, provider }
    }

    it('about a refund called failed: the provider is asked, and the contradiction is put before a person', async () => {
      const its = await paid(ledger)
      await asked(ledger, its, 40, { status: 'failed', next_check_at: null })
      const number = await sent(ledger, its, 1, 'accepted')
      const { questions, provider } = paidThemAll()
      const ctx = contextOf(ledger, provider)
      await hint(ctx, [refunded(its, number)], `e-${its.number}`)
      expect(await workOnRefund(ledger, ctx, its.refund), 'due at once').to.equal(true)
      expect(questions).to.deep.equal([number])
      expect(await refundRow(ledger, its)).to.include({ status: 'succeeded', next_check_at: null, confirm_no: null })
      expect((await paymentRow(ledger, its)).refund_reserved).to.equal(40)
      expect((await discrepanciesOf(ledger, its.refund)).map(({ kind }) => kind)).to.deep.equal([
        'refund_contradiction',
      ])
    })

    it('about a submission that was replaced: exactly that one is asked about, and nothing more is sent', async () => {
      const its = await paid(ledger)
      await asked(ledger, its, 40, { next_check_at: ledger.clock.now + 600_000 })
      const replaced = await sent(ledger, its, 1, 'rejected', { rejection_reason: 'insufficient_balance' })
      await sent(ledger, its, 2, 'rejected', { rejection_reason: 'insufficient_balance' })
      const { questions, sends, provider } = paidThemAll()
      const ctx = contextOf(ledger, provider)
      await hint(ctx, [refunded(its, replaced)], `e-${its.number}`)
      await workOnRefund(ledger, ctx, its.refund)
      expect([questions, sends]).to.deep.equal([[replaced], []])
      expect(await refundRow(ledger, its)).to.include({ status: 'succeeded', next_check_at: null, confirm_no: null })
    })

    it('about a submission that was refused and is about to be replaced: it is asked about, not replaced', async () => {
      const its = await paid(ledger)
      await asked(ledger, its, 40, { next_check_at: ledger.clock.now + 600_000 })
      const refused = await sent(ledger, its, 1, 'rejected', { rejection_reason: 'insufficient_balance' })
      const { questions, sends, provider } = paidThemAll()
      const ctx = contextOf(ledger, provider)
      await hint(ctx, [refunded(its, refused)], `e-${its.number}`)
      await workOnRefund(ledger, ctx, its.refund)
      expect([questions, sends]).to.deep.equal([[refused], []])
      expect((await refundRow(ledger, its)).status).to.equal('succeeded')
    })

    it('about a replaced submission, arriving while the next is about to be sent: nothing is sent before it is answered', async () => {
      const its = await paid(ledger)
      await asked(ledger, its, 40)
      const replaced = await sent(ledger, its, 1, 'rejected', { rejection_reason: 'too_early' })
      await sent(ledger, its, 2, 'unknown', { day: '20260228' })
      const { sends, provider } = paidThemAll()
      let late = contextOf(ledger, provider)
      const asking = scripted({
        ...provider,
        async queryRefund(reference) {
          await hint(late, [refunded(its, replaced)], `e-${its.number}`)
          return said(reference, 'absent')
        },
      })
      ledger.clock.now += 120_000
      await ledger.db('refund_submissions').where({ refund_id: its.refund, attempt: 2 }).update({ absent_at: 1 })
      await workOnRefund(ledger, contextOf(ledger, asking), its.refund)
      expect(sends).to.deep.equal([])
      late = contextOf(ledger, provider)
      expect(await workOnRefund(ledger, late, its.refund)).to.equal(true)
      expect(sends).to.deep.equal([])
      expect((await refundRow(ledger, its)).status).to.equal('succeeded')
    })

    it('about a second submission of a refund that is paid: the worker finds that it was paid twice', async () => {
      const its = await paid(ledger)
      const second = submissionNumber(its.refund, 2)
      await asked(ledger, its, 40, { status: 'succeeded', provider_refund_id: `HF-${second}`, next_check_at: null })
      const first = await sent(ledger, its, 1, 'rejected')
      await sent(ledger, its, 2, 'accepted')
      const { questions, provider } = paidThemAll()
      const ctx = contextOf(ledger, provider)
      for (const time of [1, 2]) {
        await hint(ctx, [refunded(its, first)], `e-${its.number}-${String(time)}`)
        await workOnRefund(ledger, ctx, its.refund)
      }
      expect(new Set(questions)).to.deep.equal(new Set([first]))
      expect(await paymentRow(ledger, its), 'counted once').to.include({ refund_reserved: 80, refund_over: 0 })
      expect((await submissionsOf(ledger, its)).map(({ outcome }) => outcome)).to.deep.equal(['paid_again', 'accepted'])
      expect((await discrepanciesOf(ledger, its.refund)).map(({ kind }) => kind)).to.deep.equal([
        'refund_contradiction',
      ])
      expect(await refundRow(ledger, its)).to.include({ next_check_at: null, confirm_no: null })
    })

    it('about one submission, while the other proves paid: the question stays open, and both are found', async () => {
      const its = await paid(ledger)
      await asked(ledger, its, 40)
      const first = await sent(ledger, its, 1, 'rejected', { rejection_reason: 'too_early' })
      const second = await sent(ledger, its, 2, 'accepted')
      const { questions, provider } = paidThemAll()
      const ctx = contextOf(ledger, provider)
      await hint(ctx, [refunded(its, first)], `e-${its.number}`)
      expect(await applyRefundFact(ctx, 'main', refunded(its, second), 'query')).to.equal('applied')
      expect(await workOnRefund(ledger, ctx, its.refund), 'still due').to.equal(true)
      expect(questions).to.deep.equal([first])
      expect((await paymentRow(ledger, its)).refund_reserved).to.equal(80)
      expect((await discrepanciesOf(ledger, its.refund)).map(({ kind }) => kind)).to.deep.equal([
        'refund_contradiction',
      ])
    })

    it('about a submission that the provider then does not know: nothing is sent, and it is asked about on', async () => {
      const its = await paid(ledger)
      await asked(ledger, its, 40)
      const first = await sent(ledger, its, 1, 'rejected', { rejection_reason: 'too_early' })
      await sent(ledger, its, 2, 'unknown')
      const { sends, provider } = paidThemAll()
      const queryRefund: typeof provider.queryRefund = (reference) => Promise.resolve(said(reference, 'absent'))
      const ctx = contextOf(ledger, { ...provider, queryRefund })
      await hint(ctx, [refunded(its, first)], `e-${its.number}`)
      for (let look = 0; look < 5; look += 1) {
        await workOnRefund(ledger, ctx, its.refund)
        ledger.clock.now += 3_600_000
      }
      expect(sends).to.deep.equal([])
      expect((await submissionsOf(ledger, its)).map(({ absent_at, sends }) => [absent_at, sends])).to.deep.equal([
        [null, 1],
        [null, 1],
      ])
      expect((await refundRow(ledger, its)).next_check_at).to.not.equal(null)
    })

    it('about a refund that cannot be asked about yet: it stays due until the provider has answered', async () => {
      const its = await paid(ledger)
      await asked(ledger, its, 40, { status: 'failed', next_check_at: null })
      const number = await sent(ledger, its, 1, 'accepted')
      const silent = scripted({ queryRefund: () => Promise.reject(new ProviderUnknown('no answer')) })
      await hint(contextOf(ledger, silent), [refunded(its, number)], `e-${its.number}`)
      expect(await workOnRefund(ledger, contextOf(ledger, silent), its.refund)).to.equal(true)
      await wakeWaitingRefunds(ledger.db, its.payment, ledger.clock.now)
      const { next_check_at, confirm_no } = await refundRow(ledger, its)
      expect(confirm_no).to.equal(number)
      ledger.clock.now = next_check_at ?? 0
      const { provider } = paidThemAll()
      expect(await workOnRefund(ledger, contextOf(ledger, provider), its.refund)).to.equal(true)
      expect((await refundRow(ledger, its)).status).to.equal('succeeded')
    })

    describe('about a closed attempt while the provider does not answer', () => {
      async function closedAttempt() {
        const its = ids(ledger)
        const { now } = ledger.clock
        const ended = { status: 'closed', closed_at: now }
        await ledger
          .db('orders')
          .insert(order(its.number, { id: its.order, current_payment_id: its.payment, ...ended }))
        const progress = { close_attempts: 1, checks: 3, next_check_at: now + 60_000, created_at: now - 3_600_000 }
        await ledger.db('payments').insert(payment(its.order, its.payment, { ...ended, ...progress }))
        const amount = { amount: 100, currency: 'CNY' } as const
        const fact: PaymentFact = {
          about: 'payment',
          paymentId: its.payment,
          seen: 'succeeded',
          amount,
          transactionId: `hf${its.number}`,
        }
        const provider = { answers: false, questions: 0 }
        const ctx = contextOf(
          ledger,
          scripted({
            queryPayment() {
              provider.questions += 1
              return provider.answers
                ? Promise.resolve({ ...fact, account: 'credited' })
                : Promise.reject(new ProviderUnknown('no answer'))
            },
          }),
        )
        /** The worker does whatever is due, for so long. */
        const lookFor = async (forMs: number) => {
          const end = ledger.clock.now + forMs
          for (;;) {
            const { next_check_at } = await paymentRow(ledger, its)
            if (next_check_at === null || next_check_at > end) break
            ledger.clock.now = Math.max(ledger.clock.now, next_check_at)
            await workOnPayment(ledger, ctx, its.payment)
          }
          ledger.clock.now = end
        }
        return { its, fact, ctx, provider, lookFor }
      }

      it('does not use up its schedule', async () => {
        const { its, fact, ctx, provider, lookFor } = await closedAttempt()
        await hint(ctx, [fact], `e-${its.number}`)
        await lookFor(3_600_000)
        expect(provider.questions, 'five times for the hint, then from the start of its schedule').to.equal(7)
        expect((await paymentRow(ledger, its)).next_check_at, 'and still on its schedule').to.not.equal(null)
        provider.answers = true
        await lookFor(26 * 3_600_000)
        expect((await paymentRow(ledger, its)).status).to.equal('succeeded')
      })

      it('makes us ask again when it is repeated, ten times and no oftener', async () => {
        const { its, fact, ctx, provider, lookFor } = await closedAttempt()
        await hint(ctx, [fact], `e-${its.number}`)
        await lookFor(60 * 3_600_000)
        expect((await paymentRow(ledger, its)).next_check_at, 'the schedule is over').to.equal(null)
        const asked: boolean[] = []
        for (let repeat = 2; repeat <= 15; repeat += 1) {
          const before = provider.questions
          await hint(ctx, [fact], `e-${its.number}`)
          await lookFor(60 * 3_600_000)
          asked.push(provider.questions > before)
        }
        expect(asked).to.deep.equal([
          ...Array.from({ length: 9 }, () => true),
          ...Array.from({ length: 5 }, () => false),
        ])
        provider.answers = true
        await hint(ctx, [fact], `another-${its.number}`)
        await lookFor(1000)
        expect((await paymentRow(ledger, its)).status).to.equal('succeeded')
      })
    })
  })
}
