import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect } from 'chai'
import { after, createClock } from '../../src/simulators/clock.ts'
import { createNotifier, type NotificationJob, type Notifier } from '../../src/simulators/notifier.ts'
import { RETRY_SCHEDULE_MS } from '../../src/simulators/wechat-pay/notifications.ts'

type Received = { path: string; attempt: string | undefined }

describe('notifier', () => {
  let server: Server
  let url: string
  let received: Received[]
  let statuses: number[]
  let notifier: Notifier | undefined

  beforeEach(async () => {
    received = []
    statuses = []
    server = createServer((req, res) => {
      received.push({ path: req.url ?? '', attempt: req.headers['x-attempt']?.toString() })
      const status = statuses.shift() ?? 200
      if (status === 0) return
      res.writeHead(status, status === 302 ? { Location: '/elsewhere' } : {}).end('done')
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address: AddressInfo | string | null = server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    url = `http://127.0.0.1:${address.port}/notify`
  })

  afterEach(async () => {
    notifier?.stop()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })

  const job = (more: Partial<NotificationJob> = {}): NotificationJob => ({
    provider: 'test',
    label: 'one',
    url,
    build: (attempt) => ({ headers: { 'X-Attempt': String(attempt) }, body: Buffer.from('{}') }),
    accepted: (status) => status === 200,
    scheduleMs: RETRY_SCHEDULE_MS,
    ...more,
  })

  it('follows the published schedule to its end and then gives up', async () => {
    expect(RETRY_SCHEDULE_MS).to.have.length(15)
    // wechatpay.md 4.3: 24 h 4 min in total
    expect(RETRY_SCHEDULE_MS.reduce((sum, ms) => sum + ms, 0)).to.equal((24 * 60 + 4) * 60_000)
    const clock = createClock({ scale: 100_000 })
    notifier = createNotifier(clock)
    statuses = Array.from({ length: 20 }, () => 500)
    notifier.send(job())
    await notifier.idle()
    expect(received.map((one) => one.attempt)).to.deep.equal(
      Array.from({ length: 16 }, (_, index) => String(index + 1)),
    )
    const times = notifier.attempts().map((attempt) => attempt.at)
    for (const [index, delay] of RETRY_SCHEDULE_MS.entries()) {
      const gap = (times[index + 1] ?? 0) - (times[index] ?? 0)
      expect(gap, `before attempt ${index + 2}`).to.be.at.least(clock.shrink(delay) - 2)
    }
  })

  it('stops after the first acceptance', async () => {
    notifier = createNotifier(createClock({ scale: 10_000 }))
    statuses = [500, 404, 200]
    notifier.send(job())
    expect(notifier.pending()).to.equal(1)
    await notifier.idle()
    expect(notifier.attempts().map((attempt) => [attempt.status, attempt.accepted])).to.deep.equal([
      [500, false],
      [404, false],
      [200, true],
    ])
  })

  it('does not follow redirects', async () => {
    notifier = createNotifier(createClock())
    statuses = [302]
    notifier.send(job({ scheduleMs: [] }))
    await notifier.idle()
    expect(notifier.attempts()[0]).to.include({ status: 302, accepted: false })
    expect(received.map((one) => one.path)).to.deep.equal(['/notify'])
  })

  it('waits for an answer in real time, whatever the scale', async () => {
    notifier = createNotifier(createClock({ scale: 1000 }))
    statuses = [0, 200]
    const started = Date.now()
    notifier.send(job({ timeoutMs: 150, scheduleMs: [1000] }))
    await notifier.idle()
    expect(Date.now() - started).to.be.at.least(145)
    expect(notifier.attempts().map((attempt) => attempt.accepted)).to.deep.equal([false, true])
    expect(notifier.attempts()[0]?.error).to.be.a('string')
  })

  it('records a refused connection and tries again', async () => {
    notifier = createNotifier(createClock({ scale: 1000 }))
    notifier.send(job({ url: 'http://127.0.0.1:1/', scheduleMs: [10] }))
    await notifier.idle()
    expect(notifier.attempts()).to.have.length(2)
    expect(notifier.attempts()[0]?.error).to.match(/ECONNREFUSED/)
  })

  it('does not call an address the provider refuses', async () => {
    notifier = createNotifier(createClock())
    notifier.send(job({ refuse: () => 'query string' }))
    notifier.send(job({ url: 'ftp://example.invalid/' }))
    await notifier.idle()
    expect(received).to.deep.equal([])
    expect(notifier.attempts().map((attempt) => attempt.error)).to.deep.equal([
      'not sent: query string',
      'not sent: neither http nor https',
    ])
  })

  it('delivers at once what became due by advancing the clock', async () => {
    const clock = createClock()
    notifier = createNotifier(clock)
    notifier.send(job({ firstDelayMs: 3600_000 }))
    clock.advance(3599_000)
    expect(notifier.attempts()).to.have.length(0)
    clock.advance(1000)
    await notifier.idle(2000)
    expect(received).to.have.length(1)
  })

  it('gives up what is pending when stopped', async () => {
    notifier = createNotifier(createClock())
    notifier.send(job({ firstDelayMs: 10 }))
    notifier.stop()
    await notifier.idle()
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(received).to.deep.equal([])
  })
})

describe('clock', () => {
  it('shrinks durations and leaves timestamps alone', () => {
    const clock = createClock({ scale: 100, now: () => 1_760_000_000_000 })
    expect(clock.shrink(60_000)).to.equal(600)
    expect(clock.now()).to.equal(1_760_000_000_000)
    clock.advance(5000)
    expect(clock.now()).to.equal(1_760_000_005_000)
    expect(() => clock.advance(-1)).to.throw(RangeError)
  })

  it('refuses a scale that would stretch time', () => {
    expect(() => createClock({ scale: 0.5 })).to.throw(RangeError)
    expect(() => createClock({ scale: 0 })).to.throw(RangeError)
  })

  it('wakes a timer when a clock of the caller’s own jumps', async () => {
    let now = 0
    const clock = createClock({ now: () => now })
    const ran = new Promise<void>((resolve) => void after(clock, 3600_000, resolve))
    now = 3600_000
    await ran
  })

  it('runs nothing that was cancelled, even at the last moment', async () => {
    const clock = createClock()
    let ran = false
    const cancel = after(clock, 1000, () => (ran = true))
    clock.advance(1000)
    cancel()
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(ran).to.equal(false)
  })
})
