import type { ErrorRequestHandler, RequestHandler, Response } from 'express'
import type { Log } from '../core/provider.ts'
import { Problem, problems, type ProblemExtras } from '../core/problem.ts'
import { ClientGone } from './raw-body.ts'

/** Answers: values as JSON, problems as RFC 9457 documents, everything unexpected as `internal` (design.md 10). */

export type Answer = {
  readonly status: number
  /** A value JSON can hold; a problem document when the status is 400 or more. */
  readonly body: unknown
  readonly location?: string
  /** True when the answer is an earlier one given again for an Idempotency-Key. */
  readonly replayed?: boolean
}

/** Where the pages about problems live: `type` of a problem is an address that can be opened. */
export type ProblemPages = { readonly publicUrl: string }

/** The request's id, given by the first middleware. */
export function requestIdOf(res: Response): string {
  const id: unknown = res.locals['requestId']
  return typeof id === 'string' ? id : 'unknown'
}

/** A problem as the answer the caller gets. */
export function problemAnswer(problem: Problem, requestId: string, pages: ProblemPages): Answer {
  const { status, title } = problems[problem.code]
  const { errors, retryAfter, provider, existing }: ProblemExtras = problem.extras
  return {
    status,
    body: {
      type: `${pages.publicUrl}/problems#${problem.code}`,
      title,
      status,
      detail: problem.detail,
      instance: requestId,
      code: problem.code,
      ...(errors === undefined ? {} : { errors }),
      ...(retryAfter === undefined ? {} : { retry_after: retryAfter }),
      ...(provider === undefined ? {} : { provider }),
      ...(existing === undefined ? {} : { existing }),
    },
  }
}

/** Sends an answer with the headers that belong to it. */
export function sendAnswer(res: Response, answer: Answer): void {
  const { body } = answer
  if (answer.location !== undefined) res.setHeader('Location', answer.location)
  if (answer.replayed === true) res.setHeader('Idempotent-Replayed', 'true')
  if (typeof body === 'object' && body !== null && 'retry_after' in body) {
    res.setHeader('Retry-After', String(body.retry_after))
  }
  res.status(answer.status)
  res.setHeader('Content-Type', answer.status >= 400 ? 'application/problem+json' : 'application/json; charset=utf-8')
  res.end(JSON.stringify(body))
}

/** For paths that exist with other methods; `Allow` says which. */
export function onlyMethods(...allowed: readonly string[]): RequestHandler {
  const list = allowed.toSorted().join(', ')
  return (_req, res) => {
    res.setHeader('Allow', list)
    throw new Problem('method-not-allowed', `This path takes ${list}.`)
  }
}

/** For paths that nobody answered, on the private listener. */
export const noSuchPrivatePath: RequestHandler = () => {
  throw new Problem('not-found', 'Here are /healthz, /readyz and /metrics.')
}

/** For paths that nobody answered, on the public listener. */
export const noSuchPath: RequestHandler = () => {
  throw new Problem('not-found', 'There is nothing at this path. The paths are listed in /openapi.json.')
}

/**
 * The last middleware: turns what was thrown into an answer. What is not a Problem is logged with the request id and
 * told as nothing but that id.
 */
export function answerErrors(log: Log, pages: ProblemPages): ErrorRequestHandler {
  return (error: unknown, _req, res, _next) => {
    if (error instanceof ClientGone || res.headersSent) {
      res.destroy()
      return
    }
    const requestId = requestIdOf(res)
    const problem = error instanceof Problem ? error : asProblem(error)
    if (problem.code === 'internal') {
      log.error('a request failed', { requestId, route: routeOf(res), error })
    }
    if (problem.code === 'unauthenticated') res.setHeader('WWW-Authenticate', 'Bearer realm="mortise"')
    // The rest of an unread body is not worth reading; the connection ends with the answer.
    if (problem.code === 'payload-too-large') res.setHeader('Connection', 'close')
    sendAnswer(res, problemAnswer(problem, requestId, pages))
  }
}

/** The template of the route that took the request: a label with few values. */
export function routeOf(res: Response): string {
  const route: unknown = res.locals['route']
  return typeof route === 'string' ? route : 'unmatched'
}

/** Express reports an undecodable path as an error of its own with a status; everything else is our fault. */
function asProblem(error: unknown): Problem {
  if (error instanceof URIError) {
    return new Problem(
      'invalid-request',
      'The path holds a percent sign that is not followed by two hexadecimal digits.',
    )
  }
  return new Problem(
    'internal',
    'Something went wrong on our side. Report the instance of this answer; repeating the request is safe.',
  )
}
