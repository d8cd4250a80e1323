import { InvalidArgumentError } from 'commander'

/** Parsers of option values; commander prints what they complain about and exits with the code for wrong usage. */

function whole(text: string, least: number, most: number, what: string): number {
  const value = /^\d{1,10}$/.test(text) ? Number.parseInt(text, 10) : -1
  if (value < least || value > most) throw new InvalidArgumentError(`${what}: ${String(least)} to ${String(most)}.`)
  return value
}

/** A port to listen on. */
export const portOption = (text: string): number => whole(text, 1, 65_535, 'A port is a whole number')

/** A port Huifu would call: it refuses others (huifu-dougong.md 13.1). */
export const huifuPortOption = (text: string): number =>
  whole(text, 8000, 9005, 'Huifu only calls ports in a range, a whole number')

/** The seed that chaos printed. */
export const seedOption = (text: string): number => whole(text, 0, 2_147_483_647, 'A seed is a whole number')

/** How many times faster schedules run; 1 is real time. */
export const timeScaleOption = (text: string): number => whole(text, 1, 100_000, 'A time scale is a whole number')
