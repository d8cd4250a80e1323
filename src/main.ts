import { readFileSync } from 'node:fs'
import { once } from 'node:events'
import type http from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Knex } from 'knex'
import { createChannels, type LiveChannels } from './channels.ts'
import { configStamp, loadConfig, watchConfig, type GatewayConfig } from './config/load.ts'
import type { Context } from './context.ts'
import type { Log } from './core/provider.ts'
import { createWebhookPoster } from './egress/merchant-endpoint.ts'
import { createGatewayServer, type GatewayServer } from './http/server.ts'
import type { Limits } from './http/rate-limits.ts'
import type { TokenShelf } from './identity/access-token.ts'
import { createLaunches, type LaunchOptions } from './identity/mini-program-launch.ts'
import { createOpenids } from './identity/wechat-openid.ts'
import { createLog } from './log.ts'
import { createMerchants, type LiveMerchants } from './merchants.ts'
import { createMetrics } from './metrics.ts'
import { registry } from './providers/registry.ts'
import { createTransport } from './providers/transport.ts'
import {
  accessToken,
  claimAccessToken,
  keepAccessToken,
  releaseAccessToken,
  spoilAccessToken,
} from './store/access-tokens.ts'
import { connect, isConnectionLost } from './store/connect.ts'
import { exhaustQuota, takeQuota } from './store/launches.ts'
import { assertMigrated, migrate } from './store/migrate.ts'
import { preflight } from './store/preflight.ts'
import { createWorker, type Worker } from './worker/loop.ts'

export type GatewayOptions = {
  readonly configPath: string
  readonly env?: NodeJS.ProcessEnv
  /** false: nothing listens (a command that only needs the flows). */
  readonly listen?: boolean
  /** false: this process answers requests and leaves the chores to others. */
  readonly worker?: boolean
  readonly log?: Log
  readonly limits?: Partial<Limits>
  /** Deadline of provider calls that change something, milliseconds. */
  readonly providerDeadlineMs?: number
  /** How long a claimed row belongs to this process, milliseconds; see Context. */
  readonly leaseMs?: number
  readonly now?: () => number
  readonly random?: () => number
  readonly crash?: (place: string) => void
}

export type Gateway = {
  readonly url: string
  readonly privateUrl: string
  readonly context: Context
  readonly worker: Worker
  /** Stops in the order of reliability.md 5.12 and resolves when everything has ended. */
  close(): Promise<void>
}

/** The longest a stopping process waits for what is in work before it leaves it to the leases. */
const stopWithin_ms = 25_000
const drain_ms = 5000
const retakeAfter_ms = 1000
const heartbeatMax_ms = 60_000

/**
 * Wires everything and starts it. The only function that knows every folder.
 * @throws ConfigError with every fault of the configuration; Error when the database is not fit or a port is taken
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const env = options.env ?? process.env
  const log = options.log ?? createLog()
  // Taken before the first reading, so that an edit made while we start is seen as one.
  const stamp = configStamp(options.configPath)
  const config = await loadConfig(options.configPath, env)
  for (const warning of config.warnings) log.warn(`${warning.pointer} ${warning.detail}`)
  const db = connect(config.database)
  const transport = createTransport()
  const poster = createWebhookPoster({ now: options.now ?? Date.now })
  const merchants = createMerchants()
  const listening: http.Server[] = []
  const closers: (() => Promise<void> | void)[] = [() => db.destroy(), () => transport.close(), () => poster.close()]
  try {
    await prepareDatabase(db, config, log)
    const now = options.now ?? Date.now
    const { publicUrl, timeScale, notifySecret, baseFolder } = config
    const tools = { transport, log, now }
    const channels = createChannels({ ...tools, db, registry, timeScale, publicUrl, notifySecret, baseFolder })
    closers.unshift(() => channels.close())
    await takeOver(config, channels, merchants)

    const metrics = createMetrics()
    const ready = { started: false, stopping: false }
    let worker: Worker | undefined
    const context: Context = {
      db,
      channels,
      merchants,
      now,
      random: options.random ?? Math.random,
      log,
      publicUrl,
      timeScale,
      postWebhook: poster.post,
      openids: createOpenids(wechatAppsOf(config), transport, log),
      launches: launchesOf(config, db, tools),
      cashier: config.cashier,
      metrics,
      poke: () => worker?.poke(),
      providerDeadlineMs: options.providerDeadlineMs ?? 10_000,
      ...(options.leaseMs === undefined ? {} : { leaseMs: options.leaseMs }),
      ...(options.crash === undefined ? {} : { crash: options.crash }),
    }
    worker = createWorker(context, { tickMs: timeScale > 1 ? 50 : 250 })
    const working = options.worker !== false
    const server = createGatewayServer(context, {
      trustProxy: config.listen.trustProxy,
      version: ownVersion(),
      health: { checks: () => checks(ready, working ? worker : undefined, now()), metrics },
      ...(options.limits === undefined ? {} : { limits: options.limits }),
    })
    closers.unshift(() => server.stop())
    const addresses = options.listen === false ? nowhere : await openDoors(config, server, listening)
    const takeovers = inTurn(channels, merchants, log)
    const stopWatching = watchConfig(
      options.configPath,
      (next) => takeovers.add(next),
      (error) =>
        log.error('configuration not taken over; the one before stays in force', { operation: 'reload', error }),
      env,
      stamp,
    )
    server.public.prependListener('request', (_request, response) => {
      // A busy kept-alive connection would hold a stopping process to its limit.
      if (ready.stopping) response.setHeader('Connection', 'close')
    })
    if (working) worker.start()
    ready.started = true
    const close = stopper({ config, ready, stopWatching, worker, listening, closers })
    return { ...addresses, context, worker, close }
  } catch (error) {
    await Promise.all(listening.map(stopListening))
    for (const closer of closers) await closer()
    throw error
  }
}

const nowhere = { url: '', privateUrl: '' }

async function openDoors(config: GatewayConfig, server: GatewayServer, listening: http.Server[]) {
  const { host, port, privateHost, privatePort } = config.listen
  const url = await listen(server.public, host, port, 'listen.port')
  listening.push(server.public)
  const privateUrl = await listen(server.private, privateHost, privatePort, 'listen.privatePort')
  listening.push(server.private)
  return { url, privateUrl }
}

type Running = {
  readonly config: GatewayConfig
  readonly ready: { stopping: boolean }
  readonly stopWatching: () => void
  readonly worker: Worker
  readonly listening: readonly http.Server[]
  readonly closers: readonly (() => Promise<void> | void)[]
}

/** Not ready, no new work, let what is under way finish, then close what it needed (reliability.md 5.12). */
function stopper(running: Running): () => Promise<void> {
  const { config, ready, stopWatching, worker, listening, closers } = running
  return onlyOnce(async () => {
    ready.stopping = true
    stopWatching()
    // Load balancers need a moment to see that we are not ready; nobody balances a sandbox.
    if (!config.sandbox) await sleep(drain_ms)
    const stopped = worker.stop()
    await Promise.all(listening.map(stopListening))
    await Promise.race([stopped, sleep(stopWithin_ms, undefined, { ref: false })])
    for (const closer of closers) await closer()
  })
}

/** A sandbox migrates itself; anywhere else a person runs the migration and the gateway refuses to run behind the schema. */
async function prepareDatabase(db: Knex, config: GatewayConfig, log: Log): Promise<void> {
  if (config.sandbox) await migrate(db)
  else await assertMigrated(db)
  const faults = await preflight(db, !config.sandbox)
  if (faults.length === 0) return
  if (!config.sandbox) throw new Error(`the database is not fit for money:\n${faults.join('\n')}`)
  for (const fault of faults) log.warn(fault)
}

/** Channels first: they can fail, and then the merchants stay as they were too. */
async function takeOver(config: GatewayConfig, channels: LiveChannels, merchants: LiveMerchants): Promise<void> {
  await channels.apply(config.channels)
  merchants.apply(config.merchants)
}

/**
 * Takes configurations over one after the other, the newest last: a slow one must not overtake the one that replaced it.
 * One that fails for now (a database that is away) is tried again until a newer one has come.
 */
function inTurn(channels: LiveChannels, merchants: LiveMerchants, log: Log): { add(next: GatewayConfig): void } {
  let wanted: GatewayConfig | undefined
  let busy = false
  const work = async (): Promise<void> => {
    busy = true
    while (wanted !== undefined) {
      const next: GatewayConfig = wanted
      wanted = undefined
      try {
        await takeOver(next, channels, merchants)
        log.info('configuration taken over', { operation: 'reload' })
      } catch (error) {
        log.error('configuration not taken over; the one before stays in force', { operation: 'reload', error })
        await sleep(retakeAfter_ms, undefined, { ref: false })
        wanted ??= isConnectionLost(error) ? next : undefined
      }
    }
    busy = false
  }
  return {
    add(next) {
      wanted = next
      if (!busy) void work()
    },
  }
}

function wechatAppsOf(config: GatewayConfig) {
  return Object.fromEntries(
    Object.entries(config.wechatApps).map(([appid, app]) => [
      appid,
      { ...app, baseUrl: app.baseUrl ?? 'https://api.weixin.qq.com' },
    ]),
  )
}

function launchesOf(config: GatewayConfig, db: Knex, tools: Pick<LaunchOptions, 'transport' | 'log' | 'now'>) {
  return createLaunches({
    ...tools,
    apps: wechatAppsOf(config),
    shelf: tokenShelf(db),
    quota: { take: (...day) => takeQuota(db, ...day), exhaust: (...day) => exhaustQuota(db, ...day) },
    secret: config.notifySecret,
  })
}

/** Where the processes over one database share WeChat's access tokens. */
function tokenShelf(db: Knex): TokenShelf {
  return {
    async read(appid) {
      const row = await accessToken(db, appid)
      if (row === undefined) return undefined
      return { sealed: row.sealed_token, expiresAt: row.expires_at, refreshedAt: row.refreshed_at }
    },
    claim: (...claim) => claimAccessToken(db, ...claim),
    keep: (...token) => keepAccessToken(db, ...token),
    release: (...lease) => releaseAccessToken(db, ...lease),
    spoil: (...token) => spoilAccessToken(db, ...token),
  }
}

function checks(ready: { started: boolean; stopping: boolean }, worker: Worker | undefined, now: number) {
  return [
    { name: 'started', ok: ready.started && !ready.stopping },
    ...(worker === undefined ? [] : [{ name: 'worker', ok: now - worker.heartbeat() < heartbeatMax_ms }]),
  ]
}

async function listen(server: http.Server, host: string, port: number, setting: string): Promise<string> {
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (error) {
    const taken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
    if (!taken) throw error
    throw new Error(
      `${host}:${String(port)} is in use: stop the other program, or change ${setting} in the configuration`,
      { cause: error },
    )
  }
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return `http://${host.includes(':') ? `[${host}]` : host}:${String(address.port)}`
}

/** Takes no new connection and lets the requests under way finish, as long as a provider call may take. */
async function stopListening(server: http.Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  // A kept-alive connection becomes idle only after its last answer, and would hold the server open until it times out.
  const sweeping = setInterval(() => server.closeIdleConnections(), 100)
  await Promise.race([closed, sleep(stopWithin_ms, undefined, { ref: false })])
  clearInterval(sweeping)
  server.closeAllConnections()
}

function onlyOnce(action: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined
  return () => (running ??= action())
}

/** From source the package file is one folder up, compiled it is two. */
function ownVersion(): string {
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const read = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as { version?: string }
      if (read.version !== undefined) return read.version
    } catch {
      // The other place is tried next.
    }
  }
  return 'unknown'
}
