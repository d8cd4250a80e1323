import { randomBytes } from 'node:crypto'
import type { SimHandler, SimRequest, SimResponse } from '../http.ts'
import { jsonResponse } from '../http.ts'
import type { World } from './world.ts'

/** A token promises this many seconds on the wire (wechatpay.md 5.3), so it lives that long on any time scale. */
const EXPIRES_IN_S = 7200
/** After a new token the one before still works for a while, so that several processes can change over. */
const OVERLAP_MS = 5 * 60_000
/** The stable token is renewed by itself in its last five minutes, and not before. */
const RENEWAL_MS = 5 * 60_000

type Token = { text: string; appid: string; stable: boolean; expiresAt: number }

export type AccessTokens = {
  handle: SimHandler
  /** Why this token opens nothing, or the appid it belongs to. */
  check(text: string | null): { appid: string } | { refusal: SimResponse }
  /** From now on no token of this appid works, as after a change of its secret. @returns how many there were */
  revoke(appid: string): number
  /** The next token requests answer -1, "system busy". */
  beBusy(times: number): void
  /** How often tokens were asked for, per way: a gateway that caches asks rarely. */
  issued(): { token: number; stable: number }
}

/** WeChat's own refusals come with HTTP 200 and an errcode (wechatpay.md 5.1). */
export const refusal = (errcode: number, errmsg: string): SimResponse =>
  jsonResponse(200, { errcode, errmsg: `${errmsg} rid: ${randomBytes(4).toString('hex')}` })

const fieldsOf = (body: Buffer): Record<string, unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
  } catch {
    return undefined
  }
}

type Asked = { grantType: unknown; appid: unknown; secret: unknown }

type Issuing = {
  refuse: (asked: Asked) => SimResponse | undefined
  renew: (appid: string, stable: boolean) => Token
  told: (token: Token) => SimResponse
  current: (appid: string) => Token | undefined
  issued: { token: number; stable: number }
}

/** The two addresses tokens are asked for at. */
function doorsOf({ refuse, renew, told, current, issued }: Issuing): SimHandler {
  const plain = (request: SimRequest): SimResponse => {
    const query = new URLSearchParams(request.query)
    const appid = query.get('appid')
    const refused = refuse({ grantType: query.get('grant_type'), appid, secret: query.get('secret') })
    if (refused) return refused
    issued.token += 1
    return told(renew(appid ?? '', false))
  }
  const stable = (request: SimRequest): SimResponse => {
    const body = fieldsOf(request.body)
    if (body === undefined) return refusal(47001, 'data format error')
    const { appid, secret, grant_type: grantType, force_refresh: force = false } = body
    const refused = refuse({ grantType, appid, secret })
    if (refused) return refused
    if (typeof force !== 'boolean') return refusal(47001, 'data format error')
    issued.stable += 1
    const lasting = current(String(appid))
    return told(lasting !== undefined && !force ? lasting : renew(String(appid), true))
  }

  return (request) => {
    if (request.path === '/cgi-bin/token')
      return request.method === 'GET' ? plain(request) : refusal(43001, 'require GET method')
    if (request.path !== '/cgi-bin/stable_token') return undefined
    return request.method === 'POST' ? stable(request) : refusal(43002, 'require POST method')
  }
}

/** The global access tokens of an application: `/cgi-bin/token` and `/cgi-bin/stable_token` (wechatpay.md 5.3). */
export function createAccessTokens(world: World): AccessTokens {
  const { officialAccount, miniProgram } = world.credentials
  const applications = new Map([officialAccount, miniProgram].map((one) => [one.appid, one.secret]))
  let tokens: Token[] = []
  let busy = 0
  const issued = { token: 0, stable: 0 }

  const refuse = ({ grantType, appid, secret }: Asked): SimResponse | undefined => {
    if (busy > 0) {
      busy -= 1
      return refusal(-1, 'system busy')
    }
    if (typeof appid !== 'string' || appid === '') return refusal(41002, 'appid missing')
    if (!applications.has(appid)) return refusal(40013, 'invalid appid')
    if (typeof secret !== 'string' || secret === '') return refusal(41004, 'appsecret missing')
    if (applications.get(appid) !== secret) return refusal(40125, 'invalid appsecret')
    return grantType === 'client_credential' ? undefined : refusal(40002, 'invalid grant_type')
  }
  const renew = (appid: string, stable: boolean): Token => {
    const now = world.clock.now()
    for (const token of tokens) {
      if (token.appid === appid && token.stable === stable)
        token.expiresAt = Math.min(token.expiresAt, now + OVERLAP_MS)
    }
    const text = `${stable ? '8' : '7'}1_SIM${randomBytes(48).toString('base64url')}`
    const token = { text, appid, stable, expiresAt: now + EXPIRES_IN_S * 1000 }
    tokens = [...tokens.filter((one) => one.expiresAt > now), token]
    return token
  }
  const told = (token: Token): SimResponse =>
    jsonResponse(200, {
      access_token: token.text,
      expires_in: Math.floor((token.expiresAt - world.clock.now()) / 1000),
    })

  /** The stable token, unless its last minutes have come. */
  const current = (appid: string): Token | undefined =>
    tokens.findLast(
      (token) => token.appid === appid && token.stable && token.expiresAt - world.clock.now() > RENEWAL_MS,
    )
  const doors = doorsOf({ refuse, renew, told, issued, current })
  return {
    handle: doors,
    check(text) {
      if (!text) return { refusal: refusal(41001, 'access_token missing') }
      const token = tokens.find((one) => one.text === text)
      if (token === undefined)
        return { refusal: refusal(40001, 'invalid credential, access_token is invalid or not latest') }
      if (world.clock.now() >= token.expiresAt) return { refusal: refusal(42001, 'access_token expired') }
      return { appid: token.appid }
    },
    revoke(appid) {
      const before = tokens.length
      tokens = tokens.filter((token) => token.appid !== appid)
      return before - tokens.length
    },
    beBusy(times) {
      busy = times
    },
    issued: () => ({ ...issued }),
  }
}
