import type { Knex } from 'knex'
import { columnsOf, ddlOf, serverOf } from '../src/store/ddl.ts'

/**
 * Every table of the ledger (design.md 9). Columns are those of src/core/{order,payment,refund}.ts and
 * src/store/rows.ts; the checks are the last fence behind the guarded writes. A migration that has been released is
 * never edited: the lists of statuses are written out here because they must not move with the code.
 */

type Table = {
  /** Column definitions, see `columnsOf`. */
  readonly columns: string
  readonly rules: readonly string[]
  readonly indexes: readonly (readonly string[])[]
}

export async function up(db: Knex): Promise<void> {
  const ddl = ddlOf(await serverOf(db))
  for (const [name, table] of Object.entries(ledger())) {
    const body = [...columnsOf(ddl, table.columns), ...table.rules].join(',\n  ')
    await db.raw(`CREATE TABLE \`${name}\` (\n  ${body}\n) ${ddl.tableOptions}`)
    for (const columns of table.indexes) {
      const index = `${name}_${columns.join('_')}_index`
      await db.raw(`CREATE INDEX \`${index}\` ON \`${name}\` (${quoted(columns)})`)
    }
  }
}

/** Drops everything, money included: for development only, and refused while there is a payment. */
export async function down(db: Knex): Promise<void> {
  const payment: unknown = await db('payments').select('id').first()
  if (payment !== undefined) throw new Error('the ledger holds payments and is not dropped')
  for (const name of Object.keys(ledger()).toReversed()) await db.schema.dropTable(name)
}

function ledger(): Readonly<Record<string, Table>> {
  return { ...orderTables(), ...refundTables(), ...channelTables(), ...eventTables(), ...doorTables(), ...bookTables() }
}

function quoted(columns: readonly string[]): string {
  return columns.map((column) => `\`${column}\``).join(', ')
}

function primary(...columns: readonly string[]): string {
  return `PRIMARY KEY (${quoted(columns)})`
}

function unique(table: string, ...columns: readonly string[]): string {
  return `CONSTRAINT \`${table}_${columns.join('_')}_unique\` UNIQUE (${quoted(columns)})`
}

function foreign(table: string, column: string, parent: string): string {
  return `CONSTRAINT \`${table}_${column}_foreign\` FOREIGN KEY (\`${column}\`) REFERENCES \`${parent}\` (\`id\`)`
}

function check(name: string, condition: string): string {
  return `CONSTRAINT \`${name}_check\` CHECK (${condition})`
}

function oneOf(table: string, column: string, ...values: readonly string[]): string {
  return check(`${table}_${column}`, `\`${column}\` IN (${values.map((value) => `'${value}'`).join(', ')})`)
}

function notNegative(table: string, ...columns: readonly string[]): string {
  return check(
    `${table}_not_negative`,
    columns.map((column) => `(\`${column}\` IS NULL OR \`${column}\` >= 0)`).join(' AND '),
  )
}

function orderTables(): Record<string, Table> {
  return {
    orders: {
      columns: `
        id id(40), merchant_id id(64), merchant_order_no id(64), amount integer, currency id(3),
        subject text(512), status id(16), expires_at integer, content_hash id(64), current_payment_id id(40)?,
        paid_payment_id id(40)?, cashier_token id(128), return_url text(2048)?, metadata longText?,
        close_requested_at integer?, checks integer = 0, next_check_at integer?, created_at integer,
        paid_at integer?, closed_at integer?`,
      rules: [
        primary('id'),
        unique('orders', 'merchant_id', 'merchant_order_no'),
        unique('orders', 'cashier_token'),
        check('orders_amount', '`amount` > 0'),
        check('orders_currency', 'length(`currency`) = 3'),
        oneOf('orders', 'status', 'open', 'closed', 'paid'),
      ],
      indexes: [['next_check_at'], ['merchant_id', 'created_at']],
    },
    payments: {
      columns: `
        id id(40), order_id id(40), merchant_id id(64), channel_id id(64), settings_version integer,
        method id(32), amount integer, currency id(3), payer_openid id(128)?, client_ip id(64), status id(16),
        close_reason id(32)?, account_status id(16) = 'none', transaction_id id(64)?, party_order_id id(64)?,
        payer_transaction_id id(64)?, invocation longText?, usable_until integer?, payer_amount integer?,
        fee integer?, settlement_amount integer?, settlement_currency id(3)?, exchange_rate id(32)?,
        refund_reserved integer = 0, refund_over integer = 0, refund_count integer = 0,
        refund_slot_at integer = 0, checks integer = 0, confirm_step integer?, close_attempts integer = 0,
        absent_at integer?, next_check_at integer?, created_at integer, succeeded_at integer?,
        closed_at integer?`,
      rules: [
        primary('id'),
        unique('payments', 'channel_id', 'transaction_id'),
        foreign('payments', 'order_id', 'orders'),
        check('payments_amount', '`amount` > 0'),
        check('payments_currency', 'length(`currency`) = 3'),
        oneOf('payments', 'status', 'created', 'pending', 'closed', 'succeeded'),
        oneOf('payments', 'account_status', 'none', 'pending', 'failed', 'credited'),
        check('payments_refund_reserved', '`refund_reserved` >= 0 AND `refund_reserved` <= `amount`'),
        notNegative('payments', 'refund_over', 'refund_count', 'payer_amount', 'settlement_amount'),
      ],
      indexes: [['order_id'], ['next_check_at'], ['channel_id', 'succeeded_at']],
    },
  }
}

function refundTables(): Record<string, Table> {
  return {
    refunds: {
      columns: `
        id id(40), payment_id id(40), order_id id(40), merchant_id id(64), channel_id id(64),
        merchant_refund_no id(64)?, initiated_by id(16), amount integer, currency id(3), reason text(512),
        content_hash id(64), status id(16), failure_reason text(512)?, provider_refund_id id(64)?,
        checks integer = 0, next_check_at integer?, confirm_no id(64)?, created_at integer, succeeded_at integer?`,
      rules: [
        primary('id'),
        unique('refunds', 'merchant_id', 'merchant_refund_no'),
        unique('refunds', 'channel_id', 'provider_refund_id'),
        foreign('refunds', 'payment_id', 'payments'),
        check('refunds_amount', '`amount` > 0'),
        check('refunds_currency', 'length(`currency`) = 3'),
        oneOf('refunds', 'initiated_by', 'merchant', 'operator', 'gateway'),
        oneOf('refunds', 'status', 'created', 'processing', 'abnormal', 'failed', 'succeeded'),
      ],
      indexes: [['payment_id'], ['order_id'], ['next_check_at']],
    },
    refund_submissions: {
      columns: `
        refund_id id(40), attempt integer, channel_id id(64), provider_no id(64), day id(10), sent_at integer,
        last_sent_at integer, sends integer = 1, outcome id(16), rejection_reason id(32)?,
        rejection_code text(128)?, rejection_detail text(1024)?, absent_at integer?`,
      rules: [
        primary('refund_id', 'attempt'),
        unique('refund_submissions', 'channel_id', 'provider_no', 'day'),
        oneOf('refund_submissions', 'outcome', 'unknown', 'accepted', 'rejected', 'paid_again'),
        check('refund_submissions_attempt', '`attempt` > 0 AND `sends` >= 0'),
      ],
      indexes: [],
    },
  }
}

function channelTables(): Record<string, Table> {
  return {
    channel_settings: {
      columns: `
        channel_id id(64), version integer, settings_digest id(64), provider id(64), settings longText,
        active_from integer`,
      rules: [primary('channel_id', 'version'), check('channel_settings_version', '`version` > 0')],
      indexes: [],
    },
    notifications: {
      columns: `
        id id(40), channel_id id(64), settings_version integer, door id(16), provider_event_id id(128),
        headers longText, body longText, facts longText?, outcome id(16), subject_id id(128)?,
        seen_count integer = 1, matches integer = 0, next_match_at integer?, received_at integer`,
      rules: [
        primary('id'),
        unique('notifications', 'channel_id', 'provider_event_id'),
        oneOf('notifications', 'door', 'notify', 'console'),
        oneOf(
          'notifications',
          'outcome',
          'received',
          'applied',
          'unchanged',
          'hint',
          'mismatch',
          'unmatched',
          'ignored',
        ),
      ],
      indexes: [['subject_id'], ['next_match_at'], ['received_at']],
    },
  }
}

function eventTables(): Record<string, Table> {
  return {
    merchant_sequences: {
      columns: `merchant_id id(64), last integer`,
      rules: [primary('merchant_id')],
      indexes: [],
    },
    events: {
      columns: `
        id id(40), merchant_id id(64), sequence integer, schema_version integer, type id(64),
        subject_id id(128), order_id id(40), payload longText, occurred_at integer`,
      rules: [
        primary('id'),
        unique('events', 'subject_id', 'type'),
        unique('events', 'merchant_id', 'sequence'),
        check('events_sequence', '`sequence` > 0'),
      ],
      indexes: [['merchant_id', 'occurred_at'], ['order_id']],
    },
    deliveries: {
      columns: `
        id id(40), event_id id(40), merchant_id id(64), endpoint_id id(64), status id(16), attempts integer = 0,
        next_attempt_at integer?, delivered_at integer?`,
      rules: [
        primary('id'),
        unique('deliveries', 'event_id', 'endpoint_id'),
        foreign('deliveries', 'event_id', 'events'),
        oneOf('deliveries', 'status', 'pending', 'delivered', 'exhausted'),
      ],
      indexes: [['status', 'next_attempt_at'], ['next_attempt_at']],
    },
    delivery_attempts: {
      columns: `
        id counter, delivery_id id(40), attempted_at integer, duration_ms integer, http_status integer?,
        error text(1024)?, response_excerpt longText?`,
      rules: [foreign('delivery_attempts', 'delivery_id', 'deliveries')],
      indexes: [['delivery_id']],
    },
    endpoint_health: {
      columns: `
        merchant_id id(64), endpoint_id id(64), failures integer = 0, first_failure_at integer?,
        disabled_at integer?`,
      rules: [primary('merchant_id', 'endpoint_id')],
      indexes: [],
    },
  }
}

function doorTables(): Record<string, Table> {
  return {
    idempotency_keys: {
      columns: `
        merchant_id id(64), key id(255), route id(128), fingerprint id(64), state id(16), lease_until integer,
        response_status integer?, response_body longText?, created_at integer`,
      rules: [primary('merchant_id', 'key'), oneOf('idempotency_keys', 'state', 'running', 'done')],
      indexes: [['created_at']],
    },
    request_nonces: {
      columns: `key_id id(64), nonce id(128), at integer`,
      rules: [primary('key_id', 'nonce')],
      indexes: [['at']],
    },
  }
}

function bookTables(): Record<string, Table> {
  return {
    statements: {
      columns: `
        id id(40), channel_id id(64), day id(10), status id(16), lines integer = 0, total_in integer = 0,
        total_back integer = 0, fees integer = 0, file_sha256 id(64)?, checks integer = 0,
        next_check_at integer?, created_at integer, finished_at integer?`,
      rules: [
        primary('id'),
        unique('statements', 'channel_id', 'day'),
        oneOf('statements', 'status', 'waiting', 'matched', 'differing'),
      ],
      indexes: [['next_check_at']],
    },
    statement_lines: {
      columns: `
        statement_id id(40), line integer, about id(16), out_no id(64), provider_no id(64), amount integer,
        fee integer?, occurred_at integer, result id(32)`,
      rules: [
        primary('statement_id', 'line'),
        oneOf('statement_lines', 'about', 'payment', 'refund'),
        check('statement_lines_amount', '`amount` > 0'),
      ],
      indexes: [['out_no']],
    },
    discrepancies: {
      columns: `
        id id(40), channel_id id(64), kind id(64), subject_id id(128), expected text(1024)?, actual text(1024)?,
        noticed_by id(16), status id(16), note text(2048)?, resolved_by text(128)?, created_at integer,
        resolved_at integer?`,
      rules: [
        primary('id'),
        unique('discrepancies', 'kind', 'subject_id'),
        oneOf('discrepancies', 'noticed_by', 'notification', 'query', 'statement', 'gateway'),
        oneOf('discrepancies', 'status', 'open', 'resolved', 'ignored'),
      ],
      indexes: [['status', 'created_at']],
    },
    audit: {
      columns: `
        id counter, actor text(128), action id(64), subject_id id(128)?, detail longText?, at integer`,
      rules: [],
      indexes: [['at']],
    },
  }
}
