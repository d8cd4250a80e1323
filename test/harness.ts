import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Knex } from 'knex'
import { Webhook } from 'standardwebhooks'
import type { OrderResource } from '../src/core/event.ts'
import type { Invocation } from '../src/core/provider.ts'
import { freePort } from '../src/cli/ports.ts'
import { createLog } from '../src/log.ts'
import { startGateway, type Gateway, type GatewayOptions } from '../src/main.ts'
import { startSimulators, type Simulators, type SimulatorsOptions } from '../src/simulators/start.ts'
import type { OpenDatabase, TestDatabase } from './databases.ts'

/** Starts any subset of the system for a test: simulators, gateway and a merchant's webhook receiver, all on real sockets. */

/** The simulated payer, who has an openid of their own under each appid (design.md 20.13). */
export const payer = 'oSIM-mp-payer-000000000001'
const miniPayer = 'oSIM-mini-payer-00000001'

type ReceivedWebhook = {
  readonly id: string
  readonly type: string
  readonly subject_id: string
  readonly sequence: number
  readonly order: OrderResource
}

export type World = {
  readonly simulators: Simulators
  readonly gateway: Gateway
  readonly database: OpenDatabase
  readonly db: Knex
  readonly folder: string
  readonly configPath: string
  readonly port: number
  readonly timeScale: number
  /** Webhooks that a merchant's server has received and verified, in order of arrival. */
  readonly webhooks: readonly ReceivedWebhook[]
  /** What the merchant's server answers; 204 unless set. */
  answerWebhooks(status: number): void
  /** Starts or restarts the gateway over the same database, folder and port. */
  startGateway(options?: Partial<GatewayOptions>): Promise<Gateway>
  /** Changes the configuration file. */
  configure(change: (config: ConfigJson) => void): void
  close(): Promise<void>
}

export type ConfigJson = {
  publicUrl: string
  listen: { port: number; privatePort: number }
  database: string
  timeScale: number
  notifySecret: string
  channels: Record<string, { provider: string; sandbox: boolean; settings: Record<string, unknown> }>
  merchants: Record<
    string,
    Record<string, unknown> & {
      routes: { method: string; channels: string[] }[]
      endpoints: { id: string; url: string; secrets: string[]; events: string[] }[]
    }
  >
  wechatApps: Record<string, { secret: string; baseUrl: string }>
}

export type WorldOptions = {
  readonly database: TestDatabase
  readonly channel?: string
  readonly timeScale?: number
  readonly simulators?: Partial<SimulatorsOptions>
  readonly gateway?: Partial<GatewayOptions>
  readonly configure?: (config: ConfigJson) => void
  /** false: the test starts gateways itself. */
  readonly start?: boolean
}

/** Limits out of the way: races are about money, not about how often one may ask. */
export const openLimits = {
  perKey: { rate: 1e6, burst: 1e6 },
  refunds: { rate: 1e6, burst: 1e6 },
  lists: { rate: 1e6, burst: 1e6 },
  wrongKeysPerMinute: 1e6,
}

export const quietLog = createLog({ level: process.env['MORTISE_TEST_LOG'] ?? 'silent' })

/** Starts a world. The caller closes it; whatever is left running then fails the close. */
export async function startWorld(options: WorldOptions): Promise<World> {
  const database = await options.database.open()
  const folder = mkdtempSync(join(tmpdir(), 'mortise-world-'))
  const timeScale = options.timeScale ?? 60
  const simulators = await startSimulators({
    port: 0,
    controlPort: 0,
    folder: join(folder, 'sandbox'),
    timeScale,
    fastCrypto: true,
    ...options.simulators,
  })
  const shop = await startShop(join(folder, 'sandbox'))
  const port = await providerPort()
  const configPath = join(folder, 'gateway.json')
  const config = sandboxConfig(join(folder, 'sandbox'), simulators.apiUrl, shop.url)
  config.publicUrl = `http://127.0.0.1:${String(port)}`
  config.listen.port = port
  config.listen.privatePort = await freePort()
  config.database = database.url.startsWith('sqlite:') ? database.url : 'env:DATABASE_URL'
  config.timeScale = timeScale
  route(config, options.channel ?? 'wechat-main')
  options.configure?.(config)
  const save = () => writeFileSync(configPath, JSON.stringify(config, null, 2))
  save()
  const env = { ...process.env, DATABASE_URL: database.url }
  let current: Gateway | undefined
  const started = async (overrides: Partial<GatewayOptions> = {}): Promise<Gateway> => {
    await current?.close()
    current = await startGateway({
      configPath,
      env,
      log: quietLog,
      limits: openLimits,
      ...options.gateway,
      ...overrides,
    })
    return current
  }
  if (options.start !== false) await started()
  return {
    simulators,
    get gateway() {
      if (current === undefined) throw new Error('this world has no gateway of its own')
      return current
    },
    database,
    db: database.db,
    folder,
    configPath,
    port,
    timeScale,
    webhooks: shop.webhooks,
    answerWebhooks: shop.answer,
    startGateway: started,
    configure(change) {
      change(config)
      save()
    },
    async close() {
      await current?.close()
      await simulators.close()
      await shop.close()
      await database.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Every method of the demo merchant goes to this channel: the one line that tells channels apart. */
export function route(config: ConfigJson, channel: string): void {
  for (const merchant of Object.values(config.merchants)) {
    for (const line of merchant.routes) line.channels = [channel]
  }
}

/** The shipped sandbox configuration, pointed at this test's simulators and folder. */
function sandboxConfig(keys: string, apiUrl: string, shopUrl: string): ConfigJson {
  const text = readFileSync(resolve(import.meta.dirname, '../config/gateway.sandbox.json'), 'utf8')
  return JSON.parse(
    text
      .replaceAll('file:../var/sandbox/', `file:${keys}/`)
      .replaceAll('http://127.0.0.1:8100', apiUrl)
      .replaceAll('http://127.0.0.1:8102/webhooks', shopUrl),
  ) as ConfigJson
}

async function startShop(keys: string) {
  const webhooks: ReceivedWebhook[] = []
  let status = 204
  const verifier = new Webhook(readFileSync(join(keys, 'shop/webhook_secret.txt'), 'utf8').trim())
  const server = http.createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8')
      const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]))
      try {
        verifier.verify(body, headers)
      } catch {
        response.writeHead(400).end()
        return
      }
      if (status < 300) webhooks.push(toWebhook(body))
      response.writeHead(status).end()
    })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    url: `http://127.0.0.1:${String(address.port)}/webhooks`,
    webhooks,
    answer: (next: number) => {
      status = next
    },
    close: () =>
      new Promise<void>((done) => {
        server.close(() => done())
        server.closeAllConnections()
      }),
  }
}

function toWebhook(body: string): ReceivedWebhook {
  const event = JSON.parse(body) as {
    id: string
    type: string
    subject_id: string
    sequence: number
    data: { order: OrderResource }
  }
  return {
    id: event.id,
    type: event.type,
    subject_id: event.subject_id,
    sequence: event.sequence,
    order: event.data.order,
  }
}

export type ApiAnswer<T> = { readonly status: number; readonly body: T; readonly headers: Headers }
export type ProblemBody = {
  readonly code: string
  readonly detail: string
  readonly errors?: readonly { pointer: string; detail: string }[]
}
export type StartedPayment = {
  readonly payment: { id: string; status: string; channel: string }
  readonly invocation: Extract<Invocation, { kind: 'jsapi' }>
}

/** One request of the demo merchant's backend. */
export async function call<T = unknown>(
  world: World,
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<ApiAnswer<T>> {
  const key = readFileSync(join(world.folder, 'sandbox/shop/api_key.txt'), 'utf8').trim()
  const response = await fetch(`http://127.0.0.1:${String(world.port)}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, body: (text === '' ? undefined : JSON.parse(text)) as T, headers: response.headers }
}

let orderNumbers = 0

/** Opens an order; fails the test unless it is opened. */
export async function open(world: World, amount: number, more: Record<string, unknown> = {}): Promise<OrderResource> {
  orderNumbers += 1
  const number = `T${String(process.pid)}-${String(Date.now())}-${String(orderNumbers)}`
  const answer = await call<OrderResource>(world, 'POST', '/v1/orders', {
    merchant_order_no: number,
    amount,
    currency: 'CNY',
    subject: 'Oolong',
    ...more,
  })
  if (answer.status !== 201) throw new Error(`order not opened: ${JSON.stringify(answer.body)}`)
  return answer.body
}

/** Starts a payment; fails the test unless one is handed out. */
export async function start(world: World, orderId: string, method = 'wechat_jsapi'): Promise<StartedPayment> {
  const answer = await call<StartedPayment>(world, 'POST', `/v1/orders/${orderId}/payments`, {
    method,
    openid: method === 'wechat_mini' ? miniPayer : payer,
    client_ip: '203.0.113.9',
  })
  if (answer.status !== 201 && answer.status !== 200)
    throw new Error(`payment not started: ${JSON.stringify(answer.body)}`)
  return answer.body
}

/** The payer pays: at the simulator of the payment's channel, as the phone would. */
export async function pay(world: World, started: StartedPayment): Promise<void> {
  const { invocation, payment } = started
  if (payment.channel.startsWith('wechat')) {
    const { kind: _, ...fields } = invocation
    await control(world, '/_sim/wechat-pay/pay', { out_trade_no: payment.id.replace('_', ''), ...fields })
  } else {
    await control(world, '/_sim/huifu/pay', { pay_package: invocation.package })
  }
}

/** One act at the control door. @throws Error unless it answers 2xx */
export async function control<T = unknown>(
  world: World,
  path: string,
  fields: Record<string, string> = {},
  method: 'GET' | 'POST' = 'POST',
): Promise<T> {
  const query = new URLSearchParams(fields).toString()
  const response = await fetch(`${world.simulators.controlUrl}${path}${query === '' ? '' : `?${query}`}`, { method })
  const text = await response.text()
  if (!response.ok) throw new Error(`${path} answered ${String(response.status)}: ${text.slice(0, 300)}`)
  return (text === '' ? undefined : JSON.parse(text)) as T
}

export async function readOrder(world: World, orderId: string): Promise<OrderResource> {
  return (await call<OrderResource>(world, 'GET', `/v1/orders/${orderId}`)).body
}

/** Waits until the probe gives something; fails with its name when it does not in time. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  withinMs = 15_000,
): Promise<T> {
  const end = Date.now() + withinMs
  for (;;) {
    const value = await probe()
    if (value !== undefined && value !== false) return value
    if (Date.now() > end) throw new Error(`never came: ${what}`)
    await sleep(25)
  }
}

/** Opens an order and has it paid. */
export async function paidOrder(
  world: World,
  amount: number,
): Promise<{ order: OrderResource; started: StartedPayment }> {
  const order = await open(world, amount)
  const started = await start(world, order.id)
  await pay(world, started)
  const paid = await until('order paid', async () => {
    const now = await readOrder(world, order.id)
    return now.status === 'paid' ? now : undefined
  })
  return { order: paid, started }
}

const seen = new Set<number>()

/** A free port that Huifu may call: 8000 to 9005 (huifu-dougong.md 13.1). */
async function providerPort(): Promise<number> {
  for (let port = 8200 + (process.pid % 300); port <= 9005; port += 1) {
    if (!seen.has(port) && (await isFree(port))) {
      seen.add(port)
      return port
    }
  }
  throw new Error('no free port between 8200 and 9005')
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const probe = createServer()
    probe.once('error', () => done(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)))
  })
}
