import { randomBytes } from 'node:crypto'
import type { SimHandler, SimRequest, SimResponse } from '../http.ts'
import { jsonResponse } from '../http.ts'
import type { World } from './world.ts'

/** A code lives five minutes and works once (wechatpay.md 5.1). */
const CODE_LIFE_MS = 5 * 60_000

type Code = { appid: string; openid: string; snapshot: boolean; at: number; used: boolean }
type Application = { appid: string; secret: string; openid: string }

export type Login = {
  handle: SimHandler
  /** Mints a login code; undefined for an unknown appid. A snapshot code gives a virtual openid (wechatpay.md 5.1). */
  mint(appid: string, openid?: string, snapshot?: boolean): { code: string; appid: string; openid: string } | undefined
  /** Whoever opens the authorisation page from now on. */
  readonly visitor: { openid: string | undefined; snapshot: boolean }
}

const error = (errcode: number, errmsg: string): SimResponse =>
  jsonResponse(200, {
    errcode,
    errmsg: `${errmsg}, rid: ${randomBytes(4).toString('hex')}-${randomBytes(4).toString('hex')}`,
  })

/** The openid behind a code, or the refusal (wechatpay.md 5.1). */
function redeem(
  world: World,
  codes: ReadonlyMap<string, Code>,
  query: URLSearchParams,
  codeName: string,
  application: Application,
): Code | SimResponse {
  const appid = query.get('appid')
  const secret = query.get('secret')
  const text = query.get(codeName)
  if (!appid) return error(41002, 'appid missing')
  if (appid !== application.appid) return error(40013, 'invalid appid')
  if (!secret) return error(41004, 'appsecret missing')
  if (secret !== application.secret) return error(40125, 'invalid appsecret')
  if (query.get('grant_type') !== 'authorization_code') return error(40002, 'invalid grant_type')
  if (!text) return error(41008, 'missing code')
  const code = codes.get(text)
  if (!code || code.appid !== appid || world.clock.now() - code.at >= world.clock.shrink(CODE_LIFE_MS))
    return error(40029, 'invalid code')
  if (code.used) return error(40163, 'code been used')
  code.used = true
  return code
}

/** Silent authorisation: the order of parameters is checked by pattern (wechatpay.md 5.1). */
function authorize(login: Pick<Login, 'mint' | 'visitor'>, application: Application, request: SimRequest): SimResponse {
  const query = new URLSearchParams(request.query)
  const order = [...query.keys()].join(' ')
  const redirect = query.get('redirect_uri') ?? ''
  const state = query.get('state') ?? ''
  // `sim_openid` is the simulator's own: a fake browser says by it which of its people looks at the page.
  const visitor = query.get('sim_openid') ?? login.visitor.openid
  const snapshot = login.visitor.snapshot || query.get('forceSnapShot') === 'true'
  const minted = login.mint(query.get('appid') ?? '', visitor, snapshot)
  const regular = /^appid redirect_uri response_type scope state\b/.test(order) && query.get('response_type') === 'code'
  const scoped = query.get('scope') === 'snsapi_base' || query.get('scope') === 'snsapi_userinfo'
  const web = minted?.appid === application.appid && URL.canParse(redirect) && /^https?:/i.test(redirect)
  if (!minted || !regular || !scoped || !web || !/^[a-zA-Z0-9]{0,128}$/.test(state)) {
    return {
      status: 400,
      headers: { 'Content-Type': 'text/plain; charset=utf-8' },
      body: '链接错误：参数或其顺序不正确',
    }
  }
  const target = new URL(redirect)
  target.searchParams.set('code', minted.code)
  target.searchParams.set('state', state)
  return { status: 302, headers: { Location: target.href }, body: '' }
}

/** Exchanges of api.weixin.qq.com and the authorisation page of open.weixin.qq.com. Errors come with HTTP 200. */
export function createLogin(world: World): Login {
  const { officialAccount, miniProgram } = world.credentials
  const codes = new Map<string, Code>()

  const visitor: Login['visitor'] = { openid: undefined, snapshot: false }

  const mint: Login['mint'] = (appid, openid, snapshot = false) => {
    const application = [officialAccount, miniProgram].find((one) => one.appid === appid)
    if (!application) return undefined
    const code = `0${randomBytes(15).toString('hex')}x`
    const payer = openid ?? application.openid
    // The virtual openid of snapshot mode is nobody's: the books do not know it, and it cannot pay.
    const openidGiven = snapshot ? `oSIM-snapshot-${randomBytes(8).toString('hex')}` : payer
    codes.set(code, { appid, openid: openidGiven, snapshot, at: world.clock.now(), used: false })
    if (!snapshot && world.ledger.openidOwner(payer) === undefined) world.ledger.bindOpenid(payer, appid)
    return { code, appid, openid: openidGiven }
  }

  const miniLogin = (query: URLSearchParams): SimResponse => {
    const code = redeem(world, codes, query, 'js_code', miniProgram)
    if ('status' in code) return code
    return jsonResponse(200, { session_key: randomBytes(16).toString('base64'), openid: code.openid })
  }

  const webLogin = (query: URLSearchParams): SimResponse => {
    const code = redeem(world, codes, query, 'code', officialAccount)
    if ('status' in code) return code
    const token = (): string => randomBytes(32).toString('hex')
    return jsonResponse(200, {
      access_token: token(),
      expires_in: 7200,
      refresh_token: token(),
      openid: code.openid,
      scope: 'snsapi_base',
      ...(code.snapshot ? { is_snapshotuser: 1 } : {}),
    })
  }

  return {
    mint,
    visitor,
    handle(request) {
      if (request.method !== 'GET') return undefined
      const query = new URLSearchParams(request.query)
      if (request.path === '/sns/jscode2session') return miniLogin(query)
      if (request.path === '/sns/oauth2/access_token') return webLogin(query)
      return request.path === '/connect/oauth2/authorize'
        ? authorize({ mint, visitor }, officialAccount, request)
        : undefined
    },
  }
}
