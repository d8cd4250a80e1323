import { expect } from 'chai'
import fc from 'fast-check'
import { accountChain, below, later, orderChain, paymentChain, refundChain } from '../../../src/core/chain.ts'

const seed = Number.parseInt(process.env['SEED'] ?? '', 10) || Date.now() % 2_147_483_647

const chains: Readonly<Record<string, readonly string[]>> = {
  order: orderChain,
  payment: paymentChain,
  account: accountChain,
  refund: refundChain,
}

describe(`core/chain (seed ${String(seed)})`, () => {
  it('has the places of the domain model, in its order', () => {
    expect(orderChain).to.deep.equal(['open', 'closed', 'paid'])
    expect(paymentChain).to.deep.equal(['created', 'pending', 'closed', 'succeeded'])
    expect(accountChain).to.deep.equal(['none', 'pending', 'failed', 'credited'])
    expect(refundChain).to.deep.equal(['created', 'processing', 'abnormal', 'failed', 'succeeded'])
  })

  it('below() is everything before, nothing for the first, and never the status itself', () => {
    expect(below(paymentChain, 'created')).to.deep.equal([])
    expect(below(paymentChain, 'pending')).to.deep.equal(['created'])
    expect(below(paymentChain, 'succeeded')).to.deep.equal(['created', 'pending', 'closed'])
    expect(below(refundChain, 'failed')).to.deep.equal(['created', 'processing', 'abnormal'])
    for (const chain of Object.values(chains)) {
      for (const [place, status] of chain.entries()) {
        expect(below(chain, status)).to.have.length(place)
        expect(below(chain, status)).to.not.include(status)
      }
    }
  })

  for (const [name, chain] of Object.entries(chains)) {
    const status = fc.constantFrom(...chain)
    const merge = (a: string, b: string) => later(chain, a, b)

    it(`merging on the ${name} chain is commutative, associative and idempotent`, () => {
      fc.assert(
        fc.property(status, status, status, (a, b, c) => {
          expect(merge(a, b)).to.equal(merge(b, a))
          expect(merge(merge(a, b), c)).to.equal(merge(a, merge(b, c)))
          expect(merge(a, a)).to.equal(a)
        }),
        { seed, numRuns: 500 },
      )
    })

    it(`a guarded write with below() does exactly what later() says, on the ${name} chain`, () => {
      for (const row of chain) {
        for (const said of chain) {
          const written = below(chain, said).includes(row) ? said : row
          expect(written, `${row} told ${said}`).to.equal(merge(row, said))
        }
      }
    })
  }
})
