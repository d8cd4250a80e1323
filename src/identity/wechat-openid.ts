import { Problem } from '../core/problem.ts'
import type { Log } from '../core/provider.ts'
import type { Transport, WireResponse } from '../core/transport.ts'

/** Mini-program login code → openid (wechatpay.md 5.2). The app's secret travels in the query, so no URL is ever logged. */

/** What `Context` calls `Openids`. */
export type LoginCodes = { byLoginCode(appid: string, code: string): Promise<string> }

export type WechatApp = {
  readonly secret: string
  /** Without trailing slash; https://api.weixin.qq.com outside the sandbox. */
  readonly baseUrl: string
}

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
  return {
    async byLoginCode(appid, code) {
      const app = known.get(appid)
      if (app === undefined) {
        throw new Problem(
          'openid-rejected',
          'The gateway does not know this appid. Use one of the applications in its configuration.',
        )
      }
      let answer = await exchange(transport, log, app, appid, code)
      if (answer.errcode === '-1') answer = await exchange(transport, log, app, appid, code)
      if (answer.openid !== undefined) return answer.openid
      throw problemOf(answer.errcode, log)
    },
  }
}

type Exchanged = { readonly openid?: string; readonly errcode: string }

async function exchange(
  transport: Transport,
  log: Log,
  app: WechatApp,
  appid: string,
  code: string,
): Promise<Exchanged> {
  const query = new URLSearchParams({ appid, secret: app.secret, js_code: code, grant_type: 'authorization_code' })
  const url = `${app.baseUrl}/sns/jscode2session?${query.toString()}`
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

/** Only openid and errcode are looked at: the session_key goes no further than this function. */
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
  if (errcode !== 0) return { errcode: typeof errcode === 'number' ? String(errcode) : 'unreadable' }
  const openid: unknown = 'openid' in answer ? answer.openid : undefined
  if (typeof openid !== 'string' || !openidShape.test(openid)) throw silent()
  return { openid, errcode: '0' }
}

function problemOf(errcode: string, log: Log): Problem {
  const reaction = Object.hasOwn(reactions, errcode) ? reactions[errcode] : undefined
  if (reaction === undefined) {
    log.warn('WeChat refused a login for a reason we do not know', { operation: 'openid', providerCode: errcode })
    return new Problem('openid-rejected', 'WeChat refused the login code. Call wx.login() again and send the new code.')
  }
  if (reaction.kind === 'configuration') {
    log.error('WeChat does not accept our application', { operation: 'openid', providerCode: errcode })
  }
  if (reaction.kind === 'later') return new Problem('provider-unavailable', reaction.detail, { retryAfter: 60 })
  return new Problem('openid-rejected', reaction.detail)
}

function silent(): Problem {
  const detail = 'WeChat did not give a readable answer to the login. Call wx.login() again and send the new code.'
  return new Problem('provider-unavailable', detail, { retryAfter: 2 })
}
