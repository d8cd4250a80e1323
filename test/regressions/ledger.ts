import type { Knex } from 'knex'
import type { Channel, Context, Merchant } from '../../src/context.ts'
import type { RefundFact } from '../../src/core/fact.ts'
import { submissionNumber } from '../../src/core/ids.ts'
import type { Payment } from '../../src/core/payment.ts'
import type { Notification, NotificationMessage, Provider, ProviderRules, RefundRef } from '../../src/core/provider.ts'
import type { Refund, RefundSubmission } from '../../src/core/refund.ts'
import { checkPayment } from '../../src/flows/check-payment.ts'
import { checkRefund } from '../../src/flows/check-refund.ts'
import { receiveNotification } from '../../src/flows/receive-notification.ts'
import { claimDue } from '../../src/store/due.ts'
import type { DiscrepancyRow } from '../../src/store/rows.ts'
import type { OpenDatabase } from '../databases.ts'
import { order, payment, refund } from '../integration/ledger-rows.ts'
import { quietLog } from '../harness.ts'

/**
 * A real ledger, the real flows, a clock that obeys, and a provider that follows a script: for faults that need an exact
 * order of events, which a running gateway shows only by chance.
 */

export const leaseMs = 25_000
/** Noon in Shanghai. */
const noon = Date.parse('2026-03-01T04:00:00Z')

/** Huifu's rules: what concerns refunds is strictest there. */
export const dailyRules: ProviderRules = {
  tellsAccount: true,
  refundNumbers: 'per_day',
  refundSpacingMs: 60_000,
  refundsPerPayment: 1000,
  refundDays: 360,
  closeAfterMs: 60_000,
}

const unscripted = (): Promise<never> => Promise.reject(new Error('the script does not have this call'))

/** A provider that knows only what the test has written for it. */
export function scripted(script: Partial<Provider>): Provider {
  return {
    methods: {},
    rules: dailyRules,
    prepay: unscripted,
    queryPayment: unscripted,
    closePayment: unscripted,
    refund: unscripted,
    queryRefund: unscripted,
    readNotification: unscripted,
    ...script,
  }
}

export type Ledger = {
  readonly open: OpenDatabase
  readonly db: Knex
  readonly clock: { now: number }
  nextNumber: number
}

export function ledgerOn(open: OpenDatabase): Ledger {
  return { open, db: open.db, clock: { now: noon }, nextNumber: 1 }
}

export const shop: Merchant = {
  id: 'shop',
  name: 'Shop',
  endpoints: [{ id: 'e', url: 'https://shop.example/hook', secrets: [Buffer.alloc(32, 1)], events: ['*'] }],
  routes: [{ method: '*', channels: ['main'] }],
  latePayment: 'refund',
  surplus: 'refund',
  sandbox: false,
}

/** What a process has in its hands; `more` may replace anything, for example by a second process's own connections. */
export function contextOf(ledger: Ledger, provider: Provider, more: Partial<Context> = {}): Context {
  const channel = channelOf(provider)
  return {
    db: ledger.db,
    now: () => ledger.clock.now,
    random: () => 0.5,
    log: quietLog,
    publicUrl: 'https://pay.example',
    timeScale: 1,
    providerDeadlineMs: 10_000,
    leaseMs,
    channels: {
      current: () => channel,
      version: () => Promise.resolve(channel),
      atDoor: () => Promise.resolve([channel]),
    },
    merchants: { get: (id) => (id === shop.id ? shop : undefined), keyByDigest: () => undefined, ids: () => [shop.id] },
    metrics: { count() {}, observe() {} },
    poke() {},
    openids: { byLoginCode: unscripted, byAuthorizationCode: unscripted, authorizationPage: () => undefined },
    launches: {
      miniProgram: () => undefined,
      issue: () => '',
      read: () => undefined,
      link: unscripted,
      sealLink: (url) => url,
      openLink: () => undefined,
    },
    cashier: { precreate: true, defaultLanguage: 'zh-CN' },
    postWebhook: () => Promise.resolve({ kind: 'answered', status: 204, excerpt: '' }),
    ...more,
  }
}

export function channelOf(provider: Provider): Channel {
  const notifyUrl = 'https://pay.example/notify/main/x'
  return { id: 'main', version: 1, provider, notifyUrl, sandbox: false, appLaunch: 'miniprogram' }
}

export function ids(ledger: Ledger) {
  const number = `01J0000000000000000000${String(ledger.nextNumber++).padStart(4, '0')}`
  return { order: `ord_${number}`, payment: `pay_${number}`, refund: `ref_${number}`, number }
}
export type Ids = ReturnType<typeof ids>

/** An order of 100 that has been paid and credited. */
export async function paid(ledger: Ledger, change: Record<string, unknown> = {}): Promise<Ids> {
  const its = ids(ledger)
  const statuses = { status: 'paid', paid_payment_id: its.payment, current_payment_id: its.payment }
  await ledger.db('orders').insert(order(its.number, { id: its.order, ...statuses }))
  await ledger.db('payments').insert(
    payment(its.order, its.payment, {
      status: 'succeeded',
      account_status: 'credited',
      transaction_id: `hf${its.number}`,
      succeeded_at: ledger.clock.now,
      ...change,
    }),
  )
  return its
}

/** A refund of that payment, reserved and due. */
export async function asked(
  ledger: Ledger,
  its: Ids,
  amount: number,
  change: Record<string, unknown> = {},
): Promise<void> {
  const row = { order_id: its.order, amount, next_check_at: ledger.clock.now, ...change }
  await ledger.db('refunds').insert(refund(its.payment, its.refund, row))
  if (change['status'] === 'failed') return
  await ledger.db('payments').where({ id: its.payment }).increment({ refund_reserved: amount, refund_count: 1 })
}

/** A submission of it as it stands recorded after having been sent once. */
export async function sent(
  ledger: Ledger,
  its: Ids,
  attempt: number,
  outcome: RefundSubmission['outcome'],
  change: Partial<RefundSubmission> = {},
): Promise<string> {
  const number = submissionNumber(its.refund, attempt)
  await ledger.db<RefundSubmission>('refund_submissions').insert({
    refund_id: its.refund,
    attempt,
    channel_id: 'main',
    provider_no: number,
    day: '20260301',
    sent_at: ledger.clock.now,
    last_sent_at: ledger.clock.now,
    sends: 1,
    outcome,
    rejection_reason: null,
    rejection_code: null,
    rejection_detail: null,
    absent_at: null,
    ...change,
  })
  return number
}

export function said(reference: RefundRef, seen: RefundFact['seen'], more: Partial<RefundFact> = {}): RefundFact {
  const { refundId, payment, submission } = reference
  return { about: 'refund', refundId, paymentId: payment.paymentId, seen, submissionNumber: submission.number, ...more }
}

/** The worker takes the refund, if it is due, and works on it. @returns whether it was due */
export async function workOnRefund(ledger: Ledger, ctx: Context, refundId: string): Promise<boolean> {
  const lease = await take(ledger, ctx, 'refunds', refundId)
  if (lease === undefined) return false
  await checkRefund(ctx, refundId, lease)
  return true
}

/** The worker takes the payment, if it is due, and works on it. @returns whether it was due */
export async function workOnPayment(ledger: Ledger, ctx: Context, paymentId: string): Promise<boolean> {
  const lease = await take(ledger, ctx, 'payments', paymentId)
  if (lease === undefined) return false
  await checkPayment(ctx, paymentId, lease)
  return true
}

async function take(
  ledger: Ledger,
  ctx: Context,
  table: 'refunds' | 'payments',
  id: string,
): Promise<number | undefined> {
  const { now } = ledger.clock
  const claim = { table, key: 'id', column: 'next_check_at', now, leaseMs, limit: 1, where: { id } }
  const rows = await claimDue(ctx.db, claim)
  return rows.length === 0 ? undefined : now + leaseMs
}

/** A hint arrives, word for word the same however often it is sent. */
export async function hint(ctx: Context, facts: Notification['facts'], eventId: string): Promise<void> {
  const message: NotificationMessage = {
    door: 'notify',
    query: {},
    headers: {},
    body: Buffer.from(eventId),
    receivedAt: ctx.now(),
  }
  const reply = { status: 200, contentType: 'text/plain', body: 'ok' }
  const provider = scripted({ readNotification: () => Promise.resolve({ eventId, standing: 'hint', facts, reply }) })
  await receiveNotification(ctx, [channelOf(provider)], message)
}

async function rowOf<T extends object>(db: Knex, table: string, id: string): Promise<T> {
  const row: T | undefined = await db(table).where({ id }).first()
  if (row === undefined) throw new Error(`${table} has no ${id}`)
  return row
}
export const refundRow = (ledger: Ledger, its: Ids) => rowOf<Refund>(ledger.db, 'refunds', its.refund)
export const paymentRow = (ledger: Ledger, its: Ids) => rowOf<Payment>(ledger.db, 'payments', its.payment)

export async function submissionsOf(ledger: Ledger, its: Ids): Promise<readonly RefundSubmission[]> {
  return ledger.db<RefundSubmission>('refund_submissions').where({ refund_id: its.refund }).orderBy('attempt')
}

export async function discrepanciesOf(ledger: Ledger, subject: string): Promise<readonly DiscrepancyRow[]> {
  return ledger.db<DiscrepancyRow>('discrepancies').where({ subject_id: subject })
}

/** Runs `act` before the first statement of that connection pool whose SQL fits: a process held up at exactly that place. */
export function holdUpAt(db: Knex, sql: RegExp, act: () => Promise<void>): { readonly happened: () => boolean } {
  type Client = { _query(connection: unknown, query: { readonly sql: string }): Promise<unknown> }
  const client = db.client as Client
  const original = client._query.bind(client)
  let happened = false
  client._query = async (connection, query) => {
    if (!happened && sql.test(query.sql)) {
      happened = true
      await act()
    }
    return original(connection, query)
  }
  return { happened: () => happened }
}
