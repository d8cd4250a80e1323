import { z } from 'zod'
import { beijingTime } from '../../core/business-day.ts'
import type { PaymentFact, RefundFact } from '../../core/fact.ts'
import { providerNumber } from '../../core/ids.ts'
import {
  ProviderRejected,
  ProviderUnknown,
  type PaymentRef,
  type Prepaid,
  type PrepayRequest,
  type Provider,
  type ProviderFactory,
  type ProviderTools,
  type RefundRef,
  type RefundRequest,
} from '../../core/provider.ts'
import { randomNonce } from '../../crypto/digest.ts'
import { requireAmount } from '../outcome.ts'
import { createCall, send, type Call } from './call.ts'
import type { Variant } from './direct.ts'
import { orderFact, orderShape, refundFact, refundShape } from './facts.ts'
import { jsapiInvocation } from './invocation.ts'
import { createKeys } from './keys.ts'
import { readNotification } from './notification.ts'
import { readSettings, type Settings } from './settings.ts'

/** The verbs of the port over WeChat Pay APIv3, written once for every variant (design.md 13). */

type Channel = {
  readonly settings: Settings
  readonly variant: Variant
  readonly tools: ProviderTools
  readonly call: Call
}

// A prepay_id lives two hours (wechatpay.md 3.7); the last half hour is left to the payer who is slow.
const usable_ms = 90 * 60 * 1000

/** The adapter of one family of APIv3. The factory throws an Error listing every fault of the settings. */
export function wechatV3(variant: Variant): ProviderFactory {
  return (input, tools): Provider => {
    const settings = readSettings(input, variant, tools.sandbox)
    const keys = createKeys(settings, tools, (signal) =>
      send(
        settings,
        tools,
        { operation: 'certificates', method: 'GET', target: variant.certificates },
        undefined,
        signal,
      ),
    )
    const channel: Channel = { settings, variant, tools, call: createCall(settings, tools, keys) }
    return {
      methods: Object.fromEntries(
        Object.entries(settings.methods).map(([method, { appid }]) => [
          method,
          { currencies: [variant.currency], openidOf: appid },
        ]),
      ),
      rules: {
        tellsAccount: false,
        refundNumbers: 'once',
        // Partial refunds of one order at least a minute apart, at most fifty, within a year (wechatpay.md 2.6).
        refundSpacingMs: 60_000 / tools.timeScale,
        refundsPerPayment: 50,
        refundDays: 365,
        closeAfterMs: 0,
      },
      prepay: (request, signal) => prepay(channel, request, signal),
      queryPayment: (payment, signal) => queryPayment(channel, payment, signal),
      closePayment: (close, signal) => closePayment(channel, close, signal),
      refund: (request, signal) => refund(channel, request, signal),
      queryRefund: (ref, signal) => queryRefund(channel, ref, signal),
      readNotification: (message) => readNotification(message, settings, variant, keys),
      close: () => {
        keys.close()
      },
    }
  }
}

const prepaidShape = z.object({ prepay_id: z.string().regex(/^[\x21-\x7e]{1,64}$/) })

/** Orders; the same number with the same content is the same order and yields a fresh handle (wechatpay.md 1.10, 2.2). */
async function prepay(channel: Channel, request: PrepayRequest, signal: AbortSignal): Promise<Prepaid> {
  const { settings, variant, tools } = channel
  const path = variant.order[request.method]
  const appid = appidOf(settings, request.method)
  if (path === undefined || appid === undefined) {
    throw new ProviderRejected('unsupported', 'METHOD', `this channel does not offer ${request.method}`)
  }
  if (request.amount.currency !== variant.currency) {
    throw new ProviderRejected('unsupported', 'CURRENCY', `this channel takes ${variant.currency} only`)
  }
  requireAmount(request.amount)
  if (request.openid === undefined || request.openid === '') {
    throw new ProviderRejected(
      'invalid_request',
      'OPENID',
      `${request.method} needs the openid of the payer under ${appid}`,
    )
  }
  const body = JSON.stringify({
    ...variant.orderIdentity(settings.mchid, appid),
    description: shortened(request.subject, 127),
    out_trade_no: providerNumber(request.paymentId),
    time_expire: beijingTime(request.expiresAt),
    attach: shortened(request.merchantOrderNo, 127),
    notify_url: request.notifyUrl,
    amount: { total: request.amount.amount, currency: request.amount.currency },
    payer: { openid: request.openid },
    // The longest legal form is 45 characters; an address we could not learn is left out rather than invented.
    ...(/^[0-9A-Fa-f:.]{2,45}$/.test(request.clientIp) ? { scene_info: { payer_client_ip: request.clientIp } } : {}),
  })
  const answer = await channel.call({ operation: 'create', method: 'POST', target: path, body }, signal)
  const prepaid = answer.kind === 'done' ? prepaidShape.safeParse(answer.json) : undefined
  if (prepaid?.success !== true) throw new ProviderUnknown('create: the answer has no prepay_id')
  const now = tools.now()
  return {
    invocation: await jsapiInvocation(
      settings.privateKey,
      appid,
      prepaid.data.prepay_id,
      Math.floor(now / 1000),
      randomNonce(),
    ),
    usableUntil: Math.min(now + usable_ms / tools.timeScale, request.expiresAt),
  }
}

/** Asks by WeChat Pay's number when it is known, otherwise by ours: unpaid orders have no other (wechatpay.md 2.4). */
async function queryPayment(channel: Channel, payment: PaymentRef, signal: AbortSignal): Promise<PaymentFact> {
  const { settings, variant } = channel
  const number = providerNumber(payment.paymentId)
  const byTransaction = payment.transactionId !== undefined && /^[A-Za-z0-9]{1,32}$/.test(payment.transactionId)
  const target = byTransaction
    ? variant.queryByTransaction(settings.mchid, payment.transactionId ?? '')
    : variant.queryByNumber(settings.mchid, number)
  const answer = await channel.call({ operation: 'query', method: 'GET', target }, signal)
  if (answer.kind !== 'done') return absentPayment(payment, answer.code)
  const order = orderShape.safeParse(answer.json)
  if (!order.success) throw new ProviderUnknown('query: an order of an unknown form')
  // A swapped or cached answer is genuine too; only the echo tells it apart (reliability.md T95).
  const appid = appidOf(settings, payment.method)
  const ours =
    order.data.mchid === settings.mchid &&
    order.data.out_trade_no === number &&
    (appid === undefined || order.data.appid === appid) &&
    (!byTransaction || order.data.transaction_id === payment.transactionId)
  if (!ours) throw new ProviderUnknown('query: the answer is about another order', 'WRONG_ECHO')
  const fact = orderFact(order.data, payment.paymentId, variant.currency)
  if (fact === undefined) throw new ProviderUnknown('query: an order in an unknown state or currency')
  return fact
}

/** Closes; a refusal is followed by a query, whose verified answer counts (wechatpay.md 2.5). */
async function closePayment(channel: Channel, payment: PaymentRef, signal: AbortSignal): Promise<PaymentFact> {
  const { settings, variant } = channel
  const target = variant.close(providerNumber(payment.paymentId))
  const body = JSON.stringify(variant.closeIdentity(settings.mchid))
  const answer = await channel.call({ operation: 'close', method: 'POST', target, body }, signal)
  if (answer.kind === 'done') return { about: 'payment', paymentId: payment.paymentId, seen: 'closed' }
  if (answer.kind === 'absent') return absentPayment(payment, answer.code)
  return queryPayment(channel, payment, signal)
}

/** Refunds; the number makes it safe to repeat (wechatpay.md 1.10, 2.6). */
async function refund(channel: Channel, request: RefundRequest, signal: AbortSignal): Promise<RefundFact> {
  const { variant } = channel
  requireAmount(request.amount)
  const reason = shortened(request.reason, 80)
  const body = JSON.stringify({
    // Always our own number: WeChat Pay's may become known between two sendings, and a repeat must not change.
    out_trade_no: providerNumber(request.payment.paymentId),
    out_refund_no: request.submission.number,
    ...(reason === '' ? {} : { reason }),
    notify_url: request.notifyUrl,
    amount: {
      refund: request.amount.amount,
      total: request.payment.amount.amount,
      currency: request.amount.currency,
    },
  })
  const answer = await channel.call({ operation: 'refund', method: 'POST', target: variant.refund, body }, signal)
  if (answer.kind !== 'done') throw new ProviderUnknown('refund: no refund in the answer', answer.code)
  const fact = factOfRefund(channel, request, answer.json, 'refund')
  if (fact.amount?.amount !== request.amount.amount || fact.amount.currency !== request.amount.currency) {
    throw new ProviderUnknown('refund: the answer is about another amount', 'WRONG_ECHO')
  }
  return fact
}

async function queryRefund(channel: Channel, ref: RefundRef, signal: AbortSignal): Promise<RefundFact> {
  const target = channel.variant.queryRefund(ref.submission.number)
  const answer = await channel.call({ operation: 'query_refund', method: 'GET', target }, signal)
  if (answer.kind !== 'done') {
    return {
      about: 'refund',
      refundId: ref.refundId,
      paymentId: ref.payment.paymentId,
      seen: 'absent',
      submissionNumber: ref.submission.number,
      detail: answer.code,
    }
  }
  return factOfRefund(channel, ref, answer.json, 'query_refund')
}

function factOfRefund(channel: Channel, ref: RefundRef, json: unknown, operation: string): RefundFact {
  const parsed = refundShape.safeParse(json)
  if (!parsed.success) throw new ProviderUnknown(`${operation}: a refund of an unknown form`)
  const { data } = parsed
  const ours =
    data.out_refund_no === ref.submission.number &&
    data.out_trade_no === providerNumber(ref.payment.paymentId) &&
    (data.mchid ?? channel.settings.mchid) === channel.settings.mchid
  if (!ours) throw new ProviderUnknown(`${operation}: the answer is about another refund`, 'WRONG_ECHO')
  const ids = { refundId: ref.refundId, paymentId: ref.payment.paymentId }
  const fact = refundFact(data, ids, channel.variant.currency)
  if (fact === undefined) throw new ProviderUnknown(`${operation}: a refund in an unknown state or currency`)
  return fact
}

function absentPayment(payment: PaymentRef, code: string): PaymentFact {
  return { about: 'payment', paymentId: payment.paymentId, seen: 'absent', detail: code }
}

function appidOf(settings: Settings, method: PaymentRef['method']): string | undefined {
  return method === 'wechat_jsapi' || method === 'wechat_mini' ? settings.methods[method]?.appid : undefined
}

/** Cuts by characters, not UTF-16 halves: half a character is not valid UTF-8. */
function shortened(text: string, max: number): string {
  return Array.from(text).slice(0, max).join('')
}
