import { spawnSync } from 'node:child_process'
import { expect } from 'chai'
import {
  beijingTime,
  businessDay,
  businessDayBounds,
  compactDay,
  compactTime,
  parseCompactTime,
} from '../../../src/core/business-day.ts'

const at = (text: string) => Date.parse(text)

describe('core/business-day', () => {
  it('is the day in Beijing: half past midnight there is still yesterday in UTC', () => {
    expect(businessDay(at('2026-01-04T16:30:00Z'))).to.equal('2026-01-05')
    expect(businessDay(at('2026-01-05T00:30:00+08:00'))).to.equal('2026-01-05')
  })

  it('changes exactly at 16:00 UTC', () => {
    expect(businessDay(at('2026-01-04T15:59:59.999Z'))).to.equal('2026-01-04')
    expect(businessDay(at('2026-01-04T16:00:00.000Z'))).to.equal('2026-01-05')
  })

  const ends: readonly (readonly [string, string])[] = [
    ['2026-01-31T15:59:59.999Z', '2026-01-31'],
    ['2026-01-31T16:00:00.000Z', '2026-02-01'],
    ['2026-02-28T16:00:00.000Z', '2026-03-01'],
    ['2028-02-28T16:00:00.000Z', '2028-02-29'],
    ['2028-02-29T16:00:00.000Z', '2028-03-01'],
    ['2026-12-31T15:59:59.999Z', '2026-12-31'],
    ['2026-12-31T16:00:00.000Z', '2027-01-01'],
  ]
  for (const [instant, day] of ends) {
    it(`puts ${instant} into ${day}`, () => {
      expect(businessDay(at(instant))).to.equal(day)
      expect(compactDay(at(instant))).to.equal(day.replaceAll('-', ''))
    })
  }

  it('bounds a day by its own first instant and the next day’s', () => {
    for (const day of ['2026-01-05', '2026-02-28', '2028-02-29', '2026-12-31'] as const) {
      const { from, to } = businessDayBounds(day)
      expect(to - from).to.equal(86_400_000)
      expect(businessDay(from)).to.equal(day)
      expect(businessDay(to - 1)).to.equal(day)
      expect(businessDay(from - 1)).to.not.equal(day)
      expect(businessDay(to)).to.not.equal(day)
    }
  })

  it('prints compact and RFC 3339 forms in Beijing time', () => {
    const instant = at('2026-01-04T16:05:09.987Z')
    expect(compactTime(instant)).to.equal('20260105000509')
    expect(beijingTime(instant)).to.equal('2026-01-05T00:05:09+08:00')
  })

  it('reads compact times back', () => {
    expect(parseCompactTime('20260105000509')).to.equal(at('2026-01-04T16:05:09Z'))
    expect(parseCompactTime('20280229235959')).to.equal(at('2028-02-29T15:59:59Z'))
  })

  const refused = [
    '',
    '2026010500050',
    '202601050005091',
    '2026-01-05 00:05:09',
    '20260105T000509',
    '20260105000509Z',
    ' 20260105000509',
    '20260105000509\n',
    '20260230120000',
    '20270229120000',
    '20260431120000',
    '20261301120000',
    '20260001120000',
    '20260100120000',
    '20260132120000',
    '20260105240000',
    '20260105256000',
    '20260105006000',
    '20260105000060',
    '２０２６０１０５０００５０９',
    '0000000000000a',
    'NaN',
    '-0260105000509',
  ]
  for (const text of refused) {
    it(`refuses ${JSON.stringify(text)}`, () => expect(parseCompactTime(text)).to.equal(undefined))
  }

  for (const zone of ['UTC', 'America/New_York', 'Asia/Shanghai', 'Pacific/Kiritimati']) {
    it(`does not depend on the host being in ${zone}`, () => {
      // A new process, because a process reads its time zone once.
      const module = new URL('../../../src/core/business-day.ts', import.meta.url).href
      const script = `import { businessDay, compactTime, parseCompactTime } from ${JSON.stringify(module)}
        const instant = Date.parse('2026-03-08T16:30:00Z')
        console.log(JSON.stringify([businessDay(instant), compactTime(instant), parseCompactTime('20260309003000') === instant]))`
      const { stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
        env: { ...process.env, TZ: zone },
        encoding: 'utf8',
      })
      expect(stdout.trim(), stderr).to.equal('["2026-03-09","20260309003000",true]')
    }).timeout(30_000)
  }
})
