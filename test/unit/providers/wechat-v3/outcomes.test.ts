import { expect } from 'chai'
import { ProviderRejected, ProviderUnknown } from '../../../../src/core/provider.ts'
import {
  epoch,
  failureOf,
  keys,
  signatureHeaders,
  signed,
  start,
  unsigned,
  type Behaviour,
  type Fixture,
} from './platform.ts'
import {
  all,
  goodAnswers,
  never,
  number,
  openid,
  paid,
  payment,
  paymentId,
  refundId,
  refundNumber,
  refunding,
  transactionId,
  verbsOf,
  type Verb,
} from './samples.ts'

describe('wechat-v3 outcomes', () => {
  let f: Fixture
  const now = (): number => f.clock.now
  const verbs = verbsOf(() => f)
  const good = goodAnswers(now)
  before(async () => {
    f = await start()
  })
  after(() => f.close())
  beforeEach(() => {
    f.clock.now = epoch
    f.lines.length = 0
  })

  describe('unknown outcomes', () => {
    const swapped = { ...signatureHeaders('x', epoch) }
    const behaviours: Record<string, (verb: Verb) => Behaviour> = {
      'a hang': () => () => undefined,
      'a reset': () => (response) => void response.socket?.resetAndDestroy(),
      'status 500': () => unsigned(500, { code: 'SYSTEM_ERROR' }),
      'status 502 with HTML': () => unsigned(502, '<html>Bad Gateway</html>', { 'content-type': 'text/html' }),
      'status 503': () => unsigned(503, { code: 'SERVICE_UNAVAILABLE' }),
      'status 500 with a code that is final elsewhere': () => unsigned(500, { code: 'PARAM_ERROR' }),
      'a redirect': () => unsigned(302, undefined, { location: 'https://elsewhere.example/' }),
      'status 999': () => unsigned(999, { code: 'PARAM_ERROR' }),
      'status 404 without body': () => unsigned(404, undefined),
      'status 405 without body': () => unsigned(405, undefined),
      'an undocumented code': () => unsigned(400, { code: 'SOMETHING_NEW', message: '' }),
      'a code in lower case': () => unsigned(400, { code: 'param_error' }),
      'a doubled code': () => unsigned(400, '{"code":"PARAM_ERROR","code":"PARAM_ERROR"}'),
      'status 400 with HTML': () => unsigned(400, '<html>PARAM_ERROR</html>'),
      'an unsigned 200': () => unsigned(200, paid),
      'an unsigned 204': () => unsigned(204, undefined),
      'a stale timestamp': () => signed(200, paid, () => epoch - 301_000),
      'a timestamp of the future': () => signed(200, paid, () => epoch + 301_000),
      'an unknown serial': () => signed(200, paid, now, { serial: 'PUB_KEY_ID_01' }),
      'a platform certificate serial in public key mode': () => signed(200, paid, now, { serial: keys.platformSerial }),
      'a signature by another key': () => signed(200, paid, now, { privateKey: keys.merchantPrivateKey }),
      'a signature of other bytes': () => (response) => void response.writeHead(200, swapped).end(JSON.stringify(paid)),
      'another algorithm': () => (response) => {
        const body = JSON.stringify(paid)
        const headers = { ...signatureHeaders(body, epoch), 'wechatpay-signature-type': 'WECHATPAY2-SM2-WITH-SM3' }
        response.writeHead(200, headers).end(body)
      },
      'a doubled signature header': () => (response) => {
        const body = JSON.stringify(paid)
        const headers = signatureHeaders(body, epoch)
        const signature = headers['wechatpay-signature'] ?? ''
        response.writeHead(200, { ...headers, 'wechatpay-signature': [signature, signature] }).end(body)
      },
      'a truncated body': (verb) => (response, request) => {
        response.on('pipe', () => undefined)
        response.setHeader('content-length', '500')
        response.write('{"prepay_id":', () => response.socket?.destroy())
        expect(request.method).to.equal(verb === 'query' || verb === 'queryRefund' ? 'GET' : 'POST')
      },
      'signed HTML': () => signed(200, '<html></html>', now),
      'signed JSON of another form': () => signed(200, '[]', now),
      'a signed 202': () => signed(202, paid, now),
      'an endless probe': (verb) =>
        signed(verb === 'close' ? 204 : 200, verb === 'close' ? undefined : paid, now, {
          signature: `WECHATPAY/SIGNTEST/${'A'.repeat(88)}`,
        }),
    }
    for (const [name, behave] of Object.entries(behaviours)) {
      it(name, async () => {
        for (const verb of all) {
          // An empty success is what a close asks for; signed words in it change nothing.
          if (verb === 'close' && name === 'signed JSON of another form') continue
          f.platform.answer(behave(verb))
          const error = await failureOf(verbs[verb]())
          expect(error, verb).to.be.instanceOf(ProviderUnknown)
          expect(f.platform.received.length, verb).to.be.within(1, 2)
        }
      })
    }

    it('a signed 204 where a body is due', async () => {
      f.platform.answer(signed(204, undefined, now))
      for (const verb of all.filter((name) => name !== 'close')) {
        expect(await failureOf(verbs[verb]()), verb).to.be.instanceOf(ProviderUnknown)
      }
    })

    const echoes: Record<string, object> = {
      'another out_trade_no': { out_trade_no: `${number.slice(0, -1)}9` },
      'another mchid': { mchid: '1900000110' },
      'another appid': { appid: 'wx7777777777777777' },
      'an unknown state': { trade_state: 'PAID' },
      'a state of the prototype': { trade_state: 'constructor' },
      'no amount': { amount: undefined },
      'no transaction id': { transaction_id: '' },
      'an unknown currency': { amount: { total: 100, currency: 'XXX' } },
      'an amount as text': { amount: { total: '100', currency: 'CNY' } },
      'no amount at all': { amount: { total: 0, currency: 'CNY' } },
    }
    for (const [name, change] of Object.entries(echoes)) {
      it(`a genuine order with ${name}`, async () => {
        f.platform.answer(signed(200, { ...paid, ...change }, now))
        expect(await failureOf(verbs.query())).to.be.instanceOf(ProviderUnknown)
      })
    }

    it('a genuine order with another transaction id than the one asked for', async () => {
      f.platform.answer(signed(200, { ...paid, transaction_id: '4200000000202510090000000002' }, now))
      expect(await failureOf(f.provider.queryPayment({ ...payment, transactionId }, never))).to.be.instanceOf(
        ProviderUnknown,
      )
    })

    for (const spelling of ['100.0', '1e2', '100.00', '99999999999999999999', '-100', 'true', '[100]']) {
      it(`an amount spelled ${spelling}`, async () => {
        f.platform.answer(signed(200, JSON.stringify(paid).replace('"total":100', `"total":${spelling}`), now))
        expect(await failureOf(verbs.query())).to.be.instanceOf(ProviderUnknown)
      })
    }

    it('a genuine order with a repeated key', async () => {
      f.platform.answer(signed(200, JSON.stringify(paid).replace('{', '{"trade_state":"SUCCESS",'), now))
      expect(await failureOf(verbs.query())).to.be.instanceOf(ProviderUnknown)
    })

    const refundEchoes: Record<string, object> = {
      'another out_refund_no': { out_refund_no: `${refundNumber}02` },
      'another out_trade_no': { out_trade_no: 'pay01K6Y9ZQ8V0000000000000009' },
      'an unknown status': { status: 'DONE' },
      'no status': { status: undefined },
    }
    for (const [name, change] of Object.entries(refundEchoes)) {
      it(`a genuine refund with ${name}`, async () => {
        f.platform.answer(signed(200, { ...refunding, ...change }, now))
        for (const verb of ['refund', 'queryRefund'] as const) {
          expect(await failureOf(verbs[verb]()), verb).to.be.instanceOf(ProviderUnknown)
        }
      })
    }

    it('a genuine refund of another amount', async () => {
      f.platform.answer(signed(200, { ...refunding, amount: { total: 100, refund: 41, currency: 'CNY' } }, now))
      expect(await failureOf(verbs.refund())).to.be.instanceOf(ProviderUnknown)
    })
  })

  describe('probes', () => {
    for (const verb of ['prepay', 'query', 'close', 'refund', 'queryRefund'] as const) {
      it(`are answered by one repeat: ${verb}`, async () => {
        const probe: Behaviour = (response, request) => {
          const body = request.method === 'GET' ? JSON.stringify(paid) : ''
          const headers = signatureHeaders(body, epoch, { signature: `WECHATPAY/SIGNTEST/${'A'.repeat(88)}` })
          response.writeHead(200, headers).end(body)
        }
        f.platform.answer(probe, good[verb]())
        await verbs[verb]()
        const [first, second] = f.platform.received
        expect(f.platform.received).to.have.length(2)
        expect(second?.body).to.equal(first?.body)
        expect(second?.headers.authorization).to.not.equal(first?.headers.authorization)
        expect(f.lines.map((line) => [line.level, line.fields?.outcome])).to.deep.equal([
          ['info', 'probe'],
          ['info', 'done'],
        ])
      })
    }

    it('a bad signature is repeated once, a missing one is not', async () => {
      f.platform.answer(signed(200, paid, now, { privateKey: keys.merchantPrivateKey }), good.query())
      expect(await verbs.query()).to.include({ seen: 'succeeded' })
      f.platform.answer(unsigned(200, paid), good.query())
      expect(await failureOf(verbs.query())).to.be.instanceOf(ProviderUnknown)
      expect(f.platform.received).to.have.length(1)
    })
  })

  describe('answers within the window', () => {
    for (const skew of [-300, -299, 299, 300]) {
      it(`${String(skew)} s`, async () => {
        f.platform.answer(signed(200, paid, () => epoch + skew * 1000))
        expect(await verbs.query()).to.include({ seen: 'succeeded' })
      })
    }
  })

  describe('rejections', () => {
    type Case = readonly [Verb, number, string, string]
    const cases: readonly Case[] = [
      ['prepay', 400, 'PARAM_ERROR', 'invalid_request'],
      ['prepay', 400, 'INVALID_REQUEST', 'invalid_request'],
      ['prepay', 400, 'APPID_MCHID_NOT_MATCH', 'misconfigured'],
      ['prepay', 400, 'MCH_NOT_EXISTS', 'misconfigured'],
      ['prepay', 404, 'MCH_NOT_EXISTS', 'misconfigured'],
      ['prepay', 400, 'ORDER_CLOSED', 'declined'],
      ['prepay', 401, 'SIGN_ERROR', 'misconfigured'],
      ['prepay', 403, 'NO_AUTH', 'misconfigured'],
      ['prepay', 403, 'NOAUTH', 'misconfigured'],
      ['prepay', 403, 'RULE_LIMIT', 'declined'],
      ['prepay', 403, 'RULELIMIT', 'declined'],
      ['prepay', 403, 'TRADE_ERROR', 'declined'],
      ['prepay', 403, 'ACCOUNT_ERROR', 'declined'],
      ['prepay', 403, 'NOT_ENOUGH', 'declined'],
      ['prepay', 429, 'FREQUENCY_LIMITED', 'rate_limited'],
      ['prepay', 429, 'RATELIMIT_EXCEEDED', 'rate_limited'],
      ['prepay', 500, 'OPENID_MISMATCH', 'invalid_request'],
      ['query', 401, 'SIGN_ERROR', 'misconfigured'],
      ['query', 429, 'FREQUENCY_LIMITED', 'rate_limited'],
      ['close', 401, 'SIGN_ERROR', 'misconfigured'],
      ['refund', 400, 'PARAM_ERROR', 'invalid_request'],
      ['refund', 401, 'SIGN_ERROR', 'misconfigured'],
      ['refund', 403, 'NO_AUTH', 'misconfigured'],
      ['refund', 403, 'NOT_ENOUGH', 'insufficient_balance'],
      ['refund', 403, 'NOTENOUGH', 'insufficient_balance'],
      ['refund', 403, 'USER_ACCOUNT_ABNORMAL', 'declined'],
      ['refund', 404, 'MCH_NOT_EXISTS', 'misconfigured'],
      ['refund', 404, 'RESOURCE_NOT_EXISTS', 'invalid_request'],
      ['refund', 400, 'TRADE_OVERDUE', 'declined'],
      ['queryRefund', 401, 'SIGN_ERROR', 'misconfigured'],
    ]
    for (const [verb, status, code, reason] of cases) {
      it(`${verb} ${String(status)} ${code} is ${reason}`, async () => {
        f.platform.answer(unsigned(status, { code, message: '…' }))
        const error = await failureOf(verbs[verb]())
        expect(error).to.be.instanceOf(ProviderRejected).include({ reason })
        expect(f.platform.received).to.have.length(1)
      })
    }

    const unknown: readonly (readonly [Verb, number, string])[] = [
      ['prepay', 403, 'OUT_TRADE_NO_USED'],
      ['prepay', 400, 'ORDER_PAID'],
      ['prepay', 404, 'ORDER_NOT_EXIST'],
      ['prepay', 500, 'BANK_ERROR'],
      ['query', 500, 'INVALID_TRANSACTIONID'],
      ['query', 404, 'RESOURCE_NOT_EXISTS'],
      ['refund', 429, 'FREQUENCY_LIMITED'],
      ['refund', 404, 'ORDER_NOT_EXIST'],
      ['close', 400, 'RESOURCE_NOT_EXISTS'],
    ]
    for (const [verb, status, code] of unknown) {
      it(`${verb} ${String(status)} ${code} is unknown`, async () => {
        f.platform.answer(unsigned(status, { code }))
        expect(await failureOf(verbs[verb]()))
          .to.be.instanceOf(ProviderUnknown)
          .include({ providerCode: code })
      })
    }

    it('absence is a fact', async () => {
      f.platform.answer(unsigned(404, { code: 'ORDER_NOT_EXIST' }))
      expect(await verbs.query()).to.include({ about: 'payment', paymentId, seen: 'absent' })
      f.platform.answer(unsigned(404, { code: 'RESOURCE_NOT_EXISTS' }))
      expect(await verbs.queryRefund()).to.include({ refundId, seen: 'absent', submissionNumber: refundNumber })
    })

    it('the cure is named, the values are not', async () => {
      const detail = { field: '/payer/openid', value: openid, issue: `bad ${openid}`, location: 'body' }
      f.platform.answer(unsigned(400, { code: 'PARAM_ERROR', message: `appid和openid不匹配 ${openid}`, detail }))
      const error = await failureOf(verbs.prepay())
      expect(error).to.be.instanceOf(ProviderRejected)
      expect(String(error))
        .to.contain('/payer/openid')
        .and.contain('fetch the openid with the appid')
        .and.not.contain(openid)
    })
  })
})
