import { expect } from 'chai'
import { createChaos, knobs, type Fault } from '../../src/simulators/chaos.ts'

describe('chaos', () => {
  it('is calm unless switched on', () => {
    const chaos = createChaos({ seed: 1 })
    expect(Object.values(chaos.rates()).every((rate) => rate === 0)).to.equal(true)
    for (let call = 0; call < 500; call += 1) expect(chaos.happens('hang', 'wechat-pay.create')).to.equal(false)
  })

  it('prints its seed when on', () => {
    const lines: string[] = []
    createChaos({ seed: 4711, on: true, log: (line) => lines.push(line) })
    expect(lines.join()).to.contain('4711')
    createChaos({ seed: 4711, log: (line) => lines.push(line) })
    expect(lines).to.have.length(1)
  })

  it('has a reason and a low rate for every knob', () => {
    for (const knob of Object.values(knobs)) {
      expect(knob.reason.length).to.be.greaterThan(20)
      expect(knob.rate).to.be.within(0.0001, 0.05)
    }
  })

  it('decides the same again with the same seed, however operations interleave', () => {
    const run = (seed: number, operations: string[]): Map<string, boolean[]> => {
      const chaos = createChaos({ seed })
      chaos.setRate('reset', 0.3)
      const result = new Map<string, boolean[]>()
      for (const operation of operations)
        result.set(operation, [...(result.get(operation) ?? []), chaos.happens('reset', operation)])
      return result
    }
    const alternating = Array.from({ length: 200 }, (_, index) => (index % 2 ? 'a.create' : 'a.query'))
    const sorted = alternating.toSorted()
    expect(run(7, alternating)).to.deep.equal(run(7, sorted))
    expect(run(7, alternating)).to.not.deep.equal(run(8, alternating))
  })

  it('keeps to its rate', () => {
    const chaos = createChaos({ seed: 99 })
    chaos.setRate('slow', 0.25)
    const hits = Array.from({ length: 4000 }, () => chaos.happens('slow', 'x.create')).filter(Boolean).length
    expect(hits).to.be.within(850, 1150)
    const randoms = Array.from({ length: 2000 }, () => chaos.random())
    expect(Math.min(...randoms)).to.be.at.least(0)
    expect(Math.max(...randoms)).to.be.below(1)
    expect(randoms.reduce((sum, value) => sum + value, 0) / 2000).to.be.within(0.46, 0.54)
  })

  it('names operations with or without the provider', () => {
    const chaos = createChaos({ seed: 3 })
    chaos.setRate('refuse', 1, 'create')
    chaos.setRate('refuse', 0, 'huifu.create')
    expect(chaos.happens('refuse', 'wechat-pay.create')).to.equal(true)
    expect(chaos.happens('refuse', 'huifu.create')).to.equal(false)
    expect(chaos.happens('refuse', 'wechat-pay.query')).to.equal(false)
  })

  it('consumes scripted faults exactly as often as asked', () => {
    const chaos = createChaos({ seed: 3 })
    chaos.script('hang', 'wechat-pay.refund', 2)
    chaos.script('probe', '*', 1)
    const asked = (fault: Fault, operation: string): boolean => chaos.happens(fault, operation)
    expect([asked('hang', 'huifu.refund'), asked('hang', 'wechat-pay.create')]).to.deep.equal([false, false])
    expect([1, 2, 3].map(() => asked('hang', 'wechat-pay.refund'))).to.deep.equal([true, true, false])
    expect([1, 2].map(() => asked('probe', 'anything'))).to.deep.equal([true, false])
  })

  it('starts over after reset', () => {
    const chaos = createChaos({ seed: 5 })
    const first = [chaos.random(), chaos.random()]
    chaos.setRate('hang', 1)
    chaos.script('reset', '*', 5)
    chaos.reset()
    expect([chaos.random(), chaos.random()]).to.deep.equal(first)
    expect(chaos.happens('hang', 'a.b') || chaos.happens('reset', 'a.b')).to.equal(false)
  })

  it('refuses rates that are no probabilities', () => {
    const chaos = createChaos({ seed: 5 })
    expect(() => chaos.setRate('hang', 1.1)).to.throw(RangeError)
    expect(() => chaos.script('hang', '*', -1)).to.throw(RangeError)
  })
})
