import { Router, type Request, type RequestHandler } from 'express'
import { z } from 'zod'
import type { Context } from '../context.ts'
import { sha256 } from '../crypto/digest.ts'
import { Problem } from '../core/problem.ts'
import {
  openMiniSession,
  payFromMiniProgram,
  readMiniSession,
  reportFromMiniProgram,
  viewFromMiniProgram,
  type MiniSession,
} from '../flows/mini-program.ts'
import { faultsOf, invalid, readJsonBody, type BodyRule } from './json-body.ts'
import { callerOf, payerAddress, payerLimit } from './payer-limits.ts'
import { readRawBody } from './raw-body.ts'
import { onlyMethods, sendAnswer } from './respond.ts'

/**
 * /mp/v1: what a merchant's mini-program calls (experience.md 3.2). A launch token becomes a session, a session pays its
 * order and asks how it stands. The openid is in no answer.
 */

const largestBody = 4 * 1024

const sessionBody: BodyRule<{ token: string; code: string }> = {
  schema: z.strictObject({
    token: z
      .string()
      .min(1)
      .max(128)
      .describe('The t of the page: 1 to 128 characters, from the link or app that opened the mini-program.'),
    code: z
      .string()
      .regex(/^[A-Za-z0-9_-]{1,128}$/)
      .describe('The code that wx.login() gave: 1 to 128 of A-Z a-z 0-9 _ -.'),
  }),
}

const nothing: BodyRule<Record<string, never>> = { schema: z.strictObject({}), mayBeEmpty: true }

const resultBody: BodyRule<{ errmsg: string; errno?: number | undefined }> = {
  schema: z.strictObject({
    errmsg: z.string().max(512).describe('The errMsg that wx.requestPayment gave, at most 512 characters.'),
    errno: z.int().optional().describe('Its errno, an integer, if there was one.'),
  }),
}

const orderQuery = z.strictObject({
  hint: z
    .enum(['ok', 'cancel', 'fail', 'wake'])
    .optional()
    .describe('What the device saw: one of ok, cancel, fail, wake. It only makes the gateway ask the provider.'),
})

type Handler = (ctx: Context, req: Request, limits: Limits) => Promise<{ status: number; body: unknown }>

type Limits = ReturnType<typeof limitsOf>

function limitsOf() {
  return {
    // Carriers put many payers behind one address.
    sessions: payerLimit({ rate: 5, burst: 60 }),
    payments: payerLimit({ rate: 1, burst: 5 }),
    looks: payerLimit({ rate: 3, burst: 15 }),
  }
}

const openSession: Handler = async (ctx, req, limits) => {
  limits.sessions.take(callerOf(req))
  const { token, code } = await bodyOf(ctx, req, sessionBody)
  const { session, expiresAt, order } = await openMiniSession(ctx, token, code)
  return { status: 201, body: { session, session_expires_at: new Date(expiresAt).toISOString(), order } }
}

const pay: Handler = async (ctx, req, limits) => {
  const session = await enter(ctx, req, limits.payments)
  await bodyOf(ctx, req, nothing)
  return { status: 200, body: { payment: await payFromMiniProgram(ctx, session, payerAddress(req)) } }
}

const look: Handler = async (ctx, req, limits) => {
  const session = await enter(ctx, req, limits.looks)
  const query = orderQuery.safeParse({ ...req.query })
  if (!query.success) {
    const faults = query.error.issues.flatMap((issue) => faultsOf(issue, orderQuery))
    throw invalid(faults.map(({ pointer, detail }) => ({ pointer: pointer.replace(/^\//, '?'), detail })))
  }
  return { status: 200, body: { order: await viewFromMiniProgram(ctx, session, query.data.hint !== undefined) } }
}

const report: Handler = async (ctx, req, limits) => {
  const session = await enter(ctx, req, limits.looks)
  const { errmsg, errno } = await bodyOf(ctx, req, resultBody)
  return { status: 200, body: { order: await reportFromMiniProgram(ctx, session, { errmsg, errno }) } }
}

/** The router of /mp/v1. Limits are per router, like those of the merchant API. */
export function miniProgramApi(ctx: Context): Router {
  const router = Router({ caseSensitive: true })
  const limits = limitsOf()
  const door =
    (path: string, handler: Handler): RequestHandler =>
    async (req, res) => {
      res.locals['route'] = path
      sendAnswer(res, await handler(ctx, req, limits))
    }
  router.route('/mp/v1/sessions').post(door('/mp/v1/sessions', openSession)).all(onlyMethods('POST'))
  router.route('/mp/v1/pay').post(door('/mp/v1/pay', pay)).all(onlyMethods('POST'))
  router.route('/mp/v1/order').get(door('/mp/v1/order', look)).all(onlyMethods('GET', 'HEAD'))
  router.route('/mp/v1/result').post(door('/mp/v1/result', report)).all(onlyMethods('POST'))
  return router
}

/** The payer behind the session token. Counted before the database is asked, by what was sent. */
async function enter(ctx: Context, req: Request, limit: Limits['looks']): Promise<MiniSession> {
  const session = /^Bearer ([A-Za-z0-9_-]{43})$/i.exec((req.headers.authorization ?? '').slice(0, 128))?.[1]
  if (session === undefined) {
    throw new Problem('session-expired', 'Send the session of POST /mp/v1/sessions as Authorization: Bearer ….')
  }
  limit.take(sha256(session))
  return readMiniSession(ctx, session)
}

async function bodyOf<Body>(ctx: Context, req: Request, rule: BodyRule<Body>): Promise<Body> {
  const bytes = await readRawBody(req, largestBody)
  return readJsonBody(rule, req.headers['content-type'], bytes, { sandbox: false, now: ctx.now() })
}
