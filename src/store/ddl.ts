import type { Knex } from 'knex'
import { dialectOf } from './connect.ts'

/**
 * What the databases call the few kinds of column the ledger has (design.md 9 and 20.11). Every function gives a column
 * definition that is NOT NULL; see columnsOf for the others.
 */
export type Ddl = {
  /** An identifier: compared byte for byte, spaces included, at most `length` ASCII characters. */
  readonly id: (name: string, length: number) => string
  /** Text people read, at most `length` characters of any script. */
  readonly text: (name: string, length: number) => string
  /** Text without a practical limit: bodies, JSON. */
  readonly longText: (name: string) => string
  /** A whole number up to 2^53: amounts in minor units, instants in epoch milliseconds, counters. */
  readonly integer: (name: string) => string
  /** A primary key that the database counts up. */
  readonly counter: (name: string) => string
  /** What follows the closing parenthesis of CREATE TABLE. */
  readonly tableOptions: string
}

export type Server = {
  readonly name: 'sqlite' | 'mysql' | 'mariadb'
  readonly version: readonly [number, number, number]
}

/** Which server is at the other end, and its version. */
export async function serverOf(db: Knex): Promise<Server> {
  const sqlite = dialectOf(db) === 'sqlite'
  const row: { version: string } | undefined = await db
    .select(db.raw(sqlite ? 'sqlite_version() as version' : 'version() as version'))
    .first()
  const text = row?.version ?? ''
  // Old MariaDB servers put 5.5.5- before their version so that old replicas accept them.
  const numbers = /(\d+)\.(\d+)\.(\d+)/.exec(text.replace(/^5\.5\.5-/, ''))
  const part = (index: number) => Number.parseInt(numbers?.[index] ?? '0', 10)
  const mysql = /mariadb/i.test(text) ? 'mariadb' : 'mysql'
  return { name: sqlite ? 'sqlite' : mysql, version: [part(1), part(2), part(3)] }
}

/** The words for that server. */
export function ddlOf(server: Server): Ddl {
  return server.name === 'sqlite' ? sqliteDdl : mysqlDdl(server.name)
}

/**
 * Column definitions for that server.
 * @param columns separated by commas: a name, `id(length)`, `text(length)`, `longText`, `integer` or `counter`, then `?`
 *   when it may be null, or `= value` for its default
 */
export function columnsOf(ddl: Ddl, columns: string): readonly string[] {
  return columns.split(',').map((column) => {
    const match = /^\s*(\w+) (\w+)(?:\((\d+)\))?(\?)?(?: = (\d+|'\w+'))?\s*$/.exec(column)
    if (match === null) throw new SyntaxError(`not a column: ${column}`)
    const [, name = '', type = '', length = '0', isOptional, initial] = match
    const definition = define(ddl, name, type, Number.parseInt(length, 10))
    if (isOptional !== undefined) return definition.replace(' NOT NULL', ' NULL')
    return initial === undefined ? definition : definition.replace(' NOT NULL', ` NOT NULL DEFAULT ${initial}`)
  })
}

function define(ddl: Ddl, name: string, type: string, length: number): string {
  if (type === 'id' || type === 'text') return ddl[type](name, length)
  if (type === 'longText' || type === 'integer' || type === 'counter') return ddl[type](name)
  throw new SyntaxError(`not a type of column: ${type}`)
}

// STRICT tables check the types; the lengths are checked so that a text fits either in every database or in none.
const sqliteDdl: Ddl = {
  id: (name, length) => `\`${name}\` TEXT NOT NULL CHECK (length(\`${name}\`) <= ${String(length)})`,
  text: (name, length) => `\`${name}\` TEXT NOT NULL CHECK (length(\`${name}\`) <= ${String(length)})`,
  longText: (name) => `\`${name}\` TEXT NOT NULL`,
  integer: (name) => `\`${name}\` INTEGER NOT NULL`,
  counter: (name) => `\`${name}\` INTEGER PRIMARY KEY`,
  tableOptions: 'STRICT',
}

function mysqlDdl(name: 'mysql' | 'mariadb'): Ddl {
  // ascii_bin would still ignore trailing spaces (reliability.md 2); MySQL has no unpadded collation for ascii.
  const identifier =
    name === 'mariadb'
      ? 'CHARACTER SET ascii COLLATE ascii_nopad_bin'
      : 'CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin'
  const collation = name === 'mariadb' ? 'utf8mb4_nopad_bin' : 'utf8mb4_0900_bin'
  return {
    id: (column, length) => `\`${column}\` VARCHAR(${String(length)}) ${identifier} NOT NULL`,
    text: (column, length) => `\`${column}\` VARCHAR(${String(length)}) NOT NULL`,
    longText: (column) => `\`${column}\` MEDIUMTEXT NOT NULL`,
    integer: (column) => `\`${column}\` BIGINT NOT NULL`,
    counter: (column) => `\`${column}\` BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY`,
    tableOptions: `ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE ${collation}`,
  }
}
