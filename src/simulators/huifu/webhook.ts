import { beijingDate, beijingTime } from './beijing.ts'
import type { CloseRow, OrderRow, RefundRow } from './books.ts'
import { sortedJson } from './json.ts'
import { yuanOf } from './money.ts'
import { channelMember, channelObject, refundTotals, type RespData } from './resp-data.ts'
import type { Office } from './office.ts'

/** Three quick attempts in total, then every hour; a day of them is enough for a simulator (huifu-dougong.md 14). */
const RETRIES_MS = [1000, 1000, ...Array.from({ length: 24 }, () => 3_600_000)]

/** The event name of a payment by its `trade_type` (huifu-dougong.md 14). */
const PAY_EVENTS: Readonly<Record<string, string>> = {
  T_JSAPI: 'pay.wx_pub',
  T_MINIAPP: 'pay.wx_lite',
  A_JSAPI: 'pay.ali_js',
  A_NATIVE: 'pay.ali_qr',
  U_NATIVE: 'pay.union_qr',
  U_JSAPI: 'pay.union_js',
}

const head = (event: string, huifuId: string): RespData => ({
  event_define_no: event,
  huifu_id: huifuId,
  namespace: 'opps-webhook',
})

/** Body of a payment webhook in the flat shape, or undefined for kinds of payment without an event of their own. */
export function paymentEvent(office: Office, order: OrderRow): string | undefined {
  const event = order.hosted === undefined ? PAY_EVENTS[order.tradeType] : 'hosting.pay'
  if (event === undefined) return undefined
  return sortedJson({
    ...head(event, order.huifuId),
    acct_id: 'F00000001',
    [channelMember(order)]: channelObject(order),
    discount_amt: yuanOf(order.couponFen),
    fee_amount: yuanOf(order.feeFen),
    fee_flag: 2,
    fee_formula_infos: [{ fee_formula: office.options.feeRate.formula, fee_type: 'TRANS_FEE' }],
    hf_seq_id: order.hfSeqId,
    is_delay_acct: '0',
    is_div: '0',
    mer_name: '模拟商户（测试）',
    mer_ord_id: order.reqSeqId,
    out_trans_id: order.transStat === 'S' ? order.outTransId : undefined,
    party_order_id: order.partyOrderId,
    remark: order.remark,
    settlement_amt: yuanOf(order.settlementFen),
    trans_amt: yuanOf(order.amountFen),
    trans_date: beijingDate(order.createdAt),
    trans_stat: order.transStat,
    trans_time: beijingTime(order.createdAt),
    trans_type: order.tradeType,
  })
}

/** Body of `refund.standard`. */
export function refundEvent(office: Office, refund: RefundRow, order: OrderRow): string {
  return sortedJson({
    ...head('refund.standard', refund.huifuId),
    ...refundTotals(office, order),
    actual_ref_amt: refund.transStat === 'S' ? yuanOf(refund.cashFen) : '0.00',
    bank_message: refund.bankMessage,
    hf_seq_id: refund.hfSeqId,
    ord_amt: yuanOf(refund.amountFen),
    org_req_date: order.reqDate,
    org_req_seq_id: order.reqSeqId,
    party_order_id: order.partyOrderId,
    req_date: refund.reqDate,
    req_seq_id: refund.reqSeqId,
    resp_code: refund.transStat === 'S' ? '00000000' : '90000000',
    trans_stat: refund.transStat,
  })
}

/** Body of `trans.close`, the only message Huifu sends about a close (huifu-dougong.md 13.5). */
export function closeEvent(close: CloseRow, order: OrderRow): string {
  return sortedJson({
    ...head('trans.close', order.huifuId),
    org_mer_ord_id: order.reqSeqId,
    org_req_date: order.reqDate,
    org_req_seq_id: order.reqSeqId,
    org_trans_stat: order.transStat,
    trans_stat: close.transStat,
    trans_type: order.tradeType,
  })
}

/** Posts a body to every registered address: MD5 over the raw body and the endpoint's key, in the query (14). */
export function sendWebhook(office: Office, label: string, body: string | undefined, sign?: string): void {
  if (body === undefined) return
  for (const url of office.webhookUrls) {
    const signature = sign ?? office.signing.webhookSign(body, office.identity.webhookKey)
    office.notifier.send({
      provider: 'huifu',
      label: `webhook ${label}`,
      url: `${url}${url.includes('?') ? '&' : '?'}sign=${signature}`,
      scheduleMs: RETRIES_MS,
      build: () => ({ headers: { 'Content-Type': 'application/json' }, body: Buffer.from(body, 'utf8') }),
      accepted: (status) => status >= 200 && status < 300,
    })
  }
}
