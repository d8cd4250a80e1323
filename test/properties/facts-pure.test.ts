import { expect } from 'chai'
import fc from 'fast-check'
import {
  accountChain,
  later,
  paymentChain,
  refundChain,
  type AccountStatus,
  type PaymentStatus,
  type RefundStatus,
} from '../../src/core/chain.ts'
import type { PaymentFact, RefundFact } from '../../src/core/fact.ts'
import { movesAccountFrom, movesPaymentFrom } from '../../src/core/payment.ts'
import { movesRefundFrom } from '../../src/core/refund.ts'

/** Repeat a failure with SEED=… */
const seed = Number.parseInt(process.env['SEED'] ?? '', 10) || Date.now() % 2_147_483_647

type Row = { readonly status: PaymentStatus; readonly account: AccountStatus; readonly transitions: readonly string[] }

/** One guarded write per axis, as the funnel makes them, without a database. */
function told(row: Row, fact: PaymentFact): Row {
  const moved = fact.seen !== 'absent' && movesPaymentFrom(fact).includes(row.status)
  const credited = fact.account !== undefined && movesAccountFrom(fact).includes(row.account)
  return {
    status: moved ? fact.seen : row.status,
    account: credited ? fact.account : row.account,
    transitions: [
      ...row.transitions,
      ...(moved ? [fact.seen] : []),
      ...(credited ? [`account ${fact.account}`] : []),
    ],
  }
}

const start: Row = { status: 'created', account: 'none', transitions: [] }
const paymentId = 'pay_01J9ZK3X5QW8E7R6T5Y4V3B2N1'

const paymentFacts: fc.Arbitrary<PaymentFact> = fc.oneof(
  fc
    .constantFrom('absent', 'pending', 'closed', 'succeeded')
    .map((seen): PaymentFact => ({ about: 'payment', paymentId, seen })),
  fc
    .constantFrom('pending', 'failed', 'credited')
    .map((account): PaymentFact => ({ about: 'payment', paymentId, seen: 'succeeded', account })),
)

const refundFacts: fc.Arbitrary<RefundFact> = fc
  .constantFrom('absent', 'processing', 'abnormal', 'failed', 'succeeded')
  .map((seen): RefundFact => ({ about: 'refund', refundId: 'ref_x', seen }))

/** A multiset of messages in two orders, the second with repetitions. */
function twice<T>(facts: fc.Arbitrary<T>) {
  return fc.array(facts, { minLength: 1, maxLength: 8 }).chain((list) =>
    fc.tuple(
      fc.constant(list),
      fc.array(fc.integer({ min: 0, max: list.length - 1 }), { maxLength: 12 }).chain((again) =>
        fc.shuffledSubarray([...list, ...again.map((index) => list[index] as T)], {
          minLength: list.length + again.length,
        }),
      ),
    ),
  )
}

describe(`facts as properties (seed ${String(seed)})`, () => {
  it('any order and any repetition of payment facts leave the same statuses', () => {
    fc.assert(
      fc.property(twice(paymentFacts), ([inOrder, shuffled]) => {
        const a = inOrder.reduce(told, start)
        const b = shuffled.reduce(told, start)
        expect({ status: b.status, account: b.account }).to.deep.equal({ status: a.status, account: a.account })
      }),
      { seed, numRuns: 20_000 },
    )
  })

  it('the status is the highest one ever told', () => {
    fc.assert(
      fc.property(fc.array(paymentFacts, { maxLength: 12 }), (facts) => {
        const row = facts.reduce(told, start)
        const highest = facts.reduce<PaymentStatus>(
          (best, { seen }) => (seen === 'absent' ? best : later(paymentChain, best, seen)),
          'created',
        )
        const account = facts.reduce<AccountStatus>(
          (best, fact) => (fact.account === undefined ? best : later(accountChain, best, fact.account)),
          'none',
        )
        expect(row.status).to.equal(highest)
        expect(row.account).to.equal(account)
      }),
      { seed, numRuns: 20_000 },
    )
  })

  it('each transition is made at most once, so each event is recorded at most once', () => {
    fc.assert(
      fc.property(fc.array(paymentFacts, { maxLength: 30 }), (facts) => {
        const { transitions } = facts.reduce(told, start)
        expect(new Set(transitions).size).to.equal(transitions.length)
        const paid = facts.some(({ seen }) => seen === 'succeeded')
        expect(transitions.includes('succeeded')).to.equal(paid)
      }),
      { seed, numRuns: 10_000 },
    )
  })

  it('a status never moves down, after any prefix', () => {
    fc.assert(
      fc.property(fc.array(paymentFacts, { maxLength: 20 }), (facts) => {
        let row = start
        for (const fact of facts) {
          const next = told(row, fact)
          expect(paymentChain.indexOf(next.status)).to.be.at.least(paymentChain.indexOf(row.status))
          expect(accountChain.indexOf(next.account)).to.be.at.least(accountChain.indexOf(row.account))
          row = next
        }
      }),
      { seed, numRuns: 10_000 },
    )
  })

  it('the same holds for refunds', () => {
    const refundTold = (status: RefundStatus, fact: RefundFact): RefundStatus =>
      fact.seen !== 'absent' && movesRefundFrom(fact).includes(status) ? fact.seen : status
    fc.assert(
      fc.property(twice(refundFacts), ([inOrder, shuffled]) => {
        const end = inOrder.reduce(refundTold, 'created' as RefundStatus)
        expect(shuffled.reduce(refundTold, 'created' as RefundStatus)).to.equal(end)
        const highest = inOrder.reduce<RefundStatus>(
          (best, { seen }) => (seen === 'absent' ? best : later(refundChain, best, seen)),
          'created',
        )
        expect(end).to.equal(highest)
      }),
      { seed, numRuns: 20_000 },
    )
  })
})
