import { join, relative, resolve } from 'node:path'
import { CommandFailure } from './exit-codes.ts'
import { lockFolder } from './folder-lock.ts'
import { assertPortsFree } from './ports.ts'
import { writeSandboxConfig } from './sandbox-config.ts'
import { spawnSimulators } from './simulators-process.ts'
import { sandboxLog } from './quiet-log.ts'
import { say, stopSignal, styled } from './terminal.ts'

export type SandboxOptions = {
  readonly port: number
  readonly privatePort: number
  readonly simulatorsPort: number
  readonly controlPort: number
  readonly shopPort: number
  readonly wechatPort: number
  readonly folder: string
  readonly timeScale?: number
  readonly chaos: boolean
  readonly seed?: number
  readonly verbose: boolean
}

const host = '127.0.0.1'

/** The sandbox keeps its own database: DATABASE_URL is somebody else's, perhaps production's. */
export function sandboxEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  if (env['NODE_ENV'] === 'production') throw new CommandFailure('the sandbox refuses to run with NODE_ENV=production')
  const { DATABASE_URL: _foreign, ...rest } = env
  return rest
}

/**
 * The whole world on one machine: gateway here, providers and shop in a child process, keys and books under one folder.
 * Runs until Ctrl-C, or until the child dies.
 * @throws CommandFailure naming the option when a port is taken, or the child's words when it ends by itself
 */
export async function sandbox(options: SandboxOptions): Promise<void> {
  const began = performance.now()
  const env = sandboxEnv(process.env)
  const stopped = stopSignal()
  const folder = resolve(options.folder)
  await assertPortsFree({
    '--port': options.port,
    '--private-port': options.privatePort,
    '--simulators-port': options.simulatorsPort,
    '--control-port': options.controlPort,
    '--shop-port': options.shopPort,
    '--wechat-port': options.wechatPort,
  })
  const unlock = lockFolder(folder)
  try {
    await run({ ...options, folder }, env, began, stopped)
  } finally {
    unlock()
  }
}

async function run(
  options: SandboxOptions,
  env: NodeJS.ProcessEnv,
  began: number,
  stopped: Promise<unknown>,
): Promise<void> {
  const { folder, port, privatePort, simulatorsPort, controlPort, shopPort, wechatPort, timeScale, seed } = options
  const config = writeSandboxConfig({
    folder,
    ports: { gateway: port, private: privatePort, simulators: simulatorsPort, shop: shopPort },
    ...(timeScale === undefined ? {} : { timeScale }),
  })
  const simulators = spawnSimulators({
    host,
    port: simulatorsPort,
    controlPort,
    shop: true,
    shopPort,
    wechatPort,
    folder: join(folder, 'sandbox'),
    timeScale: config.timeScale,
    chaos: options.chaos,
    fastCrypto: false,
    gateway: `http://${host}:${String(port)}`,
    gatewayConfig: config.path,
    verbose: options.verbose,
    ...(seed === undefined ? {} : { seed }),
  })
  // Loaded while the child makes its keys.
  const [{ startGateway }, world] = await Promise.all([import('../main.ts'), simulators])
  try {
    const gateway = await startGateway({ configPath: config.path, env, log: sandboxLog(options.verbose) })
    try {
      const seconds = String(Math.round((performance.now() - began) / 100) / 10)
      say(welcome({ folder, seconds, gateway: gateway.url, ...world, config: config.path }))
      await Promise.race([stopped, world.died])
      say('Stopping…')
    } finally {
      await gateway.close()
    }
  } finally {
    await world.stop()
  }
}

type Places = {
  folder: string
  seconds: string
  gateway: string
  shopUrl: string
  wechatUrl: string
  controlUrl: string
  apiUrl: string
  config: string
}

function welcome(places: Places): string {
  const here = (path: string): string => relative(process.cwd(), path) || '.'
  const key = here(join(places.folder, 'sandbox/shop/api_key.txt'))
  const line = (name: string, value: string, note: string): string =>
    `  ${styled('bold', name.padEnd(13))}${styled('cyan', value.padEnd(32))} ${styled('dim', note)}`
  return [
    '',
    `${styled('green', '✓')} Mortise sandbox, ready after ${places.seconds} s. No real money.`,
    '',
    line('Shop', places.shopUrl, 'buy something: this is the place to start'),
    line('Fake WeChat', places.wechatUrl, 'shows the gateway’s pages as WeChat on a phone would'),
    line('Gateway', places.gateway, '/v1, described in /openapi.json'),
    line('Control door', `${places.controlUrl}/_sim`, 'pay, decline, settle, misbehave, read the books'),
    line('Providers', places.apiUrl, 'simulated WeChat Pay and Huifu'),
    line('Settings', here(places.config), 'change a route and save: no restart; written anew at each start'),
    '',
    '  Open an order yourself:',
    '',
    `  curl ${places.gateway}/v1/orders \\`,
    `    -H "Authorization: Bearer $(cat ${key})" -H 'Content-Type: application/json' \\`,
    `    -d '{"merchant_order_no":"hello-1","amount":88,"currency":"CNY","subject":"A cup of oolong"}'`,
    '',
    '  Ctrl-C stops everything.',
    '',
  ].join('\n')
}
