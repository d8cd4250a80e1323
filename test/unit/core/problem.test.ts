import { expect } from 'chai'
import { Problem, problems, type ProblemCode } from '../../../src/core/problem.ts'

/** The statuses callers program against (design.md 10): changing one breaks somebody. */
const statuses: Readonly<Record<ProblemCode, number>> = {
  'invalid-request': 400,
  unauthenticated: 401,
  forbidden: 403,
  'not-found': 404,
  'method-not-allowed': 405,
  'order-conflict': 409,
  'refund-conflict': 409,
  'order-not-payable': 409,
  'order-not-refundable': 409,
  'refund-exceeds-payment': 409,
  'refund-limit-reached': 409,
  'request-in-progress': 409,
  'payload-too-large': 413,
  'unsupported-media-type': 415,
  'idempotency-key-reuse': 422,
  'method-unavailable': 422,
  'provider-rejected': 422,
  'openid-rejected': 422,
  'launch-unavailable': 422,
  'launch-expired': 410,
  'launch-taken': 409,
  'launch-scene-refused': 422,
  'session-expired': 401,
  'rate-limited': 429,
  internal: 500,
  'provider-unavailable': 503,
  unavailable: 503,
}

describe('core/problem', () => {
  for (const [code, status] of Object.entries(statuses) as [ProblemCode, number][]) {
    it(`${code} is ${String(status)}`, () => expect(problems[code].status).to.equal(status))
  }

  it('has no code that is not above, none that is not hyphenated, and a title of its own for each', () => {
    expect(Object.keys(problems)).to.have.members(Object.keys(statuses))
    for (const code of Object.keys(problems)) expect(code).to.match(/^[a-z]+(?:-[a-z]+)*$/)
    const titles = Object.values(problems).map(({ title }) => title)
    expect(new Set(titles).size).to.equal(titles.length)
  })

  it('carries its code, detail and extras', () => {
    const problem = new Problem('rate-limited', 'too fast', { retryAfter: 3 })
    expect(problem).to.be.instanceOf(Error)
    expect(problem).to.include({
      code: 'rate-limited',
      detail: 'too fast',
      name: 'Problem',
      message: 'rate-limited: too fast',
    })
    expect(problem.extras.retryAfter).to.equal(3)
    expect(new Problem('internal', 'x').extras).to.deep.equal({})
  })
})
