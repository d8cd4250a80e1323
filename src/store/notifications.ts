import type { Knex } from 'knex'
import type { NotificationOutcome, NotificationRow } from './rows.ts'

/** Notifications in SQL: evidence, word for word. */

export async function insertNotification(db: Knex, row: NotificationRow): Promise<void> {
  await db('notifications').insert(row)
}

/** The same message again: counted, and handed back so that a crash in between can be made good. */
export async function countRepeat(
  db: Knex,
  channelId: string,
  providerEventId: string,
): Promise<NotificationRow | undefined> {
  await db('notifications')
    .where({ channel_id: channelId, provider_event_id: providerEventId })
    .update({ seen_count: db.raw('seen_count + 1') })
  return db<NotificationRow>('notifications')
    .where({ channel_id: channelId, provider_event_id: providerEventId })
    .first()
}

export async function notificationById(db: Knex, id: string): Promise<NotificationRow | undefined> {
  return db<NotificationRow>('notifications').where({ id }).first()
}

export async function recordNotificationOutcome(
  db: Knex,
  id: string,
  values: {
    readonly outcome: NotificationOutcome
    readonly subject_id?: string | null
    readonly next_match_at: number | null
    readonly matches?: number
  },
): Promise<void> {
  await db('notifications').where({ id }).update(values)
}

/** Empties the bodies of notifications older than the retention; their rows and numbers stay. @returns how many */
export async function emptyOldNotifications(db: Knex, before: number, limit: number): Promise<number> {
  const old = await db<NotificationRow>('notifications')
    .where('received_at', '<', before)
    .andWhere('body', '<>', '')
    .orderBy('received_at')
    .limit(limit)
    .select('id')
  if (old.length === 0) return 0
  return db('notifications')
    .whereIn(
      'id',
      old.map((row) => row.id),
    )
    .update({ body: '', headers: '{}' })
}
