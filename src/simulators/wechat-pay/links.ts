import { randomBytes } from 'node:crypto'
import type { SimHandler, SimRequest, SimResponse } from '../http.ts'
import { jsonResponse } from '../http.ts'
import { refusal, type AccessTokens } from './access-tokens.ts'
import { expiredLinkPage, linkPage } from './link-page.ts'
import type { World } from './world.ts'

/** What `links` at the control door can change: how WeChat treats this mini-program (wechatpay.md 5.3). */
export type LinkRules = {
  /** How many links may still be made today; 45009 once it is used up. */
  dailyLeft: number
  /** How many long-lived ones (the older rule); 85400 once it is used up. */
  longLeft: number
  /** How many calls per second; 44990 above. */
  perSecond: number
  permission: 'granted' | 'personal' | 'banned' | 'unpublished'
  /** Pages of the published version; others are a bad path (40165). */
  pages: readonly string[]
  /** Where links lead to in a browser: the fake WeChat's mini-program page; empty while there is none. */
  playerUrl: string
}

export type Link = {
  ticket: string
  kind: 'url_link' | 'scheme'
  appid: string
  path: string
  query: string
  envVersion: string
  createdAt: number
  /** undefined: no expiry, only where the older rule allowed it. */
  expiresAt: number | undefined
  opened: number
}

export type Links = {
  handle: SimHandler
  rules: LinkRules
  /** Every link made, newest last. */
  all(): readonly Link[]
  /** A link that can still be opened; counts the opening. */
  open(ticket: string): Link | undefined
}

const DAY_MS = 24 * 3600_000
const LONGEST_MS = 30 * DAY_MS
const QUERY_LIMIT = 1024
/** The characters a query may have (experience.md 4.2). */
const QUERY_SHAPE = /^[A-Za-z0-9!#$&'()*+,/:;=?@\-._~%]*$/
const PATH_SHAPE = /^\/?[A-Za-z0-9_\-/]+$/
const VERSIONS = ['release', 'trial', 'develop']

type Json = Record<string, unknown>

const objectIn = (value: unknown): Json | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined

function parse(body: Buffer): Json | undefined {
  try {
    return objectIn(JSON.parse(body.toString('utf8')))
  } catch {
    return undefined
  }
}

/** Members nobody documented are refused: stricter than WeChat (design.md 14). */
const strange = (body: Json, known: readonly string[]): string | undefined =>
  Object.keys(body).find((name) => !known.includes(name))

/** The page a link opens, or the refusal. */
function targetOf(rules: LinkRules, body: Json): { path: string; query: string; envVersion: string } | SimResponse {
  const { path = '', query = '', env_version: envVersion = 'release' } = body
  if (typeof path !== 'string' || (path !== '' && !PATH_SHAPE.test(path)))
    return refusal(40165, 'invalid weapp pagepath')
  if (path !== '' && !rules.pages.includes(path.replace(/^\//, ''))) return refusal(40165, 'invalid weapp pagepath')
  if (typeof query !== 'string' || Buffer.byteLength(query) > QUERY_LIMIT || !QUERY_SHAPE.test(query))
    return refusal(40212, 'invalid query')
  if (typeof envVersion !== 'string' || !VERSIONS.includes(envVersion)) return refusal(40097, 'invalid args')
  return { path, query, envVersion }
}

/** When a link ends, in milliseconds; at most thirty days ahead (wechatpay.md 5.3). */
function expiryOf(world: World, body: Json): { at: number | undefined } | SimResponse {
  const { is_expire: isExpire, expire_type: type = 0, expire_time: time, expire_interval: interval } = body
  const bad = (): SimResponse => refusal(85401, 'invalid expire')
  const now = world.clock.now()
  if (isExpire !== undefined && typeof isExpire !== 'boolean') return bad()
  if (type === 1) {
    if (typeof interval !== 'number' || !Number.isInteger(interval) || interval < 1 || interval > 30) return bad()
    return { at: now + world.clock.shrink(interval * DAY_MS) }
  }
  if (type !== 0) return bad()
  if (time === undefined) return isExpire === true ? bad() : { at: undefined }
  if (typeof time !== 'number' || !Number.isInteger(time)) return bad()
  return time * 1000 <= now || time * 1000 > now + LONGEST_MS ? bad() : { at: time * 1000 }
}

/** Refuses what the mini-program may not do at all, and what it did too often. */
function gate(world: World, rules: LinkRules, recent: number[]): SimResponse | undefined {
  const { miniProgram } = world.credentials
  if (rules.permission === 'banned') return refusal(40013, `invalid appid ${miniProgram.appid}`)
  if (rules.permission === 'personal') return refusal(40002, 'no permission')
  if (rules.permission === 'unpublished') return refusal(85079, 'miniprogram has no online release')
  const now = world.clock.now()
  while (recent.length > 0 && now - (recent[0] ?? now) >= 1000) recent.shift()
  if (recent.length >= rules.perSecond) return refusal(44990, 'reach max api minute or second frequence limit')
  recent.push(now)
  return rules.dailyLeft <= 0 ? refusal(45009, 'reach max api daily quota limit') : undefined
}

/** What WeChat tells about a link; openings do not count here. */
function describe(links: ReadonlyMap<string, Link>, request: SimRequest, body: Json): SimResponse {
  const text = request.path === '/wxa/queryscheme' ? body['scheme'] : body['url_link']
  const ticket = typeof text === 'string' ? /[=/]([A-Za-z0-9]+)$/.exec(text)?.[1] : undefined
  const link = links.get(ticket ?? '')
  if (link === undefined) return refusal(85403, 'link not exist')
  const info = {
    appid: link.appid,
    path: link.path,
    query: link.query,
    create_time: Math.floor(link.createdAt / 1000),
    expire_time: link.expiresAt === undefined ? 0 : Math.floor(link.expiresAt / 1000),
    env_version: link.envVersion,
  }
  const name = request.path === '/wxa/queryscheme' ? 'scheme_info' : 'url_link_info'
  return jsonResponse(200, { errcode: 0, errmsg: 'ok', [name]: info })
}

const usualRules = (): LinkRules => ({
  dailyLeft: 500_000,
  longLeft: 100_000,
  perSecond: 100,
  permission: 'granted',
  pages: ['pages/pay/pay', 'pages/index/index'],
  playerUrl: '',
})

const COMMON = ['expire_type', 'expire_time', 'expire_interval']

/** URL Links and encrypted schemes of api.weixin.qq.com, and the https page a link opens (wechatpay.md 5.3). */
export function createLinks(world: World, tokens: AccessTokens): Links {
  const links = new Map<string, Link>()
  const recent: number[] = []
  const rules = usualRules()

  function make(kind: Link['kind'], body: Json, target: Json, appid: string): Link | SimResponse {
    const page = targetOf(rules, target)
    if ('status' in page) return page
    const expiry = expiryOf(world, body)
    if ('status' in expiry) return expiry
    if (expiry.at === undefined && rules.longLeft <= 0) return refusal(85400, 'long term link over limit')
    if (expiry.at === undefined) rules.longLeft -= 1
    rules.dailyLeft -= 1
    const ticket = randomBytes(8).toString('base64url').replaceAll(/[-_]/g, 'z')
    const link: Link = { ticket, kind, appid, ...page, createdAt: world.clock.now(), expiresAt: expiry.at, opened: 0 }
    links.set(ticket, link)
    return link
  }
  function generate(request: SimRequest, body: Json, appid: string): SimResponse {
    const isScheme = request.path === '/wxa/generatescheme'
    const known = isScheme
      ? ['jump_wxa', 'is_expire', ...COMMON]
      : ['path', 'query', 'env_version', 'is_expire', 'cloud_base', ...COMMON]
    const refused = gate(world, rules, recent)
    if (refused) return refused
    if (strange(body, known) !== undefined) return refusal(40097, `invalid args: ${strange(body, known) ?? ''}`)
    const target = isScheme ? objectIn(body['jump_wxa'] ?? {}) : body
    if (target === undefined) return refusal(40097, 'invalid args')
    const link = make(isScheme ? 'scheme' : 'url_link', body, target, appid)
    if ('status' in link) return link
    // The real host is wxaurl.cn; here the simulator itself answers, under the address it was called by.
    const host = request.headers['host'] ?? '127.0.0.1'
    return isScheme
      ? jsonResponse(200, { errcode: 0, errmsg: 'ok', openlink: `weixin://dl/business/?t=${link.ticket}` })
      : jsonResponse(200, { errcode: 0, errmsg: 'ok', url_link: `http://${host}/wxaurl/${link.ticket}` })
  }
  const open = (ticket: string): Link | undefined => {
    const link = links.get(ticket)
    if (link === undefined || (link.expiresAt !== undefined && world.clock.now() >= link.expiresAt)) return undefined
    link.opened += 1
    return link
  }

  return {
    rules,
    all: () => [...links.values()],
    open,
    handle(request) {
      const ticket = /^\/wxaurl\/([A-Za-z0-9]+)$/.exec(request.path)?.[1]
      if (ticket !== undefined && request.method === 'GET') {
        const link = open(ticket)
        return link === undefined ? expiredLinkPage() : linkPage(link, rules.playerUrl)
      }
      const makes = request.path === '/wxa/generatescheme' || request.path === '/wxa/generate_urllink'
      const asks = request.path === '/wxa/queryscheme' || request.path === '/wxa/query_urllink'
      if (!makes && !asks) return undefined
      if (request.method !== 'POST') return refusal(43002, 'require POST method')
      const checked = tokens.check(new URLSearchParams(request.query).get('access_token'))
      if ('refusal' in checked) return checked.refusal
      // Only a mini-program has links; an official account's token opens none of these.
      if (checked.appid !== world.credentials.miniProgram.appid) return refusal(48001, 'api unauthorized')
      const body = parse(request.body)
      if (body === undefined) return refusal(47001, 'data format error')
      return makes ? generate(request, body, checked.appid) : describe(links, request, body)
    },
  }
}
