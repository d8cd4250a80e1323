import { beijingDate, beijingStamp, beijingTime } from './beijing.ts'
import type { CloseRow, OrderRow, RefundRow } from './books.ts'
import type { Plain } from './json.ts'
import { yuanOf } from './money.ts'
import type { Office } from './office.ts'

/** Members of a notification's `resp_data` before it becomes text. */
export type RespData = { [key: string]: Plain | undefined }

/** The channel's part of an answer: strings in queries, objects in notifications (huifu-dougong.md 5.3, 13.3). */
export function channelObject(order: OrderRow): { [key: string]: Plain | undefined } {
  switch (order.tradeType.charAt(0)) {
    case 'T':
      return {
        attach: order.attach,
        bank_type: 'OTHERS',
        coupon_fee: yuanOf(order.couponFen),
        openid: order.openId,
        sub_appid: order.appId,
        sub_openid: order.subOpenId,
      }
    case 'A':
      return { buyer_id: order.openId, buyer_pay_amount: yuanOf(order.settlementFen) }
    default:
      return { acc_no: '621483******0001' }
  }
}

/** Name of the member that carries the channel object outside v4 (huifu-dougong.md 5.3). */
export const channelMember = (order: OrderRow): string =>
  ({ T: 'wx_response', A: 'alipay_response', U: 'unionpay_response' })[order.tradeType.charAt(0)] ?? 'dc_response'

const ACCOUNT = 'F00000001'

/** `resp_data` of a payment notification of type 1, 2 or 3 (huifu-dougong.md 13.2, 13.3, A.5). */
export function paymentRespData(office: Office, order: OrderRow, type: 1 | 2 | 3): RespData {
  const paid = order.transStat === 'S'
  const posted = type === 2 || (type === 3 && order.acctStat !== 'I')
  const code = paid ? '00000000' : '90000000'
  const text = paid ? '交易成功' : order.bankMessage
  const fee = yuanOf(paid ? order.feeFen : 0)
  const acctDate = posted ? order.acctDate : undefined
  return {
    acct_date: acctDate,
    acct_id: ACCOUNT,
    acct_split_bunch: {
      acct_infos: [
        { acct_date: acctDate, acct_id: ACCOUNT, div_amt: yuanOf(order.amountFen), huifu_id: order.huifuId },
      ],
      fee_acct_date: acctDate,
      fee_acct_id: ACCOUNT,
      fee_amt: fee,
      fee_huifu_id: order.huifuId,
    },
    acct_stat: posted ? order.acctStat : 'I',
    bank_code: paid ? 'SUCCESS' : order.bankCode,
    bank_desc: text,
    bank_message: text,
    bank_type: 'OTHERS',
    [channelMember(order)]: channelObject(order),
    combinedpay_data: [],
    debit_flag: type === 2 ? '2' : undefined,
    debit_type: type === 2 ? 'C' : '0',
    delay_acct_flag: 'N',
    div_flag: '0',
    end_time: order.paidAt === undefined ? undefined : beijingStamp(order.paidAt),
    fee_amount: fee,
    fee_amt: fee,
    fee_flag: 2,
    fee_formula_infos: [{ fee_formula: office.options.feeRate.formula, fee_type: 'TRANS_FEE' }],
    fee_type: 'INNER',
    hf_seq_id: order.hfSeqId,
    huifu_id: order.huifuId,
    is_delay_acct: '0',
    is_div: '0',
    mer_name: '模拟商户（测试）',
    mer_ord_id: order.reqSeqId,
    need_big_object: false,
    notify_type: type,
    out_trans_id: paid ? order.outTransId : undefined,
    party_order_id: order.partyOrderId,
    pay_amt: yuanOf(order.settlementFen),
    remark: order.remark,
    req_date: order.reqDate,
    req_seq_id: order.reqSeqId,
    resp_code: code,
    resp_desc: text,
    settlement_amt: yuanOf(order.settlementFen),
    sub_resp_code: code,
    sub_resp_desc: text,
    sys_id: office.identity.sysId,
    trade_type: order.tradeType,
    trans_amt: yuanOf(order.amountFen),
    trans_date: beijingDate(order.createdAt),
    trans_stat: order.transStat,
    trans_time: beijingTime(order.createdAt),
    trans_type: order.tradeType,
    ts_encash_detail: type === 2 ? [] : undefined,
    ...(type === 3 ? unfreezing(order) : {}),
  }
}

const unfreezing = (order: OrderRow): RespData => ({
  freeze_time: order.paidAt === undefined ? undefined : beijingStamp(order.paidAt),
  fund_freeze_stat: 'UNFREEZE',
  unfreeze_amt: yuanOf(order.settlementFen),
  unfreeze_time: order.unfrozenAt === undefined ? undefined : beijingStamp(order.unfrozenAt),
})

/** `resp_data` of a hosted close: it has no `req_seq_id` (huifu-dougong.md 13.5). */
export const closeRespData = (close: CloseRow, order: OrderRow): RespData => ({
  close_stat: close.transStat,
  huifu_id: order.huifuId,
  org_req_date: order.reqDate,
  org_req_seq_id: order.reqSeqId,
  org_trans_stat: order.transStat,
  resp_code: '00000000',
  resp_desc: '操作成功',
})

/** Sums over the refunds of one payment that succeeded, as notifications and webhooks tell them (huifu-dougong.md 13.4). */
export function refundTotals(office: Office, order: OrderRow): RespData {
  const done = office.books.refundsOf(order).filter((row) => row.transStat === 'S')
  return {
    org_fee_amt: yuanOf(order.feeFen),
    org_ord_amt: yuanOf(order.amountFen),
    ref_cut: String(done.length),
    total_ref_amt: yuanOf(done.reduce((sum, row) => sum + row.amountFen, 0)),
    total_ref_fee_amt: yuanOf(done.reduce((sum, row) => sum + row.feeFen, 0)),
  }
}

/** `resp_data` of a refund notification: no `notify_type` (huifu-dougong.md 13.2, 13.4, B). */
export function refundRespData(office: Office, refund: RefundRow, order: OrderRow): RespData {
  const failed = refund.transStat === 'F'
  const code = { S: '00000000', P: '00000100', F: '90000000' }[refund.transStat]
  return {
    ...refundTotals(office, order),
    actual_ref_amt: failed ? '0.00' : yuanOf(refund.cashFen),
    bank_code: { S: '00', P: '', F: 'FAIL' }[refund.transStat],
    bank_message: refund.bankMessage,
    hf_seq_id: refund.hfSeqId,
    huifu_id: refund.huifuId,
    mer_ord_id: refund.reqSeqId,
    ord_amt: yuanOf(refund.amountFen),
    org_req_date: order.reqDate,
    org_req_seq_id: order.reqSeqId,
    party_order_id: order.partyOrderId,
    pay_channel: order.tradeType.charAt(0),
    product_id: office.identity.productId,
    remark: refund.remark,
    req_date: refund.reqDate,
    req_seq_id: refund.reqSeqId,
    resp_code: code,
    resp_desc: { S: '交易成功', P: '交易处理中', F: refund.bankMessage }[refund.transStat],
    sub_resp_code: code,
    sys_id: office.identity.sysId,
    trans_date: beijingDate(refund.createdAt),
    trans_finish_time: refund.finishedAt === undefined ? undefined : beijingStamp(refund.finishedAt),
    trans_stat: refund.transStat,
    trans_time: beijingTime(refund.createdAt),
    trans_type: 'TRANS_REFUND',
    [channelMember(order)]:
      order.tradeType.startsWith('T') && !failed
        ? {
            cash_refund_fee: yuanOf(refund.cashFen),
            coupon_refund_fee: yuanOf(refund.amountFen - refund.cashFen),
            user_received_account: '支付用户零钱',
          }
        : undefined,
  }
}
