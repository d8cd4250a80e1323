import { expect } from 'chai'
import type { NotificationMessage } from '../../../../src/core/provider.ts'
import {
  certificateList,
  certificateSettings,
  epoch,
  failureOf,
  issueCertificate,
  keys,
  publicKeySettings,
  seal,
  signatureHeaders,
  signed,
  start,
  unsigned,
  type Fixture,
  type SignOptions,
} from './platform.ts'

const minute = 60_000
const own = { serial: keys.platformSerial, pem: keys.platformCertificate }
const nextSerial = '6C38BAE5D2F94071835E9CA6B1D7F2A4C9E3581D'

/** A genuine message without consequences, signed as told. */
function message(now: number, options: SignOptions = {}): NotificationMessage {
  const resource = {
    algorithm: 'AEAD_AES_256_GCM',
    ciphertext: seal('{}'),
    associated_data: 'transaction',
    nonce: '0123456789ab',
  }
  const body = JSON.stringify({ id: 'EV-1', event_type: 'OTHER', resource })
  const headers = signatureHeaders(body, now, { serial: keys.platformSerial, ...options })
  return { door: 'notify', query: {}, headers, body: Buffer.from(body), receivedAt: now }
}

describe('wechat-v3 keys', () => {
  const next = issueCertificate(nextSerial)
  let open: Fixture[] = []
  const begin = async (settings: object = certificateSettings): Promise<Fixture> => {
    const fixture = await start(settings)
    open.push(fixture)
    return fixture
  }
  afterEach(async () => {
    await Promise.all(open.map((fixture) => fixture.close()))
    open = []
  })
  const accepts = async (f: Fixture, options: SignOptions = {}): Promise<boolean> => {
    try {
      await f.provider.readNotification(message(f.clock.now, options))
      return true
    } catch {
      return false
    }
  }
  /** A list signed by the platform certificate of the vectors, unless told otherwise. */
  const list = (f: Fixture, entries: Parameters<typeof certificateList>[0] = [own], options: SignOptions = {}) =>
    signed(200, certificateList(entries), () => f.clock.now, { serial: keys.platformSerial, ...options })

  it('downloads once for many messages at the same time, and signs the download', async () => {
    const f = await begin()
    f.platform.answer(list(f))
    const results = await Promise.all(Array.from({ length: 50 }, () => accepts(f)))
    expect(results.every(Boolean)).to.equal(true)
    expect(f.platform.received).to.have.length(1)
    expect(f.platform.received[0]).to.include({ target: '/v3/certificates', method: 'GET', authentic: true })
    expect(f.platform.received[0]?.headers).to.not.have.property('wechatpay-serial')
  })

  it('makes at most one download for a thousand unknown serials, and one more after ten minutes', async () => {
    const f = await begin()
    f.platform.answer(list(f))
    expect(await accepts(f)).to.equal(true)
    f.clock.now += 10 * minute + 1
    for (let count = 0; count < 1_000; count += 1) {
      const serial = count.toString(16).toUpperCase().padStart(40, '0')
      expect(await accepts(f, { serial })).to.equal(false)
    }
    expect(f.platform.received).to.have.length(2)
    f.clock.now += 9 * minute
    await accepts(f, { serial: nextSerial })
    expect(f.platform.received).to.have.length(2)
    f.clock.now += minute + 1
    await accepts(f, { serial: nextSerial })
    expect(f.platform.received).to.have.length(3)
  })

  it('learns a new certificate when a message names it', async () => {
    const f = await begin()
    f.platform.answer(list(f), list(f, [own, { serial: nextSerial, pem: next.pem }]))
    expect(await accepts(f)).to.equal(true)
    f.clock.now += 11 * minute
    expect(await accepts(f, { serial: nextSerial, privateKey: next.privateKey })).to.equal(true)
    expect(await accepts(f)).to.equal(true)
    expect(await accepts(f, { serial: nextSerial })).to.equal(false)
    expect(f.platform.received).to.have.length(2)
  })

  it('renews the list in the background before twelve hours have passed', async () => {
    const f = await begin()
    f.platform.answer(list(f))
    expect(await accepts(f)).to.equal(true)
    f.clock.now += 11 * 60 * minute
    expect(await accepts(f)).to.equal(true)
    expect(f.platform.received).to.have.length(1)
    f.clock.now += 60 * minute
    expect(await accepts(f)).to.equal(true)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(f.platform.received).to.have.length(2)
  })

  it('keeps what it has when a renewal fails, until it expires', async () => {
    const f = await begin()
    f.platform.answer(list(f), unsigned(500, { code: 'SYSTEM_ERROR' }))
    expect(await accepts(f)).to.equal(true)
    f.clock.now += 24 * 60 * minute
    expect(await accepts(f)).to.equal(true)
    f.clock.now = Date.parse('2044-01-01T00:00:00Z')
    expect(await accepts(f)).to.equal(false)
  })

  it('does not use certificates before or after their time', async () => {
    const f = await begin()
    const early = issueCertificate(nextSerial, '270101000000Z')
    f.platform.answer(list(f, [own, { serial: nextSerial, pem: early.pem }]))
    expect(await accepts(f, { serial: nextSerial, privateKey: early.privateKey })).to.equal(false)
    f.clock.now = Date.parse('2027-01-01T00:00:01Z')
    expect(await accepts(f, { serial: nextSerial, privateKey: early.privateKey })).to.equal(true)
  })

  describe('refuses a list', () => {
    const foreign = issueCertificate(nextSerial)
    type List = (f: Fixture) => ReturnType<typeof list>
    const lists: Record<string, List> = {
      'without signature': () => unsigned(200, certificateList([own])),
      'signed by nobody in it': (f) => list(f, [own], { serial: nextSerial, privateKey: foreign.privateKey }),
      'signed by another key under a serial in it': (f) => list(f, [own], { privateKey: foreign.privateKey }),
      'sealed with another APIv3 key': (f) => list(f, [{ ...own, key: 'x'.repeat(32) }]),
      'with one swapped entry': (f) => list(f, [own, { serial: nextSerial, pem: foreign.pem, key: 'x'.repeat(32) }]),
      'whose entry names another serial': (f) => list(f, [{ serial: keys.platformSerial, pem: foreign.pem }]),
      'that is stale': (f) => list(f, [own], { timestamp: String(epoch / 1000 - 301) }),
      'with a probe for a signature': (f) => list(f, [own], { signature: `WECHATPAY/SIGNTEST/${'A'.repeat(88)}` }),
      'that is empty': (f) => list(f, []),
      'that is not JSON': (f) => signed(200, '<html>', () => f.clock.now, { serial: keys.platformSerial }),
      'under status 404': () => unsigned(404, { code: 'RESOURCE_NOT_EXISTS' }),
    }
    for (const [name, make] of Object.entries(lists)) {
      it(name, async () => {
        const f = await begin()
        f.platform.answer(make(f), list(f))
        expect(await accepts(f)).to.equal(false)
        expect(await accepts(f)).to.equal(false)
        expect(f.platform.received).to.have.length(1)
        // A failed first download is tried again soon: until then every notification would be refused.
        f.clock.now += 16_000
        expect(await accepts(f)).to.equal(true)
        expect(JSON.stringify(f.lines)).to.not.contain('BEGIN')
      })
    }
  })

  it('opens a list sealed with the previous APIv3 key', async () => {
    const old = 'OldApiV3Key0123456789abcdefABCDE'
    const f = await begin({ ...certificateSettings, previousApiV3Key: old })
    f.platform.answer(list(f, [{ ...own, key: old }]))
    expect(await accepts(f)).to.equal(true)
  })

  it('keeps the kinds of serial apart by mode', async () => {
    const both = { ...publicKeySettings, keyMode: 'both', bothUntil: '2025-10-10T00:00:00+08:00' }
    const expected: readonly (readonly [object, boolean, boolean])[] = [
      [publicKeySettings, true, false],
      [certificateSettings, false, true],
      [both, true, true],
    ]
    for (const [settings, publicKey, certificate] of expected) {
      const f = await begin(settings)
      f.platform.answer(list(f))
      expect(await accepts(f, { serial: keys.publicKeyId })).to.equal(publicKey)
      expect(await accepts(f)).to.equal(certificate)
      if (!certificate) expect(f.platform.received).to.have.length(0)
    }
    const f = open[2]
    if (f === undefined) throw new Error('the third fixture is open')
    f.clock.now = Date.parse('2025-10-10T00:00:00+08:00')
    expect(await accepts(f)).to.equal(false)
    expect(await accepts(f, { serial: keys.publicKeyId })).to.equal(true)
  })

  it('verifies answers with platform certificates too', async () => {
    const f = await begin()
    const never = new AbortController().signal
    const answer = signed(204, undefined, () => f.clock.now, { serial: keys.platformSerial })
    const payment = { paymentId: 'pay_01K6Y9ZQ8V0000000000000001', createdAt: epoch, method: 'wechat_jsapi' } as const
    const close = { ...payment, amount: { amount: 1, currency: 'CNY' }, attempt: 1, requestedAt: epoch } as const
    f.platform.answer(answer, list(f))
    expect(await f.provider.closePayment(close, never)).to.include({ seen: 'closed' })
    expect(f.platform.received.map((request) => request.target.endsWith('/certificates'))).to.deep.equal([false, true])
  })

  it('stops a download when the channel is closed', async () => {
    const f = await begin()
    f.platform.answer(() => undefined)
    const waiting = failureOf(f.provider.readNotification(message(f.clock.now)))
    setTimeout(() => f.provider.close?.(), 50)
    const started = performance.now()
    await waiting
    expect(performance.now() - started).to.be.below(200)
  })
})
