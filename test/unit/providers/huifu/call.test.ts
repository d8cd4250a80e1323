import { expect } from 'chai'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import type { ServerResponse } from 'node:http'
import {
  adapter,
  errorOf,
  huifuId,
  keys,
  never,
  number,
  openid,
  payInfo,
  payment,
  prepayRequest,
  refundRequest,
  signedAnswer,
  signedByHuifu,
  sorted,
  startHuifu,
  type FakeHuifu,
  type Received,
} from './fake-huifu.ts'

const good = {
  resp_code: '00000100',
  resp_desc: '下单成功',
  trans_stat: 'P',
  pay_info: payInfo,
  huifu_id: huifuId,
  req_seq_id: number,
}

type Handler = (received: Received, response: ServerResponse) => void
const send =
  (status: number, body: string): Handler =>
  (_received, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(body)
  }

/** What happened on the wire, and how every state-changing call and every query must end. */
const cases: readonly [string, Handler, string, string | undefined, string][] = [
  ['no answer in time', () => {}, 'ProviderUnknown', undefined, 'NO_ANSWER'],
  ['a reset', (_received, response) => response.destroy(), 'ProviderUnknown', undefined, 'NO_ANSWER'],
  [
    'an answer that breaks off',
    (_received, response) => {
      response.writeHead(200, { 'content-length': '9999' }).write('{"data":')
      setTimeout(() => response.destroy(), 20)
    },
    'ProviderUnknown',
    undefined,
    'NO_ANSWER',
  ],
  ['500', send(500, '{}'), 'ProviderUnknown', undefined, 'HTTP_500'],
  ['502', send(502, '<html>'), 'ProviderUnknown', undefined, 'HTTP_502'],
  ['512', send(512, ''), 'ProviderUnknown', undefined, 'HTTP_512'],
  [
    'a genuine refusal on a 500',
    send(500, signedAnswer({ resp_code: '10000000', resp_desc: 'x' })),
    'ProviderUnknown',
    undefined,
    'HTTP_500',
  ],
  [
    'a genuine refusal on a 400',
    send(400, signedAnswer({ resp_code: '22000002', resp_desc: 'x' })),
    'ProviderUnknown',
    undefined,
    'HTTP_400',
  ],
  [
    'a system error whose object failed',
    send(200, signedAnswer({ resp_code: '98888888', trans_stat: 'F', huifu_id: huifuId })),
    'ProviderUnknown',
    undefined,
    '98888888',
  ],
  ['a gateway code on a 500', send(500, '{"resp_code":"40002"}'), 'ProviderUnknown', undefined, 'HTTP_500'],
  ['911', send(911, ''), 'ProviderRejected', 'rate_limited', 'HTTP_911'],
  ['914', send(914, '{}'), 'ProviderRejected', 'rate_limited', 'HTTP_914'],
  ['912', send(912, ''), 'ProviderRejected', 'misconfigured', 'HTTP_912'],
  ['921', send(921, ''), 'ProviderRejected', 'misconfigured', 'HTTP_921'],
  ['922', send(922, '{"resp_code":"40002"}'), 'ProviderRejected', 'misconfigured', 'HTTP_922'],
  ['923', send(923, ''), 'ProviderUnknown', undefined, 'HTTP_923'],
  ['404', send(404, 'no such service'), 'ProviderUnknown', undefined, 'UNREADABLE_HTTP_404'],
  ['a redirect', send(302, ''), 'ProviderUnknown', undefined, 'UNREADABLE_HTTP_302'],
  [
    'gateway code 40002',
    send(200, '{"resp_code":"40002","resp_desc":"签名失败"}'),
    'ProviderRejected',
    'misconfigured',
    '40002',
  ],
  [
    'gateway code 20001 in data',
    send(200, '{"data":{"resp_code":"20001"}}'),
    'ProviderRejected',
    'misconfigured',
    '20001',
  ],
  ['gateway code 20003 on a 400', send(400, '{"resp_code":20003}'), 'ProviderRejected', 'misconfigured', '20003'],
  ['gateway code 20000', send(200, '{"resp_code":"20000"}'), 'ProviderUnknown', undefined, '20000'],
  ['an unsigned success', send(200, `{"data":${sorted(good)}}`), 'ProviderUnknown', undefined, '00000100'],
  [
    'an unsigned refusal',
    send(200, '{"data":{"resp_code":"23000003","resp_desc":"余额不足"}}'),
    'ProviderUnknown',
    undefined,
    '23000003',
  ],
  [
    'a signature over something else',
    send(200, `{"data":${sorted(good)},"sign":"${signedByHuifu('{}')}"}`),
    'ProviderUnknown',
    undefined,
    'BAD_SIGNATURE',
  ],
  [
    'gateway code with a bad signature',
    send(200, '{"resp_code":"40002","data":{},"sign":"AAAA"}'),
    'ProviderUnknown',
    undefined,
    'BAD_SIGNATURE',
  ],
  [
    'data nested one level down',
    send(200, `{"answer":${signedAnswer(good)}}`),
    'ProviderUnknown',
    undefined,
    'UNSIGNED',
  ],
  ['a truncated body', send(200, signedAnswer(good).slice(0, -1)), 'ProviderUnknown', undefined, 'UNREADABLE_HTTP_200'],
  [
    'a genuine answer without a result',
    send(200, signedAnswer({ huifu_id: huifuId })),
    'ProviderUnknown',
    undefined,
    'HTTP_200',
  ],
  [
    'an answer larger than allowed',
    send(200, `{"x":"${'x'.repeat(1_100_000)}"}`),
    'ProviderUnknown',
    undefined,
    'NO_ANSWER',
  ],
  [
    'the answer to another request',
    send(200, signedAnswer({ ...good, req_seq_id: 'pay01KE5Z9Q8R7S6T5V4W3X2Y1Z0B', org_req_seq_id: 'x' })),
    'ProviderUnknown',
    undefined,
    'WRONG_ECHO',
  ],
  [
    'an answer about another merchant',
    send(200, signedAnswer({ ...good, huifu_id: '6666000100000002' })),
    'ProviderUnknown',
    undefined,
    'WRONG_ECHO',
  ],
  [
    'a refusal of another request',
    send(200, signedAnswer({ resp_code: '22000002', req_seq_id: 'x', org_req_seq_id: 'x' })),
    'ProviderUnknown',
    undefined,
    'WRONG_ECHO',
  ],
  [
    'a genuine refusal',
    send(200, signedAnswer({ resp_code: '22000002', resp_desc: '商户不存在' })),
    'ProviderRejected',
    'misconfigured',
    '22000002',
  ],
  [
    'a genuine unheard-of code',
    send(200, signedAnswer({ resp_code: '31415926', resp_desc: '?' })),
    'ProviderUnknown',
    undefined,
    '31415926',
  ],
]

describe('huifu call', () => {
  let fake: FakeHuifu
  let made: ReturnType<typeof adapter>

  beforeEach(async () => {
    fake = await startHuifu()
    made = adapter(fake.url)
  })
  afterEach(async () => {
    await made.stop()
    await fake.close()
  })

  for (const [name, handler, expected, reason, providerCode] of cases) {
    it(`${name}: ${expected}${reason === undefined ? '' : ` (${reason})`}`, async () => {
      const { provider, lines } = made
      fake.handle(handler)
      const calls = [
        () => provider.prepay(prepayRequest, never),
        () => provider.refund(refundRequest, never),
        () => provider.queryPayment(payment, never),
        () => provider.queryRefund(refundRequest, never),
        () => provider.closePayment({ ...payment, attempt: 1, requestedAt: payment.createdAt }, never),
      ]
      const errors = await Promise.all(calls.map((call) => errorOf(call())))
      for (const error of errors) {
        expect(error).to.include({ name: expected, providerCode })
        if (reason !== undefined) expect(error).to.include({ reason })
      }
      expect(lines).to.have.length(5)
    })
  }

  it('a refused connection was never sent', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const port = (server.address() as AddressInfo).port
    await new Promise((resolve) => server.close(resolve))
    const { provider, stop } = adapter(`http://127.0.0.1:${String(port)}`)
    const error = await errorOf(provider.prepay(prepayRequest, never))
    await stop()
    expect(error).to.include({ name: 'ProviderRejected', reason: 'unreachable' })
  })

  it('gives up when told to', async () => {
    fake.handle(() => {})
    const controller = new AbortController()
    const ended = errorOf(made.provider.queryPayment(payment, controller.signal))
    setTimeout(() => {
      controller.abort()
    }, 30)
    expect(await ended).to.include({ name: 'ProviderUnknown' })
  })

  it('waits for a query half as long as for a change', async () => {
    fake.handle(() => {})
    const began = performance.now()
    await errorOf(made.provider.queryPayment(payment, never))
    expect(performance.now() - began).to.be.within(150, 390)
  })

  it('signs what it sends, and sends the source header only where one is configured', async () => {
    fake.answer(good)
    await made.provider.prepay(prepayRequest, never)
    const sourced = adapter(fake.url, { skillSource: 'hfps/1.3.2' })
    await sourced.provider.prepay(prepayRequest, never)
    await sourced.stop()
    const [plain, tagged] = fake.requests
    expect(plain?.genuine).to.equal(true)
    expect(plain?.headers['content-type']).to.equal('application/json;charset=UTF-8')
    expect(plain?.headers).to.not.have.any.keys('jpt-x-skill-source', 'jpt-x-skill-huifu_id')
    expect(tagged?.headers).to.include({ 'jpt-x-skill-source': 'hfps/1.3.2', 'jpt-x-skill-huifu_id': huifuId })
    expect(tagged?.body).to.equal(plain?.body)
  })

  it('logs what happened and nothing secret or personal', async () => {
    const words = `sub_appid与sub_openid不匹配 ${openid}`
    fake.handle(send(200, signedAnswer({ resp_code: '90000000', resp_desc: words })))
    const error = await errorOf(made.provider.prepay(prepayRequest, never))
    expect(error.message).to.include('obtain it under the appid').and.include('Huifu said: sub_appid与sub_openid不匹配')
    const text = JSON.stringify([made.lines, error, error.message])
    for (const secret of [openid, keys.merchant.privateKey.slice(0, 80), prepayRequest.clientIp]) {
      expect(text).to.not.include(secret)
    }
    expect(made.lines[0]).to.deep.include({ message: 'huifu call' })
    expect(made.lines[0]?.fields).to.include({ operation: 'prepay', httpStatus: 200, paymentId: payment.paymentId })
  })
})
