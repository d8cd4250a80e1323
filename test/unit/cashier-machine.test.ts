import { expect } from 'chai'
import fc from 'fast-check'
import { mayPay, next, plans, states, unpaidAfter, type Cause, type Happening } from '../../src/web/cashier/machine.ts'

const causes = Object.keys(plans) as Cause[]
const happenings: Happening[] = [
  'tap',
  'prepared',
  'answered',
  'woken',
  'unpaid',
  'paid',
  'expired',
  'refused',
  'lost',
  'taken',
]

describe('the cashier’s states', () => {
  it('paid wins from anywhere and is never left', () => {
    for (const state of states) expect(next(state, 'paid', 'look'), state).to.equal('paid')
    for (const happening of happenings)
      for (const cause of causes) expect(next('paid', happening, cause)).to.equal('paid')
  })

  it('an expired order can only turn out to have been paid', () => {
    for (const happening of happenings) {
      expect(next('expired', happening, 'ok')).to.equal(happening === 'paid' ? 'paid' : 'expired')
    }
  })

  it('after ok an unpaid order has no button that pays, whatever happens next but a server’s word', () => {
    expect(unpaidAfter.ok).to.equal('slow')
    expect(mayPay('slow')).to.equal(false)
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom<Happening>('tap', 'prepared', 'answered', 'woken', 'unpaid', 'lost'), {
          maxLength: 30,
        }),
        (moves) => {
          let state = next('confirming', 'unpaid', 'ok')
          for (const move of moves) state = next(state, move, 'ok')
          expect(mayPay(state)).to.equal(false)
        },
      ),
    )
  })

  it('only a tap begins a payment, and only where the button is', () => {
    for (const state of states) {
      const reached = happenings.filter((happening) =>
        causes.some((cause) => next(state, happening, cause) === 'creating' && state !== 'creating'),
      )
      expect(reached, state).to.deep.equal(mayPay(state) ? ['tap'] : [])
    }
    expect(states.filter(mayPay).toSorted()).to.deep.equal(['cancelled', 'failed', 'ready'])
  })

  it('three taps are one', () => {
    let state = next('ready', 'tap', 'look')
    expect(state).to.equal('creating')
    state = next(next(state, 'tap', 'look'), 'tap', 'look')
    expect(state).to.equal('creating')
  })

  it('walks the usual way, and the ways beside it', () => {
    const walk = (...moves: [Happening, Cause?][]) =>
      moves.reduce(
        (state, [happening, cause]) => next(state, happening, cause ?? 'look'),
        'ready' as (typeof states)[number],
      )
    expect(walk(['tap'], ['prepared'], ['answered'], ['paid'])).to.equal('paid')
    expect(walk(['tap'], ['prepared'], ['answered'], ['unpaid', 'cancel'])).to.equal('cancelled')
    expect(walk(['tap'], ['prepared'], ['answered'], ['unpaid', 'fail'])).to.equal('failed')
    expect(walk(['tap'], ['refused'])).to.equal('failed')
    expect(walk(['tap'], ['lost'], ['woken'], ['unpaid', 'look'])).to.equal('ready')
    expect(walk(['tap'], ['taken'], ['woken'], ['unpaid', 'look'])).to.equal('ready')
    expect(walk(['prepared'])).to.equal('ready')
  })

  it('never asks the provider for a cancel twice within the two seconds the server allows', () => {
    for (const cause of ['cancel', 'fail'] as const) expect(plans[cause][1]).to.be.greaterThan(2000)
    expect(plans.ok.reduce((sum, delay) => sum + delay, 0)).to.be.within(16_000, 19_000)
  })
})
