import type { Knex } from 'knex'
import type { DiscrepancyRow } from './rows.ts'

/** Disagreements for a person to look at; one of a kind for each subject. */

export async function raiseDiscrepancy(
  db: Knex,
  found: Pick<
    DiscrepancyRow,
    'id' | 'channel_id' | 'kind' | 'subject_id' | 'expected' | 'actual' | 'noticed_by' | 'created_at'
  >,
): Promise<void> {
  await db('discrepancies')
    .insert({ ...found, status: 'open', note: null, resolved_by: null, resolved_at: null })
    .onConflict(['kind', 'subject_id'])
    .ignore()
  // What was called resolved and happens again is open again; what a person chose to ignore stays ignored.
  await db('discrepancies')
    .where({ kind: found.kind, subject_id: found.subject_id, status: 'resolved' })
    .update({ status: 'open', actual: found.actual, resolved_by: null, resolved_at: null })
}

/** A disagreement that turned out well by itself. */
export async function resolveDiscrepancy(
  db: Knex,
  kind: DiscrepancyRow['kind'],
  subjectId: string,
  note: string,
  now: number,
): Promise<void> {
  await db('discrepancies')
    .where({ kind, subject_id: subjectId, status: 'open' })
    .update({ status: 'resolved', note, resolved_by: 'gateway', resolved_at: now })
}

export async function openDiscrepancies(db: Knex): Promise<readonly DiscrepancyRow[]> {
  return db<DiscrepancyRow>('discrepancies').where({ status: 'open' }).orderBy('created_at')
}
