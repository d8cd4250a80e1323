/** Business days: calendar days in Asia/Shanghai, the zone of both providers' books (huifu-dougong.md 3). */

/** A calendar day in Asia/Shanghai, like 2026-01-05. */
export type BusinessDay = `${number}-${number}-${number}`

// China has kept UTC+8 without daylight saving since 1991, so a fixed offset is exact and does not depend on the host.
const offset_ms = 8 * 60 * 60 * 1000
const day_ms = 24 * 60 * 60 * 1000

/** The Beijing wall clock of an instant, as a Date whose UTC fields read like Beijing's. */
function beijing(instant: number): Date {
  return new Date(instant + offset_ms)
}

/** The business day of an instant (epoch milliseconds). */
export function businessDay(instant: number): BusinessDay {
  return beijing(instant).toISOString().slice(0, 10) as BusinessDay
}

/** First instant of the day and first instant of the next day, epoch milliseconds. */
export function businessDayBounds(day: BusinessDay): { readonly from: number; readonly to: number } {
  const from = Date.parse(`${day}T00:00:00.000Z`) - offset_ms
  return { from, to: from + day_ms }
}

/** `yyyyMMdd` of an instant in Beijing, the date form of Huifu (huifu-dougong.md 3). */
export function compactDay(instant: number): string {
  return businessDay(instant).replaceAll('-', '')
}

/** `yyyyMMddHHmmss` of an instant in Beijing. */
export function compactTime(instant: number): string {
  return beijing(instant).toISOString().slice(0, 19).replaceAll(/[-T:]/g, '')
}

/**
 * Reads `yyyyMMddHHmmss` as Beijing time.
 * @returns epoch milliseconds, or undefined when the text is no such instant
 */
export function parseCompactTime(text: string): number | undefined {
  const match = /^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})$/.exec(text)
  if (match === null) return undefined
  const [, year, month, day, hour, minute, second] = match
  const instant = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`) - offset_ms
  // Date.parse accepts 31 February in some engines; printing it back tells whether it was a real instant.
  return Number.isNaN(instant) || compactTime(instant) !== text ? undefined : instant
}

/** RFC 3339 with the offset that WeChat Pay demands, whole seconds: 2026-01-05T12:00:00+08:00 (wechatpay.md, conventions). */
export function beijingTime(instant: number): string {
  return `${beijing(instant).toISOString().slice(0, 19)}+08:00`
}
