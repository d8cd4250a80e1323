import { expect } from 'chai'
import {
  adapter,
  errorOf,
  huifuId,
  inDialect,
  never,
  number,
  paid,
  payment,
  paymentId,
  startHuifu,
  unpaid,
  type FakeHuifu,
} from './fake-huifu.ts'

let fake: FakeHuifu
let stops: (() => Promise<void>)[]
const channel = (more: Readonly<Record<string, unknown>> = {}) => {
  const made = adapter(fake.url, more)
  stops.push(made.stop)
  return made.provider
}
const sent = (index = 0): Record<string, string> => fake.requests[index]?.data ?? {}
const paths = (): string[] => fake.requests.map((request) => request.path)

beforeEach(async () => {
  fake = await startHuifu()
  stops = []
})
afterEach(async () => {
  await Promise.all(stops.map((stop) => stop()))
  await fake.close()
})

describe('huifu close', () => {
  const close = { ...payment, attempt: 37, requestedAt: Date.parse('2026-01-05T16:30:00.000Z') }
  const state = (trans_stat: string, org_trans_stat: string) => ({
    resp_code: '00000000',
    resp_desc: '操作成功',
    trans_stat,
    org_trans_stat,
  })
  const succeeded = inDialect('v3', { ...paid, trans_amt: '0.10' })
  const closed = inDialect('v3', { ...unpaid, trans_stat: 'F', bank_message: '交易已关单' })
  const open = inDialect('v3', unpaid)

  it('has a number and a day of its own, and names the payment by its day', async () => {
    fake.answer({ ...state('P', 'P'), sub_resp_code: '00000100', sub_resp_desc: '关单处理中' }, state('S', 'F'))
    const fact = await channel({ api: 'v4' }).closePayment(close, never)
    expect(fact).to.include({ about: 'payment', paymentId, seen: 'closed' })
    expect(paths()).to.deep.equal(['/v2/trade/payment/scanpay/close', '/v2/trade/payment/scanpay/closequery'])
    const original = { huifu_id: huifuId, req_date: '20260106', org_req_date: '20260105', org_req_seq_id: number }
    expect(sent(0)).to.deep.equal({ ...original, req_seq_id: `${number}C11` })
    expect(sent(1)).to.deep.equal({ ...original, req_seq_id: `${number}Q11` })
    expect(sent(0)['req_seq_id']?.length).to.be.at.most(32)
  })

  const courses: readonly [string, Record<string, unknown>[], string, number][] = [
    ['closed at once', [state('S', 'F')], 'closed', 1],
    ['closing, then closed', [state('P', 'P'), state('S', 'F')], 'closed', 2],
    ['still closing', [state('P', 'P'), state('P', 'P')], 'pending', 2],
    ['closed, the payment not yet seen so', [state('S', 'P'), open], 'pending', 2],
    ['closed, the payment seen so by its query', [state('P', 'P'), state('S', 'P'), closed], 'closed', 3],
    ['the payer was faster', [state('F', 'S'), succeeded], 'succeeded', 2],
    ['the payer was faster, seen by the close query', [state('P', 'P'), state('F', 'S'), succeeded], 'succeeded', 3],
    ['closed and paid contradict each other', [state('S', 'S'), succeeded], 'succeeded', 2],
    ['close refused, payment open', [state('P', 'P'), state('F', 'P')], 'pending', 2],
    ['close refused because closed', [state('F', 'F'), closed], 'closed', 2],
    ['final: paid', [{ resp_code: '23000000', resp_desc: '原订单已为终态' }, succeeded], 'succeeded', 2],
    ['final: closed', [{ resp_code: '10000016', resp_desc: '原订单已为终态,请发起查询交易获取' }, closed], 'closed', 2],
    ['the number was taken before', [{ resp_code: '20000000', resp_desc: '重复交易' }, state('S', 'F')], 'closed', 2],
    ['the close query is refused', [state('P', 'P'), { resp_code: '99999999', resp_desc: '系统异常' }], 'pending', 2],
    ['the close query is refused at the gateway', [state('P', 'P'), { resp_code: '' }], 'pending', 2],
  ]
  for (const [name, answers, seen, requests] of courses) {
    it(`${name}: ${seen}`, async () => {
      fake.answer(...answers)
      expect(await channel().closePayment(close, never)).to.include({ seen })
      expect(fake.requests).to.have.length(requests)
    })
  }

  for (const code of ['20000001', '10000015']) {
    it(`${code} in the first minute is too early`, async () => {
      fake.answer({ resp_code: code, resp_desc: '不允许关闭一分钟以内的订单' })
      const error = await errorOf(channel().closePayment(close, never))
      expect(error).to.include({ name: 'ProviderRejected', reason: 'too_early', providerCode: code })
      expect(fake.requests).to.have.length(1)
    })
  }

  it('an answer about another payment proves nothing', async () => {
    fake.answer({ ...state('S', 'F'), org_req_seq_id: 'pay01KE5Z9Q8R7S6T5V4W3X2Y1Z0B' })
    expect(await errorOf(channel().closePayment(close, never))).to.include({ name: 'ProviderUnknown' })
  })

  it('ends in a refusal, not a crash, when asked beyond what its numbers can count', async () => {
    const error = await errorOf(channel().closePayment({ ...close, attempt: 1296 }, never))
    expect(error).to.include({ name: 'ProviderRejected', reason: 'invalid_request' })
    expect(fake.requests).to.have.length(0)
  })
})
