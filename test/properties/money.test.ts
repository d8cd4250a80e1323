import { expect } from 'chai'
import fc from 'fast-check'
import { largestAmount, parseYuan, printYuan } from '../../src/core/money.ts'

/** Repeat a failure with SEED=… */
const seed = Number.parseInt(process.env['SEED'] ?? '', 10) || Date.now() % 2_147_483_647

describe(`money as properties (seed ${String(seed)})`, () => {
  const fen = fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 0, max: largestAmount }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 1000 }) },
    // Up to the most that eleven digits of yuan can say.
    { weight: 1, arbitrary: fc.maxSafeNat().map((n) => n % 10_000_000_000_000) },
  )

  it('parse ∘ print is the identity on fen', () => {
    fc.assert(
      fc.property(fen, (amount) => void expect(parseYuan(printYuan(amount))).to.equal(amount)),
      { seed, numRuns: 20_000 },
    )
  })

  it('print ∘ parse is the identity on every text that parses', () => {
    const yuan = fc.bigInt({ min: 0n, max: 99_999_999_999n }).map(String)
    const cents = fc.integer({ min: 0, max: 99 }).map((n) => String(n).padStart(2, '0'))
    fc.assert(
      fc.property(yuan, cents, (whole, rest) => {
        const text = `${whole}.${rest}`
        // BigInt is the independent opinion: it never rounds.
        expect(BigInt(parseYuan(text))).to.equal(BigInt(whole) * 100n + BigInt(rest))
        expect(printYuan(parseYuan(text))).to.equal(text)
      }),
      { seed, numRuns: 20_000 },
    )
  })

  it('any other text is refused with a SyntaxError or is one that printYuan would print', () => {
    const nearly = fc
      .tuple(
        fc.constantFrom('', ' ', '-', '+', '0', '１'),
        fc.integer({ min: 0, max: 1e6 }).map(String),
        fc.constantFrom('.', ',', '', '..'),
        fc.string({ maxLength: 4 }),
      )
      .map((parts) => parts.join(''))
    fc.assert(
      fc.property(fc.oneof(nearly, fc.string({ unit: 'binary', maxLength: 16 }), fc.double().map(String)), (text) => {
        let amount: number
        try {
          amount = parseYuan(text)
        } catch (error) {
          expect(error).to.be.instanceOf(SyntaxError)
          return
        }
        expect(Number.isSafeInteger(amount)).to.equal(true)
        expect(printYuan(amount)).to.equal(text)
      }),
      { seed, numRuns: 20_000 },
    )
  })

  it('adding in fen is what adding in yuan would have been', () => {
    const amounts = fc.array(fc.integer({ min: 1, max: 1_000_000 }), { minLength: 1, maxLength: 50 })
    fc.assert(
      fc.property(amounts, (list) => {
        const sum = list.map((amount) => parseYuan(printYuan(amount))).reduce((total, amount) => total + amount, 0)
        expect(BigInt(sum)).to.equal(list.reduce((total, amount) => total + BigInt(amount), 0n))
      }),
      { seed, numRuns: 1000 },
    )
  })
})
