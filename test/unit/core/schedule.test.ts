import { expect } from 'chai'
import * as schedules from '../../../src/core/schedule.ts'
import { delayMs, type Schedule } from '../../../src/core/schedule.ts'

const minute = 60_000
const hour = 60 * minute
const middle = 0.5

/** How long a schedule lasts without jitter; its first attempt is at zero. */
function span(schedule: Schedule): number {
  return schedule.stepsMs.reduce((sum, step) => sum + step, 0)
}

const all = Object.entries(schedules).filter((entry): entry is [string, Schedule] => typeof entry[1] === 'object')

describe('core/schedule', () => {
  it('tries a webhook ten times over 75 h 35 min', () => {
    expect(schedules.webhook.repeatsLast).to.equal(false)
    // Nine pauses between ten attempts; the first pause of five seconds is not worth a word in the documents.
    expect(schedules.webhook.stepsMs).to.have.length(9)
    expect(span(schedules.webhook)).to.equal(75 * hour + 35 * minute + 5000)
    const attempts = Array.from({ length: 20 }, (_, tries) => delayMs(schedules.webhook, tries, middle, 1))
    expect(attempts.filter((delay) => delay !== undefined)).to.have.length(9)
  })

  it('asks about a running refund for ten days', () => {
    expect(schedules.runningRefund.repeatsLast).to.equal(false)
    expect(span(schedules.runningRefund)).to.be.within(10 * 24 * hour, 11 * 24 * hour)
  })

  it('tries an unfunded refund after ten minutes, an hour, six hours and seven days', () => {
    expect(schedules.unfundedRefund.stepsMs.slice(0, 3)).to.deep.equal([10 * minute, hour, 6 * hour])
    expect(schedules.unfundedRefund.stepsMs.slice(3)).to.deep.equal(Array.from({ length: 7 }, () => 24 * hour))
  })

  it('asks about a closed attempt until after the last notification of WeChat could have come (24 h 4 min)', () => {
    expect(schedules.closedPayment.repeatsLast).to.equal(false)
    expect(span(schedules.closedPayment)).to.be.greaterThan(24 * hour + 4 * minute)
  })

  it('matches an unmatched notification again for a day', () => {
    expect(span(schedules.rematch)).to.be.within(24 * hour, 25 * hour)
  })

  it('takes the steps in turn', () => {
    expect([0, 1, 2, 3, 4].map((tries) => delayMs(schedules.unknownPrepay, tries, middle, 1))).to.deep.equal([
      2000, 5000, 15_000, 60_000, 300_000,
    ])
  })

  it('repeats the last step for ever where the schedule says so', () => {
    expect(delayMs(schedules.openPayment, 7, middle, 1)).to.equal(30 * minute)
    expect(delayMs(schedules.openPayment, 8, middle, 1)).to.equal(30 * minute)
    expect(delayMs(schedules.openPayment, 1_000_000, middle, 1)).to.equal(30 * minute)
  })

  for (const [name, schedule] of all) {
    it(`${name} is a bounded list of durations, never shorter than the one before where it only grows`, () => {
      expect(schedule.stepsMs).to.have.length.within(1, 40)
      for (const step of schedule.stepsMs)
        expect(step).to.satisfy((value: number) => Number.isSafeInteger(value) && value >= 0)
      expect([...schedule.stepsMs].toSorted((a, b) => a - b)).to.deep.equal([...schedule.stepsMs])
    })

    it(`${name} ${schedule.repeatsLast ? 'never ends' : 'ends, so that a person looks'}`, () => {
      const past = delayMs(schedule, schedule.stepsMs.length, middle, 1)
      if (schedule.repeatsLast) expect(past).to.equal(schedule.stepsMs.at(-1))
      else expect(past).to.equal(undefined)
    })

    it(`${name} spreads by a fifth either way and no further`, () => {
      for (const [tries, step] of schedule.stepsMs.entries()) {
        expect(delayMs(schedule, tries, 0, 1)).to.equal(Math.round(step * 0.8))
        expect(delayMs(schedule, tries, middle, 1)).to.equal(step)
        expect(delayMs(schedule, tries, 0.999_999, 1)).to.be.within(step, Math.round(step * 1.2))
      }
    })

    it(`${name} shrinks with the time scale`, () => {
      for (const [tries, step] of schedule.stepsMs.entries())
        expect(delayMs(schedule, tries, middle, 60)).to.equal(Math.round(step / 60))
    })
  }

  it('calls absence proven after a minute and twice, thirty seconds apart', () => {
    expect(schedules.absenceAfterMs).to.equal(minute)
    expect(schedules.absenceApartMs).to.equal(30_000)
  })
})
