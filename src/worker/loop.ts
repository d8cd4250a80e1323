import type { Context } from '../context.ts'
import { leaseMsOf } from '../flows/lease.ts'
import { claimDue } from '../store/due.ts'
import { chores as allChores, type Chore } from './chores.ts'
import { keepHouse } from './housekeeping.ts'

export type Worker = {
  start(): void
  /** Stops claiming and waits for what is in work: an aborted provider call would only be one more unknown. */
  stop(): Promise<void>
  /** Looks for due work now instead of at the next tick. */
  poke(): void
  /** When the worker last looked, epoch milliseconds. */
  heartbeat(): number
  /** One look at every chore, waiting for the work it found. @returns how many rows were worked on */
  runOnce(): Promise<number>
}

export type WorkerOptions = { readonly tickMs?: number; readonly chores?: readonly Chore[] }

const housekeepingEvery_ms = 60 * 60 * 1000

type Lane = { readonly chore: Chore; running: number }

/**
 * The worker: claims due rows by moving their schedule column to the end of a lease, runs their flow, and leaves the next
 * date to the flow. Any number of processes may run it side by side (design.md 17; reliability.md 5.2, claim chores).
 */
export function createWorker(ctx: Context, options: WorkerOptions = {}): Worker {
  const lanes: readonly Lane[] = (options.chores ?? allChores).map((chore) => ({ chore, running: 0 }))
  const inWork = new Set<Promise<void>>()
  let heartbeat = 0
  let stopped = true
  let timer: NodeJS.Timeout | undefined
  let housekeeping: NodeJS.Timeout | undefined
  let looking: Promise<void> | undefined
  let lookAgain = false

  async function claim(lane: Lane): Promise<number> {
    const { chore } = lane
    const limit = chore.concurrency - lane.running
    if (limit <= 0) return 0
    const now = ctx.now()
    const leaseMs = leaseMsOf(ctx)
    const rows = await claimDue<{ id: string }>(ctx.db, {
      table: chore.table,
      key: 'id',
      column: chore.column,
      now,
      leaseMs,
      limit,
      ...(chore.where === undefined ? {} : { where: chore.where }),
      ...(chore.bump === undefined ? {} : { bump: chore.bump }),
    })
    for (const row of rows) begin(lane, row.id, now + leaseMs)
    return rows.length
  }

  function begin(lane: Lane, id: string, lease: number): void {
    lane.running += 1
    const work = runOne(lane.chore, id, lease).finally(() => {
      lane.running -= 1
      inWork.delete(work)
      // A full lane may have left due rows behind.
      if (!stopped) poke()
    })
    inWork.add(work)
  }

  /** One poisoned row must not stop the others; its lease runs out and it is tried again (reliability.md 3.6 T110). */
  async function runOne(chore: Chore, id: string, lease: number): Promise<void> {
    try {
      await chore.run(ctx, id, lease)
      ctx.metrics.count('chores_total', { chore: chore.name, outcome: 'done' })
    } catch (error) {
      ctx.metrics.count('chores_total', { chore: chore.name, outcome: 'failed' })
      ctx.log.error('chore failed; it is tried again when its lease has run out', { chore: chore.name, error })
    }
  }

  async function lookAround(): Promise<void> {
    do {
      lookAgain = false
      for (const lane of lanes) {
        try {
          await claim(lane)
        } catch (error) {
          ctx.log.error('due work could not be claimed', { chore: lane.chore.name, error })
        }
      }
      heartbeat = ctx.now()
    } while (lookAgain && !stopped)
  }

  function poke(): void {
    if (stopped) return
    lookAgain = true
    if (looking !== undefined) return
    looking = lookAround().finally(() => {
      looking = undefined
    })
  }

  function tidyUp(): void {
    const work = keepHouse(ctx)
      .then(
        (count) => ctx.log.info('housekeeping done', { count }),
        (error: unknown) => ctx.log.error('housekeeping failed; it is tried again in an hour', { error }),
      )
      .finally(() => inWork.delete(work))
    inWork.add(work)
  }

  return {
    start() {
      stopped = false
      timer = setInterval(poke, options.tickMs ?? 250)
      housekeeping = setInterval(tidyUp, housekeepingEvery_ms)
      poke()
    },
    async stop() {
      stopped = true
      clearInterval(timer)
      clearInterval(housekeeping)
      await looking
      await Promise.all(inWork)
    },
    poke,
    heartbeat: () => heartbeat,
    async runOnce() {
      let found = 0
      for (const lane of lanes) found += await claim(lane)
      await Promise.all(inWork)
      return found
    },
  }
}
