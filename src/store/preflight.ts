import type { Knex } from 'knex'
import { dialectOf } from './connect.ts'
import { serverOf } from './ddl.ts'

/**
 * Is this database fit for money? Faults that make answers wrong are reported always, faults that lose what was
 * acknowledged, or are only a danger in production, with `production` (reliability.md 5.2, "Database preflight").
 * @returns sentences for the operator, empty when all is well; production refuses to start on any
 */
export async function preflight(db: Knex, production: boolean): Promise<readonly string[]> {
  return dialectOf(db) === 'sqlite' ? sqliteFaults(db, production) : mysqlFaults(db, production)
}

async function pragma(db: Knex, name: string): Promise<unknown> {
  const rows: Record<string, unknown>[] = await db.raw(`PRAGMA ${name}`)
  return rows[0]?.[name]
}

async function sqliteFaults(db: Knex, production: boolean): Promise<readonly string[]> {
  const faults: string[] = []
  const { version } = await serverOf(db)
  if (older(version, [3, 37, 0]))
    faults.push(`SQLite ${version.join('.')} has no STRICT tables: 3.37 or later is needed`)
  if ((await pragma(db, 'foreign_keys')) !== 1) faults.push('SQLite: foreign_keys is off')
  if (!production) return faults
  if ((await pragma(db, 'journal_mode')) !== 'wal')
    faults.push('SQLite: journal_mode is not WAL; a database in memory forgets every payment')
  if ((await pragma(db, 'synchronous')) !== 2)
    faults.push('SQLite: synchronous is not FULL, a power cut would lose commits')
  if ((await pragma(db, 'trusted_schema')) !== 0) faults.push('SQLite: trusted_schema is on')
  return faults
}

type Variables = ReadonlyMap<string, string>

async function variablesOf(db: Knex): Promise<Variables> {
  const names = [
    'innodb_flush_log_at_trx_commit',
    'log_bin',
    'sync_binlog',
    'sql_mode',
    // MariaDB before 11.1 knows only the second name, MySQL 8 only the first.
    'transaction_isolation',
    'tx_isolation',
    'read_only',
    'wsrep_on',
  ]
  const [rows] = (await db.raw(
    `SHOW SESSION VARIABLES WHERE Variable_name IN (${names.map(() => '?').join(',')})`,
    names,
  )) as [readonly { readonly Variable_name: string; readonly Value: string }[]]
  return new Map(rows.map((row) => [row.Variable_name, row.Value]))
}

async function mysqlFaults(db: Knex, production: boolean): Promise<readonly string[]> {
  const faults: string[] = []
  const variables = await variablesOf(db)
  const { name, version } = await serverOf(db)
  const oldest = name === 'mariadb' ? ([10, 6, 0] as const) : ([8, 0, 17] as const)
  if (older(version, oldest))
    faults.push(`${name} ${version.join('.')} is too old: ${oldest.join('.')} or later is needed`)
  const isolation = variables.get('transaction_isolation') ?? variables.get('tx_isolation')
  if (isolation !== 'READ-COMMITTED')
    faults.push(`transaction isolation is ${isolation ?? 'unknown'}, not READ-COMMITTED`)
  if (!/STRICT_TRANS_TABLES/.test(variables.get('sql_mode') ?? '')) faults.push('sql_mode lacks STRICT_TRANS_TABLES')
  faults.push(...(await collationFaults(db)))
  if (production) faults.push(...durabilityFaults(variables, db), ...(await clockFaults(db)))
  return faults
}

function durabilityFaults(variables: Variables, db: Knex): readonly string[] {
  const faults: string[] = []
  if (variables.get('innodb_flush_log_at_trx_commit') !== '1') {
    faults.push('innodb_flush_log_at_trx_commit must be 1: with anything else a crash loses acknowledged payments')
  }
  if (variables.get('log_bin') === 'ON' && variables.get('sync_binlog') !== '1')
    faults.push('sync_binlog must be 1 while the binary log is on')
  if (!['OFF', '0'].includes(variables.get('read_only') ?? 'OFF')) faults.push('the server is read_only')
  const params = db.userParams as { readonly galera?: unknown } | undefined
  if (variables.get('wsrep_on') === 'ON' && params?.galera !== 'single-writer') {
    faults.push(
      'on a Galera cluster all writes must go to one node: confirm it with ?galera=single-writer in the database URL',
    )
  }
  return faults
}

/** Two numbers that differ in case or in a trailing space must not be one number (reliability.md 2). */
async function collationFaults(db: Knex): Promise<readonly string[]> {
  const [rows] = (await db.raw(
    `SELECT TABLE_NAME AS tableName, COLUMN_NAME AS columnName, COLLATION_NAME AS collationName FROM information_schema.COLUMNS
     WHERE TABLE_SCHEMA = DATABASE() AND ((TABLE_NAME = 'orders' AND COLUMN_NAME IN ('id', 'merchant_id', 'merchant_order_no'))
       OR (TABLE_NAME = 'payments' AND COLUMN_NAME IN ('id', 'transaction_id')) OR (TABLE_NAME = 'refunds' AND COLUMN_NAME IN ('id', 'merchant_refund_no')))`,
  )) as [readonly { readonly tableName: string; readonly columnName: string; readonly collationName: string }[]]
  return rows
    .filter(({ collationName }) => !/(?:nopad_bin|0900_bin)$/.test(collationName))
    .map(
      ({ tableName, columnName, collationName }) =>
        `${tableName}.${columnName} has collation ${collationName}, which is not binary without padding`,
    )
}

async function clockFaults(db: Knex): Promise<readonly string[]> {
  const before = Date.now()
  const [rows] = (await db.raw('SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) AS now')) as [
    readonly { readonly now: number }[],
  ]
  const after = Date.now()
  const now = rows[0]?.now ?? 0
  if (now >= before - 2000 && now <= after + 2000) return []
  return ['the clock of the database server is more than two seconds away from ours']
}

function older(version: readonly number[], than: readonly number[]): boolean {
  for (const [index, part] of than.entries()) {
    const ours = version[index] ?? 0
    if (ours !== part) return ours < part
  }
  return false
}
