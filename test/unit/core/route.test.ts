import { expect } from 'chai'
import { ulid } from 'ulid'
import { idOf } from '../../../src/core/ids.ts'
import { chooseChannels, percentOf, type Route, type RouteRequest } from '../../../src/core/route.ts'

const request: RouteRequest = {
  method: 'wechat_jsapi',
  amount: 1000,
  currency: 'CNY',
  orderId: 'ord_01J9ZK3X5QW8E7R6T5Y4V3B2N1',
}
const choose = (routes: readonly Route[], changes: Partial<RouteRequest> = {}) =>
  chooseChannels(routes, { ...request, ...changes })

describe('core/route', () => {
  it('offers nothing without a rule that fits', () => {
    expect(choose([])).to.deep.equal([])
    expect(choose([{ method: 'wechat_mini', channels: ['a'] }])).to.deep.equal([])
  })

  it('takes the first rule that fits, not the most precise one', () => {
    const routes: readonly Route[] = [
      { method: '*', channels: ['first'] },
      { method: 'wechat_jsapi', channels: ['second'] },
    ]
    expect(choose(routes)).to.deep.equal(['first'])
    expect(choose(routes.toReversed())).to.deep.equal(['second'])
  })

  it('keeps the order of preference', () => {
    expect(choose([{ method: '*', channels: ['b', 'a', 'c'] }])).to.deep.equal(['b', 'a', 'c'])
  })

  const conditions: readonly (readonly [string, Omit<Route, 'method' | 'channels'>, Partial<RouteRequest>, boolean])[] =
    [
      ['at the least amount', { minAmount: 1000 }, {}, true],
      ['below the least amount', { minAmount: 1001 }, {}, false],
      ['at the most amount', { maxAmount: 1000 }, {}, true],
      ['above the most amount', { maxAmount: 999 }, {}, false],
      ['between both', { minAmount: 1, maxAmount: 5000 }, {}, true],
      ['in the same currency', { currency: 'CNY' }, {}, true],
      ['in another currency', { currency: 'CNY' }, { currency: 'HKD' }, false],
      ['in any currency when none is named', {}, { currency: 'HKD' }, true],
      ['when one of two conditions fails', { currency: 'CNY', minAmount: 2000 }, {}, false],
    ]
  for (const [name, condition, changes, fits] of conditions) {
    it(`${fits ? 'fits' : 'does not fit'} ${name}`, () => {
      expect(choose([{ method: '*', channels: ['a'], ...condition }], changes)).to.deep.equal(fits ? ['a'] : [])
    })
  }

  it('goes on to the next rule when a condition fails', () => {
    const routes: readonly Route[] = [
      { method: 'wechat_jsapi', maxAmount: 500, channels: ['small'] },
      { method: 'wechat_jsapi', channels: ['large'] },
    ]
    expect(choose(routes, { amount: 500 })).to.deep.equal(['small'])
    expect(choose(routes, { amount: 501 })).to.deep.equal(['large'])
  })

  describe('split', () => {
    const orders = Array.from({ length: 20_000 }, (_, index) => idOf('order', ulid(1_767_571_200_000 + index * 977)))

    it('gives an order the same channel every time', () => {
      const routes: readonly Route[] = [{ method: '*', split: { a: 50, b: 50 } }]
      for (const orderId of orders.slice(0, 200))
        expect(choose(routes, { orderId })).to.deep.equal(choose(routes, { orderId }))
      expect(percentOf('ord_01J9ZK3X5QW8E7R6T5Y4V3B2N1')).to.equal(percentOf('ord_01J9ZK3X5QW8E7R6T5Y4V3B2N1'))
    })

    for (const shares of [
      { a: 20, b: 80 },
      { a: 1, b: 99 },
      { a: 34, b: 33, c: 33 },
    ] as const) {
      it(`splits ${JSON.stringify(shares)} to within one and a half percent of the orders`, () => {
        const counts = new Map<string, number>()
        for (const orderId of orders) {
          const [channel = 'none'] = choose([{ method: '*', split: shares }], { orderId })
          counts.set(channel, (counts.get(channel) ?? 0) + 1)
        }
        for (const [channel, share] of Object.entries(shares)) {
          expect(((counts.get(channel) ?? 0) / orders.length) * 100, channel).to.be.closeTo(share, 1.5)
        }
        expect(counts.get('none')).to.equal(undefined)
      })
    }

    it('gives everything to a share of 100 and nothing to a share of 0', () => {
      for (const orderId of orders.slice(0, 500))
        expect(choose([{ method: '*', split: { a: 0, b: 100 } }], { orderId })).to.deep.equal(['b'])
    })

    it('moves only the orders between two shares when a share grows', () => {
      for (const orderId of orders.slice(0, 2000)) {
        const before = choose([{ method: '*', split: { next: 10, old: 90 } }], { orderId })
        const after = choose([{ method: '*', split: { next: 30, old: 70 } }], { orderId })
        if (before[0] === 'next') expect(after).to.deep.equal(['next'])
      }
    })

    it('is a number from 0 to 99, and takes all of them', () => {
      expect([...new Set(orders.map(percentOf))].toSorted((a, b) => a - b)).to.deep.equal(
        Array.from({ length: 100 }, (_, index) => index),
      )
    })
  })
})
