import { readFileSync } from 'node:fs'
import { once } from 'node:events'
import type http from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Knex } from 'knex'
import { createChannels, type LiveChannels } from './channels.ts'
import { loadConfig, watchConfig, type GatewayConfig } from './config/load.ts'
import type { Context } from './context.ts'
import type { Log } from './core/provider.ts'
import { createWebhookPoster } from './egress/merchant-endpoint.ts'
import { createGatewayServer } from './http/server.ts'
import type { Limits } from './http/rate-limits.ts'
import { createOpenids } from './identity/wechat-openid.ts'
import { createLog } from './log.ts'
import { createMerchants, type LiveMerchants } from './merchants.ts'
import { createMetrics } from './metrics.ts'
import { registry } from './providers/registry.ts'
import { createTransport } from './providers/transport.ts'
import { connect } from './store/connect.ts'
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
const heartbeatMax_ms = 60_000

/**
 * Wires everything and starts it. The only function that knows every folder.
 * @throws ConfigError with every fault of the configuration; Error when the database is not fit or a port is taken
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const env = options.env ?? process.env
  const log = options.log ?? createLog()
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
    const channels = createChannels({
      db,
      registry,
      transport,
      now,
      log,
      timeScale,
      publicUrl,
      notifySecret,
      baseFolder,
    })
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
    const addresses = { url: '', privateUrl: '' }
    if (options.listen !== false) {
      addresses.url = await listen(server.public, config.listen.host, config.listen.port, 'listen.port')
      listening.push(server.public)
      addresses.privateUrl = await listen(
        server.private,
        config.listen.privateHost,
        config.listen.privatePort,
        'listen.privatePort',
      )
      listening.push(server.private)
    }
    const stopWatching = watchConfig(
      options.configPath,
      (next) => {
        takeOver(next, channels, merchants).then(
          () => log.info('configuration taken over'),
          (error: unknown) => log.error('configuration not taken over; the one before stays in force', { error }),
        )
      },
      (error) => log.error('configuration not taken over; the one before stays in force', { error }),
      env,
    )
    if (working) worker.start()
    ready.started = true
    const started = worker
    const close = onlyOnce(async () => {
      ready.stopping = true
      stopWatching()
      // Load balancers need a moment to see that we are not ready; nobody balances a sandbox.
      if (!config.sandbox) await sleep(drain_ms)
      const stopped = started.stop()
      await Promise.all(listening.map(stopListening))
      await Promise.race([stopped, sleep(stopWithin_ms, undefined, { ref: false })])
      for (const closer of closers) await closer()
    })
    return { ...addresses, context, worker: started, close }
  } catch (error) {
    await Promise.all(listening.map(stopListening))
    for (const closer of closers) await closer()
    throw error
  }
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

function wechatAppsOf(config: GatewayConfig) {
  return Object.fromEntries(
    Object.entries(config.wechatApps).map(([appid, app]) => [
      appid,
      { secret: app.secret, baseUrl: app.baseUrl ?? 'https://api.weixin.qq.com' },
    ]),
  )
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
