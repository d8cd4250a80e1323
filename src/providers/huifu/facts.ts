import { parseCompactTime } from '../../core/business-day.ts'
import type { PaymentFact, RefundFact } from '../../core/fact.ts'
import { parseYuan, type Money } from '../../core/money.ts'
import { firstText, objectOf, textOf, type JsonObject } from './lossless.ts'
import { detailOf } from './wording.ts'

/** Verified members → facts, for queries, answers and notifications alike (huifu-dougong.md 5.3, 7.2, 13.3, 13.4, 15). */

const paymentStates: Readonly<Record<string, PaymentFact['seen']>> = {
  S: 'succeeded',
  P: 'pending',
  I: 'pending',
  F: 'closed',
}
const refundStates: Readonly<Record<string, RefundFact['seen']>> = {
  S: 'succeeded',
  P: 'processing',
  I: 'processing',
  F: 'failed',
}

/**
 * What the members say about a payment.
 * @param data a query's or notification's members; numbers may be called `org_*` (v3) or not (v4, notifications)
 * @returns undefined when `trans_stat` is missing or not a documented state
 */
export function paymentFactOf(data: JsonObject, paymentId: string): PaymentFact | undefined {
  const seen = stateOf(paymentStates, data)
  if (seen === undefined) return undefined
  const fact = {
    about: 'payment' as const,
    paymentId,
    seen,
    amount: amountOf(data, 'trans_amt'),
    transactionId: numberOf(firstText(data, 'org_hf_seq_id', 'hf_seq_id')),
    partyOrderId: numberOf(textOf(data, 'party_order_id')),
    detail: detailOf(data),
  }
  if (seen !== 'succeeded') return present(fact)
  return present({
    ...fact,
    account: accountOf(textOf(data, 'acct_stat')),
    payerAmount: amountOf(data, 'settlement_amt', 'pay_amt'),
    fee: feeOf(data),
    payerTransactionId: numberOf(textOf(data, 'out_trans_id')),
    occurredAt: timeOf(data, 'end_time'),
  })
}

/**
 * What the members say about a refund.
 * @param idMembers where the refund's own Huifu number stands: `hf_seq_id`, in a refund query `org_hf_seq_id` (7.3)
 * @param otherwise for an accepted refund whose state was not named (7.2: acceptance is processing)
 */
export function refundFactOf(
  data: JsonObject,
  about: { readonly refundId: string; readonly paymentId: string | undefined; readonly submissionNumber: string },
  idMembers: 'hf_seq_id' | 'org_hf_seq_id',
  otherwise?: 'processing',
): RefundFact | undefined {
  const seen = textOf(data, 'trans_stat') === undefined ? otherwise : stateOf(refundStates, data)
  if (seen === undefined) return undefined
  return present({
    about: 'refund' as const,
    refundId: about.refundId,
    paymentId: about.paymentId,
    seen,
    submissionNumber: about.submissionNumber,
    amount: amountOf(data, 'ord_amt'),
    providerRefundId: numberOf(textOf(data, idMembers)),
    occurredAt: seen === 'succeeded' || seen === 'failed' ? timeOf(data, 'trans_finish_time') : undefined,
    detail: detailOf(data),
  })
}

function stateOf<S>(states: Readonly<Record<string, S>>, data: JsonObject): S | undefined {
  const state = textOf(data, 'trans_stat')
  return state !== undefined && Object.hasOwn(states, state) ? states[state] : undefined
}

/** Posting to the merchant's account: the second axis (design.md 6.4; huifu-dougong.md 15.2). */
function accountOf(state: string | undefined): NonNullable<PaymentFact['account']> {
  if (state === 'S') return 'credited'
  return state === 'F' ? 'failed' : 'pending'
}

/** huifu-dougong.md 17 row 13: three spellings, in this order. */
function feeOf(data: JsonObject): Money | undefined {
  const fee = amountOf(data, 'fee_amount', 'fee_amt')
  if (fee !== undefined) return fee
  const wrapped = objectOf(data, 'payment_fee')
  return wrapped === undefined ? undefined : amountOf(wrapped, 'fee_amount')
}

/** Yuan text → CNY; undefined where it is absent or spelled in a way no amount is spelled. */
export function amountOf(data: JsonObject, ...names: readonly string[]): Money | undefined {
  const text = firstText(data, ...names)
  if (text === undefined) return undefined
  try {
    return { amount: parseYuan(text), currency: 'CNY' }
  } catch {
    return undefined
  }
}

function timeOf(data: JsonObject, name: string): number | undefined {
  const text = textOf(data, name)
  return text === undefined ? undefined : parseCompactTime(text)
}

/** Numbers of others go into columns and pages: printable ASCII of sane length or nothing. */
function numberOf(text: string | undefined): string | undefined {
  return text !== undefined && /^[\x21-\x7e]{1,64}$/.test(text) ? text : undefined
}

type Present<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>
}

/** Leaves out the members that are undefined: a fact says what it knows and nothing else. */
function present<T extends object>(fact: T): Present<T> {
  return Object.fromEntries(Object.entries(fact).filter(([, value]) => value !== undefined)) as Present<T>
}
