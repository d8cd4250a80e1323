import type { Request, Response } from 'express'
import type { Context } from '../context.ts'
import { Problem } from '../core/problem.ts'

/** Cookies of payers' browsers, and the proof that a request comes from our own page. */

const sessionCookie = 'mortise_payer'
const browserCookie = 'mortise_browser'
const tokenShape = /^[A-Za-z0-9_-]{43}$/

/** The path under which payers see the cashier; a proxy may put the gateway below one of its own. */
function basePath(ctx: Context): string {
  return `${new URL(ctx.publicUrl).pathname.replace(/\/$/, '')}/cashier`
}

function readCookie(req: Request, name: string): string | undefined {
  for (const part of (req.headers.cookie ?? '').slice(0, 8192).split(';')) {
    const at = part.indexOf('=')
    if (at < 0 || part.slice(0, at).trim() !== name) continue
    const value = part.slice(at + 1).trim()
    if (tokenShape.test(value)) return value
  }
  return undefined
}

function setCookie(
  ctx: Context,
  res: Response,
  cookie: { name: string; value: string; path: string; maxAgeMs: number },
) {
  const secure = ctx.publicUrl.startsWith('https:') ? '; Secure' : ''
  const age = String(Math.floor(cookie.maxAgeMs / 1000))
  // Lax, not Strict: the way back from WeChat's authorisation is a navigation from another site.
  res.append(
    'Set-Cookie',
    `${cookie.name}=${cookie.value}; Path=${cookie.path}; Max-Age=${age}; HttpOnly; SameSite=Lax${secure}`,
  )
}

/** The session of this order's payer: the cookie's path holds the order's token, so orders cannot mix theirs up. */
export function readSession(req: Request): string | undefined {
  return readCookie(req, sessionCookie)
}

export function writeSession(ctx: Context, res: Response, token: string, session: string, maxAgeMs: number): void {
  setCookie(ctx, res, { name: sessionCookie, value: session, path: `${basePath(ctx)}/${token}`, maxAgeMs })
}

/** What a browser is known by while it is away at WeChat; nothing else hangs on it. */
export function readBrowser(req: Request): string | undefined {
  return readCookie(req, browserCookie)
}

export function writeBrowser(ctx: Context, res: Response, browser: string): void {
  setCookie(ctx, res, { name: browserCookie, value: browser, path: basePath(ctx), maxAgeMs: 10 * 60_000 })
}

/**
 * Only our own page may change something: a cookie alone is sent by any page that makes the browser navigate, a header
 * of ours needs a script, and a script of another origin is named by `Origin` (experience.md 2.7).
 * @throws Problem `forbidden`
 */
export function requireOwnPage(ctx: Context, req: Request): void {
  const own = new URL(ctx.publicUrl).origin
  if (req.headers['x-mortise-cashier'] === '1' && req.headers.origin === own) return
  throw new Problem('forbidden', 'This path is for the cashier page itself. Send the payer to the cashier_url.')
}
