/**
 * Identifiers: `ord_`, `pay_`, `ref_`, `evt_`, … followed by a ULID. What a provider sees is the id without its
 * underscore (design.md 3): at most 32 letters and digits, the strictest rule of both providers
 * (wechatpay.md 8.1, huifu-dougong.md 17 row 16).
 */

const prefixes = {
  order: 'ord',
  payment: 'pay',
  refund: 'ref',
  event: 'evt',
  delivery: 'dlv',
  notification: 'ntf',
  discrepancy: 'dsc',
} as const

export type IdKind = keyof typeof prefixes

const ulidPattern = '[0-7][0-9A-HJKMNP-TV-Z]{25}'

const patterns: Readonly<Record<IdKind, RegExp>> = {
  order: new RegExp(`^ord_${ulidPattern}$`),
  payment: new RegExp(`^pay_${ulidPattern}$`),
  // A surplus refund is derived from its payment and carries the attempt as a 27th character, see surplusRefundId.
  refund: new RegExp(`^ref_${ulidPattern}[1-9A-Z]?$`),
  event: new RegExp(`^evt_${ulidPattern}$`),
  delivery: new RegExp(`^dlv_${ulidPattern}$`),
  notification: new RegExp(`^ntf_${ulidPattern}$`),
  discrepancy: new RegExp(`^dsc_${ulidPattern}$`),
}

/** Puts the prefix of its kind before a ULID: ('payment', '01J…') → 'pay_01J…'. */
export function idOf(kind: IdKind, ulid: string): string {
  return `${prefixes[kind]}_${ulid}`
}

/** True when the text is an id of that kind. Checked before any id reaches SQL (reliability.md 0.1, point 10). */
export function isId(kind: IdKind, value: unknown): value is string {
  return typeof value === 'string' && patterns[kind].test(value)
}

/** The number the provider sees: the id without its underscore. */
export function providerNumber(id: string): string {
  return id.replace('_', '')
}

/**
 * The id behind a number that a provider sent back, or undefined when the number is not one of ours.
 * A refund's further submissions carry two characters more (see submissionNumber); they belong to the same refund.
 */
export function idFromProviderNumber(kind: 'payment' | 'refund', number: string): string | undefined {
  const prefix = prefixes[kind]
  if (!number.startsWith(prefix)) return undefined
  const id = `${prefix}_${number.slice(prefix.length)}`
  if (patterns[kind].test(id)) return id
  const withoutAttempt = id.slice(0, -2)
  return kind === 'refund' && /[0-9A-Z]{2}$/.test(id) && patterns.refund.test(withoutAttempt)
    ? withoutAttempt
    : undefined
}

const attemptLetters = '123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ'

/** How many times a surplus refund is attempted before a person has to look (the attempt is one character). */
export const surplusAttemptsMax = attemptLetters.length

/**
 * The id of the gateway's own refund of a surplus payment: derived from the payment, so that it can exist only once
 * however many processes notice the surplus (design.md 20.2).
 * @param attempt 1 … surplusAttemptsMax; the next one exists only after the one before has proven failed
 */
export function surplusRefundId(paymentId: string, attempt: number): string {
  const letter = attemptLetters[attempt - 1]
  if (letter === undefined) throw new RangeError(`surplus refund attempt out of range: ${String(attempt)}`)
  return `ref_${paymentId.slice(4)}${letter}`
}

/**
 * The number of the n-th submission of a refund. The first is the refund's own number; a later one, minted only when
 * the one before has proven not to have happened, has two characters more (design.md 20.1).
 * @param attempt 1 … 1295
 */
export function submissionNumber(refundId: string, attempt: number): string {
  if (!Number.isInteger(attempt) || attempt < 1 || attempt > 1295)
    throw new RangeError(`submission out of range: ${String(attempt)}`)
  const base = providerNumber(refundId)
  return attempt === 1 ? base : base + attempt.toString(36).toUpperCase().padStart(2, '0')
}
