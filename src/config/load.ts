import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { EventType } from '../core/event.ts'
import type { Route } from '../core/route.ts'
import { duplicateKeys } from './duplicate-keys.ts'
import { ConfigError, pointerTo, type Fault } from './fault.ts'
import { isSandbox, ruleFaults } from './rules.ts'
import { configSchema, type ConfigFile, type scopes } from './schema.ts'
import { isSecretKey, resolveReference, type Source } from './secrets.ts'

export { ConfigError, type Fault } from './fault.ts'
export { resolveSettings } from './secrets.ts'
export { configStamp, watchConfig } from './watch.ts'

export type ChannelConfig = {
  readonly id: string
  readonly provider: string
  readonly sandbox: boolean
  /** No part of the settings an attempt is made with: changing it makes no new version. */
  readonly appLaunch: 'miniprogram' | 'app_pay'
  /** As configured: secrets are references, see resolveSettings. This is what channel_settings keeps. */
  readonly settings: Readonly<Record<string, unknown>>
  /** SHA-256 of provider, sandbox mark and settings in canonical JSON: a new digest is a new version of the channel. */
  readonly settingsDigest: string
}

export type ApiKeyConfig = {
  readonly id: string
  readonly merchantId: string
  /** Lower-case hexadecimal. */
  readonly sha256: string
  readonly scopes: readonly (typeof scopes)[number][]
}

export type EndpointConfig = {
  readonly id: string
  readonly url: string
  /** `whsec_…` texts, newest first. */
  readonly secrets: readonly string[]
  readonly events: readonly (EventType | '*')[]
}

export type MerchantConfig = {
  readonly id: string
  readonly name: string
  readonly sandbox: boolean
  readonly apiKeys: readonly ApiKeyConfig[]
  readonly endpoints: readonly EndpointConfig[]
  readonly routes: readonly Route[]
  readonly latePayment: 'refund' | 'accept'
  readonly surplus: 'refund' | 'hold'
  readonly refunds: { readonly requireSignature: boolean }
}

export type WechatAppConfig = {
  readonly secret: string
  readonly baseUrl?: string
  readonly authorizeUrl?: string
  readonly userName?: string
  readonly path?: string
  readonly envVersion?: 'release' | 'trial' | 'develop'
  readonly launchMode?: 'url_link' | 'scheme' | 'plain_scheme'
}

export type GatewayConfig = {
  /** No trailing slash. */
  readonly publicUrl: string
  readonly listen: ConfigFile['listen']
  /** What store/connect.ts understands; SQLite paths are absolute. */
  readonly database: string
  readonly timeScale: number
  /** HMAC key of the notification path segments. */
  readonly notifySecret: string
  /** Every channel is a sandbox. */
  readonly sandbox: boolean
  readonly wechatApps: Readonly<Record<string, WechatAppConfig>>
  readonly cashier: ConfigFile['cashier']
  readonly channels: Readonly<Record<string, ChannelConfig>>
  readonly merchants: Readonly<Record<string, MerchantConfig>>
  readonly consoleUsers: readonly {
    readonly name: string
    readonly role: 'viewer' | 'finance' | 'operator'
    readonly scrypt: string
  }[]
  /** The configuration file's folder: what `file:` references are relative to. */
  readonly baseFolder: string
  /** Things an operator should hear about although a sandbox starts with them. */
  readonly warnings: readonly Fault[]
}

/**
 * Reads and checks the whole configuration: shape, rules between its parts, and that every reference leads somewhere.
 * @param path of the JSON file
 * @param env where `env:` references look; DATABASE_URL there overrides the file's database
 * @throws ConfigError with all faults, each with its JSON pointer
 */
export async function loadConfig(path: string, env: NodeJS.ProcessEnv = process.env): Promise<GatewayConfig> {
  const file = parse(await read(path))
  const production = env['NODE_ENV'] === 'production'
  const faults: Fault[] = [...ruleFaults(file, production)]
  const warnings: Fault[] = []
  const sandbox = isSandbox(file)
  const source: Source = { baseFolder: dirname(resolve(path)), env }
  const secret: ReadSecret = (reference, pointer, fits) => {
    const resolved = resolveReference(reference, source, isSecretKey(pointer.slice(pointer.lastIndexOf('/') + 1)))
    if ('fault' in resolved) {
      faults.push({ pointer, detail: resolved.fault })
      return ''
    }
    if (resolved.warning !== undefined) (sandbox ? warnings : faults).push({ pointer, detail: resolved.warning })
    const wrong = fits?.(resolved.value)
    if (wrong !== undefined) faults.push({ pointer, detail: wrong })
    return resolved.value
  }
  const config: GatewayConfig = {
    publicUrl: file.publicUrl.replace(/\/+$/, ''),
    listen: file.listen,
    database: databaseOf(file, source, secret),
    timeScale: file.timeScale,
    notifySecret: secret(file.notifySecret, '/notifySecret', (value) =>
      value.length < 32 ? 'must have at least 32 characters: use a random one' : undefined,
    ),
    sandbox,
    wechatApps: mapEntries(file.wechatApps, (appid, app) => ({
      secret: secret(app.secret, pointerTo('wechatApps', appid, 'secret')),
      ...(app.baseUrl === undefined ? {} : { baseUrl: app.baseUrl }),
      ...(app.authorizeUrl === undefined ? {} : { authorizeUrl: app.authorizeUrl }),
      ...(app.userName === undefined ? {} : { userName: app.userName }),
      ...(app.path === undefined ? {} : { path: app.path }),
      ...(app.envVersion === undefined ? {} : { envVersion: app.envVersion }),
      ...(app.launchMode === undefined ? {} : { launchMode: app.launchMode }),
    })),
    cashier: file.cashier,
    channels: mapEntries(file.channels, (id, channel) => channelOf(id, channel, secret)),
    merchants: mapEntries(file.merchants, (id, merchant) => merchantOf(id, merchant, secret)),
    consoleUsers: (file.console?.users ?? []).map((user, index) => ({
      ...user,
      scrypt: secret(user.scrypt, pointerTo('console', 'users', index, 'scrypt')),
    })),
    baseFolder: source.baseFolder,
    warnings,
  }
  faults.push(...sharedKeyFaults(config))
  if (faults.length > 0) throw new ConfigError(faults)
  return config
}

/** Resolves one reference, noting what is wrong with it under the pointer; `fits` says what is wrong with its value. */
type ReadSecret = (reference: string, pointer: string, fits?: (value: string) => string | undefined) => string

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    throw new ConfigError([{ pointer: '', detail: `${path} cannot be read (${code}): GATEWAY_CONFIG names the file` }])
  }
}

function parse(text: string): ConfigFile {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    // The parser's own message quotes the file, and with it whatever stands there.
    const position = error instanceof Error ? /position (\d+)/.exec(error.message)?.[1] : undefined
    const line =
      position === undefined
        ? ''
        : ` near line ${String(text.slice(0, Number.parseInt(position, 10)).split('\n').length)}`
    throw new ConfigError([{ pointer: '', detail: `is not JSON${line}: no comments, no trailing commas` }])
  }
  const faults: Fault[] = duplicateKeys(text).map((pointer) => ({ pointer, detail: 'stands here twice: remove one' }))
  const parsed = configSchema.safeParse(value)
  if (!parsed.success) faults.push(...parsed.error.issues.flatMap(shapeFaults))
  if (!parsed.success || faults.length > 0) throw new ConfigError(faults)
  return parsed.data
}

type Issue = NonNullable<ReturnType<typeof configSchema.safeParse>['error']>['issues'][number]

function shapeFaults(issue: Issue): readonly Fault[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      pointer: pointerTo(...issue.path, key),
      detail: 'is not a known setting: correct the spelling or remove it',
    }))
  }
  const detail = issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message
  return [{ pointer: pointerTo(...issue.path), detail }]
}

function databaseOf(file: ConfigFile, source: Source, secret: ReadSecret): string {
  const override = source.env['DATABASE_URL']
  if (override !== undefined && override !== '') return override
  const url = file.database.startsWith('sqlite:') ? file.database : secret(file.database, '/database')
  const path = url.startsWith('sqlite:') ? url.slice('sqlite:'.length) : undefined
  return path === undefined || path === ':memory:' ? url : `sqlite:${resolve(source.baseFolder, path)}`
}

function channelOf(id: string, channel: ConfigFile['channels'][string], secret: ReadSecret): ChannelConfig {
  // Resolved here only to be checked: the settings stay as configured, so that what is stored holds no secret.
  const visit = (value: unknown, path: readonly PropertyKey[]): void => {
    if (typeof value === 'string' && /^(?:env|file):/.test(value))
      secret(value, pointerTo('channels', id, 'settings', ...path))
    else if (typeof value === 'object' && value !== null)
      for (const [key, item] of Object.entries(value)) visit(item, [...path, key])
  }
  visit(channel.settings, [])
  const settingsDigest = sha256(
    canonical({ provider: channel.provider, sandbox: channel.sandbox, settings: channel.settings }),
  )
  const { provider, sandbox, settings, app_launch: appLaunch } = channel
  return { id, provider, sandbox, appLaunch, settings, settingsDigest }
}

function merchantOf(id: string, merchant: ConfigFile['merchants'][string], secret: ReadSecret): MerchantConfig {
  const at = (...path: PropertyKey[]) => pointerTo('merchants', id, ...path)
  return {
    ...merchant,
    id,
    apiKeys: merchant.apiKeys.map((key, index) => ({
      id: key.id,
      merchantId: id,
      sha256: /^[0-9a-f]{64}$/.test(key.sha256)
        ? key.sha256
        : secret(key.sha256, at('apiKeys', index, 'sha256'), digestFault),
      scopes: key.scopes,
    })),
    endpoints: merchant.endpoints.map((endpoint, index) => ({
      ...endpoint,
      secrets: endpoint.secrets.map((reference, number) =>
        secret(reference, at('endpoints', index, 'secrets', number), webhookSecretFault),
      ),
    })),
    routes: merchant.routes.map(routeOf),
  }
}

/** Conditions that are not set are absent, not undefined. */
function routeOf({
  method,
  currency,
  minAmount,
  maxAmount,
  channels,
  split,
}: ConfigFile['merchants'][string]['routes'][number]): Route {
  return {
    method,
    ...(currency === undefined ? {} : { currency }),
    ...(minAmount === undefined ? {} : { minAmount }),
    ...(maxAmount === undefined ? {} : { maxAmount }),
    ...(channels === undefined ? {} : { channels }),
    ...(split === undefined ? {} : { split }),
  }
}

function digestFault(value: string): string | undefined {
  return /^[0-9a-f]{64}$/.test(value)
    ? undefined
    : 'must hold the SHA-256 of the key as 64 lower-case hexadecimal digits'
}

function webhookSecretFault(value: string): string | undefined {
  const base64 = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(value)?.[1]
  const length = base64 === undefined ? 0 : Buffer.from(base64, 'base64').length
  return length >= 24 && length <= 64 ? undefined : 'must hold whsec_ followed by the base64 of 24 to 64 random bytes'
}

/** One key must not open two merchants' doors. */
function sharedKeyFaults(config: GatewayConfig): readonly Fault[] {
  const seen = new Set<string>()
  const faults: Fault[] = []
  for (const merchant of Object.values(config.merchants)) {
    for (const [index, key] of merchant.apiKeys.entries()) {
      if (key.sha256 !== '' && seen.has(key.sha256)) {
        faults.push({
          pointer: pointerTo('merchants', merchant.id, 'apiKeys', index),
          detail: 'the same key stands in two places: make a new one',
        })
      }
      seen.add(key.sha256)
    }
  }
  return faults
}

function mapEntries<V, R>(
  record: Readonly<Record<string, V>>,
  change: (key: string, value: V) => R,
): Record<string, R> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(key, value)]))
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** JSON with sorted keys: the same settings give the same text however they were written down. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(',')}}`
}
