import type { Context, Merchant } from '../context.ts'
import { mayBePaid, type Order } from '../core/order.ts'
import { Problem } from '../core/problem.ts'
import type { Invocation } from '../core/provider.ts'
import { randomToken, sha256 } from '../crypto/digest.ts'
import { bindLaunch, launchByToken } from '../store/launches.ts'
import { orderById } from '../store/orders.ts'
import { insertPayerSession, payerSessionByToken } from '../store/payer-sessions.ts'
import { isPaidByAnother } from './cashier-order.ts'
import { launchChannel } from './launch-order.ts'
import { nudgePayment } from './nudge-payment.ts'
import { channelsOffering, startPayment } from './start-payment.ts'

/**
 * What a merchant's mini-program asks for (experience.md 3.2 and 4.3): who the payer is stays here, what is paid comes
 * from the order, and only the provider says that it is paid.
 */

/** A session lives so long: this payer, this order, nothing else. */
const sessionLife_ms = 30 * 60_000

export type OrderView = {
  readonly id: string
  readonly subject: string
  readonly amount: number
  readonly currency: string
  readonly status: Order['status']
  /** Whether a payment can still be started. */
  readonly payable: boolean
  readonly merchant_name: string
  readonly expires_at: string
  readonly paid_at: string | null
}

export type MiniSession = {
  readonly order: Order
  readonly merchant: Merchant
  readonly appid: string
  readonly openid: string
}

/** The parameters of wx.requestPayment: no appId (wechatpay.md 3.3). */
export type PaymentParameters = Omit<Extract<Invocation, { kind: 'jsapi' }>, 'kind' | 'appId'>

/**
 * Opens a payer's session: the launch token says which order, WeChat says who the payer is, and the first payer with a
 * token is its only one.
 * @param code what wx.login() gave
 * @throws Problem `launch-expired`, `launch-taken`, and what the exchange of the code throws
 */
export async function openMiniSession(
  ctx: Context,
  token: string,
  code: string,
): Promise<{ readonly session: string; readonly expiresAt: number; readonly order: OrderView }> {
  const now = ctx.now()
  const said = ctx.launches.read(token)
  const launch = said === undefined || said.expiresAt <= now ? undefined : await launchByToken(ctx.db, sha256(token))
  // One answer for old, forged and unknown tokens: whoever tries them learns nothing.
  if (launch === undefined || launch.order_id !== said?.orderId || launch.expires_at <= now) throw expired()
  const openid = await ctx.openids.byLoginCode(launch.appid, code)
  if (!(await bindLaunch(ctx.db, launch.token_hash, openid))) {
    throw new Problem(
      'launch-taken',
      'This link was opened by another WeChat user first. Go back to where you ordered and open the payment from there.',
    )
  }
  const { order, merchant } = await orderAndMerchant(ctx, launch.order_id)
  const session = randomToken(32)
  const expiresAt = now + sessionLife_ms
  await insertPayerSession(ctx.db, {
    token_hash: sha256(session),
    order_id: order.id,
    kind: 'mini',
    appid: launch.appid,
    openid,
    created_at: now,
    expires_at: expiresAt,
  })
  return { session, expiresAt, order: viewOf(ctx, order, merchant) }
}

/** @throws Problem `session-expired` */
export async function readMiniSession(ctx: Context, session: string): Promise<MiniSession> {
  const row = await payerSessionByToken(ctx.db, sha256(session), 'mini', ctx.now())
  if (row?.openid == null || row.appid === null) {
    throw new Problem(
      'session-expired',
      'The session has ended. Call wx.login() and POST /mp/v1/sessions again; with an expired launch, open the payment again.',
    )
  }
  return { ...(await orderAndMerchant(ctx, row.order_id)), appid: row.appid, openid: row.openid }
}

/**
 * Starts the payment. Tapping again gives the same parameters while they are usable.
 * @throws Problem what startPayment throws, with a provider's refusal told in words meant for payers
 */
export async function payFromMiniProgram(
  ctx: Context,
  session: MiniSession,
  clientIp: string,
): Promise<PaymentParameters> {
  const { order, merchant, appid, openid } = session
  if (mayBePaid(order, ctx.now())) {
    const facts = launchChannel(ctx, merchant, order).provider.methods.wechat_mini
    // The route has moved to another mini-program meanwhile: this openid is worth nothing there (design.md 20.13).
    if (facts?.openidOf !== appid) throw expired()
    // Two people who take turns would use up the order's attempts, and close each other's sheets.
    if (await isPaidByAnother(ctx, order, openid, false, 'wechat_mini')) {
      throw new Problem('launch-taken', 'somebody else is paying this order at this moment; try again in a minute', {
        retryAfter: 60,
      })
    }
  }
  try {
    const { invocation } = await startPayment(ctx, merchant, order.id, {
      method: 'wechat_mini',
      appid,
      openid,
      clientIp,
    })
    if (invocation.kind !== 'jsapi') throw new Error('a mini-program payment without parameters')
    const { kind: _kind, appId: _appId, ...parameters } = invocation
    return parameters
  } catch (error) {
    throw error instanceof Problem ? forPayers(error) : error
  }
}

/**
 * How the order stands, from our own rows.
 * @param hinted true when the payer's device says that something happened: the provider is asked first, at most every two
 *   seconds per order
 */
export async function viewFromMiniProgram(ctx: Context, session: MiniSession, hinted: boolean): Promise<OrderView> {
  const { order, merchant } = session
  if (!hinted || order.status === 'paid') return viewOf(ctx, order, merchant)
  await nudgePayment(ctx, order)
  return viewOf(ctx, (await orderById(ctx.db, order.id)) ?? order, merchant)
}

/**
 * The device's report of a failed wx.requestPayment. It changes no status; a refusal of the whole way of paying is told
 * to the operator, and to the payer as what it is.
 * @throws Problem `launch-scene-refused` when WeChat refuses payments in a mini-program opened from outside
 */
export async function reportFromMiniProgram(
  ctx: Context,
  session: MiniSession,
  report: { readonly errmsg: string; readonly errno: number | undefined },
): Promise<OrderView> {
  const view = await viewFromMiniProgram(ctx, session, true)
  if (view.status === 'paid' || !isSceneRefusal(report)) return view
  const [channel] = channelsOffering(ctx, session.merchant, session.order, 'wechat_mini')
  ctx.log.error('WeChat refused a payment in a mini-program opened from outside: see launch-scene-refused', {
    merchantId: session.merchant.id,
    orderId: session.order.id,
    ...(channel === undefined ? {} : { channelId: channel.id }),
    operation: 'mini_payment',
    providerCode: report.errno === undefined ? 'unusual' : String(report.errno),
  })
  throw new Problem(
    'launch-scene-refused',
    'WeChat does not take this payment here. Open the shop inside WeChat and pay there, or use another way to pay.',
  )
}

/** The FAQ's sentence for this case, and the codes of a payment right that is restricted (experience.md 0, wechatpay.md 3.3). */
function isSceneRefusal({ errmsg, errno }: { readonly errmsg: string; readonly errno: number | undefined }): boolean {
  return errno === 102 || /当前商户该支付方式存在异常|fail no permission|\bbanned\b/.test(errmsg)
}

async function orderAndMerchant(ctx: Context, orderId: string): Promise<{ order: Order; merchant: Merchant }> {
  const order = await orderById(ctx.db, orderId)
  const merchant = order === undefined ? undefined : ctx.merchants.get(order.merchant_id)
  if (order === undefined || merchant === undefined) throw expired()
  return { order, merchant }
}

function viewOf(ctx: Context, order: Order, merchant: Merchant): OrderView {
  return {
    id: order.id,
    subject: order.subject,
    amount: order.amount,
    currency: order.currency,
    status: order.status,
    payable: mayBePaid(order, ctx.now()),
    merchant_name: merchant.name,
    expires_at: new Date(order.expires_at).toISOString(),
    paid_at: order.paid_at === null ? null : new Date(order.paid_at).toISOString(),
  }
}

function expired(): Problem {
  return new Problem(
    'launch-expired',
    'This launch has expired, or is not for this mini-program. Go back to where you ordered and open the payment again.',
  )
}

/** What the merchant hears about channels and settings is not for payers. */
function forPayers(problem: Problem): Problem {
  switch (problem.code) {
    case 'provider-rejected':
    case 'method-unavailable':
      return new Problem(problem.code, 'This payment cannot be made here now. Try again, or use another way to pay.')
    case 'provider-unavailable':
      return new Problem(problem.code, 'WeChat did not answer clearly. Try again in a moment.', {
        retryAfter: problem.extras.retryAfter ?? 2,
      })
    default:
      return problem
  }
}
