import { beijingDate, beijingStamp } from './beijing.ts'
import type { CloseRow, OrderRow } from './books.ts'
import { field, locateOrder, numberOf, refuse, refuseRepeated, type Call, type Outcome } from './call.ts'
import { sortedJson } from './json.ts'
import { armClose, refresh } from './life.ts'
import { yuanOf } from './money.ts'
import { durations, inFuture } from './office.ts'
import { channelMember, channelObject } from './resp-data.ts'

const BY = {
  date: 'org_req_date',
  number: 'org_req_seq_id',
  hfSeqId: 'org_hf_seq_id',
  partyOrder: 'party_order_id',
}

/** `order_stat` of a hosted order: 1 paid, 2 paying, 3 refunded, 5 failed, 6 partly refunded (huifu-dougong.md 11.2, 15.1). */
function orderStat(call: Call, order: OrderRow): string {
  if (order.transStat === 'P') return '2'
  if (order.transStat === 'F') return '5'
  const back = call.office.books
    .refundsOf(order)
    .filter((refund) => refund.transStat === 'S')
    .reduce((sum, refund) => sum + refund.amountFen, 0)
  if (back === 0) return '1'
  return back === order.amountFen ? '3' : '6'
}

/** `queryorderinfo`: by the channel's number, or by merchant, day and number (huifu-dougong.md 11.2). */
export function queryHosted(call: Call): Outcome {
  const complete = ['huifu_id', 'org_req_date', 'org_req_seq_id'].every((name) => call.fields.has(name))
  if (!complete && !call.fields.has('party_order_id')) {
    return refuse(call, '21000000', 'party_order_id、org_req_seq_id流水号不能同时为空')
  }
  const repeated = refuseRepeated(call, 'hostedquery')
  if (repeated !== undefined) return repeated
  const order = locateOrder(call, BY)
  if (order === undefined) return refuse(call, '23000001', '交易不存在')
  call.office.books.claim('hostedquery', ...numberOf(call))
  refresh(call.office, order)
  const paid = order.transStat === 'S'
  const refunds = call.office.books.refundsOf(order).filter((refund) => refund.transStat !== 'F')
  const close = latestClose(call, order)
  return {
    data: {
      bank_code: order.bankCode,
      bank_desc: order.bankMessage,
      close_stat: close?.transStat,
      fee_amt: yuanOf(order.feeFen),
      fee_flag: '2',
      huifu_id: order.huifuId,
      is_delay_acct: 'N',
      is_div: 'N',
      order_stat: orderStat(call, order),
      org_hf_seq_id: paid ? order.hfSeqId : undefined,
      org_req_date: order.reqDate,
      org_req_seq_id: order.reqSeqId,
      party_order_id: paid ? order.partyOrderId : undefined,
      pay_type: order.tradeType,
      pre_order_id: order.hosted?.preOrderId,
      ref_amt: paid ? yuanOf(order.amountFen - refunds.reduce((sum, refund) => sum + refund.amountFen, 0)) : '0.00',
      req_date: field(call, 'req_date'),
      req_seq_id: field(call, 'req_seq_id'),
      resp_code: '00000000',
      resp_desc: '查询成功',
      trans_amt: yuanOf(order.amountFen),
      trans_date: beijingDate(order.createdAt),
      trans_stat: order.transStat,
      trans_time: order.paidAt === undefined ? undefined : beijingStamp(order.paidAt),
      [channelMember(order)]: paid ? sortedJson(channelObject(order)) : undefined,
    },
  }
}

const latestClose = (call: Call, order: OrderRow): CloseRow | undefined =>
  call.office.books.closes.findLast((close) => close.orderHfSeqId === order.hfSeqId)

/** `close` of a hosted order: asynchronous, told to the address of the pre-order (huifu-dougong.md 11.2, 13.5). */
export function closeHosted(call: Call): Outcome {
  const repeated = refuseRepeated(call, 'hostedclose')
  if (repeated !== undefined) return repeated
  const order = locateOrder(call, BY)
  if (order === undefined) return refuse(call, '99010003', '交易不存在')
  refresh(call.office, order)
  if (order.transStat !== 'P') return refuse(call, '30000001', '原订单已为终态')
  if (/^U_/.test(order.tradeType) && order.tradeType !== 'U_NATIVE')
    return refuse(call, '23000004', '该交易类型不支持关单')
  const before = latestClose(call, order)
  if (before !== undefined && before.transStat !== 'F') return refuse(call, '30000001', '关单状态为终态')
  const { office } = call
  const [huifuId, reqDate, reqSeqId] = numberOf(call)
  const now = office.clock.now()
  const close: CloseRow = { huifuId, reqDate, reqSeqId, orderHfSeqId: order.hfSeqId, createdAt: now, transStat: 'P' }
  if (office.options.autoClose) close.dueAt = inFuture(office, durations.close)
  office.books.claim('hostedclose', huifuId, reqDate, reqSeqId)
  office.books.addClose(close)
  armClose(office, close)
  office.books.touch()
  return {
    data: {
      close_stat: close.transStat,
      huifu_id: huifuId,
      org_req_date: order.reqDate,
      org_req_seq_id: order.reqSeqId,
      org_trans_stat: order.transStat,
      req_date: reqDate,
      req_seq_id: reqSeqId,
      resp_code: '00000000',
      resp_desc: '操作成功',
    },
  }
}
