import type { Context } from '../context.ts'
import type { Order } from '../core/order.ts'
import { Problem } from '../core/problem.ts'
import { randomToken, sameSecret, sha256 } from '../crypto/digest.ts'
import { insertOauthState, oauthStateByHash, useOauthState, type OauthStateRow } from '../store/oauth-states.ts'
import { orderById } from '../store/orders.ts'
import { findPayerSession, insertPayerSession } from '../store/payer-sessions.ts'
import { cashierMethod } from './cashier-order.ts'

/**
 * Who pays: the silent round trip through WeChat that gives the server an openid (wechatpay.md 5.1). The openid is
 * written to a session row and never leaves the server; the browser holds two random cookies.
 */

const stateMs = 10 * 60_000
/** Longest life of a session; an order that expires sooner ends it in effect. */
const sessionMs = 2 * 60 * 60_000
/** Codes that failed because of a double page load or a slow payer: one automatic retry mends them. */
const worthARetry: readonly string[] = ['40029', '40163']
const codeShape = /^[A-Za-z0-9_-]{1,256}$/
const stateShape = /^[a-f0-9]{64}$/

export type Begin = {
  readonly order: Order
  readonly channelId: string
  readonly appid: string
  /** The cookie of the browser that begins. */
  readonly browser: string
  readonly lang?: string
  readonly attempt?: number
}

/**
 * Begins an authorisation.
 * @returns where to send the browser: parameters in the order WeChat checks, and the fragment it insists on
 */
export async function beginAuthorisation(ctx: Context, begin: Begin): Promise<string> {
  const page = ctx.openids.authorizationPage(begin.appid)
  if (page === undefined) throw new Problem('method-unavailable', 'The appid of this channel is not configured.')
  // WeChat takes letters and digits only, so hexadecimal rather than base64url.
  const state = sha256(randomToken(32))
  const now = ctx.now()
  await insertOauthState(ctx.db, {
    state_hash: sha256(state),
    order_id: begin.order.id,
    browser_hash: sha256(begin.browser),
    method: cashierMethod,
    channel_id: begin.channelId,
    appid: begin.appid,
    lang: begin.lang ?? null,
    attempt: begin.attempt ?? 0,
    created_at: now,
    expires_at: now + stateMs,
    used_at: null,
  })
  const parameters = new URLSearchParams([
    ['appid', begin.appid],
    ['redirect_uri', `${ctx.publicUrl}/cashier/openid`],
    ['response_type', 'code'],
    ['scope', 'snsapi_base'],
    ['state', state],
  ])
  return `${page}?${parameters.toString()}#wechat_redirect`
}

export type Finished =
  | {
      readonly kind: 'signed-in'
      readonly order: Order
      readonly lang: string | null
      readonly session: string
      readonly maxAgeMs: number
    }
  /** The state was used already by this very browser: it is simply sent to its page. */
  | { readonly kind: 'again'; readonly order: Order; readonly lang: string | null }
  | { readonly kind: 'retry'; readonly order: Order; readonly lang: string | null; readonly url: string }
  | { readonly kind: 'snapshot' | 'rejected'; readonly order: Order; readonly lang: string | null }
  /** Not this browser's state, not a state, or too old: nothing is told, not even which order. */
  | { readonly kind: 'refused' }

/**
 * Ends an authorisation: uses the state up, exchanges the code once, and opens a session.
 * @param back what WeChat's redirect carried, and the cookie of the browser that came
 */
export async function finishAuthorisation(
  ctx: Context,
  back: { readonly state: string; readonly code: string; readonly browser: string },
): Promise<Finished> {
  const row = stateShape.test(back.state) ? await oauthStateByHash(ctx.db, sha256(back.state)) : undefined
  // Somebody else's state is treated like none: a code brought by another browser is not even exchanged.
  if (row === undefined || !sameSecret(row.browser_hash, sha256(back.browser))) return { kind: 'refused' }
  const order = await orderById(ctx.db, row.order_id)
  if (order === undefined) return { kind: 'refused' }
  const { lang } = row
  if (row.used_at !== null) return { kind: 'again', order, lang }
  if (row.expires_at <= ctx.now()) return { kind: 'rejected', order, lang }
  if (!(await useOauthState(ctx.db, row.state_hash, row.browser_hash, ctx.now()))) return { kind: 'again', order, lang }
  if (!codeShape.test(back.code)) return { kind: 'rejected', order, lang }
  try {
    const { openid, snapshot } = await ctx.openids.byAuthorizationCode(row.appid, back.code)
    if (snapshot) return { kind: 'snapshot', order, lang }
    return { kind: 'signed-in', order, lang, ...(await openSession(ctx, row, openid)) }
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    ctx.log.warn('a payer could not be authorised', { orderId: order.id, operation: 'openid', reason: error.code })
    const again = row.attempt === 0 && worthARetry.includes(error.extras.provider?.code ?? '')
    if (!again) return { kind: 'rejected', order, lang }
    const url = await beginAuthorisation(ctx, {
      order,
      channelId: row.channel_id,
      appid: row.appid,
      browser: back.browser,
      attempt: 1,
      ...(lang === null ? {} : { lang }),
    })
    return { kind: 'retry', order, lang, url }
  }
}

async function openSession(ctx: Context, state: OauthStateRow, openid: string) {
  const session = randomToken(32)
  const now = ctx.now()
  await insertPayerSession(ctx.db, {
    token_hash: sha256(session),
    order_id: state.order_id,
    kind: 'cashier',
    appid: state.appid,
    openid,
    created_at: now,
    expires_at: now + sessionMs,
  })
  return { session, maxAgeMs: sessionMs }
}

/** Who holds this cookie, for this order and this appid; the openid stays between flows. */
export async function signedInPayer(
  ctx: Context,
  order: Order,
  cookie: string | undefined,
  appid: string,
): Promise<{ readonly openid: string } | undefined> {
  if (cookie === undefined) return undefined
  const wanted = { token_hash: sha256(cookie), order_id: order.id, kind: 'cashier' } as const
  const session = await findPayerSession(ctx.db, wanted, ctx.now())
  // After a change of channel the appid may be another, and the old openid with it worthless.
  if (session === undefined || session.appid !== appid || session.openid === null) return undefined
  return { openid: session.openid }
}
