import { expect } from 'chai'
import { ProviderRejected, ProviderUnknown, type Provider } from '../../src/core/provider.ts'
import { applyRefundFact } from '../../src/flows/apply-refund-fact.ts'
import { refundSurplus } from '../../src/flows/apply-payment-fact.ts'
import { checkRefund } from '../../src/flows/check-refund.ts'
import { requestRefund } from '../../src/flows/request-refund.ts'
import type { Payment } from '../../src/core/payment.ts'
import type { Refund } from '../../src/core/refund.ts'
import { surplusRefundId } from '../../src/core/ids.ts'
import { wakeWaitingRefunds } from '../../src/store/refunds.ts'
import { reserveRefund } from '../../src/store/payments.ts'
import { transaction } from '../../src/store/transaction.ts'
import { databases, extraConnection } from '../databases.ts'
import { failure } from '../integration/ledger-rows.ts'
import {
  asked,
  contextOf,
  discrepanciesOf,
  holdUpAt,
  ledgerOn,
  paid,
  paymentRow,
  refundRow,
  said,
  scripted,
  sent,
  shop,
  submissionsOf,
  workOnRefund,
  type Ledger,
} from './ledger.ts'

/** Money that would have gone out twice, or been called lost while it was on its way. */

const noBalance = new ProviderRejected('insufficient_balance', '23000003', 'the balance is too low')

/** A provider with books: every number in them is money that has gone out. */
function bookkeeper(first: ProviderRejected) {
  const books = new Set<string>()
  const mode: { now: 'refuse' | 'lose' | 'accept' } = { now: 'refuse' }
  const provider = scripted({
    refund(request) {
      if (mode.now === 'refuse') return Promise.reject(first)
      books.add(request.submission.number)
      return mode.now === 'lose'
        ? Promise.reject(new ProviderUnknown('the answer was lost'))
        : Promise.resolve(said(request, 'processing'))
    },
    queryRefund: (reference) =>
      Promise.resolve(said(reference, books.has(reference.submission.number) ? 'processing' : 'absent')),
  })
  return { books, mode, provider }
}

for (const database of databases) {
  describe(`refunds that could be paid twice, on ${database.name}`, function () {
    this.timeout(30_000)
    let ledger: Ledger
    before(async () => {
      ledger = ledgerOn(await database.open())
    })
    after(() => ledger.open.close())

    describe('a refusal that is late', () => {
      it('is written down before anybody else may send', async () => {
        const { db, clock } = ledger
        const its = await paid(ledger)
        await asked(ledger, its, 40)
        const { books, mode, provider } = bookkeeper(noBalance)
        const [mine, theirs] = [extraConnection(ledger.open.url), extraConnection(ledger.open.url)]
        try {
          const other = contextOf(ledger, provider, { db: theirs })
          // The first worker stands still while it gives the slot back, for longer than its leases last.
          const held = holdUpAt(
            mine,
            /update .payments. set .refund_slot_at. = \? where .id. = \? and .refund_slot_at. = \?/,
            async () => {
              expect((await submissionsOf(ledger, its))[0]?.outcome).to.equal('rejected')
              clock.now += 30_000
              mode.now = 'lose'
              expect(await workOnRefund(ledger, other, its.refund)).to.equal(true)
            },
          )
          await workOnRefund(ledger, contextOf(ledger, provider, { db: mine }), its.refund)
          expect(held.happened()).to.equal(true)
          mode.now = 'accept'
          for (let look = 0; look < 4; look += 1) {
            clock.now += 700_000
            await workOnRefund(ledger, other, its.refund)
          }
          expect([...books]).to.have.length(1)
          expect((await refundRow(ledger, its)).status).to.equal('processing')
          expect(await db('refund_submissions').where({ refund_id: its.refund, outcome: 'accepted' })).to.have.length(1)
        } finally {
          await mine.destroy()
          await theirs.destroy()
        }
      })

      for (const [what, heldUpMs] of [
        ['before its lease is over', 0],
        ['after its lease is over', 30_000],
      ] as const) {
        it(`says nothing about a newer send, ${what}`, async () => {
          const { clock } = ledger
          const its = await paid(ledger)
          await asked(ledger, its, 40)
          const { books, mode, provider } = bookkeeper(noBalance)
          const other = contextOf(ledger, provider)
          let worked = false
          // The refusal has been given, and is on its way for as long as the other worker needs.
          const slow: Provider = {
            ...provider,
            async refund() {
              clock.now += heldUpMs
              await wakeWaitingRefunds(ledger.db, its.payment, clock.now)
              mode.now = 'lose'
              worked = await workOnRefund(ledger, other, its.refund)
              throw noBalance
            },
          }
          await workOnRefund(ledger, contextOf(ledger, slow), its.refund)
          expect(worked).to.equal(true)
          const [after] = await submissionsOf(ledger, its)
          expect([after?.sends, after?.outcome]).to.deep.equal(heldUpMs === 0 ? [1, 'rejected'] : [2, 'unknown'])
          mode.now = 'accept'
          for (let look = 0; look < 4; look += 1) {
            clock.now += 700_000
            await workOnRefund(ledger, other, its.refund)
          }
          expect([...books]).to.have.length(1)
          expect((await refundRow(ledger, its)).status).to.equal('processing')
        })
      }

      it('does not turn an accepted refund into a failed one', async () => {
        const { clock } = ledger
        const its = await paid(ledger)
        await asked(ledger, its, 40)
        const books = new Set<string>()
        // Huifu refuses the second sending of a number with "larger than what remains".
        const provider = scripted({
          refund(request) {
            const { number } = request.submission
            if (books.has(number))
              return Promise.reject(new ProviderRejected('invalid_request', '10000002', 'too much'))
            books.add(number)
            return Promise.resolve(said(request, 'processing'))
          },
          queryRefund: (reference) =>
            Promise.resolve(said(reference, books.has(reference.submission.number) ? 'processing' : 'absent')),
        })
        const frozen: Provider = {
          ...provider,
          async refund(request, signal) {
            clock.now += 30_000
            await workOnRefund(ledger, contextOf(ledger, provider), its.refund)
            return provider.refund(request, signal)
          },
        }
        await workOnRefund(ledger, contextOf(ledger, frozen), its.refund)
        expect((await refundRow(ledger, its)).status).to.equal('processing')
        expect((await paymentRow(ledger, its)).refund_reserved).to.equal(40)
      })
    })

    it('a process held up past its slot does not send', async () => {
      const its = await paid(ledger)
      await asked(ledger, its, 40)
      const numbers: string[] = []
      const provider = scripted({
        refund(request) {
          numbers.push(request.submission.number)
          return Promise.reject(new ProviderUnknown('no answer'))
        },
      })
      const late = contextOf(ledger, provider, {
        crash(place) {
          if (place === 'submission-recorded') ledger.clock.now += 30_000
        },
      })
      await workOnRefund(ledger, late, its.refund)
      expect(numbers).to.deep.equal([])
      expect((await refundRow(ledger, its)).next_check_at, 'and it is asked about').to.not.equal(null)
      expect(await submissionsOf(ledger, its)).to.have.length(1)
    })

    it('a refund that has ended since it was read is not sent', async () => {
      const its = await paid(ledger)
      await asked(ledger, its, 60)
      await sent(ledger, its, 1, 'rejected', { rejection_reason: 'too_early' })
      const numbers: string[] = []
      const provider = scripted({
        refund(request) {
          numbers.push(request.submission.number)
          return Promise.resolve(said(request, 'processing'))
        },
      })
      const mine = extraConnection(ledger.open.url)
      try {
        const held = holdUpAt(mine, /from .refund_submissions./, async () => {
          const failed = { about: 'refund', refundId: its.refund, paymentId: its.payment, seen: 'failed' } as const
          await applyRefundFact(contextOf(ledger, provider), 'main', failed, 'notification')
        })
        await workOnRefund(ledger, contextOf(ledger, provider, { db: mine }), its.refund)
        expect(held.happened()).to.equal(true)
      } finally {
        await mine.destroy()
      }
      expect(numbers).to.deep.equal([])
      expect((await refundRow(ledger, its)).status).to.equal('failed')
      expect((await paymentRow(ledger, its)).refund_reserved).to.equal(0)
    })

    it('a refund refused for good while somebody asks about it is not sent again', async () => {
      const its = await paid(ledger)
      await asked(ledger, its, 60)
      const numbers: string[] = []
      let refuse = () => {}
      const refusal = new Promise<void>((done) => (refuse = done))
      let end = () => {}
      const ended = new Promise<void>((done) => (end = done))
      const asking = scripted({
        refund(request) {
          numbers.push(request.submission.number)
          return Promise.reject(new ProviderUnknown('no answer'))
        },
        async queryRefund(reference) {
          refuse()
          await ended
          return said(reference, 'absent')
        },
      })
      let second = Promise.resolve(false)
      const sending = scripted({
        async refund() {
          await wakeWaitingRefunds(ledger.db, its.payment, ledger.clock.now)
          second = workOnRefund(ledger, contextOf(ledger, asking), its.refund)
          await refusal
          throw new ProviderRejected('declined', 'X', 'declined')
        },
      })
      await workOnRefund(ledger, contextOf(ledger, sending), its.refund)
      expect((await refundRow(ledger, its)).status).to.equal('failed')
      end()
      expect(await second).to.equal(true)
      expect(numbers).to.deep.equal([])
    })

    it('what a worker holds is not taken by a request', async () => {
      const its = await paid(ledger)
      await asked(ledger, its, 40, { next_check_at: ledger.clock.now + 25_000 })
      let sends = 0
      const provider = scripted({
        refund() {
          sends += 1
          return Promise.reject(new ProviderUnknown('no answer'))
        },
      })
      await checkRefund(contextOf(ledger, provider), its.refund)
      expect(sends).to.equal(0)
      ledger.clock.now += 25_000
      await checkRefund(contextOf(ledger, provider), its.refund)
      expect(sends, 'and is when nobody holds it').to.equal(1)
    })

    it('an accepted submission is not given up when it is later said to be absent', async () => {
      const its = await paid(ledger)
      await asked(ledger, its, 40)
      const numbers: string[] = []
      let gone = false
      const provider = scripted({
        refund(request) {
          numbers.push(request.submission.number)
          return Promise.resolve(said(request, 'processing'))
        },
        queryRefund: (reference) => Promise.resolve(said(reference, gone ? 'absent' : 'processing')),
      })
      const dying = contextOf(ledger, provider, {
        crash(place) {
          if (place === 'refund-outcome-recorded') throw new Error('the process dies here')
        },
      })
      await failure(workOnRefund(ledger, dying, its.refund))
      expect((await submissionsOf(ledger, its))[0]?.outcome).to.equal('accepted')
      expect((await refundRow(ledger, its)).status).to.equal('created')
      gone = true
      for (const later of [86_400_000, 31_000, 700_000]) {
        ledger.clock.now += later
        await checkRefund(contextOf(ledger, provider), its.refund)
      }
      expect(numbers).to.have.length(1)
      expect((await refundRow(ledger, its)).next_check_at, 'it is asked about on').to.not.equal(null)
    })

    describe('two submissions of one refund, both paid', () => {
      const again = (refundId: string, paymentId: string, number: string) =>
        ({
          about: 'refund',
          refundId,
          paymentId,
          seen: 'succeeded',
          submissionNumber: number,
          providerRefundId: `HF-A-${refundId}`,
          amount: { amount: 40, currency: 'CNY' },
        }) as const

      for (const [other, expected] of [
        [0, { refund_reserved: 80, refund_over: 0 }],
        [60, { refund_reserved: 100, refund_over: 40 }],
      ] as const) {
        it(`are put before a person and counted once, with ${String(other)} refunded besides`, async () => {
          const its = await paid(ledger)
          await asked(ledger, its, 40, {
            status: 'succeeded',
            provider_refund_id: `HF-B-${its.number}`,
            next_check_at: null,
          })
          await ledger.db('payments').where({ id: its.payment }).increment({ refund_reserved: other })
          const first = await sent(ledger, its, 1, 'rejected')
          await sent(ledger, its, 2, 'accepted')
          const ctx = contextOf(ledger, scripted({}))
          const fact = again(its.refund, its.payment, first)
          const results: string[] = []
          for (let time = 0; time < 3; time += 1) results.push(await applyRefundFact(ctx, 'main', fact, 'query'))
          expect(results).to.deep.equal(['applied', 'unchanged', 'unchanged'])
          expect((await discrepanciesOf(ledger, its.refund)).map(({ kind }) => kind)).to.deep.equal([
            'refund_contradiction',
          ])
          expect((await submissionsOf(ledger, its)).map(({ outcome }) => outcome)).to.deep.equal([
            'paid_again',
            'accepted',
          ])
          expect(await paymentRow(ledger, its)).to.include(expected)
        })
      }

      it('are not seen where the provider repeats itself about one', async () => {
        const its = await paid(ledger)
        await asked(ledger, its, 40, {
          status: 'succeeded',
          provider_refund_id: `HF-A-${its.refund}`,
          next_check_at: null,
        })
        const first = await sent(ledger, its, 1, 'accepted')
        const ctx = contextOf(ledger, scripted({}))
        expect(await applyRefundFact(ctx, 'main', again(its.refund, its.payment, first), 'query')).to.equal('unchanged')
        expect(await discrepanciesOf(ledger, its.refund)).to.deep.equal([])
        expect((await paymentRow(ledger, its)).refund_reserved).to.equal(40)
      })
    })

    it('what was refunded over the payment cannot be reserved again', async () => {
      const its = await paid(ledger)
      const other = { ...its, refund: `${its.refund}2` }
      await asked(ledger, its, 60, { status: 'failed', next_check_at: null })
      await asked(ledger, other, 60, { status: 'processing' })
      const ctx = contextOf(ledger, scripted({}))
      const fact = (refundId: string, seen: 'succeeded' | 'failed') =>
        ({ about: 'refund', refundId, paymentId: its.payment, seen }) as const
      expect(await applyRefundFact(ctx, 'main', fact(its.refund, 'succeeded'), 'query')).to.equal('applied')
      expect(await applyRefundFact(ctx, 'main', fact(other.refund, 'failed'), 'query')).to.equal('applied')
      const row = await paymentRow(ledger, its)
      expect(row.refund_reserved + row.refund_over, 'of 100, 60 have gone back').to.equal(60)
      const reserve = (amount: number) =>
        transaction(ledger.db, (tx) => reserveRefund(tx, its.payment, amount, Number.MAX_SAFE_INTEGER))
      const input = { amount: 41, reason: 'r', merchantRefundNo: `n-${its.number}` }
      const problem = await failure(requestRefund(ctx, shop, its.order, input))
      expect(String(problem), 'the merchant is told what is left').to.include('40 can still be refunded')
      expect([await reserve(41), await reserve(40), await reserve(1)]).to.deep.equal([false, true, false])
    })

    describe('a further refund of a surplus payment', () => {
      /** A surplus payment of 100 whose first refund has failed; the second waits for its time. */
      async function surplus() {
        const its = await paid(ledger)
        await ledger.db('orders').where({ id: its.order }).update({ paid_payment_id: null, status: 'closed' })
        const numbers: string[] = []
        const provider = scripted({
          refund(request) {
            numbers.push(request.submission.number)
            return Promise.reject(new ProviderUnknown('no answer'))
          },
        })
        const ctx = contextOf(ledger, provider)
        const payment: Payment = await paymentRow(ledger, its)
        const [first, second] = [1, 2].map((attempt) => surplusRefundId(its.payment, attempt)) as [string, string]
        await transaction(ledger.db, async (tx) => {
          await tx('payments').where({ id: its.payment }).update({ checks: 1 })
          await refundSurplus(ctx, tx, payment, 1, ledger.clock.now)
        })
        const fact = (seen: 'failed' | 'succeeded') =>
          ({ about: 'refund', refundId: first, paymentId: its.payment, seen }) as const
        await applyRefundFact(ctx, 'main', fact('failed'), 'query')
        const firstPaidAfterAll = () => applyRefundFact(ctx, 'main', fact('succeeded'), 'notification')
        ledger.clock.now += 24 * 3_600_000
        return { its, numbers, provider, second, firstPaidAfterAll }
      }

      it('goes out when the first has failed', async () => {
        const { numbers, provider, second } = await surplus()
        expect(await workOnRefund(ledger, contextOf(ledger, provider), second)).to.equal(true)
        expect(numbers).to.have.length(1)
      })

      it('is held back when the first has been paid after all', async () => {
        const { its, numbers, provider, second, firstPaidAfterAll } = await surplus()
        expect(await firstPaidAfterAll()).to.equal('applied')
        expect(await paymentRow(ledger, its)).to.include({ refund_reserved: 100, refund_over: 100 })
        for (let look = 0; look < 3; look += 1) {
          expect(await workOnRefund(ledger, contextOf(ledger, provider), second)).to.equal(true)
          ledger.clock.now += 48 * 3_600_000
        }
        expect(numbers).to.deep.equal([])
        const [held] = await discrepanciesOf(ledger, its.payment).then((all) =>
          all.filter(({ kind }) => kind === 'refund_contradiction'),
        )
        expect(held?.status).to.equal('open')
        const row = await ledger.db<Refund>('refunds').where({ id: second }).first()
        expect(row?.status).to.equal('created')
        expect((await paymentRow(ledger, its)).refund_slot_at, 'and keeps nobody waiting').to.be.at.most(
          ledger.clock.now,
        )
      })

      it('is held back when that is learnt while it is being worked on', async () => {
        const { numbers, provider, second, firstPaidAfterAll } = await surplus()
        const mine = extraConnection(ledger.open.url)
        try {
          const held = holdUpAt(mine, /from .refund_submissions./, async () => {
            expect(await firstPaidAfterAll()).to.equal('applied')
          })
          await workOnRefund(ledger, contextOf(ledger, provider, { db: mine }), second)
          expect(held.happened()).to.equal(true)
        } finally {
          await mine.destroy()
        }
        expect(numbers).to.deep.equal([])
      })
    })
  })
}
