/**
 * The provider's clock. Ruling 20.8 of design.md: durations shrink by the time scale, timestamps do not, so a
 * signature made now is stamped now while a "six hours later" retry may come after a second.
 */
export type Clock = {
  /** Milliseconds since the epoch, as the provider sees it. */
  now(): number
  /** How many times faster durations pass: 1 is real time, 60 makes a minute a second. */
  readonly scale: number
  /** Real milliseconds of a provider duration. */
  shrink(ms: number): number
  /** Moves time forward by that many milliseconds of `now()` (the control door); due timers fire at once. */
  advance(ms: number): void
}

type Wakeable = { wakers: Set<() => void>; pollMs: number }

const wakeables = new WeakMap<Clock, Wakeable>()

/** The longest single timer: Node overflows above 2^31 ms and would fire at once. */
const LONGEST_TIMER_MS = 2 ** 30
/** With a clock of the caller's own, time can jump without `advance`; timers then look again this often. */
const POLL_MS = 20

/**
 * A clock with a time scale.
 * @param options `scale`: how many times faster, 1 or more (default 1); `now`: source of milliseconds (default Date.now)
 * @throws RangeError for a scale below 1: time is never stretched
 */
export function createClock(options: { scale?: number; now?: () => number } = {}): Clock {
  const scale = options.scale ?? 1
  if (!(scale >= 1 && Number.isFinite(scale))) {
    throw new RangeError(`the time scale says how many times faster time passes, 1 or more (60 = a minute in a second), not ${scale}`)
  }
  const source = options.now ?? Date.now
  let offset = 0
  const wakers = new Set<() => void>()
  const clock: Clock = {
    now: () => source() + offset,
    scale,
    shrink: (ms) => ms / scale,
    advance(ms) {
      if (!(ms >= 0) || !Number.isFinite(ms)) throw new RangeError('time moves forward only')
      offset += ms
      for (const wake of wakers) wake()
    },
  }
  wakeables.set(clock, { wakers, pollMs: options.now ? POLL_MS : LONGEST_TIMER_MS })
  return clock
}

/**
 * Runs something once, `providerMs` of provider time from now; advancing the clock past that moment runs it at once.
 * The timer keeps no process alive.
 * @returns a function that cancels it
 */
export function after(clock: Clock, providerMs: number, run: () => void): () => void {
  const wakeable = wakeables.get(clock) ?? { wakers: new Set<() => void>(), pollMs: POLL_MS }
  const due = clock.now() + clock.shrink(providerMs)
  let timer: NodeJS.Timeout | undefined
  let cancelled = false
  const forget = (): void => {
    clearTimeout(timer)
    wakeable.wakers.delete(look)
  }
  const cancel = (): void => {
    cancelled = true
    forget()
  }
  function look(): void {
    clearTimeout(timer)
    const left = due - clock.now()
    if (left <= 0) {
      forget()
      // A turn of its own, so that advancing never runs callbacks inside the caller's stack.
      setImmediate(() => {
        if (!cancelled) run()
      })
      return
    }
    timer = setTimeout(look, Math.min(Math.ceil(left), wakeable.pollMs))
    timer.unref()
  }
  wakeable.wakers.add(look)
  look()
  return cancel
}
