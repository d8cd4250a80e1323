import { expect } from 'chai'
import type { RefundRequest } from '../../../../src/core/provider.ts'
import {
  adapter,
  errorOf,
  huifuId,
  never,
  number,
  paymentId,
  refundId,
  refundRequest,
  startHuifu,
  transactionId,
  type FakeHuifu,
} from './fake-huifu.ts'

// Appendix B: refund accepted (v4) and refund query, as observed.
const submission = refundRequest.submission.number
const refundTransactionId = '003100TOP1A260106090028P003ac13000000004'
const takenRefund = {
  acct_split_bunch: '{"acct_infos":[{"div_amt":"0.04","huifu_id":"6666000100000001"}],"fee_amount":"0.00"}',
  bank_message: '',
  fee_amount: '0.00',
  hf_seq_id: refundTransactionId,
  huifu_id: huifuId,
  ord_amt: '0.04',
  org_hf_seq_id: transactionId,
  org_req_date: '20260105',
  org_req_seq_id: number,
  pay_channel: 'T',
  product_id: 'YYZY',
  req_date: '20260106',
  resp_code: '00000100',
  resp_desc: '交易处理中',
  trade_type: 'TRANS_REFUND',
  trans_date: '20260106',
  trans_stat: 'P',
  trans_time: '090028',
}
const refunded = {
  acct_split_bunch: '{}',
  actual_ref_amt: '0.04',
  bank_message: '正常结束',
  fee_amount: '0.00',
  huifu_id: huifuId,
  ord_amt: '0.04',
  org_hf_seq_id: refundTransactionId,
  org_req_date: '20260106',
  org_req_seq_id: submission,
  pay_channel: 'T',
  resp_code: '00000000',
  resp_desc: '查询成功',
  trade_type: 'TRANS_REFUND',
  trans_date: '20260106',
  trans_finish_time: '20260106090030',
  trans_stat: 'S',
}
const about = {
  about: 'refund',
  refundId,
  paymentId,
  submissionNumber: submission,
  amount: { amount: 4, currency: 'CNY' },
}

let fake: FakeHuifu
let stops: (() => Promise<void>)[]
const channel = (more: Readonly<Record<string, unknown>> = {}) => {
  const made = adapter(fake.url, more)
  stops.push(made.stop)
  return made.provider
}
const sent = (index = 0): Record<string, string> => fake.requests[index]?.data ?? {}

beforeEach(async () => {
  fake = await startHuifu()
  stops = []
})
afterEach(async () => {
  await Promise.all(stops.map((stop) => stop()))
  await fake.close()
})

describe('huifu refund', () => {
  for (const api of ['v3', 'v4']) {
    it(`${api}: is dated by its submission, names the payment by the payment's day, and is accepted`, async () => {
      fake.answer(takenRefund)
      const fact = await channel({ api }).refund(refundRequest, never)
      expect(fake.requests[0]?.path).to.equal(`/${api}/trade/payment/scanpay/refund`)
      expect(sent()).to.deep.equal({
        req_date: '20260106',
        req_seq_id: submission,
        huifu_id: huifuId,
        ord_amt: '0.04',
        org_req_date: '20260105',
        org_req_seq_id: number,
        notify_url: refundRequest.notifyUrl,
        remark: '部分退款：缺货（1件）',
      })
      expect(fact).to.deep.equal({
        ...about,
        seen: 'processing',
        providerRefundId: refundTransactionId,
        detail: '交易处理中',
      })
    })
  }

  it('sends the same bytes for the same submission', async () => {
    fake.answer(takenRefund)
    const provider = channel()
    await provider.refund(refundRequest, never)
    await provider.refund({ ...refundRequest }, never)
    expect(fake.requests[1]?.body).to.equal(fake.requests[0]?.body)
  })

  it('cuts the reason to what the field holds', async () => {
    fake.answer(takenRefund)
    await channel().refund({ ...refundRequest, reason: `${'退'.repeat(100)}` }, never)
    expect(sent()['remark']).to.equal('退'.repeat(84))
  })

  const partyOrderId = '03242601050000000000001'
  const known = { ...refundRequest.payment, transactionId, partyOrderId }
  const originals: readonly [string, RefundRequest['payment'], Record<string, string>][] = [
    ['auto', known, { org_hf_seq_id: transactionId }],
    ['auto', refundRequest.payment, { org_req_seq_id: number }],
    ['req_seq_id', known, { org_req_seq_id: number }],
    ['hf_seq_id', known, { org_hf_seq_id: transactionId }],
    ['hf_seq_id', refundRequest.payment, { org_req_seq_id: number }],
    ['party_order_id', known, { org_party_order_id: partyOrderId }],
    ['party_order_id', refundRequest.payment, { org_req_seq_id: number }],
  ]
  for (const [refundBy, payment, expected] of originals) {
    const name = Object.keys(expected)[0] ?? ''
    it(`${refundBy}${payment === known ? '' : ', numbers not known'}: names the payment by ${name} alone`, async () => {
      fake.answer(takenRefund)
      await channel({ refundBy }).refund({ ...refundRequest, payment }, never)
      const members = ['org_req_seq_id', 'org_hf_seq_id', 'org_party_order_id']
      const named = Object.fromEntries(Object.entries(sent()).filter(([key]) => members.includes(key)))
      expect(named).to.deep.equal(expected)
      expect(sent()['org_req_date']).to.equal('20260105')
    })
  }

  const states: readonly [Record<string, unknown>, string][] = [
    [{ resp_code: '00000000', trans_stat: 'S', trans_finish_time: '20260106090030' }, 'succeeded'],
    [{ resp_code: '00000000', trans_stat: 'F' }, 'failed'],
    [{ resp_code: '00000100', trans_stat: 'I' }, 'processing'],
    [{ resp_code: '00000100', trans_stat: '' }, 'processing'],
    [{ resp_code: '90000000', trans_stat: 'F', resp_desc: '业务执行失败' }, 'failed'],
  ]
  for (const [members, seen] of states) {
    it(`${String(members['resp_code'])} with state ${String(members['trans_stat']) || 'none'} is ${seen}`, async () => {
      fake.answer({ ...takenRefund, ...members })
      expect(await channel().refund(refundRequest, never)).to.include({ seen, providerRefundId: refundTransactionId })
    })
  }

  const refusals: readonly [string, string, string, string | undefined][] = [
    ['23000000', '原交易未入账，不能发起退款', 'ProviderRejected', 'too_early'],
    ['10000001', '原交易未完成', 'ProviderRejected', 'too_early'],
    ['23000003', '账户余额不足', 'ProviderRejected', 'insufficient_balance'],
    ['90000000', '可用余额不足', 'ProviderRejected', 'insufficient_balance'],
    ['23000003', '申请退款金额大于可退款余额', 'ProviderRejected', 'invalid_request'],
    ['20000001', '操作过于频繁', 'ProviderRejected', 'rate_limited'],
    ['20000000', '重复交易', 'ProviderUnknown', undefined],
    ['10000000', '请求日期必须是当前日期', 'ProviderUnknown', undefined],
    ['90000000', '业务执行失败', 'ProviderUnknown', undefined],
    ['98888888', '系统错误', 'ProviderUnknown', undefined],
  ]
  for (const [code, text, name, reason] of refusals) {
    it(`${code} ${text}: ${name}${reason === undefined ? '' : ` (${reason})`}`, async () => {
      fake.answer({ resp_code: code, resp_desc: text })
      const error = await errorOf(channel().refund(refundRequest, never))
      expect(error).to.include({ name, providerCode: code })
      expect(error.reason).to.equal(reason)
      expect(error.message).to.include(text)
    })
  }

  it('a system error with state F is unknown all the same', async () => {
    fake.answer({ ...takenRefund, resp_code: '98888888', resp_desc: '系统错误', trans_stat: 'F' })
    expect(await errorOf(channel().refund(refundRequest, never))).to.include({ name: 'ProviderUnknown' })
  })

  const strangers: readonly Record<string, unknown>[] = [
    { req_seq_id: 'ref01KE5ZZZZZ7S6T5V4W3X2Y1Z0A' },
    { req_date: '20260105' },
    { huifu_id: '6666000100000002' },
    { org_req_seq_id: 'pay01KE5Z9Q8R7S6T5V4W3X2Y1Z0B' },
    { trans_stat: 'X' },
  ]
  for (const change of strangers) {
    it(`an answer with ${JSON.stringify(change)} is unknown`, async () => {
      fake.answer({ ...takenRefund, ...change })
      expect(await errorOf(channel().refund(refundRequest, never))).to.include({ name: 'ProviderUnknown' })
    })
  }
})

describe('huifu refund query', () => {
  for (const api of ['v3', 'v4']) {
    it(`${api}: names the refund's own submission and day, and reads its end`, async () => {
      fake.answer(refunded)
      const fact = await channel({ api }).queryRefund(refundRequest, never)
      expect(fake.requests[0]?.path).to.equal(`/${api}/trade/payment/scanpay/refundquery`)
      expect(sent()).to.deep.equal({ huifu_id: huifuId, org_req_date: '20260106', org_req_seq_id: submission })
      expect(fact).to.deep.equal({
        ...about,
        seen: 'succeeded',
        providerRefundId: refundTransactionId,
        occurredAt: Date.parse('2026-01-06T09:00:30+08:00'),
        detail: '正常结束',
      })
    })
  }

  for (const [stat, seen] of [
    ['P', 'processing'],
    ['I', 'processing'],
    ['F', 'failed'],
  ]) {
    it(`state ${String(stat)} is ${String(seen)}`, async () => {
      fake.answer({ ...refunded, trans_stat: stat })
      expect(await channel().queryRefund(refundRequest, never)).to.include({ seen })
    })
  }

  it('not found is absent', async () => {
    fake.answer({ resp_code: '23000001', resp_desc: '原交易不存在', trade_type: '' })
    expect(await channel().queryRefund(refundRequest, never)).to.deep.equal({
      about: 'refund',
      refundId,
      paymentId,
      submissionNumber: submission,
      seen: 'absent',
      detail: '原交易不存在',
    })
  })

  for (const change of [
    { org_req_seq_id: number },
    { org_req_seq_id: '' },
    { org_req_date: '20260105' },
    { trans_stat: '' },
    { trans_stat: 'Z' },
  ]) {
    it(`an answer with ${JSON.stringify(change)} is unknown`, async () => {
      fake.answer({ ...refunded, ...change })
      expect(await errorOf(channel().queryRefund(refundRequest, never))).to.include({ name: 'ProviderUnknown' })
    })
  }
})
