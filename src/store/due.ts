import type { Knex } from 'knex'
import { isRetryable } from './connect.ts'

export type Claim = {
  readonly table: string
  /** The primary key's column. */
  readonly key: string
  /** The schedule: epoch milliseconds when the row wants attention, null when it wants none. */
  readonly column: string
  /** Epoch milliseconds. */
  readonly now: number
  /** How long the row is this worker's before another one may take it, milliseconds. */
  readonly leaseMs: number
  readonly limit: number
  readonly where?: Readonly<Record<string, unknown>>
  /** A counter increased by the claim. */
  readonly bump?: string
}

/**
 * Claims due rows. Schedule and lease are one column: claiming moves it into the future, guarded by the value that was
 * read, so that of two workers exactly one gets the row, and a worker that dies gives it back by doing nothing
 * (design.md 17: 200 claims by 8 workers, 200 distinct, on both databases; no SKIP LOCKED).
 * @returns the rows claimed, with the values they had before
 */
export async function claimDue<Row>(db: Knex, claim: Claim): Promise<readonly Row[]> {
  const where = claim.where ?? {}
  const candidates: Record<string, unknown>[] = await db(claim.table)
    .where(where)
    .andWhere(claim.column, '<=', claim.now)
    .orderBy(claim.column)
    .limit(claim.limit)
  const claimed: Record<string, unknown>[] = []
  for (const row of candidates) {
    if (await take(db, claim, row)) claimed.push(row)
  }
  return claimed as readonly Row[]
}

async function take(db: Knex, claim: Claim, row: Record<string, unknown>): Promise<boolean> {
  const change: Record<string, unknown> = { [claim.column]: claim.now + claim.leaseMs }
  if (claim.bump !== undefined) change[claim.bump] = db.raw('?? + 1', [claim.bump])
  try {
    const changed: number = await db(claim.table)
      .where({ ...claim.where, [claim.key]: row[claim.key], [claim.column]: row[claim.column] })
      .update(change)
    return changed === 1
  } catch (error) {
    // Somebody else is at the row this very moment: it stays due, for them or for the next round.
    if (isRetryable(error)) return false
    throw error
  }
}

/** The earliest instant at which a row of the table wants attention, epoch milliseconds, or undefined. */
export async function nextDueAt(db: Knex, table: string, column: string): Promise<number | undefined> {
  const row: Record<string, unknown> | undefined = await db(table)
    .select(column)
    .whereNotNull(column)
    .orderBy(column)
    .first()
  const at = row?.[column]
  return typeof at === 'number' ? at : undefined
}
