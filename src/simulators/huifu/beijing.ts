/** Beijing has had no daylight saving since 1991, so a fixed offset is exact for every date Huifu can send (huifu-dougong.md 3). */
const OFFSET_MS = 8 * 3_600_000

/** `yyyyMMddHHmmss` in Beijing for an instant in epoch milliseconds; the host's zone plays no role. */
export function beijingStamp(at: number): string {
  return new Date(at + OFFSET_MS)
    .toISOString()
    .slice(0, 19)
    .replace(/[^0-9]/g, '')
}

/** `yyyyMMdd` in Beijing. */
export const beijingDate = (at: number): string => beijingStamp(at).slice(0, 8)

/** `HHmmss` in Beijing. */
export const beijingTime = (at: number): string => beijingStamp(at).slice(8)

/** Epoch milliseconds of a Beijing `yyyyMMddHHmmss`, or undefined when it is not fourteen digits of a real moment. */
export function parseStamp(stamp: string): number | undefined {
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(stamp)
  if (parts === null) return undefined
  const [, year, month, day, hour, minute, second] = parts
  const at = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`) - OFFSET_MS
  // Printing it back catches the thirtieth of February, which Date rolls over instead of refusing.
  return Number.isNaN(at) || beijingStamp(at) !== stamp ? undefined : at
}

/** Whether the text is eight digits of a day that exists. */
export const isDay = (text: string): boolean => /^\d{8}$/.test(text) && parseStamp(`${text}000000`) !== undefined
