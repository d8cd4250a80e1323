import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { changeRouteInFile } from '../simulators/shop/route-line.ts'
import { createApi } from './api.ts'
import { tellStory, type Outcome, type Scene } from './demo-story.ts'
import { exitCodes, CommandFailure } from './exit-codes.ts'
import { freeHuifuPort, freePort } from './ports.ts'
import { quietLog } from './quiet-log.ts'
import { sandboxEnv } from './sandbox.ts'
import { writeSandboxConfig } from './sandbox-config.ts'
import { spawnSimulators } from './simulators-process.ts'
import { result, say, stopSignal, styled } from './terminal.ts'

export type DemoOptions = {
  readonly channel: string
  readonly chaos: boolean
  readonly seed?: number
  readonly timeScale?: number
  readonly json: boolean
  /** Leaves the folder with keys, books and database behind. */
  readonly keep: boolean
  readonly verbose: boolean
}

export type DemoReport = Outcome & { readonly channel: string; readonly seed: number | null; readonly seconds: number }

const host = '127.0.0.1'
const method = 'wechat_jsapi'

/** Steps with the time since the start and since the step before. */
function stopwatch(): { step: Scene['step']; seconds: () => number } {
  const began = performance.now()
  const since = (from: number): string => (Math.round((performance.now() - from) / 10) / 100).toFixed(2).padStart(6)
  return {
    step(title, detail = '') {
      say(`${styled('dim', `${since(began)} s`)}  ${styled('green', '✓')} ${title.padEnd(22)} ${styled('dim', detail)}`)
    },
    seconds: () => Math.round((performance.now() - began) / 10) / 100,
  }
}

async function freePorts() {
  const [gateway, shop, simulators] = [await freeHuifuPort(), await freePort(), await freePort()]
  return { gateway, private: await freePort(), simulators, control: await freePort(), shop, wechat: await freePort() }
}

/**
 * Starts everything in a folder of its own, tells the story, and takes everything down again.
 * @returns what was found; books that differ are in it and are no exception
 * @throws CommandFailure when a step fails
 */
export async function runDemo(options: DemoOptions): Promise<DemoReport> {
  const env = sandboxEnv(process.env)
  const watch = stopwatch()
  const folder = await mkdtemp(join(tmpdir(), 'mortise-demo-'))
  const closers: (() => Promise<unknown>)[] = [
    () => (options.keep ? Promise.resolve() : rm(folder, { recursive: true, force: true })),
  ]
  try {
    const ports = await freePorts()
    const { timeScale: wanted, seed, chaos, channel } = options
    const config = writeSandboxConfig({ folder, ports, ...(wanted === undefined ? {} : { timeScale: wanted }) })
    changeRouteInFile(config.path, method, channel)
    const simulators = spawnSimulators({
      host,
      port: ports.simulators,
      controlPort: ports.control,
      shop: true,
      shopPort: ports.shop,
      wechatPort: ports.wechat,
      folder: join(folder, 'sandbox'),
      timeScale: config.timeScale,
      chaos,
      fastCrypto: false,
      gateway: `http://${host}:${String(ports.gateway)}`,
      gatewayConfig: config.path,
      verbose: options.verbose,
      ...(seed === undefined ? {} : { seed }),
    })
    const [{ startGateway }, world] = await Promise.all([import('../main.ts'), simulators])
    closers.unshift(() => world.stop())
    const gateway = await startGateway({ configPath: config.path, env, log: quietLog(options.verbose) })
    closers.unshift(() => gateway.close())
    watch.step('everything started', `${channel}, schedules ${String(config.timeScale)} times faster`)
    if (options.keep) say(`         keeping ${folder}`)

    const apiKey = (await readFile(join(folder, 'sandbox/shop/api_key.txt'), 'utf8')).trim()
    const { openid } = (await readCredentials(folder)).wechatPay.officialAccount
    const story = tellStory({
      channel,
      api: createApi(gateway.url, apiKey),
      controlUrl: world.controlUrl,
      shopUrl: world.shopUrl,
      openid,
      step: watch.step,
    })
    const interrupted = stopSignal().then(() => {
      throw new CommandFailure('interrupted', exitCodes.interrupted)
    })
    const outcome = await Promise.race([story, world.died, interrupted])
    return { channel, seed: seed ?? null, seconds: watch.seconds(), ...outcome }
  } finally {
    for (const closer of closers) await closer()
  }
}

type CredentialsFile = { wechatPay: { officialAccount: { openid: string } } }

async function readCredentials(folder: string): Promise<CredentialsFile> {
  return JSON.parse(await readFile(join(folder, 'sandbox/credentials.json'), 'utf8')) as CredentialsFile
}

const yuan = (fen: number): string =>
  `¥${String(fen)
    .padStart(3, '0')
    .replace(/(\d\d)$/, '.$1')}`

/** The demo as a command. @returns the exit code: 0 only when every webhook arrived and all books agree */
export async function demo(options: DemoOptions): Promise<number> {
  const report = await runDemo(options)
  if (options.json) result(report)
  if (report.differences.length > 0) {
    for (const difference of report.differences) say(styled('red', `✗ ${difference}`))
    return exitCodes.differences
  }
  const sums = `paid ${yuan(report.paid)}, given back ${yuan(report.refunded)}`
  say(
    `${styled('green', '✓')} ${String(report.events)} events, every webhook arrived. Shop, gateway and provider agree: ${sums}.`,
  )
  say(`  ${String(report.seconds)} s`)
  return exitCodes.ok
}
