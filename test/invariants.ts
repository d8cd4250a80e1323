import { expect } from 'chai'
import { accountChain, orderChain, paymentChain, refundChain } from '../src/core/chain.ts'
import type { OrderResource } from '../src/core/event.ts'
import type { Order } from '../src/core/order.ts'
import type { Payment } from '../src/core/payment.ts'
import type { Refund, RefundSubmission } from '../src/core/refund.ts'
import type { DeliveryRow, DiscrepancyRow, EventRow } from '../src/store/rows.ts'
import { control, type World } from './harness.ts'

/**
 * The invariants of design.md 6.8 and reliability.md 4.3, from what can be seen without asking the gateway: the database,
 * the simulators' books, and the webhooks a merchant received. Every fault is collected before anything is thrown, so
 * that one look at a failure shows all of it.
 */

export type InvariantOptions = {
  /** Nothing is in work any more: also checks agreement with the books, and that every event was delivered. */
  readonly quiet?: boolean
  /** false where the merchant's server could not verify webhooks (a shifted clock). */
  readonly webhooks?: boolean
}

type Tables = {
  readonly orders: readonly Order[]
  readonly payments: readonly Payment[]
  readonly refunds: readonly Refund[]
  readonly submissions: readonly RefundSubmission[]
  readonly events: readonly EventRow[]
  readonly deliveries: readonly DeliveryRow[]
  readonly discrepancies: readonly DiscrepancyRow[]
}

type Fault = (text: string) => void

/** @throws AssertionError naming every violation */
export async function checkInvariants(world: World, options: InvariantOptions = {}): Promise<void> {
  const tables = await readTables(world)
  const faults: string[] = []
  const fault: Fault = (text) => faults.push(text)
  ordersHold(tables, fault)
  reservationsHold(tables, fault)
  eventsHold(tables, fault)
  nothingFell(tables, fault)
  numbersAreUnique(tables, fault)
  amountsAreWhole(tables, fault)
  const books = await readBooks(world)
  moneyIsNotInvented(tables, books, fault)
  if (options.quiet === true) {
    booksAgree(tables, books, fault)
    nothingHangs(tables, fault)
    if (options.webhooks !== false) webhooksArrived(world, tables, fault)
  }
  expect(faults, faults.join('\n')).to.deep.equal([])
}

async function readTables({ db }: World): Promise<Tables> {
  return {
    orders: await db<Order>('orders').select(),
    payments: await db<Payment>('payments').select(),
    refunds: await db<Refund>('refunds').select(),
    submissions: await db<RefundSubmission>('refund_submissions').select(),
    events: await db<EventRow>('events').select().orderBy('sequence'),
    deliveries: await db<DeliveryRow>('deliveries').select(),
    discrepancies: await db<DiscrepancyRow>('discrepancies').select(),
  }
}

/** Design 6.8, 1 and 7: an order is paid by one payment; what it cannot use goes back or is put before a person. */
function ordersHold(tables: Tables, fault: Fault): void {
  const payments = new Map(tables.payments.map((payment) => [payment.id, payment]))
  for (const order of tables.orders) {
    const paying = order.paid_payment_id === null ? undefined : payments.get(order.paid_payment_id)
    if ((order.status === 'paid') !== (paying !== undefined))
      fault(`${order.id} is ${order.status} but names payment ${String(order.paid_payment_id)}`)
    if (paying === undefined) continue
    if (paying.status !== 'succeeded' || paying.order_id !== order.id)
      fault(`${order.id} is paid by ${paying.id}, which is ${paying.status} for ${paying.order_id}`)
    if (paying.amount !== order.amount || paying.currency !== order.currency)
      fault(`${order.id} is paid with another amount`)
  }
  const paidWith = new Set(tables.orders.map((order) => order.paid_payment_id))
  for (const payment of tables.payments) {
    if (payment.status !== 'succeeded' || paidWith.has(payment.id)) continue
    const back = tables.refunds.filter((refund) => refund.payment_id === payment.id && refund.status !== 'failed')
    const held = tables.discrepancies.some(({ subject_id, status }) => subject_id === payment.id && status === 'open')
    if (sum(back) !== payment.amount && !held) fault(`${payment.id} succeeded, paid no order, and is not going back`)
  }
}

/** S1; design 6.8, 2. */
function reservationsHold(tables: Tables, fault: Fault): void {
  for (const payment of tables.payments) {
    const alive = tables.refunds.filter((refund) => refund.payment_id === payment.id && refund.status !== 'failed')
    if (payment.refund_reserved + payment.refund_over !== sum(alive)) {
      fault(
        `${payment.id} has reserved ${String(payment.refund_reserved)} + ${String(payment.refund_over)}, its refunds are ${String(sum(alive))}`,
      )
    }
    if (payment.refund_count !== alive.length)
      fault(`${payment.id} counts ${String(payment.refund_count)} refunds and has ${String(alive.length)}`)
    if (payment.refund_reserved < 0 || payment.refund_reserved > payment.amount)
      fault(`${payment.id} has reserved more than it is worth`)
    const contradicted = tables.discrepancies.some(
      ({ kind, subject_id }) => kind === 'refund_contradiction' && alive.some(({ id }) => id === subject_id),
    )
    if (payment.refund_over > 0 && !contradicted) fault(`${payment.id} is refunded over without a contradiction`)
    if (alive.length > 0 && payment.status !== 'succeeded') fault(`${payment.id} is ${payment.status} and has refunds`)
  }
}

/** S5; design 6.8, 4 and 5. */
function eventsHold(tables: Tables, fault: Fault): void {
  const told = new Map<string, number>()
  for (const { subject_id, type } of tables.events)
    told.set(`${subject_id} ${type}`, (told.get(`${subject_id} ${type}`) ?? 0) + 1)
  for (const [key, count] of told) if (count !== 1) fault(`${String(count)} events for ${key}`)
  const expected = new Set<string>()
  for (const order of tables.orders) {
    if (order.paid_at !== null) expected.add(`${order.id} order.paid`)
    if (order.closed_at !== null) expected.add(`${order.id} order.closed`)
  }
  const paidWith = new Set(tables.orders.map((order) => order.paid_payment_id))
  for (const payment of tables.payments) {
    if (payment.status === 'succeeded' && !paidWith.has(payment.id)) expected.add(`${payment.id} payment.surplus`)
    if (payment.account_status === 'credited') expected.add(`${payment.id} payment.credited`)
    if (payment.account_status === 'failed') expected.add(`${payment.id} payment.credit_failed`)
  }
  for (const refund of tables.refunds) {
    if (['succeeded', 'failed', 'abnormal'].includes(refund.status))
      expected.add(`${refund.id} refund.${refund.status}`)
  }
  for (const key of expected) if (!told.has(key)) fault(`no event for ${key}`)
  // What was passed through on the way up may have been told too; what is told must be a status of that subject.
  for (const key of told.keys())
    if (!expected.has(key) && !/refund\.(failed|abnormal)|credit_failed/.test(key))
      fault(`an event without its status: ${key}`)
  tables.events.forEach((event, index) => {
    if (event.sequence !== index + 1) fault(`sequence ${String(event.sequence)} stands at place ${String(index + 1)}`)
    const deliveries = tables.deliveries.filter(({ event_id }) => event_id === event.id)
    if (deliveries.length !== 1) fault(`${event.id} has ${String(deliveries.length)} deliveries for one endpoint`)
  })
}

/** S2, as far as events in their sequence show it: no status ever fell. */
function nothingFell(tables: Tables, fault: Fault): void {
  const seen = new Map<string, number>()
  const rise = (subject: string, chain: readonly string[], status: string): void => {
    const rank = chain.indexOf(status)
    if (rank < (seen.get(subject) ?? -1)) fault(`${subject} fell to ${status}`)
    seen.set(subject, rank)
  }
  const look = (order: OrderResource): void => {
    rise(order.id, orderChain, order.status)
    for (const payment of order.payments) {
      rise(payment.id, paymentChain, payment.status)
      rise(`account of ${payment.id}`, accountChain, payment.account_status)
    }
    for (const refund of order.refunds) rise(refund.id, refundChain, refund.status)
  }
  for (const event of tables.events) look((JSON.parse(event.payload) as { data: { order: OrderResource } }).data.order)
  for (const order of tables.orders) rise(order.id, orderChain, order.status)
  for (const payment of tables.payments) rise(payment.id, paymentChain, payment.status)
  for (const refund of tables.refunds) rise(refund.id, refundChain, refund.status)
}

/** S7; design 6.8, 6. */
function numbersAreUnique(tables: Tables, fault: Fault): void {
  const unique = (what: string, rows: readonly (string | null)[]): void => {
    const numbers = rows.filter((number) => number !== null)
    for (const number of new Set(numbers)) {
      if (numbers.filter((other) => other === number).length > 1) fault(`${what} ${number} belongs to two rows`)
    }
  }
  for (const channel of new Set(tables.payments.map(({ channel_id }) => channel_id))) {
    unique(
      'transaction',
      tables.payments.filter(({ channel_id }) => channel_id === channel).map(({ transaction_id }) => transaction_id),
    )
    unique(
      'provider refund',
      tables.refunds
        .filter(({ channel_id }) => channel_id === channel)
        .map(({ provider_refund_id }) => provider_refund_id),
    )
  }
  unique(
    'submission',
    tables.submissions.map(({ channel_id, provider_no, day }) => `${channel_id} ${provider_no} ${day}`),
  )
}

/** S12; design 6.8, 9. */
function amountsAreWhole(tables: Tables, fault: Fault): void {
  const money = (subject: string, amount: number | null, least: number): void => {
    if (amount === null) return
    if (!Number.isSafeInteger(amount) || amount < least || amount > 1e11)
      fault(`${subject} has the amount ${String(amount)}`)
  }
  for (const { id, amount } of tables.orders) money(id, amount, 1)
  for (const { id, amount } of tables.refunds) money(id, amount, 1)
  for (const payment of tables.payments) {
    money(payment.id, payment.amount, 1)
    money(payment.id, payment.payer_amount, 0)
    money(payment.id, payment.refund_reserved, 0)
    money(payment.id, payment.refund_over, 0)
  }
}

/** What both simulators believe, under the numbers the gateway gave. */
type Books = {
  readonly paid: ReadonlyMap<string, number>
  /** Attempts a payer could still pay. */
  readonly payable: ReadonlySet<string>
  readonly refunds: readonly BookedRefund[]
}

/** `day` is empty where numbers are good for ever. */
type BookedRefund = {
  readonly number: string
  readonly day: string
  readonly payment: string
  readonly amount: number
  readonly state: 'done' | 'running' | 'failed'
}

type WechatBooks = {
  orders: { out_trade_no: string; trade_state: string; amount: { total: number } }[]
  refunds: { out_refund_no: string; out_trade_no: string; status: string; amount: { refund: number } }[]
}
type HuifuBooks = {
  orders: { hfSeqId: string; reqSeqId: string; transStat: string; amountFen: number }[]
  refunds: { reqSeqId: string; reqDate: string; orderHfSeqId: string; transStat: string; amountFen: number }[]
}

export async function readBooks(world: World): Promise<Books> {
  const wechat = await control<WechatBooks>(world, '/_sim/wechat-pay/books', {}, 'GET')
  const huifu = await control<HuifuBooks>(world, '/_sim/huifu/books', {}, 'GET')
  const numbers = new Map(huifu.orders.map((order) => [order.hfSeqId, order.reqSeqId]))
  return {
    paid: new Map([
      ...wechat.orders
        .filter(({ trade_state }) => trade_state === 'SUCCESS' || trade_state === 'REFUND')
        .map((order) => [order.out_trade_no, order.amount.total] as const),
      ...huifu.orders
        .filter(({ transStat }) => transStat === 'S')
        .map((order) => [order.reqSeqId, order.amountFen] as const),
    ]),
    payable: new Set([
      ...wechat.orders.filter(({ trade_state }) => trade_state === 'NOTPAY').map((order) => order.out_trade_no),
      ...huifu.orders.filter(({ transStat }) => transStat === 'P').map((order) => order.reqSeqId),
    ]),
    refunds: [
      ...wechat.refunds.map(({ out_refund_no, out_trade_no, status, amount }) => ({
        number: out_refund_no,
        day: '',
        payment: out_trade_no,
        amount: amount.refund,
        state:
          status === 'SUCCESS' ? ('done' as const) : status === 'CLOSED' ? ('failed' as const) : ('running' as const),
      })),
      ...huifu.refunds.map(({ reqSeqId, reqDate, orderHfSeqId, transStat, amountFen }) => ({
        number: reqSeqId,
        day: reqDate,
        payment: numbers.get(orderHfSeqId) ?? orderHfSeqId,
        amount: amountFen,
        state: transStat === 'S' ? ('done' as const) : transStat === 'F' ? ('failed' as const) : ('running' as const),
      })),
    ],
  }
}

/** At every moment: whatever we call done the provider has done, and one wish is never paid out twice. */
function moneyIsNotInvented(tables: Tables, books: Books, fault: Fault): void {
  for (const payment of tables.payments) {
    const paid = books.paid.get(providerNumber(payment.id))
    if (payment.status === 'succeeded' && paid !== payment.amount)
      fault(`${payment.id} is succeeded; the provider has ${String(paid)}`)
    const out = books.refunds.filter(
      (refund) => refund.payment === providerNumber(payment.id) && refund.state !== 'failed',
    )
    if (sum(out) > payment.amount)
      fault(`the provider has paid back ${String(sum(out))} of ${payment.id}, which is ${String(payment.amount)}`)
  }
  const wishes = new Map(
    tables.submissions.map(({ provider_no, day, refund_id }) => [`${provider_no} ${day}`, refund_id]),
  )
  const perWish = new Map<string, BookedRefund[]>()
  for (const booked of books.refunds) {
    const wish = wishes.get(`${booked.number} ${booked.day}`)
    if (wish === undefined) {
      fault(`the provider has refund ${booked.number} of ${booked.day}, which nobody recorded before sending`)
    } else if (booked.state !== 'failed') {
      perWish.set(wish, [...(perWish.get(wish) ?? []), booked])
    }
  }
  for (const [wish, booked] of perWish)
    if (booked.length > 1) fault(`${wish} was paid out ${String(booked.length)} times`)
  for (const refund of tables.refunds) {
    const booked = perWish.get(refund.id)?.[0]
    if (refund.status === 'succeeded' && booked?.state !== 'done')
      fault(`${refund.id} is succeeded; the provider has ${String(booked?.state)}`)
    if (refund.status === 'failed' && booked !== undefined)
      fault(`${refund.id} is failed; the provider has it ${booked.state}`)
    if (booked !== undefined && booked.amount !== refund.amount)
      fault(`${refund.id} is ${String(refund.amount)}; the provider has ${String(booked.amount)}`)
  }
}

/** A1: what the provider holds is what we hold, by number and by sum. */
function booksAgree(tables: Tables, books: Books, fault: Fault): void {
  const known = new Set(tables.payments.map(({ id }) => providerNumber(id)))
  for (const number of books.paid.keys()) if (!known.has(number)) fault(`the provider has payment ${number}, we do not`)
  const succeeded = tables.payments.filter(({ status }) => status === 'succeeded')
  const bookedPaid = [...books.paid.values()].reduce((total, amount) => total + amount, 0)
  if (sum(succeeded) !== bookedPaid)
    fault(`paid: we say ${String(sum(succeeded))}, the providers ${String(bookedPaid)}`)
  const refunded = tables.refunds.filter(({ status }) => status === 'succeeded')
  const bookedRefunded = books.refunds.filter(({ state }) => state === 'done')
  if (sum(refunded) !== sum(bookedRefunded))
    fault(`refunded: we say ${String(sum(refunded))}, the providers ${String(sum(bookedRefunded))}`)
  for (const payment of tables.payments) {
    const number = providerNumber(payment.id)
    if (payment.status !== 'succeeded' && books.paid.has(number))
      fault(`${payment.id} is ${payment.status}; the provider was paid`)
    if (payment.status === 'closed' && books.payable.has(number))
      fault(`${payment.id} is closed; at the provider it can be paid`)
  }
}

/** L1: whatever is not at its end has a date, or a person has been told. */
function nothingHangs(tables: Tables, fault: Fault): void {
  const told = new Set(
    tables.discrepancies.filter(({ status }) => status === 'open').map(({ subject_id }) => subject_id),
  )
  const waits = (id: string, next: number | null): void => {
    if (next === null && !told.has(id)) fault(`${id} waits for nothing`)
  }
  for (const { id, status, next_check_at } of tables.payments)
    if (status === 'created' || status === 'pending') waits(id, next_check_at)
  for (const { id, status, next_check_at } of tables.refunds) {
    if (status !== 'succeeded' && status !== 'failed') waits(id, next_check_at)
  }
  for (const { id, status, next_check_at } of tables.orders) if (status === 'open') waits(id, next_check_at)
}

/** A2, L2: the merchant, who saw only webhooks, has been told everything, and nothing that is not so. */
function webhooksArrived(world: World, tables: Tables, fault: Fault): void {
  const received = new Map(world.webhooks.map((webhook) => [webhook.id, webhook]))
  for (const event of tables.events) {
    const webhook = received.get(event.id)
    const delivery = tables.deliveries.find(({ event_id }) => event_id === event.id)
    if (webhook === undefined) fault(`${event.type} ${event.subject_id} never reached the merchant`)
    else if (webhook.type !== event.type || webhook.subject_id !== event.subject_id)
      fault(`${event.id} arrived with other content`)
    if (delivery?.status !== 'delivered') fault(`the delivery of ${event.id} is ${String(delivery?.status)}`)
  }
  const recorded = new Set(tables.events.map(({ id }) => id))
  for (const { id, type } of world.webhooks)
    if (!recorded.has(id)) fault(`the merchant was told ${type} ${id}, which is not recorded`)
}

function sum(rows: readonly { readonly amount: number }[]): number {
  return rows.reduce((total, { amount }) => total + amount, 0)
}

/** The id without its underscore: written out here, because a checker that shares code with what it checks shares its faults. */
function providerNumber(id: string): string {
  return id.replace('_', '')
}
