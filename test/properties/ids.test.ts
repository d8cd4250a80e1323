import { expect } from 'chai'
import fc from 'fast-check'
import { ulid } from 'ulid'
import {
  idFromProviderNumber,
  idOf,
  isId,
  providerNumber,
  submissionNumber,
  surplusAttemptsMax,
  surplusRefundId,
} from '../../src/core/ids.ts'

/** Repeat a failure with SEED=… */
const seed = Number.parseInt(process.env['SEED'] ?? '', 10) || Date.now() % 2_147_483_647

/** Real ULIDs over the whole range of time that a ULID can say. */
const ulids = fc
  .tuple(
    fc.integer({ min: 0, max: 281_474_976_710_655 }),
    fc.array(fc.double({ min: 0, max: 0.999_999, noNaN: true }), { minLength: 16, maxLength: 16 }),
  )
  .map(([time, parts]) => {
    let at = 0
    return ulid(time, () => parts[at++ % parts.length] ?? 0)
  })

describe(`ids as properties (seed ${String(seed)})`, () => {
  it('a payment is found behind its number', () => {
    fc.assert(
      fc.property(ulids, (text) => {
        const id = idOf('payment', text)
        expect(isId('payment', id)).to.equal(true)
        expect(idFromProviderNumber('payment', providerNumber(id))).to.equal(id)
        expect(idFromProviderNumber('refund', providerNumber(id))).to.equal(undefined)
      }),
      { seed, numRuns: 5000 },
    )
  })

  it('a refund, surplus or not, is found behind every number it can have, and no number is two refunds', () => {
    const refunds = fc
      .tuple(ulids, fc.integer({ min: 0, max: surplusAttemptsMax }))
      .map(([text, surplus]) =>
        surplus === 0 ? idOf('refund', text) : surplusRefundId(idOf('payment', text), surplus),
      )
    const attempts = fc.integer({ min: 1, max: 1295 })
    fc.assert(
      fc.property(refunds, attempts, (id, attempt) => {
        const number = submissionNumber(id, attempt)
        expect(number).to.match(/^[A-Za-z0-9]{1,32}$/)
        expect(idFromProviderNumber('refund', number)).to.equal(id)
        expect(idFromProviderNumber('payment', number)).to.equal(undefined)
      }),
      { seed, numRuns: 5000 },
    )
  })

  it('whatever text comes back from outside, the answer is a well-formed id or nothing', () => {
    const nearly = fc
      .tuple(fc.constantFrom('pay', 'ref', 'ord', 'PAY', ''), ulids, fc.string({ maxLength: 6 }))
      .map((parts) => parts.join(''))
    fc.assert(
      fc.property(fc.oneof(nearly, fc.string({ unit: 'binary', maxLength: 40 })), (text) => {
        for (const kind of ['payment', 'refund'] as const) {
          const id = idFromProviderNumber(kind, text)
          if (id === undefined) continue
          expect(isId(kind, id)).to.equal(true)
          expect(text.startsWith(providerNumber(id))).to.equal(true)
        }
      }),
      { seed, numRuns: 5000 },
    )
  })
})
