/**
 * Fen of a yuan text, or undefined when it is not written exactly as Huifu demands: at most eleven digits before the
 * point, two behind it, no sign and no leading zero (huifu-dougong.md 3).
 */
export function fenOf(yuan: string): number | undefined {
  if (!/^(?:0|[1-9]\d{0,10})\.\d{2}$/.test(yuan)) return undefined
  return Number.parseInt(yuan.replace('.', ''), 10)
}

/** Yuan text with two decimals of an integer number of fen. */
export function yuanOf(fen: number): string {
  const digits = String(Math.abs(fen)).padStart(3, '0')
  return `${fen < 0 ? '-' : ''}${digits.slice(0, -2)}.${digits.slice(-2)}`
}

/** What Huifu charges, in hundred-thousandths of the amount, and how it writes that down. */
export type FeeRate = { readonly formula: string; readonly perHundredThousand: number }

/** The rate of the published notification sample (huifu-dougong.md A.5). */
export const DEFAULT_RATE: FeeRate = { formula: 'AMT*0.0038', perHundredThousand: 380 }

/** A rate from text such as `0.0021`, or undefined. */
export function rateOf(text: string): FeeRate | undefined {
  const decimals = /^0\.(\d{1,5})$/.exec(text)?.[1]
  if (decimals === undefined) return undefined
  return { formula: `AMT*${text}`, perHundredThousand: Number.parseInt(decimals.padEnd(5, '0'), 10) }
}

/** Fee in fen, rounded half up: 2355.00 at 0.0021 is 4.95 (huifu-dougong.md 3.1). */
export function feeOf(fen: number, rate: FeeRate): number {
  return Number((BigInt(fen) * BigInt(rate.perHundredThousand) * 2n + 100_000n) / 200_000n)
}

/**
 * The part of `whole` that goes with `part` of `total`: floored, except that the last part takes whatever is left.
 * Refunded fees follow it: 244.00 of 714.16 with a fee of 9.64 returns 3.29 (huifu-dougong.md 3.1).
 */
export function shareOf(whole: number, part: number, total: number, already: { part: number; share: number }): number {
  if (already.part + part === total) return whole - already.share
  return Number((BigInt(whole) * BigInt(part)) / BigInt(total))
}
