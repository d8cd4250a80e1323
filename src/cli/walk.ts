import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CommandFailure, exitCodes } from './exit-codes.ts'
import { freeHuifuPort, freePort } from './ports.ts'
import { quietLog } from './quiet-log.ts'
import { sandboxEnv } from './sandbox.ts'
import { writeSandboxConfig } from './sandbox-config.ts'
import { spawnSimulators } from './simulators-process.ts'
import { result, say, stopSignal, styled } from './terminal.ts'
import { walkExpired, walkPaid, type Ground, type Walked } from './walk-story.ts'

export type WalkOptions = {
  /** One channel, or every one of the sandbox's two providers. */
  readonly channel?: string
  readonly json: boolean
  readonly verbose: boolean
}

export type WalkReport = {
  readonly walks: readonly Walked[]
  readonly expired: readonly string[]
  readonly milliseconds: number
}

const host = '127.0.0.1'
const everyChannel: readonly string[] = ['wechat-main', 'huifu-main']

/** Lines with the time since the start. */
function teller(): { step: Ground['step']; milliseconds: () => number } {
  const began = performance.now()
  const milliseconds = (): number => Math.round(performance.now() - began)
  return {
    milliseconds,
    step(title, detail = '') {
      const at = `${String(milliseconds()).padStart(6)} ms`
      say(`${styled('dim', at)}  ${styled('green', '✓')} ${title.padEnd(24)} ${styled('dim', detail)}`)
    },
  }
}

/**
 * Walks app → mini-program → paid → back to the app on simulators, for each channel, in a world of its own.
 * @throws CommandFailure when a step does not go as it must
 */
export async function runWalk(options: WalkOptions): Promise<WalkReport> {
  const env = sandboxEnv(process.env)
  const tell = teller()
  const folder = await mkdtemp(join(tmpdir(), 'mortise-walk-'))
  const closers: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })]
  try {
    const [gatewayPort, shop, simulatorsPort] = [await freeHuifuPort(), await freePort(), await freePort()]
    const ports = { gateway: gatewayPort, private: await freePort(), simulators: simulatorsPort, shop }
    const config = writeSandboxConfig({ folder, ports })
    const simulators = spawnSimulators({
      host,
      port: simulatorsPort,
      controlPort: await freePort(),
      shop: true,
      shopPort: shop,
      wechatPort: await freePort(),
      folder: join(folder, 'sandbox'),
      timeScale: config.timeScale,
      chaos: false,
      fastCrypto: false,
      gateway: `http://${host}:${String(gatewayPort)}`,
      gatewayConfig: config.path,
      verbose: options.verbose,
    })
    const [{ startGateway }, world] = await Promise.all([import('../main.ts'), simulators])
    closers.unshift(() => world.stop())
    let ahead = 0
    const now = (): number => Date.now() + ahead
    const gateway = await startGateway({ configPath: config.path, env, log: quietLog(options.verbose), now })
    closers.unshift(() => gateway.close())
    const pass = async (ms: number): Promise<void> => {
      ahead += ms
      // Providers compare the times in our signatures with their own clock.
      await fetch(new URL(`/_sim/clock?advance_ms=${String(ms)}`, world.controlUrl), { method: 'POST' })
    }
    const interrupted = stopSignal().then(() => {
      throw new CommandFailure('interrupted', exitCodes.interrupted)
    })
    const walks = walkAll(options, { shopUrl: world.shopUrl, wechatUrl: world.wechatUrl, step: tell.step }, pass)
    return { ...(await Promise.race([walks, world.died, interrupted])), milliseconds: tell.milliseconds() }
  } finally {
    for (const closer of closers) await closer()
  }
}

async function walkAll(
  { channel: chosen }: WalkOptions,
  ground: Omit<Ground, 'channel'>,
  pass: (ms: number) => Promise<void>,
): Promise<Pick<WalkReport, 'walks' | 'expired'>> {
  const channels = chosen === undefined ? everyChannel : [chosen]
  const walks: Walked[] = []
  for (const channel of channels) {
    say(styled('bold', channel))
    walks.push(await walkPaid({ ...ground, channel }))
  }
  // Last, because webhooks are stamped with the gateway's clock and the shop's does not move along.
  say(styled('bold', 'ten minutes later'))
  for (const channel of channels) await walkExpired({ ...ground, channel }, pass)
  return { walks, expired: channels }
}

/** The walk as a command. @returns the exit code: 0 only when every step went as it must */
export async function walk(options: WalkOptions): Promise<number> {
  const report = await runWalk(options)
  if (options.json) result(report)
  say(`${styled('green', '✓')} App → mini-program → paid → back to the app, over ${report.expired.join(' and ')}.`)
  return exitCodes.ok
}
