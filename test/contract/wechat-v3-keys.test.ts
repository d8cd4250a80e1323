import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { NotificationRejected, ProviderUnknown, type Provider } from '../../src/core/provider.ts'
import { ending, failure, never, startBench, until, type Bench } from './bench.ts'
import { wechat } from './kinds.ts'

/** The keys of WeChat Pay: public key, platform certificates, and the switch between them (wechatpay.md 1.4 to 1.7, 9.4). */

const certificate = { keyMode: 'certificate', wechatKey: undefined }
const both = (until_ms: number) => ({ keyMode: 'both', bothUntil: new Date(until_ms).toISOString() })

describe('the keys of WeChat Pay', function () {
  this.timeout(30_000)
  let bench: Bench
  beforeEach(async () => {
    bench = await startBench(wechat)
  })
  afterEach(() => bench.close())

  const sim = async (path: string, fields: Record<string, string>) => {
    const answer = await bench.control(`/_sim/wechat-pay/${path}`, fields)
    expect(answer.status, path).to.equal(200)
  }
  const downloads = () => bench.wire.filter(({ url }) => url.endsWith('/v3/certificates')).length
  /** A payment's message, signed as asked; refused ones are repeated meanwhile, so it is told by its serial. */
  const paidMessage = async (signed_by: 'pubkey' | 'cert', provider = bench.provider) => {
    const request = bench.request()
    const count = bench.received.length
    await provider.prepay(request, never)
    await sim('pay', { out_trade_no: request.paymentId.replace('_', ''), signed_by })
    const isPublic = signed_by === 'pubkey'
    const fits = ({ message }: Bench['received'][number]) =>
      (message.headers['wechatpay-serial'] ?? '').startsWith('PUB_KEY_ID_') === isPublic
    return until('a message', () => bench.received.slice(count).find(fits)?.message)
  }
  const seen = async (provider: Provider, signed_by: 'pubkey' | 'cert') => {
    const message = await paidMessage(signed_by)
    try {
      const { facts } = await provider.readNotification({ ...message, receivedAt: Date.now() })
      return facts[0]?.seen
    } catch (error) {
      return error instanceof NotificationRejected ? error.why : 'escaped'
    }
  }

  it('public-key mode asks for that key, believes no certificate and downloads none', async () => {
    await sim('mode', { keys: 'public-key' })
    expect(await ending(bench.provider.prepay(bench.request(), never))).to.equal('value')
    expect(bench.wire.at(-1)?.headers['Wechatpay-Serial']).to.equal(bench.simulators.credentials.wechatPay.publicKeyId)
    await sim('mode', { keys: 'certificate' })
    expect(await failure(bench.provider.prepay(bench.request(), never))).to.be.instanceOf(ProviderUnknown)
    await sim('mode', { keys: 'switching' })
    expect(await seen(bench.provider, 'pubkey')).to.equal('succeeded')
    expect(await seen(bench.provider, 'cert')).to.equal('signature')
    expect(downloads()).to.equal(0)
  })

  it('certificate mode downloads once for many calls at once, and believes no public key', async () => {
    await sim('mode', { keys: 'certificate' })
    const provider = bench.build({ settings: certificate })
    const requests = Array.from({ length: 5 }, () => bench.request())
    const endings = await Promise.all(requests.map((request) => ending(provider.prepay(request, never))))
    expect(endings).to.deep.equal(requests.map(() => 'value'))
    expect(downloads()).to.equal(1)
    expect(bench.wire.at(-1)?.headers).to.not.have.property('Wechatpay-Serial')
    await sim('mode', { keys: 'switching' })
    expect(await seen(provider, 'cert')).to.equal('succeeded')
    expect(await seen(provider, 'pubkey')).to.equal('signature')
    expect(downloads()).to.equal(1)
  })

  it('a rotated certificate is found without a restart, and the old one stays good', async () => {
    await sim('mode', { keys: 'certificate' })
    let ahead = 0
    const provider = bench.build({ settings: certificate, now: () => Date.now() + ahead })
    const old = await paidMessage('cert', provider)
    await sim('rotate', {})
    // An unknown serial may cause one download in ten minutes, and no more (reliability.md T03).
    expect(await failure(provider.prepay(bench.request(), never))).to.be.instanceOf(ProviderUnknown)
    expect(downloads()).to.equal(1)
    ahead = 200_000
    expect(await failure(provider.prepay(bench.request(), never)), 'ten minutes have not passed').to.be.instanceOf(
      ProviderUnknown,
    )
    const rotated = bench.build({ settings: certificate })
    expect(await ending(rotated.prepay(bench.request(), never))).to.equal('value')
    const { facts } = await rotated.readNotification(old)
    expect(facts[0]?.seen).to.equal('succeeded')
    expect(downloads()).to.equal(2)
  })

  it('a certificate that came with the rotation is used by the same adapter ten minutes later', async () => {
    let ahead = 0
    // Both sides live in the same time, or every signature would be stale.
    await sim('mode', { keys: 'certificate' })
    const provider = bench.build({ settings: certificate, now: () => Date.now() + ahead })
    await provider.prepay(bench.request(), never)
    await sim('rotate', {})
    ahead = 10 * 60_000 + 1000
    expect((await bench.control('/_sim/clock', { advance_ms: String(ahead) })).status).to.equal(200)
    const request = bench.request({ createdAt: Date.now() + ahead, expiresAt: Date.now() + ahead + 30 * 60_000 })
    expect(await ending(provider.prepay(request, never))).to.equal('value')
    expect(downloads()).to.equal(2)
  })

  it('during a switch both are believed, after its end the public key only', async () => {
    await sim('mode', { keys: 'switching', share: '0.5' })
    const provider = bench.build({ settings: both(Date.now() + 60_000) })
    expect(await ending(provider.prepay(bench.request(), never))).to.equal('value')
    expect([await seen(provider, 'pubkey'), await seen(provider, 'cert')]).to.deep.equal(['succeeded', 'succeeded'])
    const ended = bench.build({ settings: both(Date.now() - 1) })
    expect([await seen(ended, 'pubkey'), await seen(ended, 'cert')]).to.deep.equal(['succeeded', 'signature'])
  })

  it('an empty 204 is signed, and believed only because of that', async () => {
    const request = bench.request()
    await bench.provider.prepay(request, never)
    expect(
      (await bench.provider.closePayment({ ...request, attempt: 1, requestedAt: Date.now() }, never)).seen,
    ).to.equal('closed')
    const other = bench.request()
    await bench.provider.prepay(other, never)
    await bench.chaos('unsigned', 'close')
    const error = await failure(bench.provider.closePayment({ ...other, attempt: 1, requestedAt: Date.now() }, never))
    expect(error).to.be.instanceOf(ProviderUnknown)
  })

  it('a probe on an answer leads to exactly one repeat, in every operation', async () => {
    const { request } = await bench.paid()
    const unpaid = bench.request()
    await bench.provider.prepay(unpaid, never)
    const refund = bench.refundOf(request, 400)
    const works = {
      prepay: () => bench.provider.prepay(bench.request(), never),
      query: () => bench.provider.queryPayment(request, never),
      close: () => bench.provider.closePayment({ ...unpaid, attempt: 1, requestedAt: Date.now() }, never),
      refund: () => bench.provider.refund(refund, never),
      queryRefund: () => bench.provider.queryRefund(refund, never),
    } as const
    for (const [operation, work] of Object.entries(works)) {
      const count = bench.wire.length
      await bench.chaos('probe', operation as keyof typeof works)
      expect(await ending(work()), operation).to.not.match(/^PROVIDER|^escaped/)
      const [first, second, ...others] = bench.wire.slice(count)
      expect([first?.url, first?.body, others.length]).to.deep.equal([second?.url, second?.body, 0])
      expect(first?.headers['Authorization'], 'a fresh signature').to.not.equal(second?.headers['Authorization'])
    }
    expect((await bench.kind.sums(bench)).refunds).to.equal(1)
  })

  it('a probe on a notification is refused, and the genuine repeat accepted', async () => {
    await bench.chaos('probe', 'notify')
    const message = await paidMessage('pubkey')
    const error = await failure(bench.provider.readNotification(message))
    expect([error instanceof NotificationRejected, error.why]).to.deep.equal([true, 'probe'])
    await sleep(50)
    await bench.simulators.notifier.idle()
    expect(bench.received.map(({ status }) => status)).to.deep.equal([401, 204])
    const books = (await (await bench.control('/_sim/wechat-pay/books', {}, 'GET')).json()) as { probes: unknown }
    expect(books.probes).to.deep.equal({ sent: 1, wronglyAccepted: 0 })
  })
})
