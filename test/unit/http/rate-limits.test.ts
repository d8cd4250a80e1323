import { expect } from 'chai'
import { buckets, penalties } from '../../../src/http/rate-limits.ts'

describe('rate limits', () => {
  it('lets a burst through and then the steady rate, for each caller apart', () => {
    let seconds = 0
    const take = buckets({ rate: 2, burst: 3 }, () => seconds)
    expect([take('a'), take('a'), take('a'), take('a')]).to.deep.equal([0, 0, 0, 1])
    expect(take('b')).to.equal(0)
    seconds = 0.5
    expect([take('a'), take('a')]).to.deep.equal([0, 1])
    seconds = 1000
    expect([take('a'), take('a'), take('a'), take('a')]).to.deep.equal([0, 0, 0, 1])
  })

  it('says truthfully how long to wait', () => {
    let seconds = 0
    const take = buckets({ rate: 0.1, burst: 1 }, () => seconds)
    take('a')
    const wait = take('a')
    seconds = wait - 0.01
    expect(take('a')).to.be.greaterThan(0)
    seconds = wait + 10
    expect(take('a')).to.equal(0)
  })

  it('counts the failures of an address, and of a whole IPv6 network as one', async () => {
    const wrong = penalties(2)
    try {
      expect([await wrong.count('203.0.113.1'), await wrong.count('203.0.113.1')]).to.deep.equal([0, 0])
      expect(await wrong.count('203.0.113.1')).to.be.within(590, 600)
      expect(await wrong.count('203.0.113.1')).to.be.within(590, 600)
      expect(await wrong.count('203.0.113.2')).to.equal(0)
      for (const host of ['1', '2']) expect(await wrong.count(`2001:db8::${host}`)).to.equal(0)
      expect(await wrong.count('2001:db8::3')).to.be.greaterThan(0)
    } finally {
      wrong.stop()
    }
  })
})
