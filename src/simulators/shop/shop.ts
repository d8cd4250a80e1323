import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import express, { type Express, type Request, type Response } from 'express'
import { createCounter, type Counter } from './counter.ts'
import { createGateway, type Gateway } from './gateway.ts'
import { openMemory, type Memory, type Product, type ShopOrder } from './memory.ts'
import { fenOf } from './money.ts'
import { orderPage, regionsOf, type OrderPage } from './order-page.ts'
import { homePage, notFoundPage, pageHeaders, type Channel } from './page.ts'
import { createPayer, numberOf, type Payer } from './payer.ts'
import type { OrderView } from './snapshot.ts'
import { timelineOf } from './timeline.ts'
import { createVerifier, type Verifier } from './webhook.ts'

export type ShopOptions = {
  /** 0 or absent: any free port. */
  port?: number
  /** 127.0.0.1 by default. */
  host?: string
  gatewayUrl: string
  /** The simulators' control door: the payer's phone. */
  controlUrl: string
  apiKey: string
  /** Live webhook secrets, `whsec_…`. */
  webhookSecret: string
  webhookSecretPrevious?: string
  /** The fake WeChat, in which payers see the gateway's pages; absent: none. */
  wechatUrl?: string
  /** The simulated payer. */
  openid: string
  /** The gateway's configuration file, whose route the shop edits when a channel is chosen. */
  gatewayConfig?: string
  /** Where the shop keeps its journal; undefined: memory only. */
  folder?: string
  now?: () => number
  log?: (line: string) => void
}

export type Shop = { url: string; close(): Promise<void> }

const products: readonly Product[] = [
  { id: 'oolong', name: 'A cup of oolong', note: 'Tieguanyin, spring harvest', price: 88 },
  { id: 'mug', name: 'A clay mug', note: 'Yixing, holds a good morning', price: 1234 },
]

const channels: readonly Channel[] = [
  { id: 'wechat-main', name: 'WeChat Pay', note: 'Direct, APIv3' },
  { id: 'huifu-main', name: 'Huifu Dougong', note: 'Aggregated, v4; tells trade and account apart' },
  { id: 'huifu-v3', name: 'Huifu v3', note: 'Aggregated, the older jspay' },
]

const method = 'wechat_jsapi'
const webhookLimit = '256kb'
const recentOrders = 8

type Parts = {
  memory: Memory
  gateway: Gateway
  payer: Payer
  counter: Counter
  verify: Verifier
  now: () => number
  canRoute: boolean
  wechatUrl: string | undefined
  pageOf: (order: ShopOrder) => string
}

/** Assets lie beside the sources, also when the compiled code runs. */
function asset(name: string): Buffer {
  const places = [`./assets/${name}`, `../../../../src/simulators/shop/assets/${name}`]
  const place = places.map((path) => new URL(path, import.meta.url)).find((url) => existsSync(url))
  if (place === undefined) throw new Error(`the shop's ${name} is missing`)
  return readFileSync(place)
}

/** Numbers by which the provider knows this order's payments and refunds. */
const numbersOf = (order: OrderView | undefined): string[] =>
  order === undefined ? [] : [...order.payments, ...order.refunds].map((one) => numberOf(one.id))

async function pageOf(parts: Parts, order: ShopOrder): Promise<OrderPage> {
  const { memory, gateway, payer, counter } = parts
  const id = counter.idOf(order)
  const now = id === undefined ? undefined : await gateway.readOrder(id).catch(() => undefined)
  const acts = memory.acts(order.no)
  const traffic = await payer.traffic(numbersOf(now)).catch(() => [])
  const ready = now?.status === 'open' && acts.some((act) => act.kind === 'attempt')
  return {
    order,
    now,
    heard: id === undefined ? undefined : memory.ledger.order(id),
    acts: memory.acts(order.no),
    moments: timelineOf(acts, traffic, memory.webhooks(order.no)),
    walletUrl: ready ? `/orders/${order.no}/wallet` : undefined,
    inWechat: parts.wechatUrl !== undefined,
  }
}

function receiveWebhook({ memory, verify, now }: Parts, req: Request, res: Response): void {
  const body: unknown = req.body
  const headers = Object.fromEntries(Object.keys(req.headers).map((name) => [name, req.get(name)]))
  const webhook = Buffer.isBuffer(body) ? verify(body, headers) : undefined
  if (webhook === undefined) {
    memory.rejected += 1
    res.status(401).end()
    return
  }
  memory.addWebhook({ ...webhook, at: now(), repeated: false })
  res.status(204).end()
}

const fieldOf = (req: Request, name: string): string => {
  const body: unknown = req.body
  const value: unknown = typeof body === 'object' && body !== null ? Reflect.get(body, name) : undefined
  return typeof value === 'string' ? value : ''
}

/** Another site must not press our buttons. */
function isForeign(req: Request): boolean {
  const host = req.get('host') ?? ''
  const origin = req.get('origin')
  if (origin === undefined) return false
  return !URL.canParse(origin) || new URL(origin).host !== host
}

const send = (res: Response, page: string, status = 200): void => {
  res.status(status).set(pageHeaders).send(page)
}

function buying(app: Express, parts: Parts): void {
  const { memory, counter } = parts
  app.get('/', (_req, res) => {
    const orders = memory
      .orders()
      .slice(0, recentOrders)
      .map((order) => ({ order, status: memory.ledger.order(counter.idOf(order) ?? '')?.status ?? 'open' }))
    send(res, homePage({ products, channels, orders, canRoute: parts.canRoute }))
  })
  app.post('/buy', (req, res) => {
    const product = products.find((one) => one.id === fieldOf(req, 'product'))
    const channel = channels.find((one) => one.id === fieldOf(req, 'channel'))
    if (product === undefined || channel === undefined) send(res, notFoundPage(), 400)
    else res.redirect(303, `/orders/${counter.buy(product, channel.id)}`)
  })
}

function orderPages(app: Express, parts: Parts): void {
  const { memory, counter, payer } = parts
  const act = (verb: string, run: (order: ShopOrder, req: Request) => Promise<void>): void => {
    app.post(`/orders/:no/${verb}`, async (req, res) => {
      const order = memory.order(req.params['no'] ?? '')
      if (order === undefined) return send(res, notFoundPage(), 404)
      await run(order, req)
      res.redirect(303, `/orders/${order.no}`)
    })
  }
  act('pay', (order) => counter.pay(order))
  act('close', (order) => counter.close(order))
  // What is no amount at all is left to the gateway to refuse: 0 breaks its rules.
  act('refund', (order, req) => counter.refund(order, fenOf(fieldOf(req, 'amount')) ?? 0))

  app.get('/orders/:no', async (req, res) => {
    const order = memory.order(req.params.no)
    if (order === undefined) send(res, notFoundPage(), 404)
    else send(res, orderPage(await pageOf(parts, order)))
  })
  app.get('/orders/:no/live', async (req, res) => {
    const order = memory.order(req.params.no)
    if (order === undefined) {
      res.status(404).end()
      return
    }
    const regions = Object.entries(regionsOf(await pageOf(parts, order)))
    res.set('Cache-Control', 'no-store').json(Object.fromEntries(regions.map(([id, part]) => [id, part.markup])))
  })
  app.get('/orders/:no/status.json', (req, res) => {
    const order = memory.order(req.params.no)
    if (order === undefined) {
      res.status(404).end()
      return
    }
    // The shop's app asks this from another origin. It says what the webhooks said, and nothing else.
    const status = memory.ledger.order(counter.idOf(order) ?? '')?.status ?? 'open'
    const told = { status, amount: order.amount, subject: order.subject }
    res.set({ 'Access-Control-Allow-Origin': '*', 'Cache-Control': 'no-store' }).json(told)
  })
  payingInWechat(app, parts)
  app.get('/orders/:no/wallet', async (req, res) => {
    const order = memory.order(req.params.no)
    const attempt = order && (await counter.attempt(order))
    if (order === undefined) send(res, notFoundPage(), 404)
    // An invocation that has run out is replaced by a fresh one before the wallet opens.
    else res.redirect(303, attempt === undefined ? `/orders/${order.no}` : payer.walletUrl(attempt))
  })
}

/** Ways into the fake WeChat: the cashier, and the mini-program as an app opens it. */
function payingInWechat(app: Express, { memory, counter, wechatUrl, pageOf }: Parts): void {
  const enter = (way: string, find: (order: ShopOrder, wechat: string) => Promise<string | undefined>): void => {
    app.get(`/orders/:no/${way}`, async (req, res) => {
      const order = memory.order(req.params['no'] ?? '')
      if (order === undefined || wechatUrl === undefined) return send(res, notFoundPage(), 404)
      res.redirect(303, (await find(order, wechatUrl)) ?? `/orders/${order.no}`)
    })
  }
  enter('h5', async (order, wechat) => {
    const page = await counter.cashier(order)
    return page === undefined ? undefined : new URL(new URL(page).pathname, wechat).href
  })
  enter('app', async (order, wechat) => {
    const launch = await counter.launch(order)
    if (launch === undefined) return undefined
    const query = new URLSearchParams({
      user_name: launch.userName,
      path: launch.path,
      expires_at: launch.expiresAt,
      order_url: `${pageOf(order)}/status.json`,
      page: pageOf(order),
    })
    return `${wechat}/__app?${query.toString()}`
  })
}

function createApp(parts: Parts): Express {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.post('/webhooks', express.raw({ type: () => true, limit: webhookLimit }), (req, res) =>
    receiveWebhook(parts, req, res),
  )
  app.get('/books', (_req, res) => void res.json({ ...parts.memory.ledger.books(), rejected: parts.memory.rejected }))
  for (const [name, type] of [
    ['shop.js', 'text/javascript'],
    ['shop.css', 'text/css'],
  ] as const) {
    const content = asset(name)
    app.get(`/${name}`, (_req, res) => {
      const headers = { 'Content-Type': `${type}; charset=utf-8`, 'X-Content-Type-Options': 'nosniff' }
      res.set(headers).set('Cache-Control', 'no-cache').send(content)
    })
  }
  app.use((req, res, next) => {
    if (req.method === 'POST' && isForeign(req)) res.status(403).end()
    else next()
  })
  app.use(express.urlencoded({ extended: false, limit: '4kb' }))
  buying(app, parts)
  orderPages(app, parts)
  app.use((_req, res) => send(res, notFoundPage(), 404))
  return app
}

/**
 * Starts the demo merchant: a page that sells tea, a receiver of webhooks at /webhooks, and its own books at /books.
 * It knows the gateway by its public API and its webhooks, like any stranger (design.md 14).
 * @throws the error of listen when the port is taken; Error for a secret that is none
 */
export async function startShop(options: ShopOptions): Promise<Shop> {
  const { now = Date.now, log = () => undefined, host = '127.0.0.1' } = options
  const memory = openMemory(options.folder)
  const { apiKey, openid, webhookSecret: current, webhookSecretPrevious: previous } = options
  const gateway = createGateway({ url: options.gatewayUrl, apiKey, method, openid })
  const payer = createPayer(options.controlUrl)
  const home = { url: '' }
  const pageOf = (order: ShopOrder): string => `${home.url}/orders/${order.no}`
  const { gatewayConfig, wechatUrl } = options
  const counter = createCounter({ memory, gateway, payer, gatewayConfig, method, pageOf, now, log })
  const verify = createVerifier({ current, previous })
  const canRoute = options.gatewayConfig !== undefined
  const server = createServer(createApp({ memory, gateway, payer, counter, verify, now, canRoute, wechatUrl, pageOf }))
  server.listen(options.port ?? 0, host)
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the shop does not listen on a port')
  home.url = `http://${host.includes(':') ? `[${host}]` : host}:${String(address.port)}`
  return {
    url: home.url,
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await Promise.all([closed, counter.idle()])
    },
  }
}
