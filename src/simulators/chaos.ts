/**
 * Seeded misbehaviour (design.md 14). Calm unless switched on; every fault can also be scripted for the next calls.
 *
 * Each decision is a hash of (seed, fault, operation, how often asked), not a draw from one common stream, so that
 * two runs agree even when their requests interleave differently.
 */
export type Fault =
  | 'refuse'
  | 'hang'
  | 'reset'
  | 'failAfterAccept'
  | 'slow'
  | 'notifyTwice'
  | 'notifyLate'
  | 'notifyOutOfOrder'
  | 'notifyNever'
  | 'notifyBeforeResponse'
  | 'badSignature'
  | 'unsigned'
  | 'serverError'
  | 'probe'
  | 'rotateKey'
  | 'duplicateOrder'
  | 'refundAbnormal'
  | 'refundFailsLater'
  | 'rateLimit'
  | 'truncate'

export type Chaos = {
  readonly seed: number
  /** Whether this call suffers the fault: consumes a scripted occurrence, else rolls the seeded dice. */
  happens(fault: Fault, operation?: string): boolean
  /** Seeded number in [0, 1). */
  random(): number
  /** Sets the rate of a fault, for every operation or for one ('create', or 'wechat-pay.create'). */
  setRate(fault: Fault, rate: number, operation?: string): void
  /** The next `times` matching calls suffer the fault, certainly. '*' matches every operation. */
  script(fault: Fault, operation: string, times: number): void
  /** Current rates by 'fault' or 'fault@operation'. */
  rates(): Record<string, number>
  /** Back to how it was created: scripts forgotten, rates restored, dice rewound. */
  reset(): void
}

/** Every knob: its rate when chaos is on, and why it exists. */
export const knobs: Readonly<Record<Fault, { rate: number; reason: string }>> = {
  refuse: { rate: 0.01, reason: 'a gateway in front of the provider answers 5xx before anything happened' },
  serverError: {
    rate: 0.01,
    reason: 'the provider itself answers SYSTEM_ERROR before the effect; the caller cannot know',
  },
  hang: { rate: 0.005, reason: 'the effect is applied and the answer never comes: only a deadline of one’s own helps' },
  reset: { rate: 0.01, reason: 'the connection drops before the effect' },
  failAfterAccept: { rate: 0.02, reason: 'the effect is applied, then the connection drops: the classic unknown' },
  slow: { rate: 0.02, reason: 'an answer may take a second and still be right' },
  truncate: { rate: 0.01, reason: 'the connection ends in the middle of the body, after the effect' },
  notifyTwice: { rate: 0.05, reason: 'a notification is delivered again although it was accepted' },
  notifyLate: { rate: 0.05, reason: 'a notification may come minutes after the fact, and after a query told it' },
  notifyOutOfOrder: { rate: 0.05, reason: 'the order of notifications is not guaranteed' },
  notifyNever: { rate: 0.02, reason: 'some notifications never arrive; the query is the safety net' },
  notifyBeforeResponse: { rate: 0.02, reason: 'a notification can overtake the answer to the call that caused it' },
  badSignature: { rate: 0.01, reason: 'an answer whose signature does not verify proves nothing' },
  unsigned: { rate: 0.005, reason: 'an answer without a signature proves nothing' },
  probe: { rate: 0.02, reason: 'WeChat deliberately sends wrong signatures to see whether they are verified' },
  rotateKey: { rate: 0.002, reason: 'the platform key changes while the gateway runs; no restart may be needed' },
  duplicateOrder: { rate: 0.005, reason: 'an honest repeat is answered as a duplicate number: query before giving up' },
  refundAbnormal: { rate: 0.02, reason: 'the payer’s card is gone and the refund stays abnormal' },
  refundFailsLater: { rate: 0.02, reason: 'an accepted refund may still be closed as failed' },
  rateLimit: { rate: 0.01, reason: '429 before the effect: back off, same request' },
}

export const isFault = (text: string): text is Fault => Object.hasOwn(knobs, text)

/** Seed, text and count into [0, 1): FNV-1a, then a 32-bit finaliser so that neighbouring counts scatter. */
function dice(seed: number, text: string, count: number): number {
  let hash = (2166136261 ^ seed) >>> 0
  for (const character of `${text}#${count}`) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 16777619) >>> 0
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b) >>> 0
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35) >>> 0
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}

/** An operation may be named with or without its provider: 'wechat-pay.create' is asked, 'create' may be set. */
const namesOf = (operation: string): string[] => [operation, operation.slice(operation.indexOf('.') + 1)]

/**
 * Seeded misbehaviour for simulators.
 * @param options `seed` (default: random), `on`: start with every knob at its low rate (default false: calm),
 *   `log`: receives one line with the seed when on, so that a failure can be repeated
 */
export function createChaos(options: { seed?: number; on?: boolean; log?: (line: string) => void } = {}): Chaos {
  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 31)
  let rates = new Map<string, number>()
  let scripts: { fault: Fault; operation: string; left: number }[] = []
  let counts = new Map<string, number>()
  const next = (name: string): number => {
    const count = (counts.get(name) ?? 0) + 1
    counts.set(name, count)
    return dice(seed, name, count)
  }
  const initial = (): Map<string, number> =>
    new Map(Object.entries(knobs).map(([fault, knob]) => [fault, options.on ? knob.rate : 0]))
  rates = initial()
  if (options.on) options.log?.(`chaos is on, seed ${seed}`)
  return {
    seed,
    happens(fault, operation = '') {
      const names = namesOf(operation)
      const scripted = scripts.find(
        (script) =>
          script.fault === fault && script.left > 0 && (script.operation === '*' || names.includes(script.operation)),
      )
      if (scripted) {
        scripted.left -= 1
        return true
      }
      const rate =
        names.map((name) => rates.get(`${fault}@${name}`)).find((set) => set !== undefined) ?? rates.get(fault) ?? 0
      return rate > 0 && next(`${fault}@${operation}`) < rate
    },
    random: () => next('random'),
    setRate(fault, rate, operation) {
      if (!(rate >= 0 && rate <= 1)) throw new RangeError('a rate is between 0 and 1')
      rates.set(operation ? `${fault}@${operation}` : fault, rate)
    },
    script(fault, operation, times) {
      if (!Number.isInteger(times) || times < 0) throw new RangeError('times is a whole number, 0 or more')
      scripts.push({ fault, operation: operation === '' ? '*' : operation, left: times })
    },
    rates: () => Object.fromEntries(rates),
    reset() {
      rates = initial()
      scripts = []
      counts = new Map()
    },
  }
}
