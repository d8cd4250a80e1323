import { Router, type Request, type RequestHandler, type Response } from 'express'
import type { Context } from '../context.ts'
import { Problem } from '../core/problem.ts'
import { NotificationRejected, type NotificationMessage, type Reply } from '../core/provider.ts'
import { receiveNotification } from '../flows/receive-notification.ts'
import { ClientGone, readRawBody } from './raw-body.ts'
import { onlyMethods, requestIdOf } from './respond.ts'

/**
 * The doors providers knock on: raw bytes in, the adapter's exact reply out (design.md 8.2, reliability.md 5.5). The body
 * is neither parsed nor inflated here, because the signature is over the bytes.
 */

export const largestNotification = 64 * 1024

const longestParameter = 128

/** The one answer for a wrong signature, an unknown channel and a wrong segment: whoever asks learns nothing. */
const rejected: Reply = reply(401, 'The message was not accepted')
const failed: Reply = reply(500, 'Not written down; send it again')
const busy: Reply = reply(503, 'Too much at once; send it again')

function reply(status: number, message: string): Reply {
  return { status, contentType: 'application/json; charset=utf-8', body: JSON.stringify({ code: 'FAIL', message }) }
}

/**
 * The router of /notify.
 * @param atOnce notifications in work at the same time; more are told to come back, which providers do
 */
export function notificationDoors(ctx: Context, atOnce: number): Router {
  const router = Router({ caseSensitive: true })
  let inWork = 0
  const door = (name: NotificationMessage['door'], path: string): RequestHandler => {
    return async (req, res) => {
      res.locals['route'] = path
      const body = await readBody(ctx, req, res, name)
      if (body === undefined) return
      // Counted only once the body is here: sixty-four slow senders must not close the door for everybody.
      if (inWork >= atOnce) return finish(ctx, res, name, 'busy', busy)
      inWork += 1
      try {
        await receive(ctx, req, res, name, body)
      } finally {
        inWork -= 1
      }
    }
  }
  for (const [name, path] of [
    ['notify', '/notify/:channel/:segment'],
    ['console', '/notify/:channel/:segment/console'],
  ] as const) {
    router.route(path).post(door(name, path)).all(onlyMethods('POST'))
  }
  return router
}

async function readBody(
  ctx: Context,
  req: Request,
  res: Response,
  door: NotificationMessage['door'],
): Promise<Buffer | undefined> {
  try {
    return await readRawBody(req, largestNotification)
  } catch (error) {
    if (error instanceof ClientGone || !(error instanceof Problem)) throw error
    res.setHeader('Connection', 'close')
    const isTooLarge = error.code === 'payload-too-large'
    finish(ctx, res, door, isTooLarge ? 'too_large' : 'malformed', reply(isTooLarge ? 413 : 415, error.detail))
    return undefined
  }
}

async function receive(
  ctx: Context,
  req: Request,
  res: Response,
  door: NotificationMessage['door'],
  body: Buffer,
): Promise<void> {
  try {
    const channels = await channelsAt(ctx, req)
    // An unknown door is answered like a message with a bad signature.
    if (channels.length === 0) return finish(ctx, res, door, 'signature', rejected)
    const message = { door, query: joined(req.query), headers: receivedHeaders(req), body, receivedAt: ctx.now() }
    finish(ctx, res, door, 'accepted', await receiveNotification(ctx, channels, message))
  } catch (error) {
    if (error instanceof NotificationRejected) return finish(ctx, res, door, error.why, rejected)
    ctx.log.error('a notification was not written down', { requestId: requestIdOf(res), operation: door, error })
    finish(ctx, res, door, 'failed', failed)
  }
}

async function channelsAt(ctx: Context, req: Request) {
  const { channel, segment } = req.params
  if (typeof channel !== 'string' || typeof segment !== 'string') return []
  if (channel.length > longestParameter || segment.length > longestParameter) return []
  return ctx.channels.atDoor(channel, segment)
}

function finish(ctx: Context, res: Response, door: NotificationMessage['door'], outcome: string, answer: Reply): void {
  ctx.metrics.count('notifications_total', { door, outcome })
  res.writeHead(answer.status, { 'Content-Type': answer.contentType, 'Content-Length': Buffer.byteLength(answer.body) })
  res.end(answer.body)
}

/**
 * Headers as they came in: Node drops the second of some, and a signature header that came twice has to be seen as such.
 */
export function receivedHeaders(req: Pick<Request, 'rawHeaders'>): Readonly<Record<string, string | undefined>> {
  const headers: Record<string, string | undefined> = dictionary()
  for (let at = 0; at + 1 < req.rawHeaders.length; at += 2) {
    const name = (req.rawHeaders[at] ?? '').toLowerCase()
    const value = req.rawHeaders[at + 1] ?? ''
    const before = headers[name]
    headers[name] = before === undefined ? value : `${before}, ${value}`
  }
  return headers
}

function joined(query: Request['query']): Readonly<Record<string, string | undefined>> {
  const values: Record<string, string | undefined> = dictionary()
  for (const [name, value] of Object.entries(query)) {
    if (typeof value === 'string') values[name] = value
    else if (Array.isArray(value)) values[name] = value.filter((one) => typeof one === 'string').join(', ')
  }
  return values
}

/** Names come from outside: without a prototype, `constructor` is a name like any other (reliability.md T58). */
function dictionary(): Record<string, string | undefined> {
  return Object.setPrototypeOf({}, null)
}
