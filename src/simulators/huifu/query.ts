import { beijingStamp, beijingTime } from './beijing.ts'
import type { OrderRow } from './books.ts'
import { locateOrder, refuse, type Call, type Outcome } from './call.ts'
import type { AnswerData } from './envelope.ts'
import { sortedJson } from './json.ts'
import { refresh } from './life.ts'
import { yuanOf } from './money.ts'
import { channelMember, channelObject } from './resp-data.ts'
import type { Office } from './office.ts'

/** Order query: v2 and v3 with `org_*` locators, v4 with plain ones (huifu-dougong.md 5). */
export function queryOrder(call: Call): Outcome {
  const plain = call.version === 'v4'
  const [date, number, hfSeqId] = plain
    ? (['req_date', 'req_seq_id', 'hf_seq_id'] as const)
    : (['org_req_date', 'org_req_seq_id', 'org_hf_seq_id'] as const)
  const { fields } = call
  if (![number, hfSeqId, 'out_ord_id'].some((name) => fields.has(name))) {
    return refuse(call, '21000000', `${number}、${hfSeqId}、out_ord_id流水号不能同时为空`)
  }
  if (!fields.has(hfSeqId) && !fields.has(date)) return refuse(call, '10000000', `${date}不能为空`)
  const order = locateOrder(call, { date, number, hfSeqId, outOrder: 'out_ord_id' })
  if (order === undefined) return refuse(call, '23000001', '交易不存在')
  refresh(call.office, order)
  return { data: plain ? inV4(call.office, order) : inV3(call.office, order) }
}

/** What both dialects say the same way (huifu-dougong.md 5.3, 5.4). */
function shared(order: OrderRow): AnswerData {
  const paid = order.transStat === 'S'
  const outcome = {
    P: { org_resp_code: '00000100', org_resp_desc: '交易正在处理中' },
    F: { org_resp_code: '90000000', org_resp_desc: order.bankMessage },
    S: {},
  }[order.transStat]
  return {
    acct_stat: order.acctStat,
    bank_code: order.bankCode,
    bank_message: order.bankMessage,
    hf_seq_id: undefined,
    huifu_id: order.huifuId,
    party_order_id: order.partyOrderId,
    remark: order.remark,
    resp_code: '00000000',
    resp_desc: '查询成功',
    settlement_amt: yuanOf(order.settlementFen),
    trans_amt: yuanOf(order.amountFen),
    trans_stat: order.transStat,
    ...outcome,
    ...(paid ? paidMembers(order) : { is_delay_acct: '0', is_div: '0' }),
  }
}

const paidMembers = (order: OrderRow): Record<string, string | undefined> => ({
  acct_date: order.acctDate,
  acct_id: 'F00000001',
  acct_split_bunch: sortedJson({
    acct_infos: [{ acct_id: 'F00000001', div_amt: yuanOf(order.amountFen), huifu_id: order.huifuId }],
  }),
  debit_type: 'C',
  delay_acct_flag: 'N',
  div_flag: 'N',
  end_time: order.paidAt === undefined ? undefined : beijingStamp(order.paidAt),
  out_trans_id: order.outTransId,
  pay_amt: yuanOf(order.settlementFen),
  trans_time: beijingTime(order.createdAt),
  unconfirm_amt: '0.00',
})

function inV4(office: Office, order: OrderRow): AnswerData {
  const paid = order.transStat === 'S'
  const fee = yuanOf(order.feeFen)
  return {
    ...shared(order),
    bank_desc: paid ? undefined : order.bankMessage,
    fee_amount: paid ? fee : undefined,
    fee_amt: paid ? undefined : fee,
    hf_seq_id: order.hfSeqId,
    method_expand: paid ? sortedJson(channelObject(order)) : undefined,
    payment_fee: paid
      ? sortedJson({
          fee_amount: fee,
          fee_formula_infos: [{ fee_formula: office.options.feeRate.formula, fee_type: 'TRANS_FEE' }],
          fee_huifu_id: order.huifuId,
        })
      : undefined,
    req_date: order.reqDate,
    req_seq_id: order.reqSeqId,
    trade_type: order.tradeType,
    // Closed orders were seen with the older name as well (huifu-dougong.md 5.3).
    trans_type: order.transStat === 'F' ? order.tradeType : undefined,
  }
}

function inV3(office: Office, order: OrderRow): AnswerData {
  const paid = order.transStat === 'S'
  return {
    ...shared(order),
    bank_desc: order.bankMessage,
    fee_amt: yuanOf(order.feeFen),
    fee_formula_infos: paid
      ? sortedJson([{ fee_formula: office.options.feeRate.formula, fee_type: 'TRANS_FEE' }])
      : undefined,
    fee_huifu_id: paid ? order.huifuId : undefined,
    fee_type: paid ? 'INNER' : undefined,
    org_hf_seq_id: order.hfSeqId,
    org_req_date: order.reqDate,
    org_req_seq_id: order.reqSeqId,
    trans_type: order.tradeType,
    [channelMember(order)]: paid ? sortedJson(channelObject(order)) : undefined,
  }
}
