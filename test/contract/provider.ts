import { generateKeyPairSync } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import type { PaymentFact } from '../../src/core/fact.ts'
import {
  NotificationRejected,
  ProviderRejected,
  ProviderUnknown,
  type CloseRequest,
  type NotificationMessage,
  type PrepayRequest,
  type Provider,
} from '../../src/core/provider.ts'
import { LostAnswer, type Transport, type WireRequest } from '../../src/core/transport.ts'
import { ending, failure, impatient, never, scale, until, type Bench, type Operation } from './bench.ts'

/**
 * Every promise of the payment port (design.md 7 and 15), held against one adapter and the simulator of its provider.
 * An adapter that cannot keep one says so in `skip`, with the reason; everything else it has to keep.
 */

export type ContractOptions = {
  readonly start: () => Promise<Bench>
  readonly skip: readonly { readonly case: string; readonly reason: string }[]
}

type Case = (bench: Bench) => Promise<void>

const operations: readonly Operation[] = ['prepay', 'query', 'close', 'refund', 'queryRefund']
const minute = 60_000 / scale
/** Faults that strike before the provider has done anything, and those after which it is done and the answer lost. */
const early = ['refuse', 'reset', 'serverError']
const lost = ['hang', 'failAfterAccept', 'truncate', 'badSignature', 'unsigned']

const closing = (request: PrepayRequest, attempt = 1): CloseRequest => ({
  ...request,
  attempt,
  requestedAt: Date.now(),
})

/** Runs one operation of the port about a payment and a refund of it. */
function run(
  provider: Provider,
  operation: Operation,
  request: PrepayRequest,
  bench: Bench,
  refund = bench.refundOf(request, 400),
): Promise<unknown> {
  const verbs = {
    prepay: () => provider.prepay(request, never),
    query: () => provider.queryPayment(request, never),
    close: () => provider.closePayment(closing(request), never),
    refund: () => provider.refund(refund, never),
    queryRefund: () => provider.queryRefund(refund, never),
  } as const
  return verbs[operation]()
}

/** What the adapter would send: a transport that keeps the request and gives no answer. */
async function sent(
  bench: Bench,
  now: () => number,
  work: (provider: Provider) => Promise<unknown>,
): Promise<WireRequest> {
  const kept: WireRequest[] = []
  const transport: Transport = (request) => {
    kept.push(request)
    return Promise.reject(new LostAnswer('kept'))
  }
  expect(await ending(work(bench.build({ transport, now })))).to.equal('PROVIDER_UNKNOWN')
  expect(kept, 'one request for one call').to.have.length(1)
  const [request] = kept
  if (request === undefined) throw new Error('nothing was sent')
  return request
}

/** Nonce, time and signature are the only parts that may differ between two sendings. */
function lasting({ headers, ...request }: WireRequest) {
  const { Authorization: _, ...others } = headers
  return { ...request, headers: others }
}

/** The facts of a payment as far as two witnesses must agree: words for people are their own. */
function substance(fact: PaymentFact) {
  return { ...fact, detail: undefined }
}

async function notices(bench: Bench, request: PrepayRequest): Promise<readonly NotificationMessage[]> {
  const mine: NotificationMessage[] = []
  for (const { message, status } of bench.received) {
    if (status === 0 || status >= 300) continue
    const { facts } = await bench.provider.readNotification(message)
    if (facts.some((fact) => fact.about === 'payment' && fact.paymentId === request.paymentId)) mine.push(message)
  }
  return mine
}

async function firstNotice(bench: Bench): Promise<NotificationMessage> {
  const { request } = await bench.paid()
  return until('a notification', async () => (await notices(bench, request))[0])
}

const portCases: Readonly<Record<string, Case>> = {
  'prepay yields an invocation that the wallet can pay, and only that one': async (bench) => {
    for (const method of ['wechat_jsapi', 'wechat_mini'] as const) {
      const { officialAccount, miniProgram } = bench.simulators.credentials.wechatPay
      const request = bench.request({
        method,
        openid: method === 'wechat_mini' ? miniProgram.openid : officialAccount.openid,
      })
      const { invocation, usableUntil } = await bench.provider.prepay(request, never)
      if (invocation.kind !== 'jsapi') throw new Error('expected launch fields')
      expect(invocation.appId).to.equal(bench.provider.methods[method]?.openidOf)
      expect(usableUntil).to.be.within(Date.now() + 1, request.expiresAt)
      const other = { ...invocation, package: `${invocation.package}x` }
      expect(await bench.kind.pay(bench, request, other), 'changed launch fields').to.be.at.least(400)
      expect((await bench.provider.queryPayment(request, never)).seen).to.equal('pending')
      expect(await bench.kind.pay(bench, request, invocation)).to.equal(200)
      expect((await bench.provider.queryPayment(request, never)).seen).to.equal('succeeded')
    }
  },

  'the same request gives the same bytes, today, in a second and tomorrow': async (bench) => {
    const request = bench.request({ createdAt: Date.parse('2026-03-01T23:59:59.900+08:00') })
    const refund = bench.refundOf(request, 400)
    const close = closing(request)
    const verbs: Record<Operation, (provider: Provider) => Promise<unknown>> = {
      prepay: (provider) => provider.prepay(request, never),
      query: (provider) => provider.queryPayment(request, never),
      close: (provider) => provider.closePayment(close, never),
      refund: (provider) => provider.refund(refund, never),
      queryRefund: (provider) => provider.queryRefund(refund, never),
    }
    for (const operation of operations) {
      const now = Date.now()
      const first = lasting(await sent(bench, () => now, verbs[operation]))
      for (const later of [now + 1000, now + 86_400_000, now + 366 * 86_400_000]) {
        const again = lasting(await sent(bench, () => later, verbs[operation]))
        expect(again, `${operation} at another time`).to.deep.equal(first)
      }
      // A comparison that could not tell two requests apart would prove nothing.
      const other = bench.request({ createdAt: request.createdAt + 1000, amount: { amount: 1001, currency: 'CNY' } })
      const different = lasting(
        await sent(
          bench,
          () => now,
          (provider) => run(provider, operation, other, bench),
        ),
      )
      expect(different, operation).to.not.deep.equal(first)
    }
  },

  'a connection that is refused is a refusal, in every operation': async (bench) => {
    const provider = bench.build({ settings: { baseUrl: 'http://127.0.0.1:1' } })
    const request = bench.request()
    for (const operation of operations) {
      const error = await failure(run(provider, operation, request, bench))
      expect(error, operation).to.be.instanceOf(ProviderRejected)
      expect(error.reason, operation).to.equal('unreachable')
    }
  },

  'codes that no document lists are unknown, in every operation': async (bench) => {
    const provider = bench.build({ transport: () => Promise.resolve(bench.kind.unknownCode(bench.simulators)) })
    const request = bench.request()
    for (const operation of operations) {
      expect(await failure(run(provider, operation, request, bench)), operation).to.be.instanceOf(ProviderUnknown)
    }
  },

  'the number nobody knows is absent, for payments and refunds': async (bench) => {
    const request = bench.request()
    expect((await bench.provider.queryPayment(request, never)).seen).to.equal('absent')
    expect((await bench.provider.queryRefund(bench.refundOf(request, 1), never)).seen).to.equal('absent')
  },

  'a close of an unpaid order ends in closed, and then nobody can pay': async (bench) => {
    const request = bench.request()
    const { invocation } = await bench.provider.prepay(request, never)
    await sleep(minute + 20)
    let fact = await bench.provider.closePayment(closing(request), never)
    expect(fact.seen).to.be.oneOf(['closed', 'pending'])
    for (let attempt = 2; fact.seen === 'pending' && attempt < 20; attempt += 1) {
      await sleep(20)
      fact = await bench.provider.closePayment(closing(request, attempt), never)
    }
    expect(fact.seen).to.equal('closed')
    expect((await bench.provider.queryPayment(request, never)).seen).to.equal('closed')
    expect(await bench.kind.pay(bench, request, invocation)).to.be.at.least(400)
  },

  'a close after the payment answers succeeded': async (bench) => {
    const { request } = await bench.paid()
    await sleep(minute + 20)
    const fact = await bench.provider.closePayment(closing(request), never)
    expect(fact.seen).to.equal('succeeded')
    expect(fact.amount).to.deep.equal({ amount: 1000, currency: 'CNY' })
  },

  'a refund can be repeated by its number, at any time, and happens once': async (bench) => {
    const { request } = await bench.paid()
    const refund = bench.refundOf(request, 400)
    const was = await bench.kind.sums(bench)
    const endings = [await ending(bench.provider.refund(refund, never))]
    expect(endings[0]).to.be.oneOf(['processing', 'succeeded'])
    endings.push(...(await Promise.all(Array.from({ length: 3 }, () => ending(bench.provider.refund(refund, never))))))
    await sleep(minute + 20)
    endings.push(await ending(bench.provider.refund(refund, never)))
    for (const end of endings) expect(end).to.be.oneOf(['processing', 'succeeded', 'PROVIDER_UNKNOWN'])
    await until('refund done', async () => (await bench.provider.queryRefund(refund, never)).seen === 'succeeded')
    const is = await bench.kind.sums(bench)
    expect([is.refunds - was.refunds, is.refunded - was.refunded]).to.deep.equal([1, 400])
  },

  'partial refunds add up to the payment, and one fen more is refused': async (bench) => {
    const { request } = await bench.paid(1000)
    const was = await bench.kind.sums(bench)
    for (const amount of [1, 333, 666]) {
      const refund = bench.refundOf(request, amount)
      const fact = await bench.provider.refund(refund, never)
      expect(fact.amount ?? { amount, currency: 'CNY' }).to.deep.equal({ amount, currency: 'CNY' })
      const done = await until('refund done', async () => {
        const now = await bench.provider.queryRefund(refund, never)
        return now.seen === 'succeeded' ? now : undefined
      })
      expect(done.amount).to.deep.equal({ amount, currency: 'CNY' })
      expect([done.refundId, done.paymentId]).to.deep.equal([refund.refundId, request.paymentId])
      await sleep(minute + 20)
    }
    const error = await failure(bench.provider.refund(bench.refundOf(request, 1), never))
    expect(error).to.be.instanceOf(ProviderRejected)
    expect(error.reason).to.equal('invalid_request')
    expect((await bench.kind.sums(bench)).refunded - was.refunded).to.equal(1000)
    expect((await bench.provider.queryPayment(request, never)).seen, 'it was paid all the same').to.equal('succeeded')
  },

  'query and notification tell the same fact, coupons included': async (bench) => {
    const request = bench.request({ amount: { amount: 1000, currency: 'CNY' } })
    const { invocation } = await bench.provider.prepay(request, never)
    expect(await bench.kind.pay(bench, request, invocation, 900)).to.equal(200)
    await until('an accepted notification', async () => {
      const queried = await bench.provider.queryPayment(request, never)
      const told = await Promise.all((await notices(bench, request)).map((one) => bench.provider.readNotification(one)))
      const facts = told.flatMap(({ facts: all }) => all).filter((fact) => fact.about === 'payment')
      const last = facts.find((fact) => fact.account === queried.account)
      if (last === undefined || (queried.account !== undefined && queried.account !== 'credited')) return false
      expect(substance(last)).to.deep.equal(substance(queried))
      expect(queried.amount).to.deep.equal({ amount: 1000, currency: 'CNY' })
      expect(queried.payerAmount).to.deep.equal({ amount: 900, currency: 'CNY' })
      expect(queried.transactionId).to.be.a('string')
      return true
    })
  },

  'the reply satisfies the provider, which then stops repeating': async (bench) => {
    const { request } = await bench.paid()
    const refund = bench.refundOf(request, 400)
    await bench.provider.refund(refund, never)
    const number = refund.submission.number
    await until('both told', () => {
      const attempts = bench.simulators.notifier.attempts().filter(({ accepted }) => accepted)
      const told = (text: string) => attempts.some(({ label }) => label.includes(text))
      return told(request.paymentId.replace('_', '')) && told(number)
    })
    await bench.simulators.notifier.idle()
  },

  'a notification is read without network, twice, and says the same': async (bench) => {
    const message = await firstNotice(bench)
    const provider = bench.build({
      transport: () => Promise.reject(new Error('a notification went out to the network')),
    })
    const [first, second] = [await provider.readNotification(message), await provider.readNotification(message)]
    expect(first.facts).to.have.length(1)
    expect(second).to.deep.equal(first)
    expect(first.eventId).to.match(/^[\x21-\x7e]{1,80}$/)
  },

  'a notification repeated under a fresh signature is recognised by its event id': async (bench) => {
    await bench.chaos('notifyTwice', 'notify')
    const { request } = await bench.paid()
    await until('a repeat', async () => {
      const all = await Promise.all((await notices(bench, request)).map((one) => bench.provider.readNotification(one)))
      const ids = all.map(({ eventId }) => eventId)
      return ids.length > new Set(ids).size
    })
    const other = await firstNotice(bench)
    const ids = (await notices(bench, request)).map((one) => bench.provider.readNotification(one))
    const { eventId } = await bench.provider.readNotification(other)
    expect((await Promise.all(ids)).map((one) => one.eventId)).to.not.include(eventId)
  },

  'a notification that was tampered with is refused': async (bench) => {
    const message = await firstNotice(bench)
    const text = message.body.toString('latin1')
    // Huifu's form begins with words for people, which nobody signs.
    const from = Math.max(0, text.indexOf('sign=')) + 8
    for (const at of [0, 0.2, 0.5, 0.99].map((share) => from + Math.floor((text.length - from) * share))) {
      const body = Buffer.from(message.body)
      body[at] = (body[at] ?? 0) ^ 1
      expect(
        await failure(bench.provider.readNotification({ ...message, body })),
        `byte ${String(at)}`,
      ).to.be.instanceOf(NotificationRejected)
    }
    const empty = { ...message, body: Buffer.alloc(0) }
    expect(await failure(bench.provider.readNotification(empty))).to.be.instanceOf(NotificationRejected)
    expect(await failure(bench.provider.readNotification({ ...message, door: 'console' }))).to.be.instanceOf(
      NotificationRejected,
    )
  },

  'a stale notification is refused, one of five minutes is not': async (bench) => {
    const message = await firstNotice(bench)
    const stamp = Number.parseInt(message.headers['wechatpay-timestamp'] ?? '', 10) * 1000
    for (const skew of [-300_000, 300_000]) {
      const { facts } = await bench.provider.readNotification({ ...message, receivedAt: stamp + skew })
      expect(facts).to.have.length(1)
    }
    for (const skew of [-301_000, 301_000]) {
      const error = await failure(bench.provider.readNotification({ ...message, receivedAt: stamp + skew }))
      expect([error instanceof NotificationRejected, error.why]).to.deep.equal([true, 'stale'])
    }
  },

  'amounts are whole numbers above zero, or nothing is sent': async (bench) => {
    const outside: WireRequest[] = []
    const provider = bench.build({
      transport: (request) => {
        outside.push(request)
        return Promise.reject(new LostAnswer('must not be sent'))
      },
    })
    for (const amount of [0, -1, 0.5, 100.1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
      const money = { amount, currency: 'CNY' } as const
      const request = bench.request({ amount: money })
      for (const work of [
        provider.prepay(request, never),
        provider.refund(bench.refundOf(bench.request(), amount), never),
      ]) {
        const error = await failure(work)
        expect(error, String(amount)).to.be.instanceOf(ProviderRejected)
        expect(error.reason, String(amount)).to.equal('invalid_request')
      }
    }
    expect(outside).to.deep.equal([])
  },

  'what is refused says how to cure it': async (bench) => {
    const { privateKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    })
    const wrongKey = await failure(bench.build({ settings: { privateKey } }).prepay(bench.request(), never))
    expect(wrongKey).to.be.instanceOf(ProviderRejected)
    expect(wrongKey.reason).to.equal('misconfigured')
    expect(wrongKey.message).to.match(/check .*private ?key/i)

    const noOpenid = await failure(bench.provider.prepay(bench.request({ openid: '' }), never))
    expect([noOpenid.reason, /needs the openid of the payer/.test(noOpenid.message)]).to.deep.equal([
      'invalid_request',
      true,
    ])
    const method = await failure(bench.provider.prepay(bench.request({ method: 'alipay_native' }), never))
    expect([method.reason, /alipay_native/.test(method.message)]).to.deep.equal(['unsupported', true])
    const currency = await failure(
      bench.provider.prepay(bench.request({ amount: { amount: 100, currency: 'USD' } }), never),
    )
    expect([currency.reason, /CNY only/.test(currency.message)]).to.deep.equal(['unsupported', true])
  },
}

/** One fault in one operation: what the caller hears, what the provider believes, and that asking settles it. */
async function suffer(bench: Bench, fault: string, operation: Operation, paid: PrepayRequest): Promise<void> {
  // Only the call that hangs is given little time: the others must not fail because this machine is busy.
  const provider = fault === 'hang' ? bench.build({ settings: impatient[bench.kind.provider] ?? {} }) : bench.provider
  const about = operation === 'refund' || operation === 'queryRefund' ? paid : bench.request()
  const refund = bench.refundOf(about, 1)
  if (operation === 'query' || operation === 'close') await bench.provider.prepay(about, never)
  if (operation !== 'prepay' && operation !== 'query') await sleep(minute + 20)
  if (operation === 'queryRefund') await bench.provider.refund(refund, never)
  const requests = bench.wire.length
  await bench.chaos(fault, operation)
  const end = await ending(run(provider, operation, about, bench, refund))
  const repeats = bench.kind.repeats.includes(fault)
  if (!repeats) {
    expect(end).to.equal('PROVIDER_UNKNOWN')
    expect(bench.wire.length - requests, 'no hidden retry').to.equal(1)
  } else {
    expect(end).to.not.match(/^PROVIDER|^escaped/)
    expect(bench.wire.length - requests, 'exactly one repeat').to.equal(2)
  }
  if (operation === 'prepay') {
    expect((await bench.provider.queryPayment(about, never)).seen).to.equal(
      early.includes(fault) ? 'absent' : 'pending',
    )
  }
  if (operation === 'refund') {
    const { seen } = await bench.provider.queryRefund(refund, never)
    expect(seen).to.be.oneOf(early.includes(fault) ? ['absent'] : ['processing', 'succeeded'])
  }
  if (operation === 'query') expect((await bench.provider.queryPayment(about, never)).seen).to.equal('pending')
}

export function describeProvider(name: string, { start, skip }: ContractOptions): void {
  const skipped = new Set(skip.map((one) => one.case))
  for (const one of skipped) if (!Object.hasOwn(portCases, one)) throw new Error(`no such promise: ${one}`)

  describe(`the payment port over ${name}`, function () {
    this.timeout(30_000)
    let bench: Bench
    before(async () => {
      bench = await start()
    })
    after(() => bench.close())

    for (const [title, promise] of Object.entries(portCases)) {
      if (!skipped.has(title)) it(title, () => promise(bench))
    }

    describe('under faults', () => {
      let paid: PrepayRequest
      before(async () => {
        paid = (await bench.paid(100_000)).request
      })
      for (const fault of [...early, ...lost]) {
        it(`${fault} is classified in every operation`, async () => {
          for (const operation of operations) await suffer(bench, fault, operation, paid)
        })
      }
    })

    describe('after all this', () => {
      it('wrote no key and no payer into any log line', () => {
        expect(bench.logs.length, 'the adapter logs its calls').to.be.above(50)
        const secrets = bench.kind.secrets(bench.simulators)
        expect(secrets.length).to.be.above(1)
        for (const line of bench.logs) {
          for (const secret of secrets) expect(line.includes(secret), line.slice(0, 200)).to.equal(false)
          expect(line).to.not.match(/Authorization|BEGIN [A-Z ]*KEY|WECHATPAY2-SHA256|"sign"/)
        }
      })
    })
  })
}
