import { gzipSync } from 'node:zlib'
import { Router, type Request, type RequestHandler, type Response } from 'express'
import { z } from 'zod'
import type { Context } from '../context.ts'
import { Problem, type ProblemCode } from '../core/problem.ts'
import { randomToken } from '../crypto/digest.ts'
import { beginAuthorisation, finishAuthorisation, signedInPayer } from '../flows/cashier-authorise.ts'
import {
  cashierChannel,
  cashierOrder,
  isPaidByAnother,
  payabilityOf,
  type CashierOrder,
} from '../flows/cashier-order.ts'
import { callerOf } from './payer-limits.ts'
import { launchLink, launchPath, mayLaunch } from '../flows/cashier-launch.ts'
import { payFromCashier, type JsapiInvocation } from '../flows/cashier-pay.ts'
import { nudgePayment } from '../flows/nudge-payment.ts'
import { cashierUrl } from '../flows/read.ts'
import { acceptsGzip, assets, serveAsset } from './cashier-assets.ts'
import { entryOf, languageOf, paysHere, type Entry, type Language } from './cashier-entry.ts'
import { cashierPage, messagePage, timeText, type PageState } from './cashier-page.ts'
import { receiptPage } from './cashier-receipt.ts'
import { readJsonBody } from './json-body.ts'
import { readBrowser, readSession, requireOwnPage, writeBrowser, writeSession } from './payer-session.ts'
import { perCashier, type CashierLimit } from './cashier-limit.ts'
import { readRawBody } from './raw-body.ts'
import { onlyMethods } from './respond.ts'

/** The payer's page: /cashier/:token, its way through WeChat's authorisation, its payments and its status (design.md 12). */

/** WeChat's bridge talks through frames of its own schemes in some versions; nothing else may be framed or loaded. */
const contentPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  'frame-src weixin: weixinping:',
  "form-action 'none'",
  "base-uri 'none'",
]

/** The only origin that may frame anything of ours: the receipt inside WeChat's own page (experience.md 2.9). */
const goldenPlanOrigin = 'https://payapp.weixin.qq.com'

const payBody = { schema: z.strictObject({ intent: z.enum(['prepare', 'pay']) }), mayBeEmpty: false }
const largestPayBody = 256

/** The router of everything below /cashier. */
export function cashierPages(ctx: Context): Router {
  const router = Router({ caseSensitive: true })
  const limit = perCashier()
  const page = (path: string, handler: RequestHandler) => {
    router
      .route(path)
      .get(asPage(ctx, path, handler))
      .all(onlyMethods('GET', 'HEAD'))
  }
  router.route('/cashier/assets/:name').get(serveAsset).all(onlyMethods('GET', 'HEAD'))
  page('/cashier/openid', (req, res) => comeBack(ctx, req, res))
  page('/cashier/receipt', (req, res) => showReceipt(ctx, req, res))
  page('/cashier/:token', (req, res) => showCashier(ctx, limit, req, res))
  page('/cashier/:token/launch', (req, res) => goToMiniProgram(ctx, limit, req, res))
  router
    .route('/cashier/:token/payments')
    .post((req, res) => makePayment(ctx, limit, req, res))
    .all(onlyMethods('POST'))
  router
    .route('/cashier/:token/status')
    .get((req, res) => showStatus(ctx, limit, req, res))
    .all(onlyMethods('GET', 'HEAD'))
  return router
}

async function showCashier(ctx: Context, limit: CashierLimit, req: Request, res: Response): Promise<void> {
  const found = await cashierOrder(ctx, tokenOf(req))
  limit(found.order.id, callerOf(req))
  const language = languageFor(ctx, req)
  const entry = entryOf(req.headers['user-agent'] ?? '')
  const view = viewOf(ctx, found, language, entry)
  const payability = payabilityOf(ctx, found.order)
  if (payability !== 'ready')
    return sendPage(req, res, payability === 'paid' ? 200 : 410, cashierPage({ ...view, state: payability }))
  if (!paysHere(entry)) {
    const launch = await launchFor(ctx, found, entry, req)
    return sendPage(
      req,
      res,
      200,
      cashierPage({ ...view, state: 'outside', ...(launch === undefined ? {} : { launch }) }),
    )
  }
  const route = cashierChannel(ctx, found)
  if (route === undefined) return sendPage(req, res, 200, cashierPage({ ...view, state: 'failed' }))
  const payer = await signedInPayer(ctx, found.order, readSession(req), route.appid)
  if (payer !== undefined) {
    const other = await isPaidByAnother(ctx, found.order, payer.openid, false)
    const state: PageState = other ? 'other' : 'ready'
    return sendPage(req, res, 200, cashierPage({ ...view, state }))
  }
  const notice = noticeOf(req)
  if (notice !== undefined) {
    const next = { label: 'continue', href: `${found.order.cashier_token}?lang=${language}` } as const
    return sendPage(req, res, 200, messagePage({ language, ...notice, assets: assets().cashier, next }))
  }
  const browser = readBrowser(req) ?? randomToken(32)
  writeBrowser(ctx, res, browser)
  const asked = req.query['lang'] === undefined ? {} : { lang: language }
  res.redirect(
    302,
    await beginAuthorisation(ctx, {
      order: found.order,
      channelId: route.channel.id,
      appid: route.appid,
      browser,
      ...asked,
    }),
  )
}

/** Where the page's way into the mini-program leads: a link to be made on the tap, or the page beside a web-view. */
async function launchFor(ctx: Context, found: CashierOrder, entry: Entry, req: Request): Promise<string | undefined> {
  if (entry === 'mini-program') return launchPath(ctx, found, clientIpOf(req))
  return entry === 'phone' && mayLaunch(ctx, found) ? `${found.order.cashier_token}/launch` : undefined
}

async function goToMiniProgram(ctx: Context, limit: CashierLimit, req: Request, res: Response): Promise<void> {
  const found = await cashierOrder(ctx, tokenOf(req))
  limit(found.order.id, callerOf(req))
  // Previews and prefetches are nobody's tap.
  const looksOnly =
    req.method === 'HEAD' || /prefetch|preview/i.test(`${req.get('Sec-Purpose') ?? ''} ${req.get('Purpose') ?? ''}`)
  if (looksOnly) return res.redirect(302, cashierUrl(ctx, found.order))
  const url = payabilityOf(ctx, found.order) === 'ready' ? await launchLink(ctx, found, clientIpOf(req)) : undefined
  return res.redirect(302, url ?? cashierUrl(ctx, found.order))
}

/** What the page says after an authorisation that gave nobody; the address shows it, so that a reload does too. */
function noticeOf(
  req: Request,
): { readonly title: 'snapshotTitle' | 'rejectedTitle'; readonly text: 'snapshot' | 'rejected' } | undefined {
  const view = req.query['view']
  if (view === 'full-service') return { title: 'snapshotTitle', text: 'snapshot' }
  if (view === 'not-authorised') return { title: 'rejectedTitle', text: 'rejected' }
  return undefined
}

/** WeChat sends the browser back: state and code are used up here, and the address without them is where it goes on. */
async function comeBack(ctx: Context, req: Request, res: Response): Promise<void> {
  const { state, code } = req.query
  const finished = await finishAuthorisation(ctx, {
    state: typeof state === 'string' ? state : '',
    code: typeof code === 'string' ? code : '',
    browser: readBrowser(req) ?? '',
  })
  if (finished.kind === 'refused') {
    const language = languageFor(ctx, req)
    const words = { title: 'refusedTitle', text: 'refused' } as const
    return sendPage(req, res, 403, messagePage({ language, ...words, assets: assets().cashier }))
  }
  if (finished.kind === 'retry') return res.redirect(302, finished.url)
  const token = finished.order.cashier_token
  const query = new URLSearchParams(finished.lang === null ? {} : { lang: finished.lang })
  if (finished.kind === 'signed-in') writeSession(ctx, res, token, finished.session, finished.maxAgeMs)
  if (finished.kind === 'snapshot') query.set('view', 'full-service')
  if (finished.kind === 'rejected') query.set('view', 'not-authorised')
  const target = `${cashierUrl(ctx, finished.order)}${query.size === 0 ? '' : `?${query.toString()}`}`
  return res.redirect(302, target)
}

async function makePayment(ctx: Context, limit: CashierLimit, req: Request, res: Response): Promise<void> {
  res.locals['route'] = '/cashier/:token/payments'
  requireOwnPage(ctx, req)
  const found = await cashierOrder(ctx, tokenOf(req))
  limit(found.order.id, callerOf(req))
  const bytes = await readRawBody(req, largestPayBody)
  const circumstances = { sandbox: found.merchant.sandbox, now: ctx.now() }
  const { intent } = readJsonBody(payBody, req.headers['content-type'], bytes, circumstances)
  const result = await payFromCashier(ctx, found, {
    cookie: readSession(req),
    intent,
    clientIp: clientIpOf(req),
  })
  res
    .status(result.state === 'ready' ? 200 : 409)
    .json(
      result.state === 'ready'
        ? { state: 'ready', invocation: launchParameters(result.invocation), usable_ms: result.usableMs }
        : result,
    )
}

/** Exactly what the bridge takes: an unknown field makes some versions of WeChat refuse. */
function launchParameters({ appId, timeStamp, nonceStr, package: handle, signType, paySign }: JsapiInvocation) {
  return { appId, timeStamp, nonceStr, package: handle, signType, paySign }
}

/** Rows only. A hint makes the server ask the provider first; what the hint says is not even looked at. */
async function showStatus(ctx: Context, limit: CashierLimit, req: Request, res: Response): Promise<void> {
  res.locals['route'] = '/cashier/:token/status'
  const token = tokenOf(req)
  let found = await cashierOrder(ctx, token)
  limit(found.order.id, callerOf(req))
  if (typeof req.query['hint'] === 'string' && found.order.status === 'open') {
    await nudgePayment(ctx, found.order)
    found = await cashierOrder(ctx, token)
  }
  const { order } = found
  const language = languageFor(ctx, req)
  res.json({
    state: payabilityOf(ctx, order),
    paid_at: order.paid_at === null ? null : timeText(order.paid_at, language),
    other_payer: await otherPays(ctx, found, req),
  })
}

async function otherPays(ctx: Context, found: CashierOrder, req: Request): Promise<boolean> {
  const route = found.order.status === 'open' ? cashierChannel(ctx, found) : undefined
  if (route === undefined) return false
  const payer = await signedInPayer(ctx, found.order, readSession(req), route.appid)
  return payer !== undefined && isPaidByAnother(ctx, found.order, payer.openid, false)
}

async function showReceipt(ctx: Context, req: Request, res: Response): Promise<void> {
  const language = languageFor(ctx, req)
  const number = req.query['out_trade_no']
  const page = await receiptPage(ctx, typeof number === 'string' ? number : '', language, assets().receipt)
  res.removeHeader('X-Frame-Options')
  res.setHeader('Content-Security-Policy', [...contentPolicy, `frame-ancestors ${goldenPlanOrigin}`].join('; '))
  sendPage(req, res, 200, page)
}

function viewOf(ctx: Context, { order, merchant }: CashierOrder, language: Language, entry: Entry) {
  return {
    order,
    merchantName: merchant.name,
    sandbox: merchant.sandbox,
    language,
    entry,
    precreate: ctx.cashier.precreate,
    url: cashierUrl(ctx, order),
    assets: assets().cashier,
  }
}

/** A page's headers, and words instead of JSON for a person whose request fails. */
function asPage(ctx: Context, path: string, handler: RequestHandler): RequestHandler {
  return async (req, res, next) => {
    res.locals['route'] = path
    res.setHeader('Content-Security-Policy', [...contentPolicy, "frame-ancestors 'none'"].join('; '))
    res.setHeader('Referrer-Policy', 'same-origin')
    try {
      await handler(req, res, next)
    } catch (error) {
      const code: ProblemCode = error instanceof Problem ? error.code : 'internal'
      if (code === 'internal') ctx.log.error('a page failed', { route: path, error })
      if (error instanceof Problem && error.extras.retryAfter !== undefined) {
        res.setHeader('Retry-After', String(error.extras.retryAfter))
      }
      if (code === 'unavailable') throw error
      const { status, title, text } = failures[code] ?? ourFault
      const language = languageFor(ctx, req)
      sendPage(req, res, status, messagePage({ language, title, text, assets: assets().cashier }))
    }
  }
}

type Failure = Pick<Parameters<typeof messagePage>[0], 'title' | 'text'> & { readonly status: number }

const ourFault: Failure = { status: 503, title: 'brokenTitle', text: 'broken' }

const failures: Readonly<Partial<Record<ProblemCode, Failure>>> = {
  'not-found': { status: 404, title: 'notFoundTitle', text: 'notFound' },
  'rate-limited': { status: 429, title: 'tooManyTitle', text: 'tooMany' },
}

function sendPage(req: Request, res: Response, status: number, page: string): void {
  res.status(status)
  res.setHeader('Content-Type', 'text/html; charset=utf-8')
  res.setHeader('Vary', 'Accept-Encoding, User-Agent, Accept-Language, Cookie')
  if (!acceptsGzip(req.headers['accept-encoding'])) return void res.end(page)
  res.setHeader('Content-Encoding', 'gzip')
  res.end(gzipSync(page))
}

function languageFor(ctx: Context, req: Request): Language {
  return languageOf(req.query['lang'], req.headers['accept-language'], ctx.cashier.defaultLanguage)
}

function tokenOf(req: Request): string {
  const token: unknown = req.params['token']
  return typeof token === 'string' ? token : ''
}

/** The payer's address as the proxies in front tell it; an IPv4 address is written as one. */
function clientIpOf(req: Request): string {
  return (req.ip ?? '127.0.0.1').replace(/^::ffff:(?=\d+\.)/, '')
}
