import { jsonResponse, type SimHandler, type SimResponse } from '../http.ts'
import { parametersOf, wholeNumber } from '../parameters.ts'
import type { AccessTokens } from './access-tokens.ts'
import type { LinkRules, Links } from './links.ts'
import type { Login } from './login.ts'
import type { World } from './world.ts'

const PREFIX = '/_sim/wechat-pay/'

type Doors = { tokens: AccessTokens; links: Links; login: Login }
type Parameters = Record<string, string>
type Act = (world: World, doors: Doors, parameters: Parameters) => SimResponse

const no = (status: number, error: string): SimResponse => jsonResponse(status, { error })

const COUNTS = { daily_left: 'dailyLeft', long_left: 'longLeft', per_second: 'perSecond' } as const
const PERMISSIONS = ['granted', 'personal', 'banned', 'unpublished'] as const
const isPermission = (text: string): text is LinkRules['permission'] => PERMISSIONS.some((one) => one === text)
const isOn = (text: string | undefined): boolean => /^(?:1|on|true|yes)$/i.test(text ?? '')

/** How WeChat treats links from now on; nothing given: how it does. */
const links: Act = (_world, { links }, parameters) => {
  const { permission, pages } = parameters
  if (permission !== undefined && !isPermission(permission)) return no(400, `permission is ${PERMISSIONS.join(', ')}`)
  for (const [name, key] of Object.entries(COUNTS)) {
    const value = wholeNumber(parameters[name])
    if (Number.isNaN(value)) return no(400, `${name} is a whole number`)
    if (value !== undefined) links.rules[key] = value
  }
  if (permission !== undefined) links.rules.permission = permission
  if (pages !== undefined) links.rules.pages = pages.split(',')
  return jsonResponse(200, { rules: links.rules, links: links.all() })
}

const tokens: Act = (_world, { tokens }, parameters) => {
  const { revoke } = parameters
  const busy = wholeNumber(parameters['busy'])
  if (Number.isNaN(busy)) return no(400, 'busy is a whole number')
  if (busy !== undefined) tokens.beBusy(busy)
  const revoked = revoke === undefined ? 0 : tokens.revoke(revoke)
  return jsonResponse(200, { issued: tokens.issued(), revoked })
}

/** A WeChat that was given a link opens it: the mini-program and its query, or nothing when it has expired. */
const openLink: Act = (_world, { links }, parameters) => {
  const text = parameters['link'] ?? parameters['t'] ?? ''
  const ticket = /([A-Za-z0-9]+)$/.exec(text)?.[1] ?? ''
  const link = links.open(ticket)
  if (link === undefined) return no(404, 'no such link, or it has expired')
  const { appid, path, query, envVersion, kind } = link
  return jsonResponse(200, { appid, path, query, envVersion, scene: kind === 'scheme' ? 1065 : 1194 })
}

/** Who opens the authorisation page from now on; nothing given: the usual payer again. */
const visitor: Act = (world, { login }, parameters) => {
  const { openid } = parameters
  const owner = openid === undefined ? undefined : world.ledger.openidOwner(openid)
  if (owner !== undefined && owner !== world.credentials.officialAccount.appid)
    return no(409, 'this openid belongs to another appid')
  login.visitor.openid = openid
  login.visitor.snapshot = isOn(parameters['snapshot'])
  return jsonResponse(200, { visitor: login.visitor })
}

const acts: Readonly<Record<string, { usage: string; run: Act }>> = {
  links: {
    usage: `[daily_left][&long_left][&per_second][&permission=${PERMISSIONS.join('|')}][&pages=a,b]`,
    run: links,
  },
  tokens: { usage: '[revoke=appid][&busy=times]', run: tokens },
  'open-link': { usage: 'link', run: openLink },
  visitor: { usage: '[openid][&snapshot=1]', run: visitor },
}

/** The control door of everything around opening mini-programs and knowing payers (wechatpay.md 5). */
export function createLinkControl(world: World, doors: Doors): { control: SimHandler; usage: string[] } {
  return {
    usage: Object.entries(acts).map(([name, act]) => `POST ${PREFIX}${name}?${act.usage}`),
    control(request) {
      const name = request.path.startsWith(PREFIX) ? request.path.slice(PREFIX.length) : ''
      const act = Object.hasOwn(acts, name) ? acts[name] : undefined
      if (act === undefined) return undefined
      if (request.method !== 'POST') return jsonResponse(405, { error: 'use POST' })
      return act.run(world, doors, parametersOf(request))
    },
  }
}
