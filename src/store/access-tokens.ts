import type { Knex } from 'knex'

/** WeChat's access tokens, shared by every process: sealed before they get here (wechatpay.md 5.3). */

export type AccessTokenRow = {
  readonly appid: string
  readonly sealed_token: string | null
  /** Epoch milliseconds; 0 when the token must not be used any more. */
  readonly expires_at: number
  readonly refreshed_at: number
  /** Until then one process is fetching a new token. */
  readonly lease_until: number
}

const table = 'access_tokens'

export async function accessToken(db: Knex, appid: string): Promise<AccessTokenRow | undefined> {
  return db<AccessTokenRow>(table).where({ appid }).first()
}

/**
 * Takes the right to fetch a new token.
 * @param seen `refreshed_at` of the row this decision was taken upon; undefined when there was none
 * @returns whether this call, and therefore nobody else, may fetch now
 */
export async function claimAccessToken(
  db: Knex,
  appid: string,
  seen: number | undefined,
  now: number,
  leaseUntil: number,
): Promise<boolean> {
  if (seen !== undefined) {
    const rows = await db(table)
      .where({ appid, refreshed_at: seen })
      .andWhere('lease_until', '<=', now)
      .update({ lease_until: leaseUntil })
    return rows === 1
  }
  try {
    await db(table).insert({ appid, sealed_token: null, expires_at: 0, refreshed_at: 0, lease_until: leaseUntil })
    return true
  } catch (error) {
    // Which error a duplicate raises depends on the database; whether the row is there does not.
    if ((await accessToken(db, appid)) === undefined) throw error
    return false
  }
}

/** Puts the fetched token down and gives the right back. @returns false when the lease was somebody else's by then */
export async function keepAccessToken(
  db: Knex,
  appid: string,
  lease: number,
  token: { readonly sealed: string; readonly expiresAt: number; readonly refreshedAt: number },
): Promise<boolean> {
  const rows = await db(table).where({ appid, lease_until: lease }).update({
    sealed_token: token.sealed,
    expires_at: token.expiresAt,
    refreshed_at: token.refreshedAt,
    lease_until: 0,
  })
  return rows === 1
}

/** Gives the right back without a token. */
export async function releaseAccessToken(db: Knex, appid: string, lease: number): Promise<void> {
  await db(table).where({ appid, lease_until: lease }).update({ lease_until: 0 })
}

/** WeChat refused this very token: nobody uses it again. A newer one is left alone. */
export async function spoilAccessToken(db: Knex, appid: string, refreshedAt: number): Promise<void> {
  await db(table).where({ appid, refreshed_at: refreshedAt }).update({ expires_at: 0 })
}
