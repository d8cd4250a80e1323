import type { Context } from '../context.ts'

/** How long a claimed row belongs to its claimer: longer than any deadline, short enough after a crash; milliseconds. */
export function leaseMsOf(ctx: Context): number {
  return ctx.leaseMs ?? 2 * ctx.providerDeadlineMs + 5000
}

/** The instant at which a row claimed now is anybody's again, epoch milliseconds. */
export function leaseUntil(ctx: Context): number {
  return ctx.now() + leaseMsOf(ctx)
}
