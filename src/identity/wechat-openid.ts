import { Problem } from '../core/problem.ts'
import type { Log } from '../core/provider.ts'
import type { Transport, WireResponse } from '../core/transport.ts'

/**
 * Mini-program login code or web authorisation code → openid (wechatpay.md 5.1 and 5.2). The app's secret travels in the
 * query, so no URL is ever logged.
 */

/** What `Context` calls `Openids`. */
export type LoginCodes = {
  byLoginCode(appid: string, code: string): Promise<string>
  byAuthorizationCode(appid: string, code: string): Promise<{ readonly openid: string; readonly snapshot: boolean }>
  authorizationPage(appid: string): string | undefined
}

export type WechatApp = {
  readonly secret: string
  /** Without trailing slash; https://api.weixin.qq.com outside the sandbox. */
  readonly baseUrl: string
  /** Where a browser inside WeChat is sent to be authorised; WeChat's own page unless a sandbox says otherwise. */
  readonly authorizeUrl?: string
}

const authorizeUrl = 'https://open.weixin.qq.com/connect/oauth2/authorize'

const deadlineMs = 5_000
const largestAnswer = 16 * 1024
const openidShape = /^[A-Za-z0-9_-]{1,128}$/

type Reaction = { readonly kind: 'rejected' | 'configuration' | 'later'; readonly detail: string }

/** What each errcode asks for (wechatpay.md 5.1 and 5.2). `-1` is tried once more before it gets here. */
const reactions: Readonly<Record<string, Reaction>> = {
  '40029': {
    kind: 'rejected',
    detail:
      'The login code is wrong, expired or of another appid. Call wx.login() again and send the new code within five minutes.',
  },
  '40163': {
    kind: 'rejected',
    detail: 'The login code has been used already. Call wx.login() again and exchange each code only once.',
  },
  '41008': { kind: 'rejected', detail: 'The login code is missing. Send the code that wx.login() gave.' },
  '40226': {
    kind: 'rejected',
    detail: 'WeChat considers this user a high risk and gives no openid. Offer another way to pay.',
  },
  '40013': configuration('appid'),
  '40125': configuration('secret'),
  '41002': configuration('appid'),
  '41004': configuration('secret'),
  '45011': { kind: 'later', detail: 'WeChat limits logins per user and minute. Try again in a minute.' },
  '-1': { kind: 'later', detail: 'WeChat is busy. Try again with a new login code.' },
}

function configuration(what: string): Reaction {
  return {
    kind: 'configuration',
    detail: `WeChat does not accept the ${what} configured for this application. The operator of the gateway must correct wechatApps.`,
  }
}

/**
 * Makes the exchange of login codes.
 * @param apps configured applications by appid
 * @param transport how to reach WeChat
 */
export function createOpenids(apps: Readonly<Record<string, WechatApp>>, transport: Transport, log: Log): LoginCodes {
  const known = new Map(Object.entries(apps))

  async function openidOf(appid: string, code: string, way: Way): Promise<Exchanged & { readonly openid: string }> {
    const app = known.get(appid)
    if (app === undefined) {
      throw new Problem(
        'openid-rejected',
        'The gateway does not know this appid. Use one of the applications in its configuration.',
      )
    }
    let answer = await exchange(transport, log, app, appid, code, way)
    if (answer.errcode === '-1') answer = await exchange(transport, log, app, appid, code, way)
    if (answer.openid !== undefined) return { ...answer, openid: answer.openid }
    throw problemOf(answer.errcode, log)
  }

  return {
    byLoginCode: async (appid, code) => (await openidOf(appid, code, miniProgramLogin)).openid,
    async byAuthorizationCode(appid, code) {
      const { openid, snapshot } = await openidOf(appid, code, webAuthorisation)
      return { openid, snapshot }
    },
    authorizationPage(appid) {
      const app = known.get(appid)
      return app === undefined ? undefined : (app.authorizeUrl ?? authorizeUrl)
    },
  }
}

/** How one kind of code is exchanged. */
type Way = { readonly path: string; readonly codeName: string }

const miniProgramLogin: Way = { path: '/sns/jscode2session', codeName: 'js_code' }
const webAuthorisation: Way = { path: '/sns/oauth2/access_token', codeName: 'code' }

type Exchanged = { readonly openid?: string; readonly snapshot: boolean; readonly errcode: string }

async function exchange(
  transport: Transport,
  log: Log,
  app: WechatApp,
  appid: string,
  code: string,
  way: Way,
): Promise<Exchanged> {
  const query = new URLSearchParams({
    appid,
    secret: app.secret,
    [way.codeName]: code,
    grant_type: 'authorization_code',
  })
  const url = `${app.baseUrl}${way.path}?${query.toString()}`
  let response: WireResponse
  try {
    const request = {
      method: 'GET',
      url,
      headers: { accept: 'application/json' },
      deadlineMs,
      maxBytes: largestAnswer,
    } as const
    response = await transport(request, AbortSignal.timeout(deadlineMs))
  } catch (error) {
    // The error stays here: transports put the URL, and with it the secret, into theirs.
    log.warn('WeChat did not answer a login', {
      operation: 'openid',
      reason: error instanceof Error ? error.name : 'unknown',
    })
    throw silent()
  }
  if (response.status !== 200) {
    log.warn('WeChat did not answer a login', { operation: 'openid', httpStatus: response.status })
    throw silent()
  }
  return readAnswer(response.body)
}

/** Only openid, errcode and the snapshot mark are looked at: session_key and tokens go no further than this function. */
function readAnswer(body: Buffer): Exchanged {
  let answer: unknown
  try {
    answer = JSON.parse(body.toString('utf8'))
  } catch {
    throw silent()
  }
  if (typeof answer !== 'object' || answer === null) throw silent()
  // Errors come with HTTP status 200 and an errcode; a success has none, or zero.
  const errcode: unknown = 'errcode' in answer ? answer.errcode : 0
  if (errcode !== 0) {
    return { snapshot: false, errcode: typeof errcode === 'number' ? String(errcode) : 'unreadable' }
  }
  const openid: unknown = 'openid' in answer ? answer.openid : undefined
  if (typeof openid !== 'string' || !openidShape.test(openid)) throw silent()
  // A snapshot page's payer is virtual and cannot pay (wechatpay.md 5.1).
  const snapshot = 'is_snapshotuser' in answer && (answer.is_snapshotuser === 1 || answer.is_snapshotuser === '1')
  return { openid, snapshot, errcode: '0' }
}

function problemOf(errcode: string, log: Log): Problem {
  const reaction = Object.hasOwn(reactions, errcode) ? reactions[errcode] : undefined
  if (reaction === undefined) {
    log.warn('WeChat refused a login for a reason we do not know', { operation: 'openid', providerCode: errcode })
    const detail = 'WeChat refused the login code. Call wx.login() again and send the new code.'
    return new Problem('openid-rejected', detail, refusedWith(errcode))
  }
  if (reaction.kind === 'configuration') {
    log.error('WeChat does not accept our application', { operation: 'openid', providerCode: errcode })
  }
  if (reaction.kind === 'later') return new Problem('provider-unavailable', reaction.detail, { retryAfter: 60 })
  return new Problem('openid-rejected', reaction.detail, refusedWith(errcode))
}

/** The number travels with the problem: who sent a payer to be authorised decides by it whether to try once more. */
function refusedWith(errcode: string) {
  return { provider: { channel: 'wechat-login', reason: 'openid', code: errcode } }
}

function silent(): Problem {
  const detail = 'WeChat did not give a readable answer to the login. Call wx.login() again and send the new code.'
  return new Problem('provider-unavailable', detail, { retryAfter: 2 })
}
