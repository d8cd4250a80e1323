import { join } from 'node:path'
import { startShop } from '../simulators/shop/shop.ts'
import { startSimulators } from '../simulators/start.ts'
import { CommandFailure, explain } from './exit-codes.ts'
import { portInUse } from './ports.ts'
import { say, stopSignal } from './terminal.ts'

export type SimulateOptions = {
  readonly host: string
  readonly port: number
  readonly controlPort: number
  /** false: providers only. */
  readonly shop: boolean
  readonly shopPort: number
  /** The fake WeChat, which shows the gateway's pages; it comes with the shop. */
  readonly wechatPort: number
  /** Where keys and books are kept. */
  readonly folder: string
  /** How many times faster than real time. */
  readonly timeScale: number
  readonly chaos: boolean
  readonly seed?: number
  readonly fastCrypto: boolean
  /** Where the shop finds the gateway, and the gateway's configuration file, whose route it may edit. */
  readonly gateway: string
  readonly gatewayConfig?: string
  readonly verbose: boolean
  /** Another command of this program started the process and listens for its messages. */
  readonly child: boolean
}

export type SimulatedWorld = {
  apiUrl: string
  controlUrl: string
  shopUrl: string
  wechatUrl: string
  close(): Promise<void>
}

/** Messages from the child process that simulates to the one that started it. */
export type ChildMessage =
  | {
      readonly kind: 'ready'
      readonly apiUrl: string
      readonly controlUrl: string
      readonly shopUrl: string
      readonly wechatUrl: string
    }
  | { readonly kind: 'failed'; readonly message: string }

/**
 * Starts providers and shop in this process.
 * @throws CommandFailure naming the option when a port is taken
 */
export async function startWorld(options: SimulateOptions): Promise<SimulatedWorld> {
  const { host, folder } = options
  const closers: (() => Promise<void>)[] = []
  const close = async (): Promise<void> => {
    for (const closer of closers.toReversed()) await closer()
  }
  try {
    const simulators = await startSimulators({
      host,
      folder,
      port: options.port,
      controlPort: options.controlPort,
      timeScale: options.timeScale,
      chaos: options.chaos,
      fastCrypto: options.fastCrypto,
      log: say,
      ...(options.shop ? { browser: { gatewayUrl: options.gateway, port: options.wechatPort } } : {}),
      ...(options.seed === undefined ? {} : { seed: options.seed }),
    })
    closers.push(() => simulators.close())
    const { apiUrl, controlUrl, credentials, browser } = simulators
    const wechatUrl = browser?.url ?? ''
    if (!options.shop) return { apiUrl, controlUrl, shopUrl: '', wechatUrl, close }
    const shop = await startShop({
      host,
      port: options.shopPort,
      gatewayUrl: options.gateway,
      controlUrl,
      wechatUrl,
      apiKey: credentials.shop.apiKey,
      webhookSecret: credentials.shop.webhookSecret,
      webhookSecretPrevious: credentials.shop.webhookSecretPrevious,
      openid: credentials.wechatPay.officialAccount.openid,
      folder: join(folder, 'shop'),
      log: say,
      ...(options.gatewayConfig === undefined ? {} : { gatewayConfig: options.gatewayConfig }),
    })
    closers.push(() => shop.close())
    return { apiUrl, controlUrl, shopUrl: shop.url, wechatUrl, close }
  } catch (error) {
    await close()
    const { port, controlPort, shopPort, wechatPort } = options
    const taken = portInUse(error, {
      [port]: options.child ? '--simulators-port' : '--port',
      [controlPort]: '--control-port',
      [shopPort]: '--shop-port',
      [wechatPort]: '--wechat-port',
    })
    throw taken === undefined ? error : new CommandFailure(taken)
  }
}

/** Simulates until told to stop: by a person, or by the process that started this one. */
export async function simulate(options: SimulateOptions): Promise<void> {
  if (options.child) return simulateAsChild(options)
  const world = await startWorld(options)
  say(`Providers    ${world.apiUrl}`)
  say(`Control door ${world.controlUrl}/_sim`)
  if (world.shopUrl !== '') say(`Shop         ${world.shopUrl}`)
  if (world.wechatUrl !== '') say(`Fake WeChat  ${world.wechatUrl}`)
  say(`Credentials  ${join(options.folder, 'credentials.json')}`)
  await stopSignal()
  await world.close()
}

/** Ctrl-C reaches every process of the terminal; the parent decides when this one goes, and its end is the sign. */
async function simulateAsChild(options: SimulateOptions): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined)
  const parentGone = new Promise<void>((resolve) => process.once('disconnect', resolve))
  const tell = (message: ChildMessage): Promise<void> =>
    new Promise((resolve) => {
      if (process.connected && process.send !== undefined) process.send(message, () => resolve())
      else resolve()
    })
  try {
    const world = await startWorld(options)
    const { apiUrl, controlUrl, shopUrl, wechatUrl } = world
    await tell({ kind: 'ready', apiUrl, controlUrl, shopUrl, wechatUrl })
    await parentGone
    await world.close()
  } catch (error) {
    await tell({ kind: 'failed', message: explain(error, options.verbose) })
    process.exitCode = 1
    if (process.connected) process.disconnect()
  }
}
