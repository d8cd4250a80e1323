import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import knex, { type Knex } from 'knex'
import { MysqlClient } from './mysql-client.ts'
import { isSqliteBusy, sqliteCode, SqliteClient } from './sqlite-client.ts'

/**
 * Opens the database and knows what the databases call things. Every difference between them is in this file and its
 * neighbours: sqlite-client.ts, mysql-client.ts, ddl.ts, preflight.ts.
 */
export { preflight } from './preflight.ts'

export type Dialect = 'sqlite' | 'mysql'

type ConnectOptions = {
  /** Most connections held at once to MySQL or MariaDB, default 16 (performance.md D); SQLite always has one. */
  readonly poolMax?: number
}

/**
 * Opens a pool; the first statement connects.
 * @param url `sqlite:path/to/file.db`, `sqlite::memory:`, or `mysql://user:password@host:port/database` (also `mariadb://`);
 *   `?tls=verify` asks for an encrypted, verified connection, `?galera=single-writer` states what preflight wants to hear
 * @throws TypeError when the text is none of these; the message never repeats it, for it may hold a password
 */
export function connect(url: string, options: ConnectOptions = {}): Knex {
  return knex(knexConfig(url, options))
}

/** knex prints lost connections to the console although it throws them too; our log is JSON lines, written by whoever catches. */
const silent = { warn: () => {}, error: () => {}, deprecate: () => {}, debug: () => {} }

/** What `connect` hands to knex, for the knex command line as well. */
export function knexConfig(url: string, options: ConnectOptions = {}): Knex.Config {
  // Bindings hold openids and tokens; knex would print them into every error message (reliability.md 5.11).
  const base = { compileSqlOnError: false, acquireConnectionTimeout: 15_000, log: silent }
  if (url.startsWith('sqlite:')) return { ...base, ...sqliteConfig(url.slice('sqlite:'.length)) }
  return { ...base, ...mysqlConfig(url, options.poolMax ?? 16) }
}

function sqliteConfig(filename: string): Knex.Config {
  if (filename === '') throw new TypeError('a sqlite: database needs a file name')
  if (filename !== ':memory:') mkdirSync(dirname(filename), { recursive: true, mode: 0o700 })
  return {
    client: SqliteClient,
    connection: { filename },
    useNullAsDefault: true,
    // One connection: SQLite has one writer, and an in-memory database lives and dies with its connection.
    pool: { min: 1, max: 1, idleTimeoutMillis: 2_147_483_647 },
  }
}

function mysqlConfig(url: string, poolMax: number): Knex.Config {
  const at = URL.canParse(url) ? new URL(url) : undefined
  const database = at?.pathname.slice(1) ?? ''
  if (at === undefined || !['mysql:', 'mariadb:'].includes(at.protocol) || at.hostname === '' || database === '') {
    throw new TypeError('a database is sqlite:<file>, or mysql://user:password@host:port/database')
  }
  const connection = {
    host: at.hostname.replace(/^\[|\]$/g, ''),
    port: at.port === '' ? 3306 : Number.parseInt(at.port, 10),
    user: decodeURIComponent(at.username),
    password: decodeURIComponent(at.password),
    database: decodeURIComponent(database),
    charset: 'utf8mb4',
    timezone: 'Z',
    dateStrings: true,
    supportBigNumbers: true,
    bigNumberStrings: false,
    multipleStatements: false,
    connectTimeout: 5000,
    enableKeepAlive: true,
    ...(at.searchParams.get('tls') === 'verify' ? { ssl: { rejectUnauthorized: true } } : {}),
  }
  const config = {
    client: MysqlClient,
    connection,
    pool: { min: 0, max: poolMax },
    // knex hands this through untouched, though its declarations do not know it here; preflight reads it back.
    userParams: { galera: at.searchParams.get('galera') },
  }
  return config
}

/** Which family of SQL this handle, or transaction, speaks. */
export function dialectOf(db: Knex): Dialect {
  const client = db.client as { readonly driverName: string }
  return client.driverName === 'mysql2' ? 'mysql' : 'sqlite'
}

/** The server's number of an error. Names are useless: mysql2 gives MariaDB's numbers MySQL's names (performance.md D). */
function errnoOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('errno' in error)) return undefined
  return typeof error.errno === 'number' ? error.errno : undefined
}

function isOneOf(error: unknown, errnos: readonly number[], sqliteCodes: readonly number[]): boolean {
  const sqlite = sqliteCode(error)
  if (sqlite !== undefined) return sqliteCodes.includes(sqlite)
  const errno = errnoOf(error)
  return errno !== undefined && errnos.includes(errno)
}

/** A unique or primary key has refused the row. */
export function isDuplicate(error: unknown): boolean {
  return isOneOf(error, [1062], [2067, 1555])
}

/** A CHECK constraint has refused the row: MariaDB 4025, MySQL 3819, SQLite 275. */
export function isCheckViolation(error: unknown): boolean {
  return isOneOf(error, [4025, 3819], [275])
}

/**
 * Nothing has been done and doing it again may work: deadlock, lock wait, MariaDB's snapshot conflict, a Galera node
 * that is not ready, SQLite's busy and locked (reliability.md 5.2 R5).
 */
export function isRetryable(error: unknown): boolean {
  return isSqliteBusy(error) || isOneOf(error, [1213, 1205, 1020, 1047], [])
}

const lostCodes: ReadonlySet<unknown> = new Set([
  'PROTOCOL_CONNECTION_LOST',
  'PROTOCOL_SEQUENCE_TIMEOUT',
  'PROTOCOL_ENQUEUE_AFTER_FATAL_ERROR',
  'PROTOCOL_ENQUEUE_AFTER_QUIT',
  'ECONNRESET',
  'ECONNREFUSED',
  'EPIPE',
  'ETIMEDOUT',
])

/** Server going away (2006, 2013), shutting down (1053, 1079), having killed us (1927, 3169) or given up waiting (4031). */
const lostErrnos = [2006, 2013, 1053, 1079, 1927, 3169, 4031]

/** The connection is gone; whether the statement was done is not known from this alone. */
export function isConnectionLost(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (isOneOf(error, lostErrnos, [])) return true
  if ('code' in error && lostCodes.has(error.code)) return true
  // mysql2 refuses a command on a closed connection with a fatal error that has neither number nor code.
  return 'fatal' in error && error.fatal === true && !('code' in error) && !('errno' in error)
}
