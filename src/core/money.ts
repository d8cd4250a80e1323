/**
 * Money is an integer in the minor unit of its currency: fen for CNY, cents, yen. This file is the only place in the
 * gateway where a decimal text ("12.34" yuan) becomes an amount or an amount becomes a decimal text.
 *
 * Rules: design.md 2 and 20.15; wire form of the amounts of Huifu and of statements: huifu-dougong.md 3.
 */

/** ISO 4217 codes the gateway knows, with the number of decimals of the minor unit. */
const decimalsOf = { CNY: 2, HKD: 2, USD: 2, EUR: 2, GBP: 2, SGD: 2, JPY: 0 } as const

export type Currency = keyof typeof decimalsOf

export const currencies = Object.keys(decimalsOf) as readonly Currency[]

/** An amount of money in minor units (fen for CNY). */
export type Money = { readonly amount: number; readonly currency: Currency }

/** The largest amount the gateway accepts, in minor units: 10^11 fen (reliability.md 4.3 S12). */
export const largestAmount = 100_000_000_000

/** True for an ISO 4217 code the gateway knows. */
export function isCurrency(value: unknown): value is Currency {
  return typeof value === 'string' && Object.hasOwn(decimalsOf, value)
}

/**
 * Makes a positive amount.
 * @param amount integer minor units, 1 … 10^11
 * @throws RangeError when it is not such an integer: a caller that lets anything else come this far has a bug
 */
export function money(amount: number, currency: Currency): Money {
  if (!Number.isSafeInteger(amount) || amount < 1 || amount > largestAmount) {
    throw new RangeError(`amount must be an integer between 1 and ${largestAmount} minor units, not ${String(amount)}`)
  }
  return { amount, currency }
}

/** Same amount and same currency. */
export function sameMoney(a: Money, b: Money): boolean {
  return a.amount === b.amount && a.currency === b.currency
}

/**
 * Reads a decimal text of yuan, such as "0.10", as fen. Exactly two decimals, no sign, no leading zeros, no exponent,
 * at most eleven integer digits (huifu-dougong.md 3). `0.00` is legal here: fees and coupons are often zero.
 * @returns integer fen, 0 … 10^13
 * @throws SyntaxError for any other spelling
 */
export function parseYuan(text: string): number {
  if (!/^(?:0|[1-9]\d{0,10})\.\d{2}$/.test(text)) {
    throw new SyntaxError('an amount in yuan has one to eleven digits, a point and exactly two decimals, like 12.30')
  }
  // Dropping the point is exact; multiplying by a hundred is not (reliability.md 2: 19.99 * 100 floors to 1998).
  return Number.parseInt(text.replace('.', ''), 10)
}

/**
 * Prints fen as yuan with two decimals: 10 → "0.10".
 * @param fen integer, 0 or more
 * @throws RangeError when it is not a safe integer of zero or more
 */
export function printYuan(fen: number): string {
  if (!Number.isSafeInteger(fen) || fen < 0) throw new RangeError(`not an amount in fen: ${String(fen)}`)
  const digits = String(fen).padStart(3, '0')
  return `${digits.slice(0, -2)}.${digits.slice(-2)}`
}

/** Prints an amount for people, with its currency: { amount: 1230, currency: 'CNY' } → "12.30 CNY". */
export function printMoney(value: Money): string {
  const decimals = decimalsOf[value.currency]
  if (decimals === 0) return `${String(value.amount)} ${value.currency}`
  return `${printYuan(value.amount)} ${value.currency}`
}
