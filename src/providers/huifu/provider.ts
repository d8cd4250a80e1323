import { compactDay } from '../../core/business-day.ts'
import type { PaymentFact, RefundFact } from '../../core/fact.ts'
import { providerNumber } from '../../core/ids.ts'
import {
  ProviderRejected,
  ProviderUnknown,
  type CloseRequest,
  type Method,
  type MethodFacts,
  type Prepaid,
  type PrepayRequest,
  type Provider,
  type ProviderFactory,
  type ProviderRules,
  type ProviderTools,
  type PaymentRef,
  type RefundRef,
  type RefundRequest,
} from '../../core/provider.ts'
import { caller, processed, refusalOf, rejected, type Answer } from './call.ts'
import { readFailure } from './codes.ts'
import { optional, requireEcho, type Echo } from './echo.ts'
import { paymentFactOf, refundFactOf } from './facts.ts'
import { closeHosted, ownNumber, prepayHosted, queryHosted, type HuifuChannel } from './hosting.ts'
import { invocationOf } from './invocation.ts'
import { accepted, detail, originalEchoes, ownEchoes, subject, verdictOf } from './judge.ts'
import { textOf } from './lossless.ts'
import { notificationReader } from './notification.ts'
import { closeData, locatesByTransaction, prepayData, queryData, refundData, refundQueryData } from './requests.ts'
import { isHosted, readSettings, type HuifuSettings } from './settings.ts'
import { plainWords, words } from './wording.ts'

/** Huifu Dougong's aggregated payments: v3 `jspay` and v4 `create` behind one adapter (design.md 18.11). */

type Channel = HuifuChannel

// A WeChat prepay lives about two hours (huifu-dougong.md 4.2); a payer is not offered one that is about to end.
const prepayLife_ms = 90 * 60_000

/** Builds the adapter of one channel. @throws Error listing every fault of the settings */
export const huifu: ProviderFactory = (given: unknown, tools: ProviderTools): Provider => {
  const settings = readSettings(given, tools.sandbox)
  const channel: Channel = { settings, call: caller(settings, tools), sandbox: tools.sandbox, now: tools.now }
  const hosted = (method: Method) => isHosted(settings, method)
  return {
    methods: methodsOf(settings),
    rules: rulesOf(tools.timeScale),
    prepay: (request, signal) => (hosted(request.method) ? prepayHosted : prepay)(channel, request, signal),
    queryPayment: (payment, signal) => (hosted(payment.method) ? queryHosted : queryPayment)(channel, payment, signal),
    closePayment: (close, signal) => (hosted(close.method) ? closeHosted : closePayment)(channel, close, signal),
    refund: (request, signal) => refund(channel, request, signal),
    queryRefund: (ref, signal) => queryRefund(channel, ref, signal),
    readNotification: notificationReader(settings),
  }
}

function methodsOf(settings: HuifuSettings): Readonly<Partial<Record<Method, MethodFacts>>> {
  const { wechat_jsapi: jsapi, wechat_mini: mini } = settings.methods
  return {
    ...(jsapi === undefined ? {} : { wechat_jsapi: { currencies: ['CNY'], openidOf: jsapi.appid } }),
    ...(mini === undefined
      ? {}
      : { wechat_mini: { currencies: ['CNY'], ...('appid' in mini ? { openidOf: mini.appid } : { hosted: true }) } }),
  }
}

/** huifu-dougong.md 6.1 (first minute), 7.2 (360 days; any number of refunds), 3 (a number is good for one day). */
function rulesOf(timeScale: number): ProviderRules {
  return {
    tellsAccount: true,
    refundNumbers: 'per_day',
    refundSpacingMs: 60_000 / timeScale,
    // The largest number of partial refunds is not published (huifu-dougong.md 21); this one is a bound of ours.
    refundsPerPayment: 1000,
    refundDays: 360,
    closeAfterMs: 60_000 / timeScale,
  }
}

/** huifu-dougong.md 4.7, decision table. */
async function prepay(channel: Channel, request: PrepayRequest, signal: AbortSignal): Promise<Prepaid> {
  const { settings, call } = channel
  const data = prepayData(settings, request, channel.sandbox)
  const path = settings.api === 'v3' ? '/v3/trade/payment/jspay' : '/v4/trade/payment/create'
  const answer = await call('prepay', path, data, signal, { paymentId: request.paymentId })
  const echoes = [...ownEchoes(settings, data), { names: ['trans_amt'], value: data['trans_amt'] ?? '', must: false }]
  const state = textOf(answer.data, 'trans_stat')
  if (!accepted('prepay', answer, echoes)) {
    const { reason, cure } = readFailure(words(answer.data))
    throw rejected('prepay', reason, answer.code, cure, plainWords(answer.data))
  }
  if (state !== undefined && state !== 'P') {
    throw new ProviderUnknown(`huifu prepay: the payment is in state ${state} already; query it`, answer.code)
  }
  const invocation = invocationOf(answer.data)
  if (invocation === undefined) {
    throw new ProviderUnknown('huifu prepay: accepted, but without usable pay_info', answer.code)
  }
  const fact = paymentFactOf(answer.data, request.paymentId)
  return {
    invocation,
    usableUntil: Math.min(request.expiresAt, request.createdAt + prepayLife_ms),
    ...(fact?.transactionId === undefined ? {} : { transactionId: fact.transactionId }),
    ...(fact?.partyOrderId === undefined ? {} : { partyOrderId: fact.partyOrderId }),
  }
}

/** huifu-dougong.md 5. */
async function queryPayment(channel: Channel, payment: PaymentRef, signal: AbortSignal): Promise<PaymentFact> {
  const { settings, call } = channel
  const { paymentId } = payment
  const path = `/${settings.api}/trade/payment/scanpay/query`
  const answer = await call('query', path, queryData(settings, payment), signal, { paymentId })
  const byTransaction = locatesByTransaction(settings, payment)
  const echoes: Echo[] = [
    { names: ['huifu_id'], value: settings.huifuId, must: false },
    { names: ['org_req_seq_id', 'req_seq_id'], value: providerNumber(paymentId), must: !byTransaction },
    { names: ['org_req_date', 'req_date'], value: compactDay(payment.createdAt), must: false },
  ]
  if (byTransaction) {
    echoes.push({ names: ['org_hf_seq_id', 'hf_seq_id'], value: payment.transactionId ?? '', must: true })
  }
  if (!processed(answer)) {
    requireEcho('query', answer, optional(echoes))
    if (verdictOf('query', answer) !== 'absent') throw refusalOf('query', answer)
    return { about: 'payment', paymentId, seen: 'absent', ...detail(answer) }
  }
  requireEcho('query', answer, echoes)
  const fact = paymentFactOf(answer.data, paymentId)
  if (fact === undefined) throw new ProviderUnknown('huifu query: an answer without a known state', answer.code)
  if (fact.seen === 'succeeded' && fact.amount === undefined) {
    throw new ProviderUnknown('huifu query: a paid order without a readable amount', answer.code)
  }
  return fact
}

/** huifu-dougong.md 6: ask to close, ask once how it went, and believe the payment rather than the close. */
async function closePayment(channel: Channel, close: CloseRequest, signal: AbortSignal): Promise<PaymentFact> {
  const { settings, call } = channel
  const data = closeData(settings, close, 'C')
  const path = '/v2/trade/payment/scanpay/close'
  const answer = await call('close', path, data, signal, { paymentId: close.paymentId })
  const echoes = [...ownEchoes(settings, data), ...originalEchoes(close)]
  if (!processed(answer)) {
    requireEcho('close', answer, optional(echoes))
    const verdict = verdictOf('close', answer)
    if (verdict === 'final') return await queryPayment(channel, close, signal)
    if (verdict !== 'repeated') throw refusalOf('close', answer)
    return await askClose(channel, close, signal)
  }
  requireEcho('close', answer, echoes)
  return (await readClose(channel, close, answer, signal)) ?? (await askClose(channel, close, signal))
}

/** One close query. Still closing, or no answer, is `pending`: the close itself was taken, and the engine asks again. */
async function askClose(channel: Channel, close: CloseRequest, signal: AbortSignal): Promise<PaymentFact> {
  const { settings, call } = channel
  const pending: PaymentFact = { about: 'payment', paymentId: close.paymentId, seen: 'pending', detail: 'closing' }
  const path = '/v2/trade/payment/scanpay/closequery'
  let answer: Answer
  try {
    answer = await call('close_query', path, closeData(settings, close, 'Q'), signal, { paymentId: close.paymentId })
  } catch (error) {
    if (error instanceof ProviderRejected || error instanceof ProviderUnknown) return pending
    throw error
  }
  const echoes = [{ names: ['huifu_id'], value: settings.huifuId, must: false }, ...originalEchoes(close)]
  if (!processed(answer)) return pending
  requireEcho('close_query', answer, echoes)
  return (await readClose(channel, close, answer, signal)) ?? pending
}

/** huifu-dougong.md 6.2, table. @returns undefined while Huifu is closing */
async function readClose(
  channel: Channel,
  close: CloseRequest,
  answer: Answer,
  signal: AbortSignal,
): Promise<PaymentFact | undefined> {
  const closing = textOf(answer.data, 'trans_stat')
  const original = textOf(answer.data, 'org_trans_stat')
  const paymentId = close.paymentId
  if (closing === 'S' && original === 'F') return { about: 'payment', paymentId, seen: 'closed', ...detail(answer) }
  // The payer was faster, or the two states do not fit: the payment's own query is the better witness (13.7).
  if (original === 'S' || closing === 'S' || (closing === 'F' && original !== 'P')) {
    return await queryPayment(channel, close, signal)
  }
  if (closing === 'F') return { about: 'payment', paymentId, seen: 'pending', ...detail(answer) }
  return undefined
}

/** huifu-dougong.md 7.1 and 7.2; for hosted payments 11.2, which differs in the path alone. */
async function refund(channel: Channel, request: RefundRequest, signal: AbortSignal): Promise<RefundFact> {
  const { settings, call } = channel
  const data = refundData(settings, request, channel.sandbox)
  const path = isHosted(settings, request.payment.method)
    ? '/v2/trade/hosting/payment/htRefund'
    : `/${settings.api}/trade/payment/scanpay/refund`
  const answer = await call('refund', path, data, signal, { refundId: request.refundId })
  const echoes = [...ownEchoes(settings, data), ...originalEchoes(request.payment)]
  accepted('refund', answer, echoes)
  const fact = refundFactOf(answer.data, subject(request), 'hf_seq_id', 'processing')
  if (fact === undefined) {
    throw new ProviderUnknown('huifu refund: an answer without a known state', answer.code)
  }
  return fact
}

/** huifu-dougong.md 7.3; for hosted payments 11.2, where the query has a number of its own. */
async function queryRefund(channel: Channel, ref: RefundRef, signal: AbortSignal): Promise<RefundFact> {
  const { settings, call } = channel
  const hosted = isHosted(settings, ref.payment.method)
  const data = { ...refundQueryData(settings, ref), ...(hosted ? ownNumber(channel, ref.submission.number) : {}) }
  const path = hosted
    ? '/v2/trade/hosting/payment/queryRefundInfo'
    : `/${settings.api}/trade/payment/scanpay/refundquery`
  const answer = await call('refund_query', path, data, signal, { refundId: ref.refundId })
  const echoes: Echo[] = [
    { names: ['huifu_id'], value: settings.huifuId, must: false },
    { names: ['org_req_seq_id'], value: ref.submission.number, must: true },
    { names: ['org_req_date'], value: compactDay(ref.submission.sentAt), must: false },
  ]
  if (!processed(answer)) {
    requireEcho('refund_query', answer, optional(echoes))
    if (verdictOf('refund_query', answer) !== 'absent') throw refusalOf('refund_query', answer)
    return { about: 'refund', seen: 'absent', ...subject(ref), ...detail(answer) }
  }
  requireEcho('refund_query', answer, echoes)
  const fact = refundFactOf(answer.data, subject(ref), 'org_hf_seq_id')
  if (fact === undefined) throw new ProviderUnknown('huifu refund_query: an answer without a known state', answer.code)
  return fact
}
