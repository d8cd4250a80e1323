import type { Knex } from 'knex'
import { ulid } from 'ulid'
import type { Context } from '../context.ts'
import { idOf } from '../core/ids.ts'
import { raiseDiscrepancy as insertDiscrepancy } from '../store/discrepancies.ts'
import type { DiscrepancyRow } from '../store/rows.ts'

export type FoundDiscrepancy = {
  readonly channelId: string
  readonly kind: DiscrepancyRow['kind']
  readonly subjectId: string
  readonly expected?: string
  readonly actual?: string
  readonly noticedBy: DiscrepancyRow['noticed_by']
}

/** Puts a disagreement in front of a person: one row for each kind and subject, a log line and a counter every time. */
export async function raiseDiscrepancy(ctx: Context, db: Knex, found: FoundDiscrepancy): Promise<void> {
  ctx.metrics.count('discrepancies_total', { kind: found.kind })
  ctx.log.error('discrepancy', { channelId: found.channelId, reason: found.kind, operation: found.noticedBy })
  await insertDiscrepancy(db, {
    id: idOf('discrepancy', ulid(ctx.now())),
    channel_id: found.channelId,
    kind: found.kind,
    subject_id: found.subjectId,
    expected: found.expected ?? null,
    actual: found.actual ?? null,
    noticed_by: found.noticedBy,
    created_at: ctx.now(),
  })
}
