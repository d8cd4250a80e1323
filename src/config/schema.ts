import { z } from 'zod'
import { eventTypes } from '../core/event.ts'
import { currencies } from '../core/money.ts'
import { methods, type Method } from '../core/provider.ts'

/**
 * The shape of gateway.json (design.md 11). Unknown keys are faults: a misspelt setting must not be silently the
 * default. What no shape can say is in rules.ts. A channel's settings are left to its adapter.
 */

export const scopes = ['read', 'orders:write', 'refunds:write', 'webhooks:write'] as const

/** `env:NAME` or `file:path`, the path relative to the configuration file's folder. */
export const referencePattern = /^(?:env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$/

const reference = z
  .string()
  .regex(referencePattern, 'a secret is never written here: use env:NAME or file:path')
  .describe('env:NAME, or file:path relative to this file')

const id = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9_-]{0,63}$/,
    'an id is 1 to 64 lower-case letters, digits, - and _, and starts with a letter or digit',
  )

const appid = z.string().regex(/^wx[0-9a-f]{16}$/, 'an appid is wx followed by 16 hexadecimal digits')

const port = z.int().min(1).max(65535)

const url = z
  .string()
  .max(2048)
  .regex(/^https?:\/\/[^\s]+$/, 'must be an http or https URL')

const wechatApp = z.strictObject({
  secret: reference,
  baseUrl: url.optional(),
  authorizeUrl: url.optional().describe("Only in a sandbox: the page that stands in for WeChat's authorisation."),
  userName: z
    .string()
    .regex(/^gh_[A-Za-z0-9_]{1,29}$/, 'an original id begins with gh_: the mini-program back end shows it')
    .optional()
    .describe("The mini-program's original id: native apps open it by this."),
  path: z
    .string()
    .regex(/^[A-Za-z0-9_\-/]{1,128}$/, 'a page without leading slash, query or ending, such as pages/pay/pay')
    .optional()
    .describe('The page that pays; pages/pay/pay when left out.'),
  envVersion: z.enum(['release', 'trial', 'develop']).optional().describe('release when left out.'),
  launchMode: z
    .enum(['url_link', 'scheme', 'plain_scheme'])
    .optional()
    .describe('How browsers outside WeChat open the mini-program; url_link when left out.'),
})

const cashier = z.strictObject({
  precreate: z
    .boolean()
    .default(true)
    .describe('Prepare the payment before the payer taps, so that the tap invokes at once.'),
  defaultLanguage: z
    .enum(['zh-CN', 'en'])
    .default('zh-CN')
    .describe('For payers whose browser asks for neither language.'),
})

const channel = z.strictObject({
  provider: z.string().regex(/^[a-z0-9-]{1,64}$/, 'must be the name of an adapter, such as wechat-v3-direct or huifu'),
  sandbox: z.boolean().default(false).describe('Permits a base URL of your own; payments here are not money.'),
  app_launch: z
    .enum(['miniprogram', 'app_pay'])
    .default('miniprogram')
    .describe('How native apps pay here: through the mini-program, or with wechat_app where WeChat refuses that.'),
  settings: z
    .record(z.string(), z.unknown())
    .describe("The adapter's own settings; env: and file: references anywhere."),
})

const apiKey = z.strictObject({
  id,
  sha256: z
    .string()
    .regex(
      /^(?:[0-9a-f]{64}|env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$/,
      'must be the SHA-256 of the key as 64 lower-case hexadecimal digits, or a reference to it',
    ),
  scopes: z
    .array(z.enum(scopes))
    .min(1)
    .default([...scopes]),
})

const endpoint = z.strictObject({
  id,
  url,
  secrets: z.array(reference).min(1).max(2).describe('Newest first; two while one replaces the other.'),
  events: z
    .array(z.enum(['*', ...eventTypes]))
    .min(1)
    .default(['*']),
})

const amount = z.int().min(1)

const methodNames: [Method | '*', ...Method[]] = ['*', ...methods]

const route = z.strictObject({
  method: z.enum(methodNames),
  currency: z.enum(currencies as [(typeof currencies)[number]]).optional(),
  minAmount: amount.optional(),
  maxAmount: amount.optional(),
  channels: z.array(id).min(1).optional(),
  split: z.record(id, z.int().min(1).max(100)).optional(),
})

const merchant = z.strictObject({
  name: z.string().min(1).max(128),
  sandbox: z.boolean().default(false),
  apiKeys: z.array(apiKey).min(1),
  endpoints: z.array(endpoint).default([]),
  routes: z.array(route).min(1),
  latePayment: z.enum(['refund', 'accept']).default('refund'),
  surplus: z.enum(['refund', 'hold']).default('refund'),
  refunds: z.strictObject({ requireSignature: z.boolean().default(false) }).default({ requireSignature: false }),
})

const listen = z.strictObject({
  host: z.string().min(1).default('0.0.0.0'),
  port: port.default(8080),
  privateHost: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('Where health and metrics are served: never the internet.'),
  privatePort: port.default(8081),
  trustProxy: z.int().min(0).max(10).default(0).describe('Number of reverse proxies in front.'),
})

const consoleUser = z.strictObject({ name: id, role: z.enum(['viewer', 'finance', 'operator']), scrypt: reference })

export const configSchema = z.strictObject({
  $schema: z.string().optional(),
  publicUrl: url,
  listen: listen.default({ host: '0.0.0.0', port: 8080, privateHost: '127.0.0.1', privatePort: 8081, trustProxy: 0 }),
  database: z
    .string()
    .regex(
      /^(?:env:[A-Za-z_][A-Za-z0-9_]*|file:.+|sqlite:.+)$/,
      'must be sqlite:<file>, or env:NAME or file:path holding a mysql:// URL',
    )
    .default('env:DATABASE_URL'),
  timeScale: z.number().min(1).max(100_000).default(1),
  notifySecret: reference,
  wechatApps: z.record(appid, wechatApp).default({}),
  channels: z.record(id, channel),
  merchants: z.record(id, merchant),
  cashier: cashier.default({ precreate: true, defaultLanguage: 'zh-CN' }),
  console: z.strictObject({ users: z.array(consoleUser).default([]) }).optional(),
})

/** The file after its shape has been checked and its defaults filled in; references are still references. */
export type ConfigFile = z.output<typeof configSchema>

/** JSON Schema for editors: config/gateway.schema.json. */
export function jsonSchema(): string {
  const schema = z.toJSONSchema(configSchema, { io: 'input', target: 'draft-7' })
  return `${JSON.stringify({ title: 'Mortise gateway configuration', ...schema }, null, 2)}\n`
}
