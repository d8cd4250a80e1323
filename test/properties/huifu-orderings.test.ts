import http from 'node:http'
import { expect } from 'chai'
import pLimit from 'p-limit'
import type { Payment } from '../../src/core/payment.ts'
import { checkPayment } from '../../src/flows/check-payment.ts'
import type { EventRow, NotificationRow } from '../../src/store/rows.ts'
import { onRamDisk } from '../contract/ram-disk.ts'
import { databases } from '../databases.ts'
import { control, open, start, startWorld, until, type World } from '../harness.ts'

/**
 * Four witnesses tell of one Huifu payment: the trade notice, the account notice, the console webhook and the query. In
 * whatever order and however often they speak, the books end the same (design.md 6.2, 6.4; reliability.md T24). All 256
 * sequences of four, genuine messages through the real doors.
 */

type Witness = 'trade' | 'account' | 'webhook' | 'query'
const witnesses: readonly Witness[] = ['trade', 'account', 'webhook', 'query']

const sequences: readonly (readonly Witness[])[] = witnesses.flatMap((a) =>
  witnesses.flatMap((b) => witnesses.flatMap((c) => witnesses.map((d) => [a, b, c, d]))),
)

/** Which channel has which caution: success applied after a query, or at once and queried afterwards (design.md 18.9). */
const channels = { before: 'huifu-main', after: 'huifu-v3' } as const
type Confirm = keyof typeof channels

type Message = { readonly body: Buffer; readonly contentType: string; readonly query: string }

/** Stands where Huifu would send its messages, and keeps them word for word. */
async function startCapture() {
  const kept = new Map<string, Message>()
  const server = http.createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks)
      const url = request.url ?? ''
      const query = url.includes('?') ? url.slice(url.indexOf('?')) : ''
      const text =
        query === '' ? (new URLSearchParams(body.toString('utf8')).get('resp_data') ?? '') : body.toString('utf8')
      const number = /"(?:req_seq_id|mer_ord_id)":"(\w+)"/.exec(text)?.[1] ?? ''
      const kind = query === '' ? (/"notify_type":(\d)/.exec(text)?.[1] ?? '') : 'webhook'
      kept.set(`${number} ${kind}`, { body, contentType: request.headers['content-type'] ?? '', query })
      response.writeHead(200).end(`RECV_ORD_ID_${number}`)
    })
  })
  // Huifu calls only ports from 8000 to 9005 (huifu-dougong.md 13.1).
  const port = await firstFree(server, 8600)
  return {
    url: `http://127.0.0.1:${String(port)}/kept`,
    /** The message about a payment: notice 1 or 2, or the webhook. */
    find: (number: string, kind: '1' | '2' | 'webhook') =>
      until(`message ${kind} about ${number}`, () => kept.get(`${number} ${kind}`)),
    close: () => new Promise<void>((done) => server.close(() => done())),
  }
}

async function firstFree(server: http.Server, from: number): Promise<number> {
  for (let port = from; port < 9005; port += 1) {
    const listening = await new Promise<boolean>((done) => {
      server.once('error', () => done(false))
      server.listen(port, '127.0.0.1', () => done(true))
    })
    server.removeAllListeners('error')
    if (listening) return port
  }
  throw new Error('no free port')
}

type Capture = Awaited<ReturnType<typeof startCapture>>

/** Hands a kept message to the gateway's door, and insists on the answer that Huifu wants. */
async function deliver(url: string, message: Message, expected: string): Promise<void> {
  const response = await fetch(url + message.query, {
    method: 'POST',
    headers: message.contentType === '' ? {} : { 'content-type': message.contentType },
    body: new Uint8Array(message.body),
  })
  expect([response.status, await response.text()]).to.deep.equal([200, expected])
}

/** One payment told about in one order. @returns the payment's id */
async function tell(world: World, capture: Capture, confirm: Confirm, sequence: readonly Witness[]): Promise<string> {
  const order = await open(world, 10)
  const started = await start(world, order.id, confirm === 'before' ? 'wechat_jsapi' : 'wechat_mini')
  expect(started.payment.channel).to.equal(channels[confirm])
  const { id } = started.payment
  const number = id.replace('_', '')
  // The schedule has tests of its own; here only the four witnesses speak.
  await world
    .db('payments')
    .where({ id })
    .update({ next_check_at: Date.now() + 3_600_000 })
  const order_ = { req_seq_id: number }
  await control(world, '/_sim/huifu/hold', order_)
  await control(world, '/_sim/huifu/pay', order_)
  const webhook = await capture.find(number, 'webhook')
  await control(world, '/_sim/huifu/notify', { ...order_, type: '1', url: capture.url })
  const trade = await capture.find(number, '1')
  const door = world.gateway.context.channels.current(channels[confirm])?.notifyUrl ?? ''

  let account: Message | undefined
  const accountNotice = async () => {
    if (account !== undefined) return account
    await control(world, '/_sim/huifu/post', order_)
    await control(world, '/_sim/huifu/notify', { ...order_, type: '2', url: capture.url })
    account = await capture.find(number, '2')
    return account
  }
  const speak: Record<Witness, () => Promise<void>> = {
    trade: () => deliver(door, trade, `RECV_ORD_ID_${number}`),
    account: async () => deliver(door, await accountNotice(), `RECV_ORD_ID_${number}`),
    webhook: () => deliver(`${door}/console`, webhook, 'OK'),
    query: () => checkPayment(world.gateway.context, id),
  }
  for (const witness of sequence) await speak[witness]()
  // Whoever has not been told that the money was credited is told in the end.
  if (account === undefined) await speak.account()
  return id
}

const idsAndTimes =
  /(_at|_until|_id|^id|_no|^checks|^confirm_step|^invocation|^settings_version|^cashier_token|^content_hash|^method)$/

/** A row without what is its own: whether a number is there counts, which one does not. */
function common(row: object): Record<string, unknown> {
  const kept = Object.entries(row).filter(
    ([name]) => name !== 'next_check_at' && name !== 'confirm_step' && name !== 'checks',
  )
  return Object.fromEntries(
    kept.map(([name, value]) => [name, idsAndTimes.test(name) && name !== 'succeeded_at' ? value !== null : value]),
  )
}

async function outcomeOf(world: World, paymentId: string): Promise<unknown> {
  const { db } = world
  const payment = await db<Payment>('payments').where({ id: paymentId }).first()
  if (payment === undefined) throw new Error('a payment is gone')
  const events = await db<EventRow>('events').where({ order_id: payment.order_id }).orderBy('type')
  const deliveries = await db('deliveries').whereIn(
    'event_id',
    events.map(({ id }) => id),
  )
  return {
    payment: {
      ...common(payment),
      channel_id: '',
      succeeded_at: payment.succeeded_at !== null && payment.succeeded_at % 1000 === 0,
    },
    order: common((await db('orders').where({ id: payment.order_id }).first<object>()) ?? {}),
    attempts: (await db('payments').where({ order_id: payment.order_id })).length,
    refunds: await db('refunds').where({ order_id: payment.order_id }),
    events: events.map(({ type, subject_id }) => [
      type,
      subject_id === payment.id ? 'payment' : subject_id === payment.order_id ? 'order' : '?',
    ]),
    deliveries: deliveries.length,
    discrepancies: await db('discrepancies').where({ subject_id: payment.id }),
  }
}

/** Every trade and account notice in the archive, read again from what was stored (huifu-dougong.md A.8, V6). */
async function rereadArchive(world: World, paymentIds: readonly string[]): Promise<number> {
  const rows = await world.db<NotificationRow>('notifications').where({ door: 'notify' })
  const mine = rows.filter(({ subject_id }) => subject_id !== null && paymentIds.includes(subject_id))
  for (const row of mine) {
    const text = decodeURIComponent(row.body.replaceAll('+', ' '))
    expect(text).to.include('"coupon_fee":"0.00"')
    expect(text).to.match(/"fee_amount":"0\.00"/)
    const channel = await world.gateway.context.channels.version(row.channel_id, row.settings_version)
    const again = await channel?.provider.readNotification({
      door: 'notify',
      query: {},
      headers: JSON.parse(row.headers) as Record<string, string>,
      body: Buffer.from(row.body, 'utf8'),
      receivedAt: Date.now(),
    })
    expect(again?.eventId).to.equal(row.provider_event_id)
    expect(JSON.stringify(again?.facts)).to.equal(row.facts)
  }
  return mine.length
}

/** A sample in an order of its own, the same for the same seed. */
function sampled(count: number, seed: number): readonly (readonly Witness[])[] {
  let state = seed >>> 0
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  return sequences
    .map((sequence) => ({ sequence, at: next() }))
    .toSorted((a, b) => a.at - b.at)
    .slice(0, count)
    .map(({ sequence }) => sequence)
}

for (const database of databases) {
  describe(`orders in which Huifu may tell of a payment, on ${database.name}`, function () {
    this.timeout(120_000)
    const seed = Number.parseInt(process.env['MORTISE_SEED'] ?? '', 10) || Math.floor(Math.random() * 2 ** 31)
    const chosen = database.name === 'sqlite' ? sequences : sampled(30, seed)
    let world: World
    let capture: Capture

    before(async () => {
      capture = await startCapture()
      world = await startWorld({
        database: onRamDisk(database),
        timeScale: 1,
        configure(config) {
          for (const line of Object.values(config.merchants)[0]?.routes ?? []) {
            line.channels = [line.method === 'wechat_mini' ? channels.after : channels.before]
          }
          const after = config.channels[channels.after]
          if (after !== undefined) after.settings['confirm'] = 'after'
        },
      })
      // What Huifu would send by itself stays away; the same messages are fetched and handed over one by one.
      await control(world, '/_sim/chaos', { fault: 'notifyNever', operation: 'huifu.notify', rate: '1' })
      await control(world, '/_sim/huifu/webhook', { url: capture.url })
    })
    after(async () => {
      await world.close()
      await capture.close()
    })

    for (const confirm of ['before', 'after'] as const) {
      it(`${String(chosen.length)} sequences end the same, success confirmed ${confirm} it is applied`, async () => {
        const limit = pLimit(12)
        const ids = await Promise.all(chosen.map((sequence) => limit(() => tell(world, capture, confirm, sequence))))
        await until(
          'every payment credited',
          async () => {
            const left = await world.db('payments').whereIn('id', ids).whereNot('account_status', 'credited')
            return left.length === 0
          },
          30_000,
        )
        const outcomes = await Promise.all(ids.map((id) => outcomeOf(world, id)))
        expect(outcomes[0]).to.deep.include({
          events: [
            ['order.paid', 'order'],
            ['payment.credited', 'payment'],
          ],
          deliveries: 2,
          refunds: [],
          attempts: 1,
          discrepancies: [],
        })
        for (const [index, outcome] of outcomes.entries()) {
          expect(outcome, `${(chosen[index] ?? []).join(', ')}; seed ${String(seed)}`).to.deep.equal(outcomes[0])
        }
        const orderIds = new Set(
          (await world.db<Payment>('payments').whereIn('id', ids)).map(({ order_id }) => order_id),
        )
        const arrived = () => world.webhooks.filter(({ order }) => orderIds.has(order.id))
        await until('every webhook', () => arrived().length >= 2 * ids.length)
        const told = (type: string) => arrived().filter((event) => event.type === type).length
        expect([told('order.paid'), told('payment.credited'), arrived().length]).to.deep.equal([
          ids.length,
          ids.length,
          2 * ids.length,
        ])
        expect(await rereadArchive(world, ids)).to.be.at.least(ids.length)
      })
    }
  })
}
