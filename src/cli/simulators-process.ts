import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { CommandFailure } from './exit-codes.ts'
import { ownEntry } from './places.ts'
import type { ChildMessage, SimulateOptions } from './simulate.ts'

export type SimulatorsProcess = {
  readonly apiUrl: string
  readonly controlUrl: string
  readonly shopUrl: string
  /** The fake WeChat. */
  readonly wechatUrl: string
  /** Rejects when the process ends although nobody stopped it; never resolves. */
  readonly died: Promise<never>
  stop(): Promise<void>
}

type ChildOptions = Omit<SimulateOptions, 'child'>

const stopWithinMs = 5000

function argumentsOf(options: ChildOptions): string[] {
  const { host, port, controlPort, shopPort, wechatPort, folder, timeScale, gateway } = options
  return [
    'simulate',
    '--child',
    ...['--host', host, '--port', String(port), '--control-port', String(controlPort)],
    ...[
      '--wechat-port',
      String(wechatPort),
      '--shop-port',
      String(shopPort),
      '--folder',
      folder,
      '--time-scale',
      String(timeScale),
      '--gateway',
      gateway,
    ],
    ...(options.gatewayConfig === undefined ? [] : ['--gateway-config', options.gatewayConfig]),
    ...(options.shop ? [] : ['--no-shop']),
    ...(options.chaos ? ['--chaos'] : []),
    ...(options.seed === undefined ? [] : ['--seed', String(options.seed)]),
    ...(options.fastCrypto ? ['--fast-crypto'] : []),
    ...(options.verbose ? ['--verbose'] : []),
  ]
}

/**
 * Starts providers and shop in a process of their own: they sign with jsrsasign, which blocks its event loop for tens of
 * milliseconds (design.md 17), and the gateway's must not wait for that.
 * @throws CommandFailure with the child's own words when it could not start
 */
export async function spawnSimulators(options: ChildOptions): Promise<SimulatorsProcess> {
  const child = fork(ownEntry(), argumentsOf(options), { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  let stopping = false
  const gone = once(child, 'exit')
  const died = gone.then(([code, signal]): Promise<never> => {
    if (stopping) return new Promise(() => undefined)
    throw new CommandFailure(`the simulators have stopped by themselves (${String(code ?? signal)})`)
  })
  // Whoever waits for it hears of it; if nobody does yet, that is no reason to end this process.
  died.catch(() => undefined)
  const stop = async (): Promise<void> => {
    stopping = true
    if (child.connected) child.disconnect()
    const timer = setTimeout(() => child.kill('SIGKILL'), stopWithinMs)
    await gone
    clearTimeout(timer)
  }
  const message = await Promise.race([firstMessage(child), died])
  if (message.kind === 'failed') {
    await stop()
    throw new CommandFailure(message.message)
  }
  const { apiUrl, controlUrl, shopUrl, wechatUrl } = message
  return { apiUrl, controlUrl, shopUrl, wechatUrl, died, stop }
}

async function firstMessage(child: ChildProcess): Promise<ChildMessage> {
  const [message]: unknown[] = await once(child, 'message')
  return message as ChildMessage
}
