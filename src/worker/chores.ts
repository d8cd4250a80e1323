import type { Context } from '../context.ts'
import { checkPayment } from '../flows/check-payment.ts'
import { checkRefund } from '../flows/check-refund.ts'
import { finishOrder } from '../flows/close-order.ts'
import { deliverWebhook } from '../flows/deliver-webhook.ts'
import { rematchNotification } from '../flows/receive-notification.ts'

/** One kind of due work: which rows, which flow, how many at once. */
export type Chore = {
  readonly name: string
  readonly table: string
  /** The column that is schedule and lease in one. */
  readonly column: string
  readonly where?: Readonly<Record<string, string>>
  /** A counter that every claim raises. */
  readonly bump?: string
  /** Most rows of this kind in work at once, so that slow endpoints cannot keep payments waiting. */
  readonly concurrency: number
  /** @param lease the value of the column while this process holds the row */
  readonly run: (ctx: Context, id: string, lease: number) => Promise<void>
}

/** Everything the worker does, and nothing else. */
export const chores: readonly Chore[] = [
  { name: 'payments', table: 'payments', column: 'next_check_at', concurrency: 16, run: checkPayment },
  { name: 'refunds', table: 'refunds', column: 'next_check_at', concurrency: 16, run: checkRefund },
  { name: 'orders', table: 'orders', column: 'next_check_at', concurrency: 8, run: finishOrder },
  { name: 'notifications', table: 'notifications', column: 'next_match_at', concurrency: 4, run: rematchNotification },
  {
    name: 'deliveries',
    table: 'deliveries',
    column: 'next_attempt_at',
    where: { status: 'pending' },
    bump: 'attempts',
    concurrency: 32,
    run: deliverWebhook,
  },
]
