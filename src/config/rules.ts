import type { Method } from '../core/provider.ts'
import { pointerTo, type Fault } from './fault.ts'
import type { ConfigFile } from './schema.ts'
import { literalSecrets } from './secrets.ts'

/** What must hold between the parts of a configuration (design.md 11 and 20). Returns faults, never throws. */

type Route = ConfigFile['merchants'][string]['routes'][number]
type Channel = ConfigFile['channels'][string]

/** Every channel is a sandbox: nothing here is money. */
export function isSandbox(config: ConfigFile): boolean {
  return Object.values(config.channels).every((channel) => channel.sandbox)
}

export function ruleFaults(config: ConfigFile, production: boolean): readonly Fault[] {
  return [
    ...publicUrlFaults(config),
    ...timeScaleFaults(config, production),
    ...Object.entries(config.wechatApps).flatMap(([appid, app]) =>
      (['baseUrl', 'authorizeUrl'] as const).flatMap((key) =>
        sandboxUrlFaults(app[key], isSandbox(config), pointerTo('wechatApps', appid, key)),
      ),
    ),
    ...Object.entries(config.channels).flatMap(([id, channel]) => [
      ...sandboxUrlFaults(
        channel.settings['baseUrl'],
        channel.sandbox,
        pointerTo('channels', id, 'settings', 'baseUrl'),
      ),
      ...literalSecrets(channel.settings, ['channels', id, 'settings']),
    ]),
    ...Object.keys(config.merchants).flatMap((id) => merchantFaults(config, id)),
  ]
}

/** http is for this machine only (design.md 20.7). */
export function isLoopback(url: URL): boolean {
  return url.hostname === 'localhost' || url.hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(url.hostname)
}

function publicUrlFaults(config: ConfigFile): readonly Fault[] {
  const pointer = '/publicUrl'
  if (!URL.canParse(config.publicUrl)) return [{ pointer, detail: 'must be a URL, such as https://pay.example.com' }]
  const url = new URL(config.publicUrl)
  const faults: Fault[] = []
  if (url.protocol !== 'https:' && !(isSandbox(config) && isLoopback(url))) {
    faults.push({ pointer, detail: 'must be https; http is for loopback with nothing but sandbox channels' })
  }
  if (/[?#]/.test(config.publicUrl))
    faults.push({
      pointer,
      detail: 'must have no query and no fragment: the providers refuse notification URLs with one',
    })
  if (url.username !== '' || url.password !== '')
    faults.push({ pointer, detail: 'must not contain a user or a password' })
  const port = Number.parseInt(url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port, 10)
  const huifu = Object.values(config.channels).some(({ provider }) => provider.startsWith('huifu'))
  if (huifu && port !== 443 && port !== 80 && (port < 8000 || port > 9005)) {
    faults.push({
      pointer,
      detail: 'Huifu sends notifications to ports 80, 443 and 8000 to 9005 only: choose one of these',
    })
  }
  return faults
}

function timeScaleFaults(config: ConfigFile, production: boolean): readonly Fault[] {
  if (config.timeScale === 1) return []
  if (production) return [{ pointer: '/timeScale', detail: 'must be 1 in production: leave it out' }]
  return isSandbox(config) ? [] : [{ pointer: '/timeScale', detail: 'must be 1 unless every channel is a sandbox' }]
}

function sandboxUrlFaults(value: unknown, sandbox: boolean, pointer: string): readonly Fault[] {
  if (value === undefined) return []
  if (!sandbox)
    return [
      {
        pointer,
        detail: 'only a sandbox may have a base URL of its own: remove it, or mark the channel "sandbox": true',
      },
    ]
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined
  if (url === undefined) return [{ pointer, detail: 'must be a URL' }]
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url))
    ? []
    : [{ pointer, detail: 'http is allowed to loopback only: use https' }]
}

function merchantFaults(config: ConfigFile, merchantId: string): readonly Fault[] {
  const merchant = config.merchants[merchantId]
  if (merchant === undefined) return []
  const at = (...path: PropertyKey[]) => pointerTo('merchants', merchantId, ...path)
  const faults: Fault[] = []
  for (const [index, endpoint] of merchant.endpoints.entries()) {
    const url = URL.canParse(endpoint.url) ? new URL(endpoint.url) : undefined
    if (url === undefined) faults.push({ pointer: at('endpoints', index, 'url'), detail: 'must be a URL' })
    else if (url.protocol !== 'https:' && !(merchant.sandbox && isLoopback(url))) {
      faults.push({
        pointer: at('endpoints', index, 'url'),
        detail: 'must be https; http is for loopback endpoints of a sandbox merchant',
      })
    }
  }
  faults.push(
    ...repeated(merchant.endpoints).map((index) => ({
      pointer: at('endpoints', index, 'id'),
      detail: 'another endpoint has this id',
    })),
  )
  faults.push(
    ...repeated(merchant.apiKeys).map((index) => ({
      pointer: at('apiKeys', index, 'id'),
      detail: 'another key has this id',
    })),
  )
  for (const [index, route] of merchant.routes.entries()) {
    faults.push(...routeFaults(config, route, merchant.sandbox, (...path) => at('routes', index, ...path)))
  }
  return faults
}

function repeated(items: readonly { readonly id: string }[]): readonly number[] {
  return items.flatMap((item, index) => (items.findIndex(({ id }) => id === item.id) < index ? [index] : []))
}

function routeFaults(
  config: ConfigFile,
  route: Route,
  sandbox: boolean,
  at: (...path: PropertyKey[]) => string,
): readonly Fault[] {
  if ((route.channels === undefined) === (route.split === undefined)) {
    return [{ pointer: at(), detail: 'a route has either "channels" or "split": give exactly one' }]
  }
  const faults: Fault[] = []
  if (route.minAmount !== undefined && route.maxAmount !== undefined && route.minAmount > route.maxAmount) {
    faults.push({ pointer: at('minAmount'), detail: 'must not be more than maxAmount: nothing would match' })
  }
  const shares = Object.values(route.split ?? {})
  if (route.split !== undefined && shares.reduce((sum, share) => sum + share, 0) !== 100) {
    faults.push({ pointer: at('split'), detail: 'the shares must add up to 100' })
  }
  const named: readonly (readonly [string, string])[] =
    route.channels?.map((id, index) => [id, at('channels', index)] as const) ??
    Object.keys(route.split ?? {}).map((id) => [id, at('split', id)] as const)
  for (const [id, pointer] of named) {
    const channel = config.channels[id]
    if (channel === undefined) faults.push({ pointer, detail: `there is no channel "${id}": define it under channels` })
    else if (channel.sandbox && !sandbox)
      faults.push({
        pointer,
        detail: 'a sandbox channel would give goods away for play money: only a sandbox merchant may use it',
      })
    else if (route.method !== '*' && !offers(channel, route.method)) {
      faults.push({
        pointer,
        detail: `channel "${id}" does not offer ${route.method}: add it to the channel's methods`,
      })
    }
  }
  const channels = named.flatMap(([id]) => config.channels[id] ?? [])
  return [...faults, ...appidFaults(route, channels, at(route.split === undefined ? 'channels' : 'split'))]
}

function methodsOf(channel: Channel): Readonly<Record<string, unknown>> | undefined {
  const methods = channel.settings['methods']
  return typeof methods === 'object' && methods !== null ? (methods as Record<string, unknown>) : undefined
}

function offers(channel: Channel, method: Method): boolean {
  const methods = methodsOf(channel)
  return methods === undefined || methods[method] !== undefined
}

function appidOf(channel: Channel, method: Method): unknown {
  const settings = methodsOf(channel)?.[method]
  return typeof settings === 'object' && settings !== null && 'appid' in settings ? settings.appid : undefined
}

/** An openid belongs to its appid: the channels of one route must agree on it (design.md 20.13). */
function appidFaults(route: Route, channels: readonly Channel[], pointer: string): readonly Fault[] {
  const faults: Fault[] = []
  for (const method of ['wechat_jsapi', 'wechat_mini'] as const) {
    if (route.method !== '*' && route.method !== method) continue
    const offering = channels.filter((channel) => methodsOf(channel)?.[method] !== undefined)
    if (new Set(offering.map((channel) => appidOf(channel, method))).size > 1) {
      faults.push({
        pointer,
        detail: `the channels have different appids for ${method}, and an openid is worth nothing under another: use one appid, or separate routes`,
      })
    }
  }
  return faults
}
