import { expect } from 'chai'
import { Problem } from '../../src/core/problem.ts'
import { LostAnswer, type Transport, type WireRequest } from '../../src/core/transport.ts'
import { createOpenids } from '../../src/identity/wechat-openid.ts'
import { createLog } from '../../src/log.ts'

const apps = { wx8888: { secret: 'CANARYSECRET', baseUrl: 'https://api.weixin.qq.com' } }

function exchange(...answers: readonly (object | string | Error | number)[]) {
  const requests: WireRequest[] = []
  const lines: string[] = []
  const transport: Transport = (request) => {
    const answer = answers[Math.min(requests.length, answers.length - 1)]
    requests.push(request)
    if (answer instanceof Error) return Promise.reject(answer)
    const status = typeof answer === 'number' ? answer : 200
    return Promise.resolve({
      status,
      headers: {},
      body: Buffer.from(typeof answer === 'string' ? answer : JSON.stringify(answer)),
    })
  }
  const log = createLog({ stream: { write: (line) => void lines.push(line) } })
  return { openids: createOpenids(apps, transport, log), requests, lines }
}

async function problemOf(promise: Promise<unknown>): Promise<Problem> {
  try {
    await promise
  } catch (error) {
    if (error instanceof Problem) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('exchange of mini-program login codes', () => {
  it('asks as the document says, and gives nothing but the openid', async () => {
    const { openids, requests } = exchange({ openid: 'oUpF8uMuAJO', session_key: 'CANARYSESSION', unionid: 'u' })
    expect(await openids.byLoginCode('wx8888', 'a b&c')).to.equal('oUpF8uMuAJO')
    const url = new URL(requests[0]?.url ?? '')
    expect(url.origin + url.pathname).to.equal('https://api.weixin.qq.com/sns/jscode2session')
    expect(Object.fromEntries(url.searchParams)).to.deep.equal({
      appid: 'wx8888',
      secret: 'CANARYSECRET',
      js_code: 'a b&c',
      grant_type: 'authorization_code',
    })
    expect(requests[0]?.method).to.equal('GET')
  })

  for (const [errcode, code, words] of [
    [40029, 'openid-rejected', /again/],
    [40163, 'openid-rejected', /used already/],
    [40226, 'openid-rejected', /risk/],
    [40013, 'openid-rejected', /appid.*operator/],
    [40125, 'openid-rejected', /secret.*operator/],
    [45011, 'provider-unavailable', /minute/],
    [-1, 'provider-unavailable', /busy/],
    [99999, 'openid-rejected', /again/],
  ] as const) {
    it(`turns errcode ${String(errcode)}, which comes with HTTP 200, into ${code}`, async () => {
      const { openids, lines } = exchange({ errcode, errmsg: 'rid: CANARYSECRET' })
      const problem = await problemOf(openids.byLoginCode('wx8888', 'c'))
      expect(problem.code).to.equal(code)
      expect(problem.detail).to.match(words)
      expect(problem.message + lines.join('')).not.to.include('CANARY')
    })
  }

  it('tries once more when WeChat is busy', async () => {
    const { openids, requests } = exchange({ errcode: -1 }, { openid: 'o1' })
    expect(await openids.byLoginCode('wx8888', 'c')).to.equal('o1')
    expect(requests).to.have.length(2)
  })

  it('takes whatever is not an openid for silence', async () => {
    const silent = [
      '',
      '[]',
      'null',
      '{',
      { openid: '' },
      { openid: 5 },
      { openid: 'a b' },
      {},
      502,
      new LostAnswer('GET https://…?secret=CANARYSECRET'),
    ]
    for (const answer of silent) {
      const { openids, lines } = exchange(answer)
      const problem = await problemOf(openids.byLoginCode('wx8888', 'c'))
      expect(problem.code, JSON.stringify(answer)).to.equal('provider-unavailable')
      expect(problem.message + String(problem.cause) + lines.join('')).not.to.include('CANARY')
    }
  })

  it('asks nobody about an application it does not know', async () => {
    const { openids, requests } = exchange({ openid: 'o1' })
    for (const appid of ['wx1', '__proto__', 'constructor']) {
      expect((await problemOf(openids.byLoginCode(appid, 'c'))).code).to.equal('openid-rejected')
    }
    expect(requests).to.have.length(0)
  })
})
