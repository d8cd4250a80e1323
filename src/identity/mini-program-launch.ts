import { businessDay } from '../core/business-day.ts'
import type { Log } from '../core/provider.ts'
import type { Transport } from '../core/transport.ts'
import { deriveKey, openText, sealText } from '../crypto/derive-key.ts'
import { createAccessTokens, NoAccessToken, type AccessTokens, type TokenShelf } from './access-token.ts'
import { createLaunchTokens, type LaunchTokens } from './launch-token.ts'
import { askWechat, type WechatAnswer } from './wechat-answer.ts'
import type { WechatApp } from './wechat-openid.ts'

/**
 * Opening a merchant's mini-program from outside WeChat (experience.md 4, wechatpay.md 5.3): where it is, the tokens it is
 * opened with, and the links a browser can follow.
 */

/** What `Context` calls `MiniProgram`. */
type MiniProgram = {
  readonly appid: string
  readonly userName?: string
  readonly path: string
  readonly envVersion: 'release' | 'trial' | 'develop'
  readonly launchMode: LinkKind
}

type LinkKind = 'url_link' | 'scheme' | 'plain_scheme'

/** What `Context` calls `LaunchLink`. */
type LaunchLink =
  | { readonly kind: LinkKind; readonly url: string }
  /** WeChat will not open this mini-program for anybody; `errcode` names the fault, for the operator. */
  | { readonly kind: 'refused'; readonly errcode: string }

/** Counts the links of a day over all processes. */
export type LinkQuota = {
  take(appid: string, day: string, most: number): Promise<boolean>
  exhaust(appid: string, day: string, most: number): Promise<void>
}

export type ConfiguredApp = WechatApp & Partial<Omit<MiniProgram, 'appid'>>

export type LaunchOptions = {
  readonly apps: Readonly<Record<string, ConfiguredApp>>
  readonly shelf: TokenShelf
  readonly quota: LinkQuota
  readonly transport: Transport
  readonly log: Log
  /** Epoch milliseconds. */
  readonly now: () => number
  /** The configured secret from which every key here is derived, each under its own label. */
  readonly secret: string
}

/** What `Context` calls `Launches`. */
export type MiniProgramLaunches = LaunchTokens & {
  miniProgram(appid: string): MiniProgram | undefined
  link(appid: string, query: string, expiresAt: number): Promise<LaunchLink>
  sealLink(text: string): string
  openLink(sealed: string): string | undefined
}

/** Links of both kinds together, per mini-program and day (wechatpay.md 5.3). */
const linksPerDay = 500_000
const deadline_ms = 5_000
/** The shortest life WeChat takes; the launch token inside ends when it should all the same. */
const shortestLink_ms = 60_000

const tokenFaults: readonly string[] = ['40001', '40014', '41001', '42001']
/** Faults that a plain scheme has as well: the page or the mini-program is not there. */
const hopeless: readonly string[] = ['40013', '40165', '85079']

export function createLaunches(options: LaunchOptions): MiniProgramLaunches {
  const tokens = createAccessTokens(options)
  const linkKey = deriveKey(options.secret, 'launch link')
  const miniProgram = (appid: string): MiniProgram | undefined => {
    const app = Object.hasOwn(options.apps, appid) ? options.apps[appid] : undefined
    if (app === undefined) return undefined
    return {
      appid,
      path: app.path ?? 'pages/pay/pay',
      envVersion: app.envVersion ?? 'release',
      launchMode: app.launchMode ?? 'url_link',
      ...(app.userName === undefined ? {} : { userName: app.userName }),
    }
  }
  return {
    ...createLaunchTokens(options.secret),
    miniProgram,
    async link(appid, query, expiresAt) {
      const target = miniProgram(appid)
      if (target === undefined) return { kind: 'refused', errcode: 'not-configured' }
      if (target.launchMode === 'plain_scheme') return plainScheme(target, query)
      return generate(options, tokens, { ...target, launchMode: target.launchMode }, query, expiresAt)
    },
    sealLink: (text) => sealText(linkKey, text),
    openLink: (sealed) => openText(linkKey, sealed),
  }
}

type Asked = MiniProgram & { readonly launchMode: 'url_link' | 'scheme' }

/** One generated link; whatever keeps WeChat from giving one leads to the plain scheme, which needs nobody's leave. */
async function generate(
  options: LaunchOptions,
  tokens: AccessTokens,
  target: Asked,
  query: string,
  expiresAt: number,
): Promise<LaunchLink> {
  const day = businessDay(options.now())
  if (!(await options.quota.take(target.appid, day, linksPerDay))) return fallBack(options, target, query, '45009')
  const answer = await ask(options, tokens, target, query, expiresAt)
  const url = answer.text(target.launchMode === 'url_link' ? 'url_link' : 'openlink')
  if (answer.errcode === '0' && url !== undefined) return { kind: target.launchMode, url }
  if (answer.errcode === '45009') await options.quota.exhaust(target.appid, day, linksPerDay)
  if (hopeless.includes(answer.errcode)) {
    options.log.error('WeChat will not open the mini-program: correct appid, path or release', {
      operation: 'launch_link',
      providerCode: answer.errcode,
    })
    return { kind: 'refused', errcode: answer.errcode }
  }
  return fallBack(options, target, query, answer.errcode)
}

/** Asks with the shared access token; a refused token is replaced and the call repeated, once. */
async function ask(
  options: LaunchOptions,
  tokens: AccessTokens,
  target: Asked,
  query: string,
  expiresAt: number,
): Promise<WechatAnswer> {
  const baseUrl = options.apps[target.appid]?.baseUrl ?? ''
  const place = { path: target.path, query, env_version: target.envVersion }
  const seconds = Math.ceil(Math.max(expiresAt, options.now() + shortestLink_ms) / 1000)
  const expiry = { expire_type: 0, expire_time: seconds }
  const [path, body] =
    target.launchMode === 'url_link'
      ? ['/wxa/generate_urllink', { ...place, ...expiry }]
      : ['/wxa/generatescheme', { jump_wxa: place, is_expire: true, ...expiry }]
  const attempt = async (token: string) =>
    askWechat(options.transport, {
      url: `${baseUrl}${path}?access_token=${encodeURIComponent(token)}`,
      body,
      deadlineMs: deadline_ms,
    })
  try {
    const token = await tokens.get(target.appid)
    const answer = await attempt(token)
    if (!tokenFaults.includes(answer.errcode)) return answer
    await tokens.refused(target.appid, token)
    return await attempt(await tokens.get(target.appid))
  } catch (error) {
    if (!(error instanceof NoAccessToken)) throw error
    return { errcode: `token:${error.errcode}`, text: () => undefined, integer: () => undefined }
  }
}

function fallBack(options: LaunchOptions, target: MiniProgram, query: string, errcode: string): LaunchLink {
  options.log.warn('WeChat gave no link; a plain scheme is used instead', {
    operation: 'launch_link',
    providerCode: errcode,
  })
  return plainScheme(target, query)
}

/** No call, no quota, no expiry; the page must be declared in the mini-program's back end (wechatpay.md 5.3). */
function plainScheme(target: MiniProgram, query: string): LaunchLink {
  const url = `weixin://dl/business/?appid=${target.appid}&path=${target.path}&query=${encodeURIComponent(query)}&env_version=${target.envVersion}`
  return { kind: 'plain_scheme', url }
}
