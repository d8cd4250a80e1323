import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createChaos, type Chaos } from './chaos.ts'
import { createClock, type Clock } from './clock.ts'
import { createControlDoor } from './control.ts'
import { serve, type SimServer } from './http.ts'
import { createHuifuSimulator } from './huifu/simulator.ts'
import { makeCredentials, openCredentials, type Credentials } from './keys.ts'
import { createNotifier, type Notifier } from './notifier.ts'
import { createRequestLog } from './request-log.ts'
import { startWechatBrowser, type WechatBrowser } from './wechat-browser/browser.ts'
import { createWechatPaySimulator } from './wechat-pay/simulator.ts'

export type SimulatorsOptions = {
  /** Port of the providers' APIs; 0 or absent: any free one. */
  port?: number
  /** Port of the control door; 0 or absent: any free one. */
  controlPort?: number
  /** Address to listen on; 127.0.0.1 by default. */
  host?: string
  /** Where keys and books are kept; undefined: memory. */
  folder?: string
  /** How many times faster durations pass, see clock.ts; 1 by default. */
  timeScale?: number
  /** Starts with every knob of chaos.ts at its low rate. */
  chaos?: boolean
  seed?: number
  /** Signs with node:crypto instead of jsrsasign; for load tests. */
  fastCrypto?: boolean
  /** A fake WeChat that shows the pages of this gateway; `port` 0 or absent: any free one. Absent: none. */
  browser?: { gatewayUrl: string; port?: number }
  now?: () => number
  log?: (line: string) => void
}

export type Simulators = {
  apiUrl: string
  controlUrl: string
  /** The fake WeChat; undefined unless it was asked for. */
  browser: WechatBrowser | undefined
  credentials: Credentials
  clock: Clock
  chaos: Chaos
  notifier: Notifier
  close(): Promise<void>
}

/** The Huifu simulator's acts; an order is named by req_seq_id (with req_date where two days share it), hf_seq_id or pay_package; a refund by its own numbers. */
const HUIFU_USAGE = [
  'POST /_sim/huifu/pay?req_seq_id[&coupon][&late][&openid]',
  'POST /_sim/huifu/fail?req_seq_id[&message]',
  ...['expire', 'hold', 'unfreeze'].map((act) => `POST /_sim/huifu/${act}?req_seq_id`),
  ...['post', 'close', 'refund'].map((act) => `POST /_sim/huifu/${act}?req_seq_id&result`),
  'POST /_sim/huifu/balance?fen',
  'POST /_sim/huifu/webhook?url[&remove]',
  'POST /_sim/huifu/notify?req_seq_id[&times][&mutate]',
  'POST /_sim/huifu/options',
  'GET /_sim/huifu/books',
  'GET /_sim/huifu/wallet?hf_seq_id',
  'GET /_sim/huifu/order?req_seq_id|pay_package|pre_order_id|t',
]

const wechatBooks = (folder: string | undefined): { books?: string } =>
  folder === undefined ? {} : { books: join(folder, 'wechat-pay', 'books.json') }
const huifuBooks = (folder: string | undefined): { books?: string } =>
  folder === undefined ? {} : { books: join(folder, 'huifu', 'books.json') }

async function startBrowser(
  { browser, host = '127.0.0.1', log = () => undefined }: SimulatorsOptions,
  controlUrl: string,
  credentials: Credentials,
): Promise<WechatBrowser | undefined> {
  if (browser === undefined) return undefined
  return startWechatBrowser({ host, log, ...browser, controlUrl, credentials: credentials.wechatPay })
}

/**
 * Starts every simulator: their APIs on one port, the control door on another.
 * With a folder it also writes `credentials.json`, everything a stranger needs (design.md 14).
 * @throws Error when NODE_ENV is production; the error of listen when a port is taken
 */
export async function startSimulators(options: SimulatorsOptions): Promise<Simulators> {
  if (process.env['NODE_ENV'] === 'production') throw new Error('simulators refuse to run with NODE_ENV=production')
  const { folder, fastCrypto = false, host = '127.0.0.1', log = () => undefined } = options
  const credentials = makeCredentials(folder)
  const clock = createClock({
    ...(options.timeScale === undefined ? {} : { scale: options.timeScale }),
    ...(options.now === undefined ? {} : { now: options.now }),
  })
  const chaos = createChaos({
    on: options.chaos ?? false,
    log,
    ...(options.seed === undefined ? {} : { seed: options.seed }),
  })
  const notifier = createNotifier(clock)
  const requests = createRequestLog(clock)
  const parts = { clock, chaos, notifier, credentials, fastCrypto, log }
  const wechat = createWechatPaySimulator({ ...parts, ...wechatBooks(folder) })
  const huifu = createHuifuSimulator({ ...parts, ...huifuBooks(folder) })
  const stop = (): void => {
    notifier.stop()
    wechat.stop()
    huifu.stop()
  }

  const servers: SimServer[] = []
  const urls = { apiUrl: '', controlUrl: '' }
  const control = createControlDoor({
    clock,
    chaos,
    notifier,
    requests,
    credentials: () => openCredentials(credentials, urls),
    doors: [wechat.control, huifu.control],
    usage: [...wechat.usage, ...HUIFU_USAGE],
  })
  const close = async (): Promise<void> => {
    stop()
    await Promise.all(servers.map((server) => server.close()))
  }
  try {
    const api = [requests.record(wechat.handle, 'wechat-pay'), requests.record(huifu.handle, 'huifu')]
    servers.push(await serve(api, { host, port: options.port ?? 0, log }))
    servers.push(await serve([control], { host, port: options.controlPort ?? 0, log }))
  } catch (error) {
    await close()
    throw error
  }
  urls.apiUrl = servers[0]?.url ?? ''
  urls.controlUrl = servers[1]?.url ?? ''
  huifu.setAddresses({ api: urls.apiUrl, control: urls.controlUrl })
  const browser = await startBrowser(options, urls.controlUrl, credentials).catch(async (error: unknown) => {
    await close()
    throw error
  })
  if (browser !== undefined) {
    servers.push(browser)
    wechat.setPlayer(browser.url)
  }
  if (folder !== undefined) {
    const text = `${JSON.stringify(openCredentials(credentials, urls), null, 2)}\n`
    writeFileSync(join(folder, 'credentials.json'), text, { mode: 0o600 })
  }
  return { ...urls, browser, credentials, clock, chaos, notifier, close }
}
