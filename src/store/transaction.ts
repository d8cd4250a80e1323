import { AssertionError } from 'node:assert'
import { setTimeout as pause } from 'node:timers/promises'
import type { Knex } from 'knex'
import { isCheckViolation, isConnectionLost, isDuplicate, isRetryable } from './connect.ts'
import { sqliteCode } from './sqlite-client.ts'

/** Whole transaction, first try included in neither: at most five more (reliability.md 5.2 R5). */
const retriesMax = 5
const pauseMinMs = 5
const pauseMaxMs = 200

/**
 * The commit was sent and its outcome is not known: three of five such commits had happened (reliability.md 0.1,
 * point 4). Whoever catches this reads again by natural key before deciding anything.
 */
export class CommitUnknown extends Error {
  readonly code = 'COMMIT_UNKNOWN'

  constructor(cause: unknown) {
    super('the connection was lost while committing: whether the transaction happened is not known', { cause })
    this.name = 'CommitUnknown'
  }
}

/**
 * Runs `work` in a transaction and commits it. The first statement must be INSERT, UPDATE or DELETE: a transaction that
 * reads first decides on what may no longer be true, and on SQLite cannot wait for its lock (design.md 2, principle 7).
 * `work` is repeated as a whole after a deadlock, a lock wait, a busy database or a connection lost before the commit,
 * so it must have no effect but SQL.
 * @throws AssertionError when the first statement is not a write
 * @throws CommitUnknown when the connection is lost at the commit
 */
export async function transaction<T>(db: Knex, work: (tx: Knex.Transaction) => Promise<T>): Promise<T> {
  for (let retries = 0; ; retries += 1) {
    const attempt = await tryOnce(db, work)
    if ('value' in attempt) return attempt.value
    if (attempt.phase === 'committing') {
      if (isUndecided(attempt.error)) throw new CommitUnknown(attempt.error)
    }
    const again = isRetryable(attempt.error) || (attempt.phase === 'working' && isConnectionLost(attempt.error))
    if (!again || retries >= retriesMax) throw attempt.error
    await pause(pauseMinMs + Math.random() * (pauseMaxMs - pauseMinMs))
  }
}

type Phase = 'working' | 'committing'
type Attempt<T> = { readonly value: T } | { readonly error: unknown; readonly phase: Phase }

async function tryOnce<T>(db: Knex, work: (tx: Knex.Transaction) => Promise<T>): Promise<Attempt<T>> {
  let phase: Phase = 'working'
  let failure: { readonly error: unknown } | undefined
  try {
    const value = await db.transaction(async (tx) => {
      const broken = guard(tx, () => phase)
      try {
        const result = await work(tx)
        // The server has already rolled back what came before a deadlock, however `work` took it.
        if (broken.error !== undefined) throw broken.error
        phase = 'committing'
        return result
      } catch (error) {
        // knex reports a failing ROLLBACK instead of what made it roll back.
        failure = { error: broken.error ?? error }
        throw error
      }
    })
    return { value }
  } catch (error) {
    return { error: failure === undefined ? error : failure.error, phase }
  }
}

/**
 * Refuses statements before they reach the database: a first one that is not a write, and any that follow an error which
 * has ended the transaction at the server, where they would each commit by themselves.
 */
function guard(tx: Knex.Transaction, phase: () => Phase): { error?: unknown } {
  const broken: { error?: unknown } = {}
  let started = false
  tx.on('query', ({ sql }: { readonly sql: string }) => {
    if (phase() === 'committing' || /^rollback\b/i.test(sql)) return
    if (broken.error !== undefined) throw broken.error
    if (!started && !/^\s*(?:insert|update|delete)\b/i.test(sql)) {
      broken.error = new AssertionError({ message: 'the first statement of a transaction must be a write' })
      throw broken.error
    }
    started = true
  })
  tx.on('query-error', (error: unknown) => {
    if (isRetryable(error) || isConnectionLost(error)) broken.error ??= error
  })
  return broken
}

/** Of the errors a COMMIT can end in, those that prove a rollback are few; everything else is not known. */
function isUndecided(error: unknown): boolean {
  const sqlite = sqliteCode(error)
  // An I/O error may have struck before or after the bytes reached the disk; every other refusal of SQLite is a rollback.
  if (sqlite !== undefined) return (sqlite & 0xff) === 10
  if (isConnectionLost(error)) return true
  const errno = typeof error === 'object' && error !== null && 'errno' in error ? error.errno : undefined
  return !([1213, 1205, 1020] as unknown[]).includes(errno) && !isDuplicate(error) && !isCheckViolation(error)
}
