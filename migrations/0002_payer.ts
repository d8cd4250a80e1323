import type { Knex } from 'knex'
import { columnsOf, ddlOf, serverOf } from '../src/store/ddl.ts'

/**
 * What payers need around the ledger: sessions that hold their openid, authorisations under way, launches of the
 * mini-program, and WeChat's access tokens shared between processes. Nothing here decides about money; every row but
 * the access tokens can be thrown away at the price of asking a payer to begin again. Tokens are kept as digests.
 */

type Table = {
  /** Column definitions, see `columnsOf`. */
  readonly columns: string
  readonly primary: readonly string[]
  /** Whether `order_id` must name an order. */
  readonly ofOrder: boolean
  readonly rules?: readonly string[]
  readonly indexes?: readonly (readonly string[])[]
}

const tables: Readonly<Record<string, Table>> = {
  payer_sessions: {
    columns: `
      token_hash id(64), order_id id(40), kind id(16), appid id(32)?, openid id(128)?, created_at integer,
      expires_at integer`,
    primary: ['token_hash'],
    ofOrder: true,
    rules: ["CONSTRAINT `payer_sessions_kind_check` CHECK (`kind` IN ('cashier', 'mini'))"],
    indexes: [['expires_at']],
  },
  oauth_states: {
    columns: `
      state_hash id(64), order_id id(40), browser_hash id(64), method id(32), channel_id id(64), appid id(32),
      lang id(8)?, attempt integer = 0, created_at integer, expires_at integer, used_at integer?`,
    primary: ['state_hash'],
    ofOrder: true,
    indexes: [['expires_at']],
  },
  order_nudges: {
    columns: 'order_id id(40), free_at integer',
    primary: ['order_id'],
    ofOrder: true,
    indexes: [['free_at']],
  },
  launches: {
    columns: `
      token_hash id(64), order_id id(40), merchant_id id(64), channel_id id(64), appid id(32), payer_openid id(128)?,
      expires_at integer, created_at integer, link text(2048)?, link_expires_at integer?`,
    primary: ['token_hash'],
    ofOrder: true,
    indexes: [['expires_at']],
  },
  access_tokens: {
    columns: `
      appid id(32), sealed_token longText?, expires_at integer = 0, refreshed_at integer = 0,
      lease_until integer = 0`,
    primary: ['appid'],
    ofOrder: false,
  },
  launch_quota: {
    columns: 'appid id(32), day id(10), used integer = 0',
    primary: ['appid', 'day'],
    ofOrder: false,
  },
}

export async function up(db: Knex): Promise<void> {
  const ddl = ddlOf(await serverOf(db))
  for (const [name, table] of Object.entries(tables)) {
    const body = [
      ...columnsOf(ddl, table.columns),
      `PRIMARY KEY (${quoted(table.primary)})`,
      ...(table.ofOrder
        ? [`CONSTRAINT \`${name}_order_id_foreign\` FOREIGN KEY (\`order_id\`) REFERENCES \`orders\` (\`id\`)`]
        : []),
      ...(table.rules ?? []),
    ].join(',\n  ')
    await db.raw(`CREATE TABLE \`${name}\` (\n  ${body}\n) ${ddl.tableOptions}`)
    for (const columns of table.indexes ?? []) {
      await db.raw(`CREATE INDEX \`${name}_${columns.join('_')}_index\` ON \`${name}\` (${quoted(columns)})`)
    }
  }
}

/** Nothing in these tables is a record of money, so they may go at any time. */
export async function down(db: Knex): Promise<void> {
  for (const name of Object.keys(tables).toReversed()) await db.schema.dropTable(name)
}

function quoted(columns: readonly string[]): string {
  return columns.map((column) => `\`${column}\``).join(', ')
}
