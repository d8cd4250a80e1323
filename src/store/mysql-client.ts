import { createRequire } from 'node:module'
import type { Knex } from 'knex'

/**
 * knex's mysql2 client with the settings of reliability.md 5.2: READ COMMITTED and strict mode once per connection, a
 * deadline on every statement, integers that are exact or an error.
 */

type Row = Record<string, unknown>
type Field = { readonly name: string; readonly columnType: number; readonly decimals: number }
type Connection = {
  query(options: string | { sql: string; timeout?: number }, done: (error: Error | null) => void): void
  destroy(): void
  __knex__disposed?: unknown
}
type Query = {
  sql: string
  bindings?: readonly unknown[]
  options?: object
  response?: readonly [unknown, readonly Field[] | undefined]
}

const require = createRequire(import.meta.url)
const Base = require('knex/lib/dialects/mysql2') as typeof Knex.Client
/** knex's declarations leave this method out. */
const base = Base.prototype as Knex.Client & { _query(connection: Connection, query: Query): Promise<Query> }

const queryTimeoutMs = 10_000

/** MySQL's wire numbers of BIGINT and of DECIMAL, which is what SUM() of integers is. */
const longlong = 8
const newdecimal = 246

const sessionSettings = [
  'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED',
  "SET SESSION innodb_lock_wait_timeout = 5, time_zone = '+00:00', " +
    "sql_mode = 'STRICT_TRANS_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
]

/** An integer column as a number, or an error: a rounded amount must never leave this file. */
function exactInteger(name: string, value: unknown): unknown {
  if (value === null || value === undefined) return null
  const number = typeof value === 'string' && /^-?\d{1,17}$/.test(value) ? Number.parseInt(value, 10) : value
  if (!Number.isSafeInteger(number)) throw new RangeError(`column ${name} holds an integer beyond 2^53`)
  return number
}

function checkIntegers(rows: unknown, fields: readonly Field[] | undefined): void {
  if (!Array.isArray(rows) || fields === undefined) return
  const integers = fields.filter(
    (field) => field?.columnType === longlong || (field?.columnType === newdecimal && field.decimals === 0),
  )
  if (integers.length === 0) return
  for (const row of rows as Row[]) {
    for (const { name } of integers) row[name] = exactInteger(name, row[name])
  }
}

function hasDeadline(sql: string): boolean {
  return /^\s*(?:select|insert|update|delete|begin|commit|rollback)\b/i.test(sql)
}

export class MysqlClient extends Base {
  override async acquireRawConnection(): Promise<Connection> {
    const connection = (await super.acquireRawConnection()) as Connection
    try {
      for (const sql of sessionSettings) {
        await new Promise<void>((resolve, reject) => {
          connection.query({ sql, timeout: queryTimeoutMs }, (error: Error | null) =>
            error === null ? resolve() : reject(error),
          )
        })
      }
    } catch (error) {
      connection.destroy()
      throw error
    }
    return connection
  }

  async _query(connection: Connection, query: Query): Promise<Query> {
    for (const value of query.bindings ?? []) {
      if (typeof value === 'number' && !Number.isSafeInteger(value))
        throw new RangeError('a number in SQL must be a safe integer')
    }
    if (hasDeadline(query.sql)) query.options = { ...query.options, timeout: queryTimeoutMs }
    try {
      const answered = await base._query.call(this, connection, query)
      checkIntegers(answered.response?.[0], answered.response?.[1])
      return answered
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'PROTOCOL_SEQUENCE_TIMEOUT') {
        // The answer may still come and would be taken for the answer to the next statement.
        connection.__knex__disposed = error
        connection.destroy()
      }
      throw error
    }
  }
}

Object.assign(MysqlClient.prototype, { driverName: 'mysql2' })
