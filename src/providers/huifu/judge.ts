import { compactDay } from '../../core/business-day.ts'
import { providerNumber } from '../../core/ids.ts'
import type { PaymentRef, RefundRef } from '../../core/provider.ts'
import { processed, refusalOf, type Answer } from './call.ts'
import { readCode, type Operation } from './codes.ts'
import { optional, requireEcho, type Echo } from './echo.ts'
import { textOf } from './lossless.ts'
import type { HuifuSettings } from './settings.ts'
import { detailOf, words } from './wording.ts'

/** What every operation asks of an answer: was it taken, and is it about what was asked? */

/**
 * Was the create or refund taken?
 * @returns true when it was processed and has not failed; false when it is verifiably in state F
 * @throws ProviderRejected or ProviderUnknown for a refusal; ProviderUnknown for the answer to another request
 */
export function accepted(operation: 'prepay' | 'refund', answer: Answer, echoes: readonly Echo[]): boolean {
  const failed = textOf(answer.data, 'trans_stat') === 'F'
  if (processed(answer)) {
    requireEcho(operation, answer, echoes)
    return !failed
  }
  // 90000000 covers everything from a risk refusal to a crash; only together with F does it say that nothing moved (16.1).
  if (answer.code === '90000000' && failed && verdictOf(operation, answer) === 'unknown') {
    requireEcho(operation, answer, echoes)
    return false
  }
  requireEcho(operation, answer, optional(echoes))
  throw refusalOf(operation, answer)
}

export function verdictOf(operation: Operation, answer: Answer): ReturnType<typeof readCode>['verdict'] {
  return readCode(operation, answer.code, words(answer.data)).verdict
}

/** The keys of the request itself, which Huifu repeats in create, refund and close answers (4.7, 6.1, 7.2). */
export function ownEchoes(
  settings: HuifuSettings,
  data: Readonly<Record<string, string | undefined>>,
): readonly Echo[] {
  return [
    { names: ['huifu_id'], value: settings.huifuId, must: true },
    { names: ['req_seq_id'], value: data['req_seq_id'] ?? '', must: true },
    { names: ['req_date'], value: data['req_date'] ?? '', must: false },
  ]
}

/** The keys of the payment that a close or refund is about. */
export function originalEchoes(payment: PaymentRef): readonly Echo[] {
  return [
    { names: ['org_req_seq_id'], value: providerNumber(payment.paymentId), must: false },
    { names: ['org_req_date'], value: compactDay(payment.createdAt), must: false },
  ]
}

export function subject(ref: RefundRef): { refundId: string; paymentId: string; submissionNumber: string } {
  return { refundId: ref.refundId, paymentId: ref.payment.paymentId, submissionNumber: ref.submission.number }
}

export function detail(answer: Answer): { readonly detail?: string } {
  const text = detailOf(answer.data)
  return text === undefined ? {} : { detail: text }
}
