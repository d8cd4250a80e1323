import { fork, type ChildProcess } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FromGateway, ToGateway } from '../gateway-process.ts'
import type { ConfigJson, World } from '../harness.ts'
import { freePort } from '../../src/cli/ports.ts'

/** Gateway processes over the database, folder and simulators of a world. */

export type Child = {
  /** The world as seen through this process: `call(child.world, …)` speaks to its port. */
  readonly world: World
  readonly pid: number
  /** Starts the gateway in the loaded process. */
  start(): Promise<void>
  /** From now on the process kills itself when a flow passes this place; null disarms. */
  crashAt(place: string | null): void
  /** Resolves when the process has ended, however it did. */
  readonly ended: Promise<Ending>
  /** SIGTERM, then waits for the end. */
  stop(): Promise<Ending>
  /** SIGKILL, then waits for the end. */
  kill(): Promise<Ending>
}

export type Ending = { readonly code: number | null; readonly signal: NodeJS.Signals | null }

export type ChildOptions = {
  /** Reached under this port; the world's own unless given. */
  readonly port?: number
  readonly deadlineMs?: number
  readonly leaseMs?: number
}

const entry = resolve(import.meta.dirname, '../gateway-process.ts')

/** Loads a process that stands by for `start()`. */
export async function standby(world: World, options: ChildOptions = {}): Promise<Child> {
  const port = options.port ?? world.port
  const env = {
    ...process.env,
    CONFIG: await configFor(world, port),
    DATABASE_URL: world.database.url,
    ...(options.deadlineMs === undefined ? {} : { DEADLINE_MS: String(options.deadlineMs) }),
    ...(options.leaseMs === undefined ? {} : { LEASE_MS: String(options.leaseMs) }),
  }
  const child = fork(entry, [], { execArgv: ['--import', 'tsx'], env, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const ended = new Promise<Ending>((done) => child.once('exit', (code, signal) => done({ code, signal })))
  await said(child, ended, (message) => message === 'loaded')
  return {
    world: Object.create(world, { port: { value: port } }) as World,
    pid: child.pid ?? 0,
    ended,
    async start() {
      send(child, { start: true })
      await said(child, ended, (message) => typeof message === 'object' && 'url' in message)
    },
    crashAt: (place) => send(child, { crashAt: place }),
    stop() {
      child.kill('SIGTERM')
      return ended
    },
    kill() {
      child.kill('SIGKILL')
      return ended
    },
  }
}

/** A started gateway process. */
export async function spawnGateway(world: World, options: ChildOptions = {}): Promise<Child> {
  const child = await standby(world, options)
  await child.start()
  return child
}

function send(child: ChildProcess, message: ToGateway): void {
  if (child.connected) child.send(message)
}

async function said(
  child: ChildProcess,
  ended: Promise<Ending>,
  isIt: (message: FromGateway) => boolean,
): Promise<void> {
  let listener: ((message: FromGateway) => void) | undefined
  const heard = new Promise<void>((done, fail) => {
    listener = (message) => {
      if (isIt(message)) done()
      else if (typeof message === 'object' && 'failed' in message) fail(new Error(message.failed))
    }
    child.on('message', listener)
  })
  const gone = ended.then(({ code, signal }) => {
    throw new Error(`the gateway process ended early: ${String(code)} ${String(signal)}`)
  })
  try {
    await Promise.race([heard, gone, late()])
  } finally {
    if (listener !== undefined) child.off('message', listener)
    gone.catch(() => undefined)
  }
}

async function late(): Promise<never> {
  await sleep(60_000, undefined, { ref: false })
  throw new Error('the gateway process did not come up within a minute')
}

/** The world's configuration under other ports; notifications still go to the world's own port. */
async function configFor(world: World, port: number): Promise<string> {
  const config = JSON.parse(readFileSync(world.configPath, 'utf8')) as ConfigJson
  config.listen.port = port
  config.listen.privatePort = await freePort()
  const path = join(world.folder, `gateway-${String(port)}.json`)
  writeFileSync(path, JSON.stringify(config))
  return path
}
