import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'

/** A request as it came over the wire. Header names are lower case. */
export type SimRequest = {
  method: string
  path: string
  /** Raw, without the question mark. */
  query: string
  /** Raw path?query exactly as on the wire: signatures cover this text. */
  target: string
  headers: Record<string, string | undefined>
  body: Buffer
}

/** An answer, and what befalls it on the way: the fault is applied after the handler ran (effect applied, answer lost). */
export type SimResponse = {
  status: number
  headers: Record<string, string>
  body: Buffer | string
  fault?: 'hang' | 'reset' | 'truncate'
  /** Set-Cookie lines, each of which is a header of its own. */
  cookies?: readonly string[]
  /** Real milliseconds before the answer is sent. */
  delayMs?: number
}

/** A plain function; undefined means "not my path". Tests may call it without any socket. */
export type SimHandler = (request: SimRequest) => SimResponse | undefined | Promise<SimResponse | undefined>

/** Largest request body accepted, in bytes; no documented request comes near it. */
const BODY_LIMIT = 1024 * 1024

/** A JSON answer. */
export function jsonResponse(status: number, value: unknown, headers: Record<string, string> = {}): SimResponse {
  return {
    status,
    headers: { 'Content-Type': 'application/json; charset=utf-8', ...headers },
    body: JSON.stringify(value),
  }
}

function toSimRequest(req: IncomingMessage, body: unknown): SimRequest {
  const target = req.url ?? '/'
  const mark = target.indexOf('?')
  const headers: Record<string, string | undefined> = {}
  for (const [name, value] of Object.entries(req.headers))
    headers[name] = Array.isArray(value) ? value.join(', ') : value
  return {
    method: req.method ?? 'GET',
    path: mark < 0 ? target : target.slice(0, mark),
    query: mark < 0 ? '' : target.slice(mark + 1),
    target,
    headers,
    body: Buffer.isBuffer(body) ? body : Buffer.alloc(0),
  }
}

async function send(res: ServerResponse, answer: SimResponse): Promise<void> {
  if (answer.delayMs) await new Promise((resolve) => setTimeout(resolve, answer.delayMs))
  if (answer.fault === 'hang') return
  if (answer.fault === 'reset') {
    res.socket?.resetAndDestroy()
    return
  }
  const body = Buffer.isBuffer(answer.body) ? answer.body : Buffer.from(answer.body, 'utf8')
  const length: Record<string, string> = answer.status === 204 ? {} : { 'Content-Length': String(body.length) }
  const cookies = answer.cookies === undefined ? {} : { 'Set-Cookie': [...answer.cookies] }
  res.writeHead(answer.status, { ...length, ...answer.headers, ...cookies })
  if (answer.fault === 'truncate') {
    // The promised length never arrives. Nothing to cut means the connection simply ends.
    res.write(body.subarray(0, Math.floor(body.length / 2)), () => res.socket?.destroy())
    return
  }
  res.end(answer.status === 204 ? undefined : body)
}

/** Gives the request to each handler in turn; the first that knows the path answers. */
export async function firstAnswer(
  handlers: readonly SimHandler[],
  request: SimRequest,
): Promise<SimResponse | undefined> {
  for (const handler of handlers) {
    const answer = await handler(request)
    if (answer) return answer
  }
  return undefined
}

export type SimServer = { url: string; close(): Promise<void> }

/**
 * Serves handlers over HTTP through express, with raw bodies of every content type.
 * @param options `host` and `port` to listen on (0: any free port); `log` receives one line per defect of a handler
 */
export async function serve(
  handlers: readonly SimHandler[],
  options: { host: string; port: number; log: (line: string) => void },
): Promise<SimServer> {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.use(express.raw({ type: () => true, limit: BODY_LIMIT, inflate: false }))
  app.use(async (req, res) => {
    const answer = await firstAnswer(handlers, toSimRequest(req, req.body))
    await send(res, answer ?? { status: 404, headers: {}, body: '' })
  })
  // Express recognises an error handler by its four parameters.
  app.use((error: unknown, _req: express.Request, res: express.Response, _next: express.NextFunction) => {
    const status = error instanceof Error && 'status' in error && typeof error.status === 'number' ? error.status : 500
    if (status >= 500)
      options.log(`simulator defect: ${error instanceof Error ? (error.stack ?? error.message) : 'unknown'}`)
    if (!res.headersSent) res.status(status).end()
  })
  const server = createServer(app)
  // WeChat drops idle connections after about eight seconds (wechatpay.md 1.1).
  server.keepAliveTimeout = 8000
  server.listen(options.port, options.host)
  await once(server, 'listening')
  return { url: `http://${hostText(options.host)}:${portOf(server)}`, close: () => closeServer(server) }
}

const hostText = (host: string): string => (host.includes(':') ? `[${host}]` : host === '0.0.0.0' ? '127.0.0.1' : host)

function portOf(server: Server): number {
  const address: string | AddressInfo | null = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server does not listen on a port')
  return address.port
}

async function closeServer(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}
