/**
 * Every retry schedule in the system, as lists of durations (reliability.md 5.4). A step is chosen by how often the
 * thing has been tried; past the end of a list that repeats, the last step repeats; past the end of one that does not,
 * `undefined` says that a person has to look.
 */

const second = 1000
const minute = 60 * second
const hour = 60 * minute

export type Schedule = { readonly stepsMs: readonly number[]; readonly repeatsLast: boolean }

/** An attempt whose prepay outcome is unknown, then on with its polling. */
export const unknownPrepay: Schedule = { stepsMs: [2, 5, 15, 60, 300].map((s) => s * second), repeatsLast: true }

/** An attempt that a payer can pay. The check at expiry + 5 s is set by the order's own chore. */
export const openPayment: Schedule = {
  stepsMs: [10, 20, 30, 60, 180, 300, 600, 1800].map((s) => s * second),
  repeatsLast: true,
}

/** A closed attempt is asked about until the provider's last notification could have come (WeChat: 24 h 4 min). */
export const closedPayment: Schedule = {
  stepsMs: [minute, 10 * minute, hour, 6 * hour, 24 * hour + 10 * minute],
  repeatsLast: false,
}

/** An attempt whose close was refused for now (Huifu: not in the first minute) or is still running. */
export const closingPayment: Schedule = { stepsMs: [5, 10, 20, 30, 60, 300].map((s) => s * second), repeatsLast: true }

/** A paid attempt of a channel that will tell about crediting, when the account notification does not come. */
export const accountCredit: Schedule = {
  stepsMs: [15 * second, minute, 10 * minute, hour, 6 * hour, 24 * hour, 48 * hour],
  repeatsLast: false,
}

/** Asking after a notification that is only a hint. */
export const confirmHint: Schedule = { stepsMs: [0, 2, 5, 15, 60].map((s) => s * second), repeatsLast: false }

/** A refund that is unknown or processing: ten days, then a person. */
export const runningRefund: Schedule = {
  stepsMs: [
    5 * second,
    15 * second,
    minute,
    5 * minute,
    15 * minute,
    hour,
    3 * hour,
    6 * hour,
    ...Array.from({ length: 20 }, () => 12 * hour),
  ],
  repeatsLast: false,
}

/** A refund the merchant's balance could not pay. */
export const unfundedRefund: Schedule = {
  stepsMs: [10 * minute, hour, 6 * hour, ...Array.from({ length: 7 }, () => 24 * hour)],
  repeatsLast: false,
}

/** A refund refused for now for any other reason: not yet posted, too soon after another, channel misconfigured. */
export const postponedRefund: Schedule = {
  stepsMs: [
    10 * second,
    30 * second,
    minute,
    5 * minute,
    15 * minute,
    hour,
    6 * hour,
    ...Array.from({ length: 10 }, () => 24 * hour),
  ],
  repeatsLast: false,
}

/** A genuine notification that matched nothing is matched again for a day (design.md 20.5). */
export const rematch: Schedule = {
  stepsMs: [2 * second, 10 * second, minute, 10 * minute, hour, 6 * hour, 17 * hour],
  repeatsLast: false,
}

/** An order that has expired but still has an attempt alive. */
export const expiredOrder: Schedule = { stepsMs: [5, 15, 30, 60, 300].map((s) => s * second), repeatsLast: true }

/** A webhook: ten attempts over 75 h 35 min; the first is immediate. */
export const webhook: Schedule = {
  stepsMs: [5 * second, 5 * minute, 30 * minute, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour],
  repeatsLast: false,
}

/** "Not found" counts as "did not happen" only so long after the last send … (reliability.md 5.3) */
export const absenceAfterMs = minute
/** … and when it was said twice, so far apart. */
export const absenceApartMs = 30 * second

/**
 * When to try again.
 * @param tries how often it has been tried already, 0 or more
 * @param random a number in [0, 1) that spreads the retries by ±20 % (reliability.md 5.4)
 * @param timeScale divides the duration in a sandbox; 1 in production
 * @returns milliseconds from now, or undefined when the schedule is exhausted
 */
export function delayMs(schedule: Schedule, tries: number, random: number, timeScale: number): number | undefined {
  const last = schedule.stepsMs.length - 1
  const step = schedule.stepsMs[schedule.repeatsLast ? Math.min(tries, last) : tries]
  if (step === undefined) return undefined
  return Math.round((step * (0.8 + 0.4 * random)) / timeScale)
}
