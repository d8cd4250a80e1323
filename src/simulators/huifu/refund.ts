import { beijingDate, beijingStamp, beijingTime } from './beijing.ts'
import type { OrderRow, RefundRow } from './books.ts'
import { field, locateOrder, newNumbers, numberOf, refuse, refuseRepeated, type Call, type Outcome } from './call.ts'
import type { AnswerData } from './envelope.ts'
import { objectIn, textIn } from './fields.ts'
import { memberOf, sortedJson } from './json.ts'
import { armRefund, refresh, refundCost, settleRefund } from './life.ts'
import { fenOf, shareOf, yuanOf } from './money.ts'
import { firstDelivery } from './notices.ts'
import { durations, inFuture } from './office.ts'

const LOCATORS = ['org_req_seq_id', 'org_hf_seq_id', 'org_party_order_id']

/** Refund of v2, v3 and v4 by exactly one of three locators (huifu-dougong.md 7.1, 18.3). */
export function createRefund(call: Call): Outcome {
  const given = LOCATORS.filter((name) => call.fields.has(name))
  if (given.length === 0) return refuse(call, '21000000', `${LOCATORS.join('、')}流水号不能同时为空`)
  if (given.length > 1) return refuse(call, '10000000', `${LOCATORS.join('、')}只能传一个`)
  const repeated = refuseRepeated(call, 'refund')
  if (repeated !== undefined) return repeated
  const order = locateOrder(call, {
    date: 'org_req_date',
    number: 'org_req_seq_id',
    hfSeqId: 'org_hf_seq_id',
    partyOrder: 'org_party_order_id',
  })
  if (order === undefined) return refuse(call, '23000001', '原交易不存在')
  refresh(call.office, order)
  const refused = refuseByRule(call, order)
  if (refused !== undefined) return refused
  const refund = draft(call, order)
  if (refundCost(refund) > call.office.books.balanceFen) return refuse(call, '23000003', '账户余额不足')
  const { clock } = call.office
  if (order.lastRefundAt !== undefined && clock.now() - order.lastRefundAt < clock.shrink(durations.refundSpacing)) {
    return refuse(call, '20000001', '操作过于频繁，请一分钟后重试')
  }
  return accept(call, order, refund)
}

function refuseByRule(call: Call, order: OrderRow): Outcome | undefined {
  const { books, clock } = call.office
  if (order.acctStat !== 'S') return refuse(call, '23000000', '原交易未入账，不能发起退款')
  if (clock.now() - (order.paidAt ?? order.createdAt) > durations.refundWindow) {
    return refuse(call, '23000004', '原交易已超过可退款期限')
  }
  const amount = fenOf(field(call, 'ord_amt')) ?? 0
  const used = books.refundsOf(order).filter((row) => row.transStat !== 'F')
  if (amount > order.amountFen - used.reduce((sum, row) => sum + row.amountFen, 0)) {
    return refuse(call, '23000003', '申请退款金额大于可退款余额')
  }
  return refuseSplit(call, amount)
}

/** Split refunds must add up to the refund and name the merchant only, as no other party took part (7.1). */
function refuseSplit(call: Call, amount: number): Outcome | undefined {
  const split = objectIn(field(call, 'acct_split_bunch'))
  if (split === undefined) return undefined
  const infos = memberOf(split, 'acct_infos')
  const entries = infos?.kind === 'array' ? infos.items : []
  const sum = entries.reduce((total, entry) => total + (fenOf(textIn(entry, 'div_amt') ?? '') ?? Number.NaN), 0)
  const own = entries.every((entry) => textIn(entry, 'huifu_id') === field(call, 'huifu_id'))
  return sum === amount && own ? undefined : refuse(call, '23000003', '分账金额总和不等于退款金额')
}

/** Computes the row, fee and cash shares included (huifu-dougong.md 3.1); nothing is recorded yet. */
function draft(call: Call, order: OrderRow): RefundRow {
  const { office } = call
  const now = office.clock.now()
  const amountFen = fenOf(field(call, 'ord_amt')) ?? 0
  const used = office.books.refundsOf(order).filter((row) => row.transStat !== 'F')
  const total = (pick: (row: RefundRow) => number): number => used.reduce((sum, row) => sum + pick(row), 0)
  const part = total((row) => row.amountFen)
  const shareAfter = (whole: number, share: number): number =>
    shareOf(whole, amountFen, order.amountFen, { part, share })
  const [huifuId, reqDate, reqSeqId] = numberOf(call)
  const [notifyUrl, remark] = [call.fields.get('notify_url'), call.fields.get('remark')]
  const { hfSeqId } = newNumbers(office, '0031', beijingStamp(now))
  return {
    version: call.version,
    huifuId,
    reqDate,
    reqSeqId,
    hfSeqId,
    orderHfSeqId: order.hfSeqId,
    amountFen,
    feeFen: shareAfter(
      order.feeFen,
      total((row) => row.feeFen),
    ),
    cashFen: shareAfter(
      order.settlementFen,
      total((row) => row.cashFen),
    ),
    ...(notifyUrl === undefined ? {} : { notifyUrl }),
    ...(remark === undefined ? {} : { remark }),
    createdAt: now,
    fate: 'S',
    transStat: 'P',
    bankMessage: '',
  }
}

function accept(call: Call, order: OrderRow, drafted: RefundRow): Outcome {
  const { office } = call
  const refund: RefundRow = { ...drafted, fate: office.chaos.happens('refundFailsLater', 'huifu.refund') ? 'F' : 'S' }
  const early = office.chaos.happens('notifyBeforeResponse', 'huifu.refund')
  office.books.claim('refund', refund.huifuId, refund.reqDate, refund.reqSeqId)
  office.books.addRefund(refund)
  office.books.balanceFen -= refundCost(refund)
  order.lastRefundAt = refund.createdAt
  office.books.touch()
  // The answer still says P: it was made before the refund ended, only delivered after it.
  const data = accepted(call, order, refund)
  if (early && refund.notifyUrl !== undefined) {
    const before = firstDelivery(office, refund.hfSeqId)
    settleRefund(office, refund, refund.fate)
    return { data, before }
  }
  if (office.options.autoRefund) {
    refund.dueAt = inFuture(office, durations.refund)
    armRefund(office, refund)
  }
  return { data }
}

function accepted(call: Call, order: OrderRow, refund: RefundRow): AnswerData {
  const v4 = call.version === 'v4'
  const fee = yuanOf(refund.feeFen)
  return {
    acct_split_bunch: sortedJson({
      acct_infos: [{ div_amt: yuanOf(refund.amountFen), huifu_id: refund.huifuId }],
      fee_amount: fee,
    }),
    bank_message: '',
    fee_amount: v4 ? fee : undefined,
    fee_amt: call.hosted ? fee : undefined,
    hf_seq_id: refund.hfSeqId,
    huifu_id: refund.huifuId,
    ord_amt: yuanOf(refund.amountFen),
    org_hf_seq_id: order.hfSeqId,
    org_req_date: order.reqDate,
    org_req_seq_id: order.reqSeqId,
    pay_channel: order.tradeType.charAt(0),
    product_id: call.office.identity.productId,
    remark: refund.remark,
    req_date: refund.reqDate,
    req_seq_id: refund.reqSeqId,
    resp_code: '00000100',
    resp_desc: '交易处理中',
    trade_type: v4 ? 'TRANS_REFUND' : undefined,
    trans_date: beijingDate(refund.createdAt),
    trans_stat: 'P',
    trans_time: beijingTime(refund.createdAt),
  }
}

/** Query of a hosted refund: it has a number of its own, and else asks like the others (huifu-dougong.md 11.2). */
export function queryHostedRefund(call: Call): Outcome {
  const repeated = refuseRepeated(call, 'hostedrefundquery')
  if (repeated !== undefined) return repeated
  call.office.books.claim('hostedrefundquery', ...numberOf(call))
  const { data } = queryRefund(call)
  return { data: { ...data, req_date: field(call, 'req_date'), req_seq_id: field(call, 'req_seq_id') } }
}

/** Refund query: every `org_*` is the refund's, so the payment's keys find nothing (huifu-dougong.md 7.3). */
export function queryRefund(call: Call): Outcome {
  const { fields, office } = call
  const [number, hfSeqId] = [fields.get('org_req_seq_id') ?? fields.get('mer_ord_id'), fields.get('org_hf_seq_id')]
  if (number === undefined && hfSeqId === undefined) {
    return refuse(call, '21000000', 'org_req_seq_id、org_hf_seq_id、mer_ord_id流水号不能同时为空')
  }
  const date = fields.get('org_req_date')
  if (hfSeqId === undefined && date === undefined) return refuse(call, '10000000', 'org_req_date不能为空')
  const typeName = call.version === 'v4' ? 'trade_type' : 'trans_type'
  const refund =
    hfSeqId === undefined
      ? office.books.refundByNumber(field(call, 'huifu_id'), date ?? '', number ?? '')
      : office.books.refunds.get(hfSeqId)
  const order = refund && office.books.orders.get(refund.orderHfSeqId)
  const elsewhere = order !== undefined && (order.hosted !== undefined) !== call.hosted
  const disagrees =
    (number !== undefined && refund?.reqSeqId !== number) || (date !== undefined && refund?.reqDate !== date)
  if (refund === undefined || order === undefined || disagrees || elsewhere) {
    return { data: { ...refuse(call, '23000001', '原交易不存在').data, [typeName]: '' } }
  }
  return { data: { ...told(call, order, refund), [typeName]: 'TRANS_REFUND' } }
}

function told(call: Call, order: OrderRow, refund: RefundRow): AnswerData {
  const fee = yuanOf(refund.feeFen)
  return {
    acct_split_bunch: '{}',
    actual_ref_amt: refund.transStat === 'S' ? yuanOf(refund.cashFen) : undefined,
    bank_message: refund.transStat === 'S' ? '正常结束' : refund.bankMessage,
    fee_amount: call.version === 'v4' ? fee : undefined,
    fee_amt: call.version === 'v4' ? undefined : fee,
    huifu_id: refund.huifuId,
    mer_ord_id: refund.reqSeqId,
    ord_amt: yuanOf(refund.amountFen),
    org_hf_seq_id: refund.hfSeqId,
    org_party_order_id: order.partyOrderId,
    org_req_date: refund.reqDate,
    org_req_seq_id: refund.reqSeqId,
    pay_channel: order.tradeType.charAt(0),
    remark: refund.remark,
    resp_code: '00000000',
    resp_desc: '查询成功',
    trans_date: beijingDate(refund.createdAt),
    trans_finish_time: refund.finishedAt === undefined ? undefined : beijingStamp(refund.finishedAt),
    trans_stat: refund.transStat,
    trans_time: beijingTime(refund.createdAt),
  }
}
