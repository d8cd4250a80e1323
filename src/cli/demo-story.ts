import { setTimeout as sleep } from 'node:timers/promises'
import { listOf, objectOf, textOf, wholeOf, type Api, type Json } from './api.ts'
import {
  booksOfHuifu,
  booksOfOrders,
  booksOfWechat,
  differences,
  sumsOf,
  together,
  type Books,
} from './compare-books.ts'
import { CommandFailure } from './exit-codes.ts'

/** The world the story is told in. */
export type Scene = {
  readonly channel: string
  readonly api: Api
  readonly controlUrl: string
  readonly shopUrl: string
  readonly openid: string
  /** Tells one step, with what it showed. */
  readonly step: (title: string, detail?: string) => void
}

export type Outcome = {
  readonly orders: readonly string[]
  readonly events: number
  readonly webhooks: number
  readonly paid: number
  readonly refunded: number
  readonly differences: readonly string[]
}

const price = 88
const parts = [30, 30, 28]
const patienceMs = 30_000
const method = 'wechat_jsapi'

const readJson = async (url: URL): Promise<Json> => objectOf(await (await fetch(url)).json())
const yuan = (fen: number): string =>
  `¥${String(fen)
    .padStart(3, '0')
    .replace(/(\d\d)$/, '.$1')}`
const isHuifu = (scene: Scene): boolean => scene.channel.startsWith('huifu')

/** Asks until the answer is there. @throws CommandFailure after half a minute, saying what was waited for */
async function until<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + patienceMs
  for (;;) {
    const found = await ask()
    if (found !== undefined) return found
    if (Date.now() > deadline) throw new CommandFailure(`waited ${String(patienceMs / 1000)} s in vain for ${what}`)
    await sleep(100)
  }
}

function expectStatus(answer: { status: number; body: Json }, what: string, ...wanted: number[]): Json {
  if (wanted.includes(answer.status)) return answer.body
  const { status, body } = answer
  throw new CommandFailure(`${what} failed: ${String(status)} ${textOf(body, 'code')} ${textOf(body, 'detail')}`)
}

const shopBooks = (scene: Scene): Promise<Json> => readJson(new URL('/books', scene.shopUrl))

async function shopOrder(scene: Scene, id: string): Promise<Json | undefined> {
  return listOf((await shopBooks(scene))['orders']).find((order) => order['id'] === id)
}

async function openOrder(scene: Scene, no: string): Promise<string> {
  const body = { merchant_order_no: no, amount: price, currency: 'CNY', subject: 'A cup of oolong', expires_in: 3600 }
  return textOf(expectStatus(await scene.api.call('POST', '/v1/orders', body), 'opening an order', 200, 201), 'id')
}

async function startPayment(scene: Scene, id: string): Promise<{ payment: Json; invocation: Json }> {
  const body = { method, openid: scene.openid, client_ip: '127.0.0.1' }
  const answer = expectStatus(
    await scene.api.call('POST', `/v1/orders/${id}/payments`, body),
    'starting a payment',
    200,
    201,
  )
  return { payment: objectOf(answer['payment']), invocation: objectOf(answer['invocation']) }
}

/** Pays as the payer's phone would, with nothing but what the gateway handed out. */
async function pay(scene: Scene, payment: Json, invocation: Json): Promise<void> {
  const url = new URL(isHuifu(scene) ? '/_sim/huifu/pay' : '/_sim/wechat-pay/pay', scene.controlUrl)
  const wish = isHuifu(scene)
    ? { pay_package: invocation['package'] }
    : { ...invocation, out_trade_no: textOf(payment, 'id').replace('_', '') }
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(wish) })
  if (!response.ok) throw new CommandFailure(`the simulated wallet refused: ${await response.text()}`)
}

async function paidOrder(scene: Scene): Promise<string> {
  const id = await openOrder(scene, 'demo-1')
  scene.step('order opened', `${yuan(price)}, ${id}`)
  const { payment, invocation } = await startPayment(scene, id)
  scene.step('attempt ready', `${textOf(payment, 'channel')}, ${textOf(payment, 'id')}`)
  if (textOf(payment, 'channel') !== scene.channel) throw new CommandFailure('the attempt is on another channel')
  await pay(scene, payment, invocation)
  scene.step('payer paid', 'in the simulated wallet, with the signed invocation')
  await until('the webhook order.paid', async () => {
    const order = await shopOrder(scene, id)
    return order?.['status'] === 'paid' ? order : undefined
  })
  scene.step('order.paid', 'webhook verified by the shop')
  if (isHuifu(scene)) {
    await until('the webhook payment.credited', async () => {
      const order = await shopOrder(scene, id)
      return listOf(order?.['payments']).find((one) => one['accountStatus'] === 'credited')
    })
    scene.step('payment.credited', 'Huifu’s second notification, the account axis')
  }
  return id
}

/** A refund the provider wants a person for is settled at its own counter, as a person would. */
async function settleAbnormal(scene: Scene, refund: Json): Promise<void> {
  const act = isHuifu(scene) ? '/_sim/huifu/refund?req_seq_id=' : '/_sim/wechat-pay/refund?out_refund_no='
  await fetch(new URL(act + textOf(refund, 'id').replace('_', ''), scene.controlUrl), { method: 'POST' })
}

/** One part, to the end; a refund that failed (chaos) has given its amount back and is asked for anew. */
async function refundPart(scene: Scene, orderId: string, no: string, amount: number): Promise<void> {
  for (let attempt = 1; attempt <= 5; attempt += 1) {
    const body = { merchant_refund_no: `${no}-${String(attempt)}`, amount, reason: 'changed my mind' }
    const answer = await scene.api.call('POST', `/v1/orders/${orderId}/refunds`, body)
    const id = textOf(expectStatus(answer, 'the refund', 200, 201), 'id')
    const done = await until(`refund ${no}`, async () => {
      const order = await shopOrder(scene, orderId)
      const refund = listOf(order?.['refunds']).find((one) => one['id'] === id)
      if (refund?.['status'] === 'abnormal') await settleAbnormal(scene, refund)
      return refund?.['status'] === 'succeeded' || refund?.['status'] === 'failed' ? refund : undefined
    })
    if (done['status'] === 'succeeded') {
      scene.step('refund.succeeded', `${yuan(amount)}, webhook verified by the shop`)
      return
    }
    scene.step('refund.failed', `${yuan(amount)} stays with the merchant; asked for again`)
  }
  throw new CommandFailure(`refund ${no} failed five times`)
}

async function refunds(scene: Scene, orderId: string): Promise<void> {
  for (const [index, amount] of parts.entries()) {
    await refundPart(scene, orderId, `demo-back-${String(index + 1)}`, amount)
  }
  const body = { merchant_refund_no: 'demo-back-4', amount: 1, reason: 'one too many' }
  const refused = await scene.api.call('POST', `/v1/orders/${orderId}/refunds`, body)
  expectStatus(refused, 'the refusal of a fourth refund', 409)
  scene.step('fourth refund refused', `409 ${textOf(refused.body, 'code')}: ${textOf(refused.body, 'detail')}`)
}

async function closedOrder(scene: Scene): Promise<string> {
  const id = await openOrder(scene, 'demo-2')
  await startPayment(scene, id)
  expectStatus(await scene.api.call('POST', `/v1/orders/${id}/close`, {}), 'closing', 200)
  scene.step('close requested', `another order, ${id}`)
  await until('the webhook order.closed', async () => {
    const order = await shopOrder(scene, id)
    return order?.['status'] === 'closed' ? order : undefined
  })
  scene.step('order.closed', 'closed at the provider first, then told to the shop')
  return id
}

async function allEvents(api: Api): Promise<readonly Json[]> {
  const events: Json[] = []
  for (let after = '0'; ;) {
    const page = expectStatus(await api.call('GET', `/v1/events?after=${after}&limit=100`), 'listing events', 200)
    events.push(...listOf(page['data']))
    after = textOf(page, 'next_cursor')
    if (page['has_more'] !== true) return events
  }
}

async function gatewayBooks(scene: Scene, ids: readonly string[]): Promise<Books> {
  const orders: Json[] = []
  for (const id of ids) orders.push(expectStatus(await scene.api.call('GET', `/v1/orders/${id}`), 'reading', 200))
  return booksOfOrders(orders)
}

/** Three sides, none of which asks another: the shop's webhooks, the gateway's API, the provider's own books. */
async function compare(scene: Scene, orders: readonly string[]): Promise<Outcome> {
  const [shop, wechat, huifu, events] = await Promise.all([
    shopBooks(scene),
    readJson(new URL('/_sim/wechat-pay/books', scene.controlUrl)),
    readJson(new URL('/_sim/huifu/books', scene.controlUrl)),
    allEvents(scene.api),
  ])
  const gateway = await gatewayBooks(scene, orders)
  const heard = new Set(Array.isArray(shop['webhook_ids']) ? shop['webhook_ids'] : [])
  const missing = events.filter((event) => !heard.has(event['id']))
  const shopSide = booksOfOrders(listOf(shop['orders']))
  const provider = together(booksOfWechat(wechat), booksOfHuifu(huifu))
  const sums = sumsOf(gateway)
  return {
    orders,
    events: events.length,
    webhooks: heard.size,
    ...sums,
    differences: [
      ...missing.map((event) => `webhook never arrived: ${textOf(event, 'type')} ${textOf(event, 'id')}`),
      ...(wholeOf(shop, 'rejected') > 0 ? ['the shop rejected a webhook for its signature'] : []),
      ...(sums.paid === price && sums.refunded === price
        ? []
        : [`paid ${yuan(sums.paid)}, refunded ${yuan(sums.refunded)}`]),
      ...differences({ shop: shopSide, gateway, provider }),
    ],
  }
}

/**
 * One order paid, given back in three parts and no fourth; one order closed; three sets of books compared.
 * @throws CommandFailure when a step does not come about in time
 */
export async function tellStory(scene: Scene): Promise<Outcome> {
  const paid = await paidOrder(scene)
  await refunds(scene, paid)
  const closed = await closedOrder(scene)
  const orders = [paid, closed]
  const deadline = Date.now() + patienceMs / 2
  for (;;) {
    const outcome = await compare(scene, orders)
    // Late repeats may still be on their way; what remains different after a while is a difference.
    if (outcome.differences.length === 0 || Date.now() > deadline) return outcome
    await sleep(500)
  }
}
