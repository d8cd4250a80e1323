import { compactDay, compactTime, parseCompactTime } from '../../core/business-day.ts'
import type { PaymentFact } from '../../core/fact.ts'
import { providerNumber } from '../../core/ids.ts'
import {
  ProviderUnknown,
  type CloseRequest,
  type Invocation,
  type PaymentRef,
  type Prepaid,
  type PrepayRequest,
} from '../../core/provider.ts'
import { randomNonce } from '../../crypto/digest.ts'
import { processed, refusalOf, type Call } from './call.ts'
import { optional, requireEcho, type Echo } from './echo.ts'
import { paymentFactOf } from './facts.ts'
import { accepted, detail, originalEchoes, ownEchoes, verdictOf } from './judge.ts'
import { objectOf, textOf, type JsonObject } from './lossless.ts'
import { checkedNotifyUrl, closeData, safeText, yuanOf, type RequestData } from './requests.ts'
import type { HuifuSettings } from './settings.ts'

/**
 * Huifu's hosted mini-program (huifu-dougong.md 11), for merchants who have none of their own: a pre-order of type 3 is
 * an attempt like any other, only that Huifu's page asks the payer. Refunds differ in their paths alone, see provider.ts.
 */

/** One configured channel at work. */
export type HuifuChannel = {
  readonly settings: HuifuSettings
  readonly call: Call
  readonly sandbox: boolean
  /** Epoch milliseconds; only for the numbers of questions, which are new each time. */
  readonly now: () => number
}

const base = '/v2/trade/hosting/payment'

/** `preorder` (11.1). Its expiry is always sent: Huifu's own is ten minutes. */
export async function prepayHosted(
  channel: HuifuChannel,
  request: PrepayRequest,
  signal: AbortSignal,
): Promise<Prepaid> {
  const { settings, call } = channel
  const data = preorderData(channel, request)
  const answer = await call('prepay', `${base}/preorder`, data, signal, { paymentId: request.paymentId })
  const echoes = [...ownEchoes(settings, data), { names: ['trans_amt'], value: data['trans_amt'] ?? '', must: false }]
  if (!accepted('prepay', answer, echoes)) throw refusalOf('prepay', answer)
  const invocation = hostedInvocation(answer.data)
  if (invocation === undefined) {
    throw new ProviderUnknown('huifu preorder: accepted, but without usable miniapp_data', answer.code)
  }
  return { invocation, usableUntil: request.expiresAt }
}

function preorderData(channel: HuifuChannel, request: PrepayRequest): RequestData {
  const { settings, sandbox } = channel
  const mini = settings.methods.wechat_mini
  const seqId = mini !== undefined && 'hosted' in mini ? mini.seqId : undefined
  const remark = safeText(request.merchantOrderNo, 255)
  const scene = { need_scheme: 'Y', ...(seqId === undefined ? {} : { seq_id: seqId }), private_info: remark }
  return {
    req_date: compactDay(request.createdAt),
    req_seq_id: providerNumber(request.paymentId),
    huifu_id: settings.huifuId,
    trans_amt: yuanOf(request.amount),
    goods_desc: safeText(request.subject, 40) || providerNumber(request.paymentId),
    pre_order_type: '3',
    miniapp_data: JSON.stringify(scene),
    time_expire: compactTime(request.expiresAt),
    notify_url: checkedNotifyUrl(request.notifyUrl, 504, sandbox),
  }
}

/** An app opens `path?p={pre_order_id}&s=app`, a browser the scheme (11.1 and 12.2). */
function hostedInvocation(data: JsonObject): Invocation | undefined {
  const app = objectOf(data, 'miniapp_data')
  const preOrder = textOf(data, 'pre_order_id')
  if (app === undefined || preOrder === undefined || !/^[A-Za-z0-9]{1,64}$/.test(preOrder)) return undefined
  const [userName, path, scheme] = ['gh_id', 'path', 'scheme_code'].map((name) => textOf(app, name))
  if (userName === undefined || path === undefined || !/^[A-Za-z0-9_\-/.]{1,128}$/.test(path)) return undefined
  const opens = scheme !== undefined && /^weixin:\/\/dl\/business\/\?[\x21-\x7e]{1,512}$/.test(scheme)
  return { kind: 'miniprogram', userName, path: `${path}?p=${preOrder}&s=app`, ...(opens ? { scheme } : {}) }
}

/** `queryorderinfo` (11.2). It does not say whether the merchant has been credited; the account notification does. */
export async function queryHosted(
  channel: HuifuChannel,
  payment: PaymentRef,
  signal: AbortSignal,
): Promise<PaymentFact> {
  const { settings, call } = channel
  const { paymentId } = payment
  const number = providerNumber(paymentId)
  const data = {
    ...ownNumber(channel, number),
    huifu_id: settings.huifuId,
    org_req_date: compactDay(payment.createdAt),
    org_req_seq_id: number,
  }
  const answer = await call('query', `${base}/queryorderinfo`, data, signal, { paymentId })
  const echoes: Echo[] = [
    { names: ['huifu_id'], value: settings.huifuId, must: false },
    { names: ['org_req_seq_id'], value: number, must: true },
    { names: ['org_req_date'], value: data.org_req_date, must: false },
  ]
  if (!processed(answer)) {
    requireEcho('query', answer, optional(echoes))
    if (verdictOf('query', answer) !== 'absent') throw refusalOf('query', answer)
    return { about: 'payment', paymentId, seen: 'absent', ...detail(answer) }
  }
  requireEcho('query', answer, echoes)
  const fact = paymentFactOf(answer.data, paymentId)
  if (fact === undefined) throw new ProviderUnknown('huifu hosted query: an answer without a known state', answer.code)
  if (fact.seen !== 'succeeded') return fact
  if (fact.amount === undefined) {
    throw new ProviderUnknown('huifu hosted query: a paid order without a readable amount', answer.code)
  }
  const { account, ...rest } = fact
  const paidAt = parseCompactTime(textOf(answer.data, 'trans_time') ?? '')
  return {
    ...rest,
    ...(textOf(answer.data, 'acct_stat') === undefined || account === undefined ? {} : { account }),
    ...(paidAt === undefined ? {} : { occurredAt: paidAt }),
  }
}

/** Hosted `close` (11.2): asynchronous, and believed only together with what it says of the order. */
export async function closeHosted(
  channel: HuifuChannel,
  close: CloseRequest,
  signal: AbortSignal,
): Promise<PaymentFact> {
  const { settings, call } = channel
  const { paymentId } = close
  const data = closeData(settings, close, 'C')
  const answer = await call('close', `${base}/close`, data, signal, { paymentId })
  const echoes = [...ownEchoes(settings, data), ...originalEchoes(close)]
  if (!processed(answer)) {
    requireEcho('close', answer, optional(echoes))
    const verdict = verdictOf('close', answer)
    // Asked for before, or ended: the order's own query is the better witness.
    if (verdict === 'final' || verdict === 'repeated') return queryHosted(channel, close, signal)
    throw refusalOf('close', answer)
  }
  requireEcho('close', answer, echoes)
  const [closing, original] = [textOf(answer.data, 'close_stat'), textOf(answer.data, 'org_trans_stat')]
  if (closing === 'S' && original === 'F') return { about: 'payment', paymentId, seen: 'closed', ...detail(answer) }
  if (closing === 'P' && original !== 'S') return { about: 'payment', paymentId, seen: 'pending', detail: 'closing' }
  return queryHosted(channel, close, signal)
}

/** Hosted questions have numbers of their own, new each time: nothing is done by them, so nothing is repeated. */
export function ownNumber(channel: HuifuChannel, about: string): { req_date: string; req_seq_id: string } {
  return { req_date: compactDay(channel.now()), req_seq_id: `${about}Q${randomNonce().slice(0, 12)}` }
}
