import type { Knex } from 'knex'
import type { ChannelSettingsRow } from './rows.ts'

/** Versions of channel settings: what an older attempt is verified and refunded with. Secrets only as references. */

export async function settingsVersions(db: Knex, channelId: string): Promise<readonly ChannelSettingsRow[]> {
  return db<ChannelSettingsRow>('channel_settings').where({ channel_id: channelId }).orderBy('version', 'desc')
}

export async function settingsVersion(
  db: Knex,
  channelId: string,
  version: number,
): Promise<ChannelSettingsRow | undefined> {
  return db<ChannelSettingsRow>('channel_settings').where({ channel_id: channelId, version }).first()
}

/** @throws a duplicate-key error when another process was faster; read again then */
export async function insertSettings(db: Knex, row: ChannelSettingsRow): Promise<void> {
  await db('channel_settings').insert(row)
}
