import { expect } from 'chai'
import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import type { LogFields } from '../../src/core/provider.ts'

function recorded(level?: string) {
  const lines: string[] = []
  const log = createLog({
    ...(level === undefined ? {} : { level }),
    stream: { write: (line) => void lines.push(line) },
  })
  return { log, lines, last: () => JSON.parse(lines.at(-1) ?? '{}') as Record<string, unknown> }
}

const canaries = [
  'gw_live_4f9dCANARY00000000000000000000',
  'whsec_CANARYCANARYCANARYCANARYCANARYCANARY',
  'oUpF8uMuAJO_M2pxb1Q9zNjWeS6o',
  '-----BEGIN PRIVATE KEY-----\nMIICANARY\n-----END PRIVATE KEY-----',
]

describe('log', () => {
  it('writes one JSON object per line with time, level and fields', () => {
    const { log, lines, last } = recorded()
    log.info('hello\nworld', { orderId: 'ord_1', durationMs: 3, outcome: 'a\r\nb' })
    expect(lines).to.have.length(1)
    expect(lines[0]?.trimEnd()).not.to.match(/[\r\n]/)
    expect(last()).to.include({
      level: 'info',
      msg: 'hello\nworld',
      orderId: 'ord_1',
      durationMs: 3,
      outcome: 'a\r\nb',
    })
    expect(Date.parse(String(last()['time']))).to.be.closeTo(Date.now(), 5000)
  })

  it('drops fields that are not in the closed list, whatever type carried them here', () => {
    const { log, lines } = recorded()
    const wide: LogFields & { authorization: string; body: object } = {
      orderId: 'ord_1',
      authorization: 'CANARY',
      body: { key: 'CANARY' },
    }
    log.warn('x', wide)
    expect(lines.join('')).not.to.include('CANARY')
  })

  it('keeps name, code, message and stack of an error and nothing that hangs on it', () => {
    const { log, lines, last } = recorded()
    const error = Object.assign(new TypeError('m'.repeat(1000)), {
      code: 'E_TEST',
      config: { headers: { authorization: 'CANARY' } },
      request: { path: 'CANARY' },
      response: { data: 'CANARY' },
      cause: new Error('CANARY'),
    })
    log.error('failed', { error })
    const kept = last()['error'] as Record<string, string>
    expect(Object.keys(kept).toSorted()).to.deep.equal(['code', 'message', 'name', 'stack'])
    expect(kept).to.include({ name: 'TypeError', code: 'E_TEST', message: 'm'.repeat(300) })
    expect(kept['stack'])
      .to.match(/log\.test\.ts/)
      .and.not.to.include('mmm')
    expect(lines.join('')).not.to.include('CANARY')
  })

  for (const canary of canaries) {
    it(`lets ${canary.slice(0, 12)}… through nowhere`, () => {
      const { log, lines } = recorded()
      log.error(`message ${canary}`, {
        reason: `because ${canary}`,
        url: `https://user:pw@api.example/x/${canary}?secret=${canary}`,
        error: new Error(`thrown ${canary}`),
      })
      log.info('thrown text', { error: canary })
      const all = lines.join('')
      for (const piece of [canary, canary.replaceAll('\n', '\\n'), 'MIICANARY', 'user:pw'])
        expect(all).not.to.include(piece)
    })
  }

  it('hides the secret in a URL that an error quotes', () => {
    const { log, lines } = recorded()
    log.error('x', {
      error: new Error(
        'GET https://api.weixin.qq.com/sns/jscode2session?appid=wx1&secret=CANARY1&js_code=CANARY2 failed',
      ),
    })
    expect(lines.join('')).to.include('jscode2session').and.not.to.include('CANARY')
  })

  it('leaves ids and numbers readable', () => {
    const { log, last } = recorded()
    log.info('x', { orderId: 'ord_01J0000000000000000000000Z', providerRequestId: '08F78BC0A7061054-1' })
    expect(last()).to.include({ orderId: 'ord_01J0000000000000000000000Z', providerRequestId: '08F78BC0A7061054-1' })
  })

  it('obeys its level', () => {
    const { log, lines } = recorded('warn')
    log.info('quiet')
    log.warn('loud')
    expect(lines).to.have.length(1)
  })
})

describe('metrics', () => {
  it('counts and times in a registry of its own', async () => {
    const [one, other] = [createMetrics(), createMetrics()]
    one.count('notifications_total', { door: 'notify', outcome: 'accepted' })
    one.count('notifications_total', { door: 'notify', outcome: 'accepted' })
    one.observe('provider_call_seconds', { channel: 'c', operation: 'prepay', outcome: 'value' }, 0.2)
    const text = await one.text()
    expect(text).to.include('notifications_total{door="notify",outcome="accepted"} 2')
    expect(text).to.match(/provider_call_seconds_count\{.*channel="c".*\} 1/)
    expect(text).to.include('process_cpu_seconds_total')
    expect(await other.text()).not.to.include('outcome="accepted"')
    expect(one.contentType).to.include('text/plain')
  })

  it('drops a label it does not know instead of throwing at whoever moves money', async () => {
    const metrics = createMetrics()
    metrics.count('chores_total', { chore: 'deliveries', openid: 'CANARY' })
    const text = await metrics.text()
    expect(text).to.include('chores_total{chore="deliveries"} 1').and.not.to.include('CANARY')
  })
})
