import type { IncomingHttpHeaders } from 'node:http'
import type { SimRequest, SimResponse } from '../http.ts'
import type { Person } from './people.ts'

/** WeChat on an Android phone, as its own browser names itself. */
export const PHONE_AGENT =
  'Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/UQ1A) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.0.0 Mobile Safari/537.36 XWEB/1260117 MMWEBSDK/20240501 MicroMessenger/8.0.55.2780(0x28003755) WeChat/arm64 Weixin NetType/WIFI Language/zh_CN ABI/arm64'

/** Belong to one connection and not to the message (RFC 9110 7.6.1), or are made anew here. */
const NOT_FORWARDED = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'host',
  'content-length',
  // The page must come uncompressed, for a line is put into it.
  'accept-encoding',
  'user-agent',
  'expect',
])
const NOT_RETURNED = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'content-encoding'])

export type ProxyParts = { gatewayUrl: string; browserUrl: string }

const originOf = (url: string): string => new URL(url).origin

/** The same address at another origin; anything that does not begin there stays. */
function moved(text: string, from: string, to: string): string {
  return text === from || text.startsWith(`${from}/`) || text.startsWith(`${from}?`)
    ? to + text.slice(from.length)
    : text
}

/** What the gateway gets: the page of its own origin, looked at by WeChat on a phone. */
export function forwardHeaders(
  headers: SimRequest['headers'] | IncomingHttpHeaders,
  { gatewayUrl, browserUrl }: ProxyParts,
  agent: string,
): Record<string, string> {
  const result: Record<string, string> = { 'user-agent': agent }
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== 'string' || NOT_FORWARDED.has(name)) continue
    const isPlace = name === 'origin' || name === 'referer'
    result[name] = isPlace ? moved(value, originOf(browserUrl), originOf(gatewayUrl)) : value
  }
  return result
}

/**
 * A redirect inside the fake browser: the gateway's pages are here, and WeChat's authorisation page sends the payer back
 * here. Other places, such as the merchant's page, stay what they are.
 */
export function moveLocation(location: string, { gatewayUrl, browserUrl }: ProxyParts, person: Person): string {
  const [gateway, here] = [originOf(gatewayUrl), originOf(browserUrl)]
  if (!/^https?:/i.test(location) || !URL.canParse(location)) return location
  const url = new URL(location)
  if (url.pathname.endsWith('/connect/oauth2/authorize')) {
    // Setting keeps the order of parameters, which WeChat checks by pattern (wechatpay.md 5.1).
    url.searchParams.set('redirect_uri', moved(url.searchParams.get('redirect_uri') ?? '', gateway, here))
    url.searchParams.set('sim_openid', person.officialAccount)
    return url.href
  }
  return moved(location, gateway, here)
}

const INJECTED = '<link rel="stylesheet" href="/__wechat/bridge.css"><script src="/__wechat/bridge.js"></script>'

/** Puts WeChat's bridge into a page, in front of the page's own scripts. */
export function injectBridge(page: string): string {
  const head = /<head[^>]*>/i.exec(page)
  if (head === null) return INJECTED + page
  const at = head.index + head[0].length
  return page.slice(0, at) + INJECTED + page.slice(at)
}

/** Asks the gateway in place of the fake browser. */
export async function forward(
  request: SimRequest,
  parts: ProxyParts & { person: Person; agent?: string },
): Promise<SimResponse> {
  const { method, body } = request
  const response = await fetch(originOf(parts.gatewayUrl) + request.target, {
    method,
    headers: forwardHeaders(request.headers, parts, parts.agent ?? PHONE_AGENT),
    redirect: 'manual',
    ...(method === 'GET' || method === 'HEAD' ? {} : { body: new Uint8Array(body) }),
  })
  const headers: Record<string, string> = {}
  for (const [name, value] of response.headers)
    if (!NOT_RETURNED.has(name) && name !== 'set-cookie') headers[name] = value
  const location = response.headers.get('location')
  if (location !== null) headers['location'] = moveLocation(location, parts, parts.person)
  const cookies = response.headers.getSetCookie()
  const bytes = Buffer.from(await response.arrayBuffer())
  const isPage = /^text\/html\b/i.test(response.headers.get('content-type') ?? '')
  const content = isPage && bytes.length > 0 ? injectBridge(bytes.toString('utf8')) : bytes
  return { status: response.status, headers, body: content, ...(cookies.length === 0 ? {} : { cookies }) }
}
