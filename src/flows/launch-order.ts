import type { Channel, Context, Merchant, MiniProgram } from '../context.ts'
import { mayBePaid, type Order } from '../core/order.ts'
import { Problem } from '../core/problem.ts'
import { sha256 } from '../crypto/digest.ts'
import { insertLaunch, countLaunches, launchWithLink, type LaunchRow } from '../store/launches.ts'
import { findOrder } from '../store/orders.ts'
import { channelsOffering, startPayment } from './start-payment.ts'

/** Sending a payer to the mini-program: from a native app, or from a browser outside WeChat (experience.md 4). */

/** What opens the mini-program. `expiresAt` epoch milliseconds; afterwards a new launch is needed. */
export type Launch =
  | {
      readonly kind: 'miniprogram'
      readonly userName: string
      /** With its query, as WXLaunchMiniProgramReq takes it. */
      readonly path: string
      readonly expiresAt: number
    }
  | { readonly kind: 'url_link' | 'scheme' | 'plain_scheme'; readonly url: string; readonly expiresAt: number }

export type LaunchTarget = 'app' | 'browser'

/** The longest life of a launch: a payer goes there at once, or comes back for another (experience.md 4.3). */
const longestLaunch_ms = 10 * 60_000
/** A link with less life than this is not handed out again. */
const worthKeeping_ms = 60_000

/** Good launches of one order at the same time. */
const launchesMax = 100

/**
 * Launches an order: chooses the channel, and gives what opens its mini-program for this order.
 * @param clientIp the payer's, for channels whose mini-program belongs to the provider
 * @throws Problem `not-found`, `order-not-payable`, `method-unavailable`, `launch-unavailable`, and for a provider's own
 *   mini-program what startPayment throws
 */
export async function launchOrder(
  ctx: Context,
  merchant: Merchant,
  orderId: string,
  target: LaunchTarget,
  clientIp: string,
): Promise<Launch> {
  const order = await findOrder(ctx.db, merchant.id, orderId)
  if (order === undefined) throw new Problem('not-found', `no order ${orderId}`)
  if (!mayBePaid(order, ctx.now())) {
    const state = order.status === 'open' ? 'expired' : order.status
    throw new Problem('order-not-payable', `the order is ${state}; open a new order if the payer still wants to pay`)
  }
  const channel = launchChannel(ctx, merchant, order)
  if (target === 'app' && channel.appLaunch === 'app_pay') {
    throw new Problem(
      'launch-unavailable',
      `channel ${channel.id} takes payments of native apps with the method wechat_app: start a payment with it, or set app_launch of the channel to "miniprogram"`,
    )
  }
  if (isHosted(channel)) return launchHosted(ctx, merchant, order, target, clientIp)
  // Whoever holds an order's link can ask for launches of it; there must be an end to the rows (design.md 2, principle 8).
  if ((await countLaunches(ctx.db, order.id, ctx.now())) >= launchesMax) {
    throw new Problem('rate-limited', 'this order has been launched too often; wait for a minute', { retryAfter: 60 })
  }
  const program = miniProgramOf(ctx, channel)
  return target === 'app'
    ? launchFromApp(ctx, order, channel, program)
    : launchFromBrowser(ctx, order, channel, program)
}

/**
 * The channel whose mini-program takes this order.
 * @throws Problem `method-unavailable`
 */
export function launchChannel(ctx: Context, merchant: Merchant, order: Order): Channel {
  const [channel] = channelsOffering(ctx, merchant, order, 'wechat_mini')
  if (channel !== undefined) return channel
  throw new Problem(
    'method-unavailable',
    `no channel of merchant ${merchant.id} offers wechat_mini for ${String(order.amount)} ${order.currency}; add a route, or offer another way to pay`,
  )
}

export function isHosted(channel: Channel): boolean {
  return channel.provider.methods.wechat_mini?.hosted === true
}

function miniProgramOf(ctx: Context, channel: Channel): MiniProgram {
  const appid = channel.provider.methods.wechat_mini?.openidOf ?? ''
  const program = ctx.launches.miniProgram(appid)
  if (program !== undefined) return program
  throw new Problem(
    'launch-unavailable',
    `the gateway does not know the mini-program of channel ${channel.id}: the operator must add its appid to wechatApps`,
  )
}

async function launchFromApp(ctx: Context, order: Order, channel: Channel, program: MiniProgram): Promise<Launch> {
  if (program.userName === undefined) {
    throw new Problem(
      'launch-unavailable',
      `apps open a mini-program by its original id: the operator must add userName (gh_…) to ${program.appid} in wechatApps`,
    )
  }
  const { token, row } = newLaunch(ctx, order, channel, program)
  await insertLaunch(ctx.db, row)
  return {
    kind: 'miniprogram',
    userName: program.userName,
    path: `${program.path}?t=${token}`,
    expiresAt: row.expires_at,
  }
}

/** One link per order while it is good: links are counted, and a payer taps more than once. */
async function launchFromBrowser(ctx: Context, order: Order, channel: Channel, program: MiniProgram): Promise<Launch> {
  const kept = await keptLink(ctx, order, program)
  if (kept !== undefined) return kept
  const { token, row } = newLaunch(ctx, order, channel, program)
  const link = await ctx.launches.link(program.appid, `t=${token}`, row.expires_at)
  if (link.kind === 'refused') {
    throw new Problem(
      'launch-unavailable',
      `WeChat does not open this mini-program (${link.errcode}): the operator must check appid, path and that it is published; offer another way to pay`,
    )
  }
  await insertLaunch(ctx.db, { ...row, link: ctx.launches.sealLink(link.url), link_expires_at: row.expires_at })
  return { ...link, expiresAt: row.expires_at }
}

async function keptLink(ctx: Context, order: Order, program: MiniProgram): Promise<Launch | undefined> {
  const row = await launchWithLink(ctx.db, order.id, program.appid, ctx.now() + worthKeeping_ms)
  const url = row?.link == null ? undefined : ctx.launches.openLink(row.link)
  if (row === undefined || url === undefined) return undefined
  return { kind: kindOf(url), url, expiresAt: row.expires_at }
}

function kindOf(url: string): 'url_link' | 'scheme' | 'plain_scheme' {
  if (!url.startsWith('weixin:')) return 'url_link'
  return url.includes('?appid=') ? 'plain_scheme' : 'scheme'
}

function newLaunch(
  ctx: Context,
  order: Order,
  channel: Channel,
  program: MiniProgram,
): { readonly token: string; readonly row: LaunchRow } {
  const now = ctx.now()
  // Whole seconds, as in the token: what we say and what we do must end at the same instant.
  const expiresAt = Math.floor(Math.min(order.expires_at, now + longestLaunch_ms) / 1000) * 1000
  const token = ctx.launches.issue(order.id, expiresAt)
  return {
    token,
    row: {
      token_hash: sha256(token),
      order_id: order.id,
      merchant_id: order.merchant_id,
      channel_id: channel.id,
      appid: program.appid,
      payer_openid: null,
      expires_at: expiresAt,
      created_at: now,
      link: null,
      link_expires_at: null,
    },
  }
}

/**
 * The provider's own mini-program: the order is registered there, as an attempt like any other, and what comes back is
 * what opens it (huifu-dougong.md 11). Launching again gives the same while it is usable.
 */
async function launchHosted(
  ctx: Context,
  merchant: Merchant,
  order: Order,
  target: LaunchTarget,
  clientIp: string,
): Promise<Launch> {
  const { payment, invocation } = await startPayment(ctx, merchant, order.id, {
    method: 'wechat_mini',
    hosted: true,
    clientIp,
  })
  const expiresAt = payment.usable_until ?? order.expires_at
  if (invocation.kind !== 'miniprogram') throw new Error('a hosted payment without a mini-program')
  if (target === 'app') return { kind: 'miniprogram', userName: invocation.userName, path: invocation.path, expiresAt }
  if (invocation.scheme !== undefined) return { kind: 'scheme', url: invocation.scheme, expiresAt }
  throw new Problem(
    'launch-unavailable',
    "the provider gave no link for browsers; offer the payer another way, or open the provider's mini-program from an app",
  )
}
