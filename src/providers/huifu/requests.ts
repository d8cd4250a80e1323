import { compactDay, compactTime } from '../../core/business-day.ts'
import { providerNumber } from '../../core/ids.ts'
import { printYuan } from '../../core/money.ts'
import {
  ProviderRejected,
  type CloseRequest,
  type Method,
  type PaymentRef,
  type PrepayRequest,
  type RefundRef,
  type RefundRequest,
} from '../../core/provider.ts'
import { requireAmount } from '../outcome.ts'
import type { Data } from './envelope.ts'
import type { HuifuSettings } from './settings.ts'

/**
 * The `data` of every request. Numbers and dates come from what was recorded before the first send, never from a clock,
 * so that a request repeated tomorrow is the request of today (design.md 6.7 and 20.1; huifu-dougong.md 3).
 */

export type RequestData = Data & { readonly huifu_id: string }

const tradeTypes: Partial<Record<Method, { readonly type: string; readonly method: 'wechat_jsapi' | 'wechat_mini' }>> =
  {
    wechat_jsapi: { type: 'T_JSAPI', method: 'wechat_jsapi' },
    wechat_mini: { type: 'T_MINIAPP', method: 'wechat_mini' },
  }

/**
 * huifu-dougong.md 4.2 to 4.4: v3 names the scene object `wx_data`, v4 `method_expand`; the content is the same.
 * @throws ProviderRejected for what this channel cannot send
 */
export function prepayData(settings: HuifuSettings, request: PrepayRequest, sandbox: boolean): RequestData {
  const trade = tradeTypes[request.method]
  const offered = trade === undefined ? undefined : settings.methods[trade.method]
  const appid = offered !== undefined && 'appid' in offered ? offered.appid : undefined
  if (trade === undefined || appid === undefined) {
    throw new ProviderRejected('unsupported', 'METHOD', `this Huifu channel does not offer ${request.method}`)
  }
  if (request.openid === undefined || request.openid === '') {
    throw new ProviderRejected('invalid_request', 'OPENID', 'this method needs the openid of the payer')
  }
  const scene = JSON.stringify({ sub_appid: appid, sub_openid: request.openid })
  return {
    req_date: compactDay(request.createdAt),
    req_seq_id: providerNumber(request.paymentId),
    huifu_id: settings.huifuId,
    trade_type: trade.type,
    trans_amt: yuanOf(request.amount),
    goods_desc: safeText(request.subject, 40) || providerNumber(request.paymentId),
    [settings.api === 'v3' ? 'wx_data' : 'method_expand']: scene,
    time_expire: compactTime(request.expiresAt),
    risk_check_data: riskData(request.clientIp),
    notify_url: checkedNotifyUrl(request.notifyUrl, 504, sandbox),
    remark: safeText(request.merchantOrderNo, 255),
  }
}

/** huifu-dougong.md 5.1 (v3, `org_*`) and 5.2 (v4, plain names). */
export function queryData(settings: HuifuSettings, payment: PaymentRef): RequestData {
  const prefix = settings.api === 'v3' ? 'org_' : ''
  if (locatesByTransaction(settings, payment)) {
    return { huifu_id: settings.huifuId, [`${prefix}hf_seq_id`]: payment.transactionId }
  }
  return {
    huifu_id: settings.huifuId,
    [`${prefix}req_date`]: compactDay(payment.createdAt),
    [`${prefix}req_seq_id`]: providerNumber(payment.paymentId),
  }
}

/** Does a payment query name Huifu's own number? Only where the channel says so and the number is known. */
export function locatesByTransaction(settings: HuifuSettings, payment: PaymentRef): boolean {
  return settings.queryBy === 'hf_seq_id' && payment.transactionId !== undefined
}

/**
 * huifu-dougong.md 6.1 and 6.2: close and close query have numbers of their own, both name the payment.
 * The payment's number, a letter and the attempt in base 36: at most 32 characters.
 */
export function closeData(settings: HuifuSettings, close: CloseRequest, letter: 'C' | 'Q'): RequestData {
  if (!Number.isInteger(close.attempt) || close.attempt < 0 || close.attempt > 1295) {
    throw new ProviderRejected('invalid_request', 'CLOSE_ATTEMPT', 'this payment has been asked to close too often')
  }
  const number = providerNumber(close.paymentId)
  return {
    req_date: compactDay(close.requestedAt),
    req_seq_id: number + letter + close.attempt.toString(36).toUpperCase(),
    huifu_id: settings.huifuId,
    org_req_date: compactDay(close.createdAt),
    org_req_seq_id: number,
  }
}

/** huifu-dougong.md 7.1. `org_req_date` is always the payment's own day. */
export function refundData(settings: HuifuSettings, request: RefundRequest, sandbox: boolean): RequestData {
  return {
    req_date: compactDay(request.submission.sentAt),
    req_seq_id: request.submission.number,
    huifu_id: settings.huifuId,
    ord_amt: yuanOf(request.amount),
    org_req_date: compactDay(request.payment.createdAt),
    ...originalOf(request.payment, settings.refundBy),
    notify_url: checkedNotifyUrl(request.notifyUrl, 512, sandbox),
    remark: safeText(request.reason, 84),
  }
}

/** Exactly one of the three numbers of the payment (7.1); where the wanted one is not known, our own always is. */
export function originalOf(payment: PaymentRef, refundBy: HuifuSettings['refundBy']): Data {
  if (refundBy === 'party_order_id' && payment.partyOrderId !== undefined) {
    return { org_party_order_id: payment.partyOrderId }
  }
  if ((refundBy === 'auto' || refundBy === 'hf_seq_id') && payment.transactionId !== undefined) {
    return { org_hf_seq_id: payment.transactionId }
  }
  return { org_req_seq_id: providerNumber(payment.paymentId) }
}

/** huifu-dougong.md 7.3: here `org_*` means the refund itself, in every version. */
export function refundQueryData(settings: HuifuSettings, refund: RefundRef): RequestData {
  return {
    huifu_id: settings.huifuId,
    org_req_date: compactDay(refund.submission.sentAt),
    org_req_seq_id: refund.submission.number,
  }
}

export function yuanOf(amount: PrepayRequest['amount']): string {
  if (amount.currency !== 'CNY') throw new ProviderRejected('unsupported', 'CURRENCY', 'Huifu takes CNY only')
  requireAmount(amount)
  return printYuan(amount.amount)
}

/** The field holds 32 characters (4.5); a longer IPv6 address is left out rather than cut into another address. */
function riskData(clientIp: string): string | undefined {
  return clientIp === '' || clientIp.length > 32 ? undefined : JSON.stringify({ ip_addr: clientIp })
}

/**
 * Free text without the characters on whose spelling signers disagree (huifu-dougong.md 2.2): controls, U+2028, U+2029,
 * U+007F to U+009F, and halves of surrogate pairs. Cut by characters, so that none is cut in two.
 */
export function safeText(text: string, length: number): string {
  const clean = text.replaceAll(/[\p{Cc}\p{Cs}\u2028\u2029]+/gu, ' ').trim()
  return Array.from(clean).slice(0, length).join('').trim()
}

/** huifu-dougong.md 13.1: no query string, default ports or 8000 to 9005. Otherwise notifications silently never come. */
export function checkedNotifyUrl(text: string, longest: number, sandbox: boolean): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const port = url === undefined || url.port === '' ? undefined : Number.parseInt(url.port, 10)
  const reachable = port === undefined || (port >= 8000 && port <= 9005) || sandbox
  if (url === undefined || url.search !== '' || text.length > longest || !reachable) {
    throw new ProviderRejected(
      'misconfigured',
      'NOTIFY_URL',
      'Huifu cannot call this notification address: no query string, default port or 8000 to 9005, at most 504 characters',
    )
  }
  return text
}
