import type { Knex } from 'knex'

/** Payers' sessions in SQL: what a cookie or a mini-program's token stands for. The token itself is never stored. */

export type PayerSessionRow = {
  /** SHA-256 of the token, lower-case hexadecimal. */
  readonly token_hash: string
  readonly order_id: string
  readonly kind: 'cashier' | 'mini'
  /** The application whose openid this is: worth nothing under another (design.md 20.13). */
  readonly appid: string | null
  readonly openid: string | null
  readonly created_at: number
  readonly expires_at: number
}

export async function insertPayerSession(db: Knex, session: PayerSessionRow): Promise<void> {
  await db('payer_sessions').insert(session)
}

/** The session behind a token, for one order and one kind of page: another order's session is none (T53). */
export async function findPayerSession(
  db: Knex,
  wanted: Pick<PayerSessionRow, 'token_hash' | 'order_id' | 'kind'>,
  now: number,
): Promise<PayerSessionRow | undefined> {
  return db<PayerSessionRow>('payer_sessions')
    .where({ token_hash: wanted.token_hash, order_id: wanted.order_id, kind: wanted.kind })
    .andWhere('expires_at', '>', now)
    .first()
}

/** The session behind a token whose holder does not say which order it is for. */
export async function payerSessionByToken(
  db: Knex,
  tokenHash: string,
  kind: PayerSessionRow['kind'],
  now: number,
): Promise<PayerSessionRow | undefined> {
  return db<PayerSessionRow>('payer_sessions')
    .where({ token_hash: tokenHash, kind })
    .andWhere('expires_at', '>', now)
    .first()
}

/** @returns how many expired sessions were removed, at most about `batch` */
export async function purgePayerSessions(db: Knex, before: number): Promise<number> {
  return db('payer_sessions').where('expires_at', '<', before).delete()
}
