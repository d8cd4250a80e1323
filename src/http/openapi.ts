import { z } from 'zod'
import { problems } from '../core/problem.ts'
import type { Operation } from './operation.ts'
import { eventSchema, problemSchema } from './resources.ts'

/** The OpenAPI 3.1 document, made from the schemas that check the requests (design.md 12). */

type Json = { readonly [name: string]: unknown }

const reference = '#/components/schemas/'

export type OpenApiDocument = {
  readonly openapi: string
  readonly paths: Readonly<Record<string, Readonly<Record<string, Json>>>>
  readonly components: { readonly schemas: Json; readonly [name: string]: unknown }
  readonly [name: string]: unknown
}

/**
 * Describes operations.
 * @param about version of the gateway, and where it is reached
 */
export function openApiDocument(
  operations: readonly Operation[],
  about: { readonly version: string; readonly publicUrl: string },
): OpenApiDocument {
  const schemas: Record<string, unknown> = {}
  const paths: Record<string, Record<string, Json>> = {}
  for (const one of operations) {
    const item = (paths[one.path] ??= {})
    item[one.method] = describe(one, schemas)
  }
  const event = schemaOf(eventSchema, 'output', schemas)
  schemaOf(problemSchema, 'output', schemas)
  return {
    openapi: '3.1.1',
    info: {
      title: 'Mortise merchant API',
      version: about.version,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description: 'Amounts are integers in minor units; times are RFC 3339. Unknown fields are refused.',
    },
    servers: [{ url: about.publicUrl }],
    security: [{ key: [] }],
    paths,
    webhooks: {
      event: {
        post: {
          summary: 'Something happened. Signed as Standard Webhooks; answer 2xx within 15 seconds.',
          operationId: 'receiveEvent',
          security: [],
          parameters: ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) => ({
            name,
            in: 'header',
            required: true,
            schema: { type: 'string' },
          })),
          requestBody: { required: true, content: { 'application/json': { schema: event } } },
          responses: { 204: { description: 'Received.' } },
        },
      },
    },
    components: {
      schemas,
      securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'An API key: gw_…' } },
    },
  }
}

function describe(one: Operation, schemas: Record<string, unknown>): Json {
  const answer = { 'application/json': { schema: schemaOf(one.answer, 'output', schemas) } }
  const answers = one.success.map((status) => [
    String(status),
    {
      description: status === 201 ? 'Made.' : 'Done, or already there.',
      ...(status === 201 ? { headers: { Location: { schema: { type: 'string' } } } } : {}),
      content: answer,
    },
  ])
  return {
    operationId: one.operationId,
    summary: one.summary,
    description: `Needs a key with the scope ${one.scope}.`,
    parameters: parametersOf(one),
    ...(one.bodySchema === undefined
      ? {}
      : {
          requestBody: {
            required: !one.bodyMayBeEmpty,
            content: { 'application/json': { schema: schemaOf(one.bodySchema, 'input', schemas) } },
          },
        }),
    responses: { ...Object.fromEntries(answers), default: problemResponse() },
  }
}

function problemResponse(): Json {
  return {
    description: `A problem; code is one of ${Object.keys(problems).join(', ')}.`,
    content: { 'application/problem+json': { schema: { $ref: `${reference}Problem` } } },
  }
}

function parametersOf(one: Operation): readonly Json[] {
  const parameters: Json[] = []
  if (one.idKind !== undefined) {
    parameters.push({
      name: 'id',
      in: 'path',
      required: true,
      schema: { type: 'string' },
      description: `The id of the ${one.idKind}.`,
    })
  }
  if (one.idempotencyKey !== undefined) {
    parameters.push({
      name: 'Idempotency-Key',
      in: 'header',
      required: one.idempotencyKey === 'required',
      schema: { type: 'string', minLength: 1, maxLength: 255 },
    })
  }
  const shape: Readonly<Record<string, z.ZodType>> = one.querySchema instanceof z.ZodObject ? one.querySchema.shape : {}
  for (const [name, field] of Object.entries(shape)) {
    const { description, ...schema } = schemaOf(field, 'input', {})
    parameters.push({ name, in: 'query', required: !field.safeParse(undefined).success, description, schema })
  }
  return parameters
}

/** JSON Schema of a zod schema; what it names goes to the components, where everybody refers to it. */
function schemaOf(schema: z.ZodType, io: 'input' | 'output', schemas: Record<string, unknown>): Json {
  const {
    $schema: _dialect,
    $defs,
    id,
    ...rest
  } = z.toJSONSchema(schema, {
    io,
    reused: 'inline',
    override: ({ jsonSchema }) => dropHugeBounds(jsonSchema),
  })
  for (const [name, definition] of Object.entries($defs ?? {})) schemas[name] = relocated(withoutId(definition))
  const own: Json = relocated(rest)
  if (typeof id !== 'string') return own
  schemas[id] = own
  return { $ref: `${reference}${id}` }
}

/** zod spells out that integers are safe; for a reader that is noise. */
function dropHugeBounds(schema: { maximum?: number; minimum?: number }): void {
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum
}

function withoutId(definition: object): object {
  return Object.fromEntries(Object.entries(definition).filter(([name]) => name !== 'id'))
}

/** Points references at the document's own components. */
function relocated(value: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, relocatedValue(name, inner)]))
}

function relocatedValue(name: string, value: unknown): unknown {
  if (name === '$ref' && typeof value === 'string') return value.replace('#/$defs/', reference)
  if (Array.isArray(value)) return value.map((item) => relocatedValue('', item))
  return typeof value === 'object' && value !== null ? relocated(value) : value
}
