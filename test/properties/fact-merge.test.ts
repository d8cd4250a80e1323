import { expect } from 'chai'
import fc from 'fast-check'
import type { Knex } from 'knex'
import { ulid } from 'ulid'
import type { Context, Merchant } from '../../src/context.ts'
import {
  accountChain,
  later,
  paymentChain,
  refundChain,
  type AccountStatus,
  type PaymentStatus,
  type RefundStatus,
} from '../../src/core/chain.ts'
import type { PaymentFact, RefundFact } from '../../src/core/fact.ts'
import { idOf } from '../../src/core/ids.ts'
import type { Order } from '../../src/core/order.ts'
import type { Payment } from '../../src/core/payment.ts'
import type { Refund } from '../../src/core/refund.ts'
import { applyPaymentFact } from '../../src/flows/apply-payment-fact.ts'
import { applyRefundFact } from '../../src/flows/apply-refund-fact.ts'
import { insertRefund } from '../../src/store/refunds.ts'
import { reserveRefund } from '../../src/store/payments.ts'
import type { DiscrepancyRow, EventRow } from '../../src/store/rows.ts'
import { transaction } from '../../src/store/transaction.ts'
import { onRamDisk } from '../contract/ram-disk.ts'
import { databases, type OpenDatabase } from '../databases.ts'
import { quietLog } from '../harness.ts'

/**
 * The two funnels against real databases: any multiset of facts, in any order, one after the other or all at once, leaves
 * the rows at the maximum of their chains, with each event exactly once (design.md 6.2 to 6.8).
 */

const seed = Number.parseInt(process.env['MORTISE_SEED'] ?? '', 10) || Math.floor(Math.random() * 2 ** 31)
const channelId = 'main'
const full = 1000

type Merging = 'sequentially' | 'concurrently'
const mergings: readonly Merging[] = ['sequentially', 'concurrently']

const merchantOf = (latePayment: Merchant['latePayment'], surplus: Merchant['surplus']): Merchant => ({
  id: `shop-${latePayment}-${surplus}`,
  name: 'Shop',
  endpoints: [
    { id: 'all', url: 'https://shop.example/all', secrets: [Buffer.alloc(32, 1)], events: ['*'] },
    { id: 'paid', url: 'https://shop.example/paid', secrets: [Buffer.alloc(32, 1)], events: ['order.paid'] },
  ],
  routes: [],
  latePayment,
  surplus,
  sandbox: true,
})

/** A context with a database and nobody else in the world. */
function contextOver(db: Knex): Context {
  const merchants = (['refund', 'accept'] as const).flatMap((late) =>
    (['refund', 'hold'] as const).map((surplus) => merchantOf(late, surplus)),
  )
  return {
    db,
    channels: {
      current: () => undefined,
      version: () => Promise.resolve(undefined),
      atDoor: () => Promise.resolve([]),
    },
    merchants: {
      get: (id) => merchants.find((one) => one.id === id),
      keyByDigest: () => undefined,
      ids: () => merchants.map(({ id }) => id),
    },
    now: Date.now,
    random: () => 0.5,
    log: quietLog,
    publicUrl: 'https://pay.example',
    timeScale: 1,
    postWebhook: () => Promise.resolve({ kind: 'answered', status: 204, excerpt: '' }),
    openids: {
      byLoginCode: () => Promise.reject(new Error('not here')),
      byAuthorizationCode: () => Promise.reject(new Error('not here')),
      authorizationPage: () => undefined,
    },
    launches: {
      miniProgram: () => undefined,
      issue: () => '',
      read: () => undefined,
      link: () => Promise.reject(new Error('not here')),
      sealLink: (url) => url,
      openLink: () => undefined,
    },
    cashier: { precreate: true, defaultLanguage: 'zh-CN' },
    metrics: { count: () => undefined, observe: () => undefined },
    poke: () => undefined,
    providerDeadlineMs: 1000,
  }
}

async function insertOrderWith(
  db: Knex,
  attempts: number,
  merchant: string,
  change: Partial<Order> = {},
): Promise<{ orderId: string; paymentIds: string[] }> {
  const now = Date.now()
  const orderId = idOf('order', ulid())
  await db('orders').insert({
    id: orderId,
    merchant_id: merchant,
    merchant_order_no: orderId,
    amount: full,
    currency: 'CNY',
    subject: 'Oolong',
    status: 'open',
    expires_at: now + 3_600_000,
    content_hash: 'c',
    cashier_token: orderId,
    created_at: now,
    ...change,
  })
  const paymentIds = Array.from({ length: attempts }, () => idOf('payment', ulid()))
  for (const id of paymentIds) {
    await db('payments').insert({
      id,
      order_id: orderId,
      merchant_id: merchant,
      channel_id: channelId,
      settings_version: 1,
      method: 'wechat_jsapi',
      amount: full,
      currency: 'CNY',
      client_ip: '192.0.2.1',
      status: 'created',
      next_check_at: now,
      created_at: now,
    })
  }
  return { orderId, paymentIds }
}

async function merge<T>(merging: Merging, facts: readonly T[], apply: (fact: T) => Promise<unknown>): Promise<void> {
  if (merging === 'concurrently') {
    await Promise.all(facts.map(apply))
    return
  }
  for (const fact of facts) await apply(fact)
}

/** What a provider may say of one of `attempts` payments; wrong amounts and numbers among it. */
const paymentFacts = (attempts: number) =>
  fc.record({
    attempt: fc.integer({ min: 0, max: attempts - 1 }),
    said: fc.oneof(
      fc.constantFrom('absent', 'pending', 'closed', 'succeeded', 'credit pending', 'credit failed', 'credited'),
      fc.constantFrom('wrong amount', 'wrong currency', 'no amount'),
    ),
  })

type Said = { readonly attempt: number; readonly said: string }

function paymentFact(paymentId: string, { said }: Said): PaymentFact {
  const base = { about: 'payment', paymentId } as const
  const paid = {
    ...base,
    seen: 'succeeded',
    amount: { amount: full, currency: 'CNY' },
    transactionId: paymentId,
  } as const
  switch (said) {
    case 'absent':
    case 'pending':
    case 'closed':
      return { ...base, seen: said }
    case 'credit pending':
      return { ...paid, account: 'pending' }
    case 'credit failed':
      return { ...paid, account: 'failed' }
    case 'credited':
      return { ...paid, account: 'credited' }
    case 'wrong amount':
      return { ...paid, account: 'credited', amount: { amount: full + 1, currency: 'CNY' } }
    case 'wrong currency':
      return { ...paid, account: 'credited', amount: { amount: full, currency: 'USD' } }
    case 'no amount':
      return { ...base, seen: 'succeeded', account: 'credited', transactionId: paymentId }
    default:
      return paid
  }
}

/** The maximum of both chains over what was said and is believed. */
function highest(facts: readonly PaymentFact[]): {
  status: PaymentStatus
  account: AccountStatus
  accounts: ReadonlySet<string>
} {
  const believed = facts.filter(
    ({ seen, amount }) => seen !== 'succeeded' || (amount?.amount === full && amount.currency === 'CNY'),
  )
  const accounts = new Set(believed.map(({ account }) => account).filter((account) => account !== undefined))
  return {
    status: believed.reduce<PaymentStatus>(
      (top, { seen }) => (seen === 'absent' ? top : later(paymentChain, top, seen)),
      'created',
    ),
    account: [...accounts].reduce<AccountStatus>((top, account) => later(accountChain, top, account), 'none'),
    accounts,
  }
}

const types = async (db: Knex, orderId: string) =>
  (await db<EventRow>('events').where({ order_id: orderId }))
    .map(({ type, subject_id }) => `${type} ${subject_id}`)
    .toSorted()

/** Every event has one delivery for each endpoint that wants it, and no event is there twice (design.md 6.8, 4 and 5). */
async function checkDeliveries(db: Knex, orderId: string): Promise<void> {
  const events = await db<EventRow>('events').where({ order_id: orderId })
  for (const { id, type } of events) {
    const deliveries = await db('deliveries')
      .where({ event_id: id })
      .orderBy('endpoint_id')
      .pluck<string[]>('endpoint_id')
    expect(deliveries, type).to.deep.equal(type === 'order.paid' ? ['all', 'paid'] : ['all'])
  }
}

/** Invariant 2 of design.md 6.8. */
async function checkReserved(db: Knex, paymentId: string): Promise<Payment> {
  const payment = await db<Payment>('payments').where({ id: paymentId }).first()
  const refunds = await db<Refund>('refunds').where({ payment_id: paymentId }).whereNot('status', 'failed')
  if (payment === undefined) throw new Error('a payment is gone')
  const sum = refunds.reduce((total, { amount }) => total + amount, 0)
  expect(payment.refund_reserved + payment.refund_over, 'reserved and over').to.equal(sum)
  expect(payment.refund_reserved).to.be.within(0, full)
  expect(payment.refund_count).to.equal(refunds.length)
  return payment
}

for (const database of databases) {
  const runs = database.name === 'sqlite' ? 150 : 25
  const property = <T extends unknown[]>(check: fc.IAsyncProperty<T>) => fc.assert(check, { seed, numRuns: runs })

  describe(`facts merge to the maximum on ${database.name} (seed ${String(seed)})`, function () {
    this.timeout(60_000)
    let opened: OpenDatabase
    let ctx: Context
    let db: Knex

    before(async () => {
      opened = await onRamDisk(database).open()
      db = opened.db
      ctx = contextOver(db)
    })
    after(() => opened.close())

    for (const merging of mergings) {
      it(`any facts of two attempts of an order, ${merging}`, async () => {
        const said = fc.array(paymentFacts(2), { minLength: 1, maxLength: 10 })
        const policy = fc.record({
          late: fc.constantFrom('refund', 'accept'),
          surplus: fc.constantFrom('refund', 'hold'),
          closed: fc.boolean(),
        })
        await property(
          fc.asyncProperty(said, policy, async (list, { late, surplus, closed }) => {
            const change = closed ? { status: 'closed' as const, closed_at: Date.now() } : {}
            const { orderId, paymentIds } = await insertOrderWith(db, 2, `shop-${late}-${surplus}`, change)
            const facts = list.map((one) => paymentFact(paymentIds[one.attempt] ?? '', one))
            await merge(merging, facts, (fact) => applyPaymentFact(ctx, channelId, fact, 'notification'))

            const order = await db<Order>('orders').where({ id: orderId }).first()
            const expectedEvents: string[] = []
            const succeeded: string[] = []
            for (const id of paymentIds) {
              const top = highest(facts.filter(({ paymentId }) => paymentId === id))
              const payment = await checkReserved(db, id)
              expect([payment.status, payment.account_status]).to.deep.equal([top.status, top.account])
              if (top.status === 'succeeded') succeeded.push(id)
              if (top.account === 'credited') expectedEvents.push(`payment.credited ${id}`)
              // A failure that came after the credit is no transition: its event may be there, once, or not at all.
              const failed = (await types(db, orderId)).filter((type) => type === `payment.credit_failed ${id}`)
              expect(failed.length).to.be.at.most(top.accounts.has('failed') ? 1 : 0)
              if (top.account === 'failed') expect(failed).to.have.length(1)
              expectedEvents.push(...failed)
            }

            const payable = !closed || late === 'accept'
            const paidBy = order?.paid_payment_id ?? null
            if (succeeded.length > 0 && payable) {
              expect(order?.status).to.equal('paid')
              expect(succeeded).to.include(paidBy)
              expectedEvents.push(`order.paid ${orderId}`)
            } else {
              expect([order?.status, paidBy]).to.deep.equal([closed ? 'closed' : 'open', null])
            }
            for (const id of succeeded.filter((one) => one !== paidBy)) {
              expectedEvents.push(`payment.surplus ${id}`)
              const refunds = await db<Refund>('refunds').where({ payment_id: id })
              const held = await db<DiscrepancyRow>('discrepancies').where({ subject_id: id, kind: 'surplus_held' })
              if (surplus === 'refund') {
                expect(refunds.map(({ amount, status, initiated_by }) => [amount, status, initiated_by])).to.deep.equal(
                  [[full, 'created', 'gateway']],
                )
              } else {
                expect([refunds.length, held.length]).to.deep.equal([0, 1])
              }
            }
            const all = await db<Refund>('refunds').where({ order_id: orderId })
            expect(all.length).to.equal(surplus === 'refund' ? succeeded.filter((one) => one !== paidBy).length : 0)
            expect(await types(db, orderId)).to.deep.equal(expectedEvents.toSorted())
            await checkDeliveries(db, orderId)
          }),
        )
      })

      it(`any facts of three refunds of a payment, contradictions included, ${merging}`, async () => {
        const said = fc.array(
          fc.record({
            refund: fc.integer({ min: 0, max: 2 }),
            seen: fc.constantFrom('absent', 'processing', 'abnormal', 'failed', 'succeeded', 'wrong amount'),
          }),
          { minLength: 1, maxLength: 12 },
        )
        // What comes after a failure has freed its reservation: another refund, so that a contradiction no longer fits.
        await property(
          fc.asyncProperty(said, fc.integer({ min: 0, max: 12 }), async (list, at) => {
            const { orderId, paymentIds } = await insertOrderWith(db, 1, 'shop-refund-refund')
            const paymentId = paymentIds[0] ?? ''
            await applyPaymentFact(
              ctx,
              channelId,
              paymentFact(paymentId, { attempt: 0, said: 'credited' }),
              'notification',
            )
            const ids = Array.from({ length: 3 }, () => idOf('refund', ulid()))
            const amounts = [500, 300, 200]
            for (const [index, id] of ids.entries())
              expect(await reserve(ctx, orderId, paymentId, id, amounts[index] ?? 0)).to.equal(true)
            await checkReserved(db, paymentId)

            const facts = list.map(({ refund, seen }): RefundFact => {
              const amount = {
                amount: (amounts[refund] ?? 0) + (seen === 'wrong amount' ? 1 : 0),
                currency: 'CNY',
              } as const
              return {
                about: 'refund',
                refundId: ids[refund] ?? '',
                paymentId,
                seen: seen === 'wrong amount' ? 'succeeded' : seen,
                amount,
              }
            })
            await merge(merging, facts.slice(0, at), (fact) => applyRefundFact(ctx, channelId, fact, 'notification'))
            const freed = full - (await checkReserved(db, paymentId)).refund_reserved
            if (freed > 0) await reserve(ctx, orderId, paymentId, idOf('refund', ulid()), freed)
            await merge(merging, facts.slice(at), (fact) => applyRefundFact(ctx, channelId, fact, 'notification'))

            const expected: string[] = []
            const seenEvents = await types(db, orderId)
            for (const [index, id] of ids.entries()) {
              const believed = list
                .filter(({ refund, seen }) => refund === index && seen !== 'wrong amount')
                .map(({ seen }) => seen)
              const top = believed.reduce<RefundStatus>(
                (high, seen) => (seen === 'absent' || seen === 'wrong amount' ? high : later(refundChain, high, seen)),
                'created',
              )
              const row = await db<Refund>('refunds').where({ id }).first()
              expect(row?.status, id).to.equal(top)
              for (const status of ['abnormal', 'failed', 'succeeded'] as const) {
                const own = seenEvents.filter((type) => type === `refund.${status} ${id}`)
                expect(own.length, status).to.be.within(top === status ? 1 : 0, believed.includes(status) ? 1 : 0)
                expected.push(...own)
              }
              const contradicted = seenEvents.includes(`refund.failed ${id}`) && top === 'succeeded'
              const raised = await db<DiscrepancyRow>('discrepancies').where({
                subject_id: id,
                kind: 'refund_contradiction',
              })
              expect(raised.length, 'contradiction').to.equal(contradicted ? 1 : 0)
            }
            const others = seenEvents.filter((type) => !type.startsWith('refund.'))
            expect(others).to.deep.equal([`order.paid ${orderId}`, `payment.credited ${paymentId}`])
            expect(seenEvents).to.deep.equal([...others, ...expected].toSorted())
            const payment = await checkReserved(db, paymentId)
            if (payment.refund_over > 0) {
              const raised = await db<DiscrepancyRow>('discrepancies')
                .where({ kind: 'refund_contradiction' })
                .whereIn('subject_id', ids)
              expect(raised.map(({ actual }) => actual)).to.include('succeeded, over the payment')
            }
            await checkDeliveries(db, orderId)
          }),
        )
      })
    }

    it('a surplus refund that fails is tried again under the next number, once, however often the failure is told', async () => {
      const { orderId, paymentIds } = await insertOrderWith(db, 1, 'shop-refund-refund', {
        status: 'closed',
        closed_at: Date.now(),
      })
      const paymentId = paymentIds[0] ?? ''
      await applyPaymentFact(ctx, channelId, paymentFact(paymentId, { attempt: 0, said: 'succeeded' }), 'notification')
      for (let round = 1; round <= 3; round += 1) {
        const [latest] = await db<Refund>('refunds').where({ payment_id: paymentId }).orderBy('id', 'desc').limit(1)
        expect(latest?.id).to.equal(`ref_${paymentId.slice(4)}${String(round)}`)
        const fact: RefundFact = { about: 'refund', refundId: latest?.id ?? '', seen: 'failed' }
        await Promise.all(Array.from({ length: 5 }, () => applyRefundFact(ctx, channelId, fact, 'notification')))
        expect(await db('refunds').where({ payment_id: paymentId })).to.have.length(round + 1)
        await checkReserved(db, paymentId)
      }
      expect((await types(db, orderId)).filter((type) => type.startsWith('refund.failed'))).to.have.length(3)
    })
  })
}

/** A refund as a merchant's request reserves it. @returns whether it fits */
function reserve(ctx: Context, orderId: string, paymentId: string, id: string, amount: number): Promise<boolean> {
  return transaction(ctx.db, async (tx) => {
    if (!(await reserveRefund(tx, paymentId, amount, 50))) return false
    await insertRefund(tx, {
      id,
      payment_id: paymentId,
      order_id: orderId,
      merchant_id: 'shop-refund-refund',
      channel_id: channelId,
      merchant_refund_no: id,
      initiated_by: 'merchant',
      amount,
      currency: 'CNY',
      reason: 'x',
      content_hash: 'c',
      status: 'created',
      failure_reason: null,
      confirm_no: null,
      provider_refund_id: null,
      checks: 0,
      next_check_at: Date.now(),
      created_at: Date.now(),
      succeeded_at: null,
    })
    return true
  })
}
