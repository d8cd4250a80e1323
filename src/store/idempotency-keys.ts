import type { Knex } from 'knex'
import type { IdempotencyKeyRow } from './rows.ts'

/** The answers kept for `Idempotency-Key` headers (reliability.md 5.1). Every function is one statement. */

const table = 'idempotency_keys'

export type IdempotencyClaim = {
  readonly merchantId: string
  readonly key: string
  readonly route: string
  /** SHA-256 over method, route, path parameters and the validated body. */
  readonly fingerprint: string
}

/**
 * Claims a key for the request that carries it.
 * @param leaseUntil epoch milliseconds until which nobody else may run the request
 * @returns undefined when the key is ours now, otherwise the row of whoever came first
 */
export async function claimIdempotencyKey(
  db: Knex,
  claim: IdempotencyClaim,
  now: number,
  leaseUntil: number,
): Promise<IdempotencyKeyRow | undefined> {
  try {
    await db<IdempotencyKeyRow>(table).insert({
      merchant_id: claim.merchantId,
      key: claim.key,
      route: claim.route,
      fingerprint: claim.fingerprint,
      state: 'running',
      lease_until: leaseUntil,
      response_status: null,
      response_body: null,
      created_at: now,
    })
    return undefined
  } catch (error) {
    // Which error a duplicate raises depends on the database; whether the row is there does not.
    const row = await db<IdempotencyKeyRow>(table).where({ merchant_id: claim.merchantId, key: claim.key }).first()
    if (row === undefined) throw error
    return row
  }
}

/**
 * Takes over a request whose runner died: only one of those who saw the same expired lease succeeds.
 * @returns true when the claim is ours now
 */
export async function takeOverIdempotencyKey(db: Knex, row: IdempotencyKeyRow, leaseUntil: number): Promise<boolean> {
  const changed = await db<IdempotencyKeyRow>(table)
    .where({ merchant_id: row.merchant_id, key: row.key, state: 'running', lease_until: row.lease_until })
    .update({ lease_until: leaseUntil })
  return changed === 1
}

/** Keeps the answer. Does nothing when somebody else has taken the claim over in the meantime. */
export async function finishIdempotencyKey(
  db: Knex,
  claim: IdempotencyClaim,
  leaseUntil: number,
  status: number,
  body: string,
): Promise<void> {
  await db<IdempotencyKeyRow>(table)
    .where({ merchant_id: claim.merchantId, key: claim.key, state: 'running', lease_until: leaseUntil })
    .update({ state: 'done', response_status: status, response_body: body })
}

/** Leaves the claim open for the next request with the same content, which then resumes from the natural key. */
export async function reopenIdempotencyKey(db: Knex, claim: IdempotencyClaim, leaseUntil: number): Promise<void> {
  await db<IdempotencyKeyRow>(table)
    .where({ merchant_id: claim.merchantId, key: claim.key, state: 'running', lease_until: leaseUntil })
    .update({ lease_until: 0 })
}

/** Forgets a claim whose request had no effect, so that the key can be used for a corrected one. */
export async function dropIdempotencyKey(db: Knex, claim: IdempotencyClaim, leaseUntil: number): Promise<void> {
  await db<IdempotencyKeyRow>(table)
    .where({ merchant_id: claim.merchantId, key: claim.key, state: 'running', lease_until: leaseUntil })
    .delete()
}

/**
 * Deletes keys older than the retention of 30 days.
 * @returns how many went
 */
export async function purgeIdempotencyKeys(db: Knex, createdBefore: number): Promise<number> {
  return db<IdempotencyKeyRow>(table).where('created_at', '<', createdBefore).delete()
}

/**
 * A write that changes nothing: fails when the database is away, read-only, or without our tables (reliability.md 5.12).
 * @throws whatever the database says
 */
export async function proveWritable(db: Knex): Promise<void> {
  await db<IdempotencyKeyRow>(table).where({ merchant_id: '', key: '' }).update({ lease_until: 0 })
}
