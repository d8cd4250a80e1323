import type { Knex } from 'knex'

/** Launches of the mini-program: one row for each token handed out, which is known by its digest only (experience.md 4.3). */

export type LaunchRow = {
  /** SHA-256 of the token, lower-case hexadecimal. */
  readonly token_hash: string
  readonly order_id: string
  readonly merchant_id: string
  readonly channel_id: string
  readonly appid: string
  /** Whoever came first with the token; nobody else gets in with it. */
  readonly payer_openid: string | null
  readonly expires_at: number
  readonly created_at: number
  /** Sealed: who has the link can pay. */
  readonly link: string | null
  readonly link_expires_at: number | null
}

export async function insertLaunch(db: Knex, launch: LaunchRow): Promise<void> {
  await db('launches').insert(launch)
}

export async function launchByToken(db: Knex, tokenHash: string): Promise<LaunchRow | undefined> {
  return db<LaunchRow>('launches').where({ token_hash: tokenHash }).first()
}

/** The newest launch of an order under an appid whose link lives at least until then. */
export async function launchWithLink(
  db: Knex,
  orderId: string,
  appid: string,
  until: number,
): Promise<LaunchRow | undefined> {
  return (
    db<LaunchRow>('launches')
      .where({ order_id: orderId, appid })
      .whereNotNull('link')
      // A link that somebody has come through is theirs: handed to the next payer it would lead nowhere.
      .whereNull('payer_openid')
      .andWhere('link_expires_at', '>', until)
      .orderBy('link_expires_at', 'desc')
      .first()
  )
}

/** How many launches of an order are still good. */
export async function countLaunches(db: Knex, orderId: string, now: number): Promise<number> {
  const row = await db('launches')
    .where({ order_id: orderId })
    .andWhere('expires_at', '>', now)
    .count({ total: '*' })
    .first()
  return Number.parseInt(String(row?.total ?? 0), 10)
}

/** The first payer with the token is its payer. @returns false when somebody else came first */
export async function bindLaunch(db: Knex, tokenHash: string, openid: string): Promise<boolean> {
  const rows = await db('launches')
    .where({ token_hash: tokenHash })
    .andWhere((free) => void free.whereNull('payer_openid').orWhere('payer_openid', openid))
    .update({ payer_openid: openid })
  return rows === 1
}

/** Takes one of the links that may be generated in a day. @returns false when none is left */
export async function takeQuota(db: Knex, appid: string, day: string, most: number): Promise<boolean> {
  const taken = async () =>
    (await db('launch_quota')
      .where({ appid, day })
      .andWhere('used', '<', most)
      .update({ used: db.raw('used + 1') })) === 1
  if (await taken()) return true
  const known: unknown = await db('launch_quota').select('day').where({ appid, day }).first()
  if (known !== undefined) return false
  try {
    await db('launch_quota').insert({ appid, day, used: 1 })
    return true
  } catch (error) {
    const there: unknown = await db('launch_quota').select('day').where({ appid, day }).first()
    if (there === undefined) throw error
    return taken()
  }
}

/** WeChat says that the day's links are used up, whatever we counted. */
export async function exhaustQuota(db: Knex, appid: string, day: string, most: number): Promise<void> {
  await db('launch_quota').where({ appid, day }).update({ used: most })
}

/** @returns how many launches nobody can use any more were removed */
export async function purgeLaunches(db: Knex, before: number): Promise<number> {
  return db('launches').where('expires_at', '<', before).delete()
}
