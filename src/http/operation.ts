import type { Request, RequestHandler } from 'express'
import type { z } from 'zod'
import type { Context, Merchant, Scope } from '../context.ts'
import { isId, type IdKind } from '../core/ids.ts'
import { Problem } from '../core/problem.ts'
import type { Gate, LimitClass } from './authenticate.ts'
import { answerOnce, readIdempotencyKey } from './idempotency.ts'
import { faultsOf, invalid, largestJsonBody, readJsonBody, type BodyRule } from './json-body.ts'
import { readRawBody } from './raw-body.ts'
import { requestIdOf, sendAnswer, type Answer } from './respond.ts'

/** One operation of the merchant API: what it takes, who may call it, what it does. Routes and OpenAPI come from the same value. */

export type Call<Body, Query> = {
  readonly ctx: Context
  readonly merchant: Merchant
  /** The id in the path, checked to be of its kind; empty when the path has none. */
  readonly id: string
  readonly body: Body
  readonly query: Query
}

export type Definition<Body, Query> = {
  readonly method: 'get' | 'post'
  /** As in OpenAPI: `{id}` stands for the one parameter a path may have. */
  readonly path: string
  readonly operationId: string
  readonly summary: string
  readonly scope: Scope
  readonly idKind?: IdKind
  /** A limit on top of the key's own. */
  limit?(query: Request['query']): LimitClass | undefined
  /** `nothingBody` for GET, whose body nobody looks at. */
  readonly body: BodyRule<Body>
  readonly query: z.ZodType<Query>
  /** How an Idempotency-Key header is taken; left out where it means nothing. */
  readonly idempotencyKey?: 'understood' | 'required'
  /** Statuses of success, and the schema of what they carry. */
  readonly success: readonly (200 | 201)[]
  readonly answer: z.ZodType
  run(call: Call<Body, Query>): Promise<Answer>
  /** Reads the resource again when an earlier answer is given again, so that it is not a fossil (reliability.md 5.1, 6). */
  reread?(call: Call<Body, Query>, id: string): Promise<unknown>
}

export type Operation = {
  readonly method: 'get' | 'post'
  readonly path: string
  readonly operationId: string
  readonly summary: string
  readonly scope: Scope
  readonly idKind?: IdKind
  readonly idempotencyKey?: 'understood' | 'required'
  readonly success: readonly (200 | 201)[]
  readonly answer: z.ZodType
  readonly bodySchema?: z.ZodType
  readonly bodyMayBeEmpty: boolean
  readonly querySchema: z.ZodType
  handler(ctx: Context, gate: Gate): RequestHandler
}

/** Makes an operation: the types of body and query stay inside. */
export function operation<Body, Query>(definition: Definition<Body, Query>): Operation {
  return {
    ...definition,
    ...(definition.method === 'get' ? {} : { bodySchema: definition.body.schema }),
    bodyMayBeEmpty: definition.body.mayBeEmpty ?? false,
    querySchema: definition.query,
    handler: (ctx, gate) => async (req, res) => {
      res.locals['route'] = definition.path
      // The key comes before the body: nobody's bytes are read for nothing.
      const merchant = await gate.enter(req, definition.scope, definition.limit?.(req.query))
      const id = readId(req, definition.idKind)
      const query = readQuery(definition.query, req.query)
      const read = await readBody(definition, req, { sandbox: merchant.sandbox, now: ctx.now() })
      const call: Call<Body, Query> = { ctx, merchant, id, body: read, query }
      sendAnswer(res, await answer(definition, call, req, requestIdOf(res)))
    },
  }
}

async function answer<Body, Query>(
  definition: Definition<Body, Query>,
  call: Call<Body, Query>,
  req: Request,
  requestId: string,
): Promise<Answer> {
  if (definition.idempotencyKey === undefined) return definition.run(call)
  const key = readIdempotencyKey(req.headers['idempotency-key'])
  if (key === undefined) {
    if (definition.idempotencyKey === 'understood') return definition.run(call)
    throw invalid([
      {
        pointer: 'Idempotency-Key',
        detail: 'This header is required here: send a new random value for each intent, and the same when repeating.',
      },
    ])
  }
  return answerOnce(call.ctx, {
    merchantId: call.merchant.id,
    key,
    route: `${definition.method.toUpperCase()} ${definition.path}`,
    content: { id: call.id, body: call.body },
    requestId,
    run: () => definition.run(call),
    ...(definition.reread === undefined
      ? {}
      : { reread: (id: string) => definition.reread?.(call, id) ?? Promise.resolve(undefined) }),
  })
}

/** An id of the wrong shape is an id of nothing: the same answer as for another merchant's (reliability.md T53, T54). */
function readId(req: Request, kind: IdKind | undefined): string {
  if (kind === undefined) return ''
  const id = req.params['id']
  if (!isId(kind, id)) throw new Problem('not-found', `There is no ${kind} with this id.`)
  return id
}

/** Every parameter once, and only known ones: a misspelt filter must not turn into no filter. */
function readQuery<Query>(schema: z.ZodType<Query>, query: Request['query']): Query {
  const result = schema.safeParse({ ...query })
  if (result.success) return result.data
  const faults = result.error.issues.flatMap((issue) => faultsOf(issue, schema))
  throw invalid(faults.map(({ pointer, detail }) => ({ pointer: pointer.replace(/^\//, '?'), detail })))
}

async function readBody<Body, Query>(
  definition: Definition<Body, Query>,
  req: Request,
  circumstances: { sandbox: boolean; now: number },
): Promise<Body> {
  const bytes = definition.method === 'get' ? Buffer.alloc(0) : await readRawBody(req, largestJsonBody)
  return readJsonBody(definition.body, req.headers['content-type'], bytes, circumstances)
}
