import type { Knex } from 'knex'
import type { Method } from '../core/provider.ts'

/** Authorisations under way: each `state` once, for one browser and one order (wechatpay.md 5.1). */

export type OauthStateRow = {
  /** SHA-256 of the state, lower-case hexadecimal. */
  readonly state_hash: string
  readonly order_id: string
  /** SHA-256 of the cookie of the browser that began. */
  readonly browser_hash: string
  readonly method: Method
  readonly channel_id: string
  readonly appid: string
  readonly lang: string | null
  /** 0 for the first try; the one automatic retry is 1. */
  readonly attempt: number
  readonly created_at: number
  readonly expires_at: number
  readonly used_at: number | null
}

export async function insertOauthState(db: Knex, state: OauthStateRow): Promise<void> {
  await db('oauth_states').insert(state)
}

/** The row, whatever became of it: used and expired ones are told apart by whoever asks. */
export async function oauthStateByHash(db: Knex, stateHash: string): Promise<OauthStateRow | undefined> {
  return db<OauthStateRow>('oauth_states').where({ state_hash: stateHash }).first()
}

/** Uses a state up. @returns whether this call, and therefore nobody else, may exchange the code that came with it */
export async function useOauthState(db: Knex, stateHash: string, browserHash: string, now: number): Promise<boolean> {
  const rows = await db('oauth_states')
    .where({ state_hash: stateHash, browser_hash: browserHash })
    .whereNull('used_at')
    .andWhere('expires_at', '>', now)
    .update({ used_at: now })
  return rows === 1
}

/** @returns how many expired states were removed */
export async function purgeOauthStates(db: Knex, before: number): Promise<number> {
  return db('oauth_states').where('expires_at', '<', before).delete()
}
