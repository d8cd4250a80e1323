import { existsSync, readFileSync } from 'node:fs'
import http from 'node:http'
import type { Socket } from 'node:net'
import express, { type Express, type RequestHandler, type Router } from 'express'
import helmet from 'helmet'
import { ulid } from 'ulid'
import type { Context } from '../context.ts'
import { createGate } from './authenticate.ts'
import { cashierPages } from './cashier.ts'
import { healthPages, type HealthOptions } from './health.ts'
import { merchantApi, merchantOperations } from './merchant-api.ts'
import { miniProgramApi } from './mini-program.ts'
import { notificationDoors } from './notifications.ts'
import { openApiDocument } from './openapi.ts'
import { usualLimits, type Limits } from './rate-limits.ts'
import { answerErrors, noSuchPath, noSuchPrivatePath, onlyMethods, routeOf } from './respond.ts'

/** Both listeners: the public one for merchants, providers and payers, the private one for health and metrics. */

export type GatewayServerOptions = {
  /** How many proxies stand in front; their addresses in X-Forwarded-For are believed, nobody else's. */
  readonly trustProxy: number
  readonly version: string
  readonly health: HealthOptions
  readonly limits?: Partial<Limits>
  /** Further doors at the public listener: mini-program, console. */
  readonly doors?: readonly Router[]
}

export type GatewayServer = {
  /** Neither listens yet. */
  readonly public: http.Server
  readonly private: http.Server
  /** Stops what runs in the background; the servers are closed by whoever made them listen. */
  stop(): void
}

/**
 * Makes both servers.
 * @param ctx what the flows behind the doors need
 */
export function createGatewayServer(ctx: Context, options: GatewayServerOptions): GatewayServer {
  const limits = { ...usualLimits, ...options.limits }
  const gate = createGate(ctx.merchants, limits)

  const outside = bareApp(options.trustProxy)
  outside.use(beginRequest(ctx))
  outside.use(helmet())
  outside.use(notificationDoors(ctx, limits.notificationsAtOnce))
  outside.use(merchantApi(ctx, gate))
  outside.use(miniProgramApi(ctx))
  outside.use(documents(ctx, options.version))
  outside.use(cashierPages(ctx))
  for (const door of options.doors ?? []) outside.use(door)
  outside.use(noSuchPath)
  outside.use(answerErrors(ctx.log, ctx))

  const inside = bareApp(0)
  inside.use(healthPages(ctx, options.health))
  inside.use(noSuchPrivatePath)
  inside.use(answerErrors(ctx.log, ctx))

  const publicServer = createServer(outside)
  publicServer.maxConnections = limits.connections
  return { public: publicServer, private: createServer(inside), stop: () => gate.stop() }
}

function bareApp(trustProxy: number): Express {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.enable('case sensitive routing')
  app.set('query parser', 'simple')
  // A number of hops, never `true`: that would believe whatever a caller writes (reliability.md T61, T62).
  app.set('trust proxy', trustProxy)
  return app
}

/** Names the request, times it, and forbids caching. An id from outside is honoured nowhere: it would let callers forge our trail. */
function beginRequest(ctx: Context): RequestHandler {
  return (req, res, next) => {
    const began = performance.now()
    const requestId = `req_${ulid()}`
    res.locals['requestId'] = requestId
    res.setHeader('X-Request-Id', requestId)
    res.setHeader('Cache-Control', 'no-store')
    res.once('close', () => {
      const method = ['GET', 'HEAD', 'POST'].includes(req.method) ? req.method : 'other'
      const status = res.writableFinished ? String(res.statusCode) : 'aborted'
      const labels = { method, route: routeOf(res), status }
      ctx.metrics.count('http_requests_total', labels)
      ctx.metrics.observe('http_request_seconds', labels, (performance.now() - began) / 1000)
    })
    next()
  }
}

/** The API's description, and the page the `type` of every problem points to. */
function documents(ctx: Context, version: string): Router {
  const router = express.Router()
  const description = JSON.stringify(openApiDocument(merchantOperations, { version, publicUrl: ctx.publicUrl }))
  const pages = readPage('docs/problems.md')
  const serve = (path: string, contentType: string, body: string) => {
    const handler: RequestHandler = (_req, res) => {
      res.locals['route'] = path
      res.setHeader('Content-Type', contentType)
      res.end(body)
    }
    router.route(path).get(handler).all(onlyMethods('GET', 'HEAD'))
  }
  serve('/openapi.json', 'application/json; charset=utf-8', description)
  serve('/problems', 'text/plain; charset=utf-8', pages)
  return router
}

/** Found from the sources and from the compiled code, which lies one folder deeper. */
function readPage(path: string): string {
  const places = ['../../', '../../../'].map((up) => new URL(up + path, import.meta.url))
  const place = places.find((candidate) => existsSync(candidate))
  return place === undefined ? '' : readFileSync(place, 'utf8')
}

/** Limits against slow and greedy callers (reliability.md T60). */
const listening: http.ServerOptions = {
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  keepAliveTimeout: 65_000,
  // The default looks for overdue connections only every thirty seconds.
  connectionsCheckingInterval: 2_000,
  maxHeaderSize: 16 * 1024,
  requireHostHeader: true,
  insecureHTTPParser: false,
}

/**
 * An HTTP server for an Express app. Express replaces the prototype of every request and response, which makes Node
 * before 24 give up optimising them; objects that are born with that prototype cost half (performance.md F).
 */
export function createServer(app: Express): http.Server {
  const options: http.ServerOptions = { ...listening }
  if (Number.parseInt(process.versions.node, 10) < 24) {
    // Called as plain functions on objects of our own prototype: Reflect.construct would be slower than no trick at all.
    const Incoming = function (this: http.IncomingMessage, socket: Socket) {
      Reflect.apply(http.IncomingMessage, this, [socket])
    }
    const Outgoing = function (this: http.ServerResponse, ...parameters: unknown[]) {
      Reflect.apply(http.ServerResponse, this, parameters)
    }
    Incoming.prototype = app.request
    Outgoing.prototype = app.response
    Object.assign(options, { IncomingMessage: Incoming, ServerResponse: Outgoing })
  }
  const server = http.createServer(options, (req, res) => app(req, res))
  server.maxHeadersCount = 100
  return server
}
