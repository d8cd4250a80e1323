import { createRequire } from 'node:module'
import { setTimeout as pause } from 'node:timers/promises'
import type { Knex } from 'knex'

/**
 * A knex client over any `DatabaseSync`: the one built into Node where there is one (from 22.13), the npm package with
 * its binaries inside on Node 20 (design.md 18.13, performance.md B). No compiler, no install script.
 */

type Value = string | number | bigint | null | Uint8Array
type Statement = {
  columns(): readonly unknown[]
  all(...values: Value[]): readonly object[]
  run(...values: Value[]): { readonly changes: number | bigint; readonly lastInsertRowid: number | bigint }
}
type Database = {
  readonly isTransaction: boolean
  exec(sql: string): void
  prepare(sql: string): Statement
  close(): void
}
type Driver = new (filename: string) => Database
type Prepared = { readonly statement: Statement; readonly reader: boolean }
type Query = {
  sql: string
  bindings?: readonly unknown[]
  response?: unknown
  context?: { lastID: number; changes: number }
}

const require = createRequire(import.meta.url)
const Base = require('knex/lib/dialects/better-sqlite3') as typeof Knex.Client

/** How long a statement waits for another connection's write lock, milliseconds (reliability.md 5.2). */
const busyTimeoutMs = 5000

const statementsKept = 500

const pragmas = [
  'busy_timeout = 5000',
  'journal_mode = WAL',
  'synchronous = FULL',
  'foreign_keys = ON',
  'trusted_schema = OFF',
] as const

/** The extended result code of an SQLite error, whichever of the two drivers threw it. */
export function sqliteCode(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('errcode' in error)) return undefined
  return typeof error.errcode === 'number' ? error.errcode : undefined
}

/** BUSY and LOCKED with all their extended codes: somebody else holds the lock, nothing has been done. */
export function isSqliteBusy(error: unknown): boolean {
  const code = sqliteCode(error)
  return code !== undefined && ((code & 0xff) === 5 || (code & 0xff) === 6)
}

function loadDriver(): Driver {
  // Node 22 announces its own SQLite as experimental on every start; that is our decision to take and not the operator's
  // to read, and a stray line on standard error breaks scripts that watch it.
  const emitWarning = process.emitWarning.bind(process)
  process.emitWarning = () => {}
  try {
    return (require('node:sqlite') as { DatabaseSync: Driver }).DatabaseSync
  } catch {
    return (require('@photostructure/sqlite') as { DatabaseSync: Driver }).DatabaseSync
  } finally {
    process.emitWarning = emitWarning
  }
}

const statements = new WeakMap<Database, Map<string, Prepared>>()

/** Prepared statements are kept, the least recently used dropped first: preparing costs more than running. */
function prepare(database: Database, sql: string): Prepared {
  const kept = statements.get(database) ?? new Map<string, Prepared>()
  statements.set(database, kept)
  const found = kept.get(sql)
  if (found !== undefined) kept.delete(sql)
  const statement = found?.statement ?? database.prepare(sql)
  const prepared = found ?? { statement, reader: statement.columns().length > 0 }
  if (!/^\s*(?:select|insert|update|delete|begin|commit|rollback)\b/i.test(sql)) return prepared
  kept.set(sql, prepared)
  const oldest = kept.keys().next().value
  if (kept.size > statementsKept && oldest !== undefined) kept.delete(oldest)
  return prepared
}

function bind(value: unknown): Value {
  // Rows of one insert may have different columns; knex leaves the gaps undefined.
  if (value === undefined) return null
  if (typeof value === 'boolean') return value ? 1n : 0n
  if (typeof value === 'number') {
    // A double would be a rounded amount waiting to happen; there is no column for one (design.md 9).
    if (!Number.isSafeInteger(value)) throw new RangeError('a number in SQL must be a safe integer')
    return BigInt(value)
  }
  if (typeof value === 'string' || typeof value === 'bigint' || value === null || value instanceof Uint8Array)
    return value
  // knex dates its own migrations.
  if (value instanceof Date) return BigInt(value.valueOf())
  throw new TypeError(`a value of type ${typeof value} cannot be bound to SQL`)
}

function run(database: Database, query: Query): Query {
  // A deferred BEGIN takes its write lock too late to wait for it (reliability.md 0.1, point 15).
  const sql = query.sql === 'BEGIN;' ? 'BEGIN IMMEDIATE' : query.sql
  const values = (query.bindings ?? []).map(bind)
  const { statement, reader } = prepare(database, sql)
  if (reader) {
    query.response = statement.all(...values).map((row) => ({ ...row }))
    return query
  }
  const result = statement.run(...values)
  query.response = result
  query.context = { lastID: Number(result.lastInsertRowid), changes: Number(result.changes) }
  return query
}

function isInexact(error: unknown): boolean {
  // Node's own driver has a code for it, the package only the words.
  return (
    error instanceof Error &&
    (('code' in error && error.code === 'ERR_OUT_OF_RANGE') || /too large to be represented/.test(error.message))
  )
}

export class SqliteClient extends Base {
  _driver(): Driver {
    return loadDriver()
  }

  override acquireRawConnection(): Promise<Database> {
    const Driver = this.driver as Driver
    const settings = this.connectionSettings as { readonly filename: string }
    const database = new Driver(settings.filename)
    try {
      for (const pragma of pragmas) database.exec(`PRAGMA ${pragma}`)
      // From here on waiting is ours: the driver would wait inside a synchronous call and stop the whole process,
      // the connection it waits for included.
      database.exec('PRAGMA busy_timeout = 0')
    } catch (error) {
      database.close()
      return Promise.reject(error instanceof Error ? error : new Error(String(error)))
    }
    return Promise.resolve(database)
  }

  override destroyRawConnection(database: Database): Promise<void> {
    statements.delete(database)
    database.close()
    return Promise.resolve()
  }

  async _query(database: Database, query: Query): Promise<Query> {
    const deadline = performance.now() + busyTimeoutMs
    for (;;) {
      try {
        return run(database, query)
      } catch (error) {
        // A commit that fails may leave its transaction open, and the next user of the connection inside it.
        if (/^commit/i.test(query.sql) && database.isTransaction) database.exec('ROLLBACK')
        else if (isSqliteBusy(error) && !database.isTransaction && performance.now() < deadline) {
          await pause(1 + Math.floor(Math.random() * 10))
          continue
        }
        throw isInexact(error) ? new RangeError('a column holds an integer beyond 2^53', { cause: error }) : error
      }
    }
  }
}

Object.assign(SqliteClient.prototype, { driverName: 'better-sqlite3' })
