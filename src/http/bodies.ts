import { isIP } from 'node:net'
import { z } from 'zod'
import { currencies, largestAmount } from '../core/money.ts'
import { methods } from '../core/provider.ts'
import type { Fault } from '../core/problem.ts'
import type { BodyRule, Circumstances } from './json-body.ts'

/**
 * What merchants may send: one schema for each body and query. Descriptions are rules in the words a caller reads when
 * the rule is broken, and the same words stand in the OpenAPI document.
 */

/** No control characters, broken surrogates, line separators, or marks that reverse the direction of text around them. */
const plainText = /^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202A-\u202E\u2066-\u2069]*$/u

const merchantNumber = /^[A-Za-z0-9_.-]{1,64}$/

const numberRule = '1 to 64 of the characters A-Z a-z 0-9 _ . - as a string, unique for ever within the merchant.'
const merchantOrderNo = z.string().regex(merchantNumber).describe(`Your own number for the order: ${numberRule}`)
const merchantRefundNo = z.string().regex(merchantNumber).describe(`Your own number for the refund: ${numberRule}`)

const amount = z
  .int()
  .min(1)
  .max(largestAmount)
  .describe(`An integer of minor units (fen for CNY), 1 to ${String(largestAmount)}: 12.30 yuan is 1230.`)

const secondsOfExpiry = { min: 60, max: 604_800, usual: 7_200 } as const

const expiryRule = 'Give expires_in or expires_at, not both.'

const metadataRule =
  'An object of at most 20 texts: names of 1 to 40 characters, values of up to 200, without control characters.'

const openOrderSchema = z.strictObject({
  merchant_order_no: merchantOrderNo,
  amount,
  currency: z
    .enum(currencies)
    .default('CNY')
    .describe(`The currency: one of ${currencies.join(', ')}; CNY when left out.`),
  subject: z
    .string()
    .min(1)
    .max(127)
    .regex(plainText)
    .regex(/\S/)
    .describe(
      'What the payer pays for: 1 to 127 characters, not only spaces, without control characters or line breaks.',
    ),
  expires_in: z
    .int()
    .min(1)
    .max(secondsOfExpiry.max)
    .optional()
    .describe(
      `Seconds until the order can no longer be paid: 60 to 604800, 7200 when left out; from 1 in the sandbox. ${expiryRule}`,
    ),
  expires_at: z.iso
    .datetime({ offset: true })
    .optional()
    .describe(
      `When the order can no longer be paid: a time like 2026-01-31T12:00:00+08:00, one minute to seven days ahead. ${expiryRule}`,
    ),
  return_url: z
    .string()
    .min(1)
    .max(512)
    .optional()
    .describe(
      'Where the payer goes afterwards: an https URL of at most 512 characters, without user name, spaces or backslashes.',
    ),
  metadata: z
    .record(z.string().min(1).max(40).regex(plainText), z.string().max(200).regex(plainText))
    .refine((pairs) => Object.keys(pairs).length <= 20)
    .optional()
    .describe(metadataRule),
})

export type OpenOrderBody = z.output<typeof openOrderSchema>

export const openOrderBody: BodyRule<OpenOrderBody> = {
  schema: openOrderSchema,
  also: (raw, circumstances) => [...expiryFaults(raw, circumstances), ...returnUrlFaults(raw, circumstances)],
}

/**
 * The instant at which the order expires, epoch milliseconds.
 * @param now the instant `expires_in` counts from
 */
export function expiryOf(body: Pick<OpenOrderBody, 'expires_in' | 'expires_at'>, now: number): number {
  if (body.expires_at !== undefined) return Date.parse(body.expires_at)
  return now + (body.expires_in ?? secondsOfExpiry.usual) * 1000
}

function expiryFaults(raw: Readonly<Record<string, unknown>>, { sandbox, now }: Circumstances): readonly Fault[] {
  const { expires_in: seconds, expires_at: instant } = raw as { expires_in?: unknown; expires_at?: unknown }
  if (seconds !== undefined && instant !== undefined) return [{ pointer: '/expires_at', detail: expiryRule }]
  const shortest = sandbox ? 1 : secondsOfExpiry.min
  if (typeof seconds === 'number' && seconds < shortest) {
    return [{ pointer: '/expires_in', detail: `Too short: at least ${String(shortest)} seconds.` }]
  }
  if (typeof instant === 'string' && Date.parse(instant) > now + secondsOfExpiry.max * 1000) {
    return [{ pointer: '/expires_at', detail: 'Too far: at most seven days from now.' }]
  }
  return []
}

/**
 * What is wrong with an expiry that is too near. Kept apart from the body's rules, because a request repeated late, when
 * its expires_at has come near or has passed, must still find the order it opened.
 */
export function tooNear(expiresAt: number, { sandbox, now }: Circumstances): Fault | undefined {
  const shortest = sandbox ? 1 : secondsOfExpiry.min
  if (expiresAt >= now + shortest * 1000) return undefined
  return { pointer: '/expires_at', detail: `Too near: at least ${String(shortest)} seconds from now.` }
}

/** The expiry as the merchant put it: what a repeated request has in common with the first, whatever the time is now. */
export function expiryAsked(body: Pick<OpenOrderBody, 'expires_in' | 'expires_at'>): string {
  return body.expires_at ?? String(body.expires_in ?? secondsOfExpiry.usual)
}

/** A payer is sent there, so it must be what it looks like (reliability.md 3.4). */
function returnUrlFaults(raw: Readonly<Record<string, unknown>>, { sandbox }: Circumstances): readonly Fault[] {
  const text = raw['return_url']
  if (typeof text !== 'string') return []
  const fault = (detail: string) => [{ pointer: '/return_url', detail }]
  // Before parsing: a URL parser silently drops line breaks and turns backslashes into slashes.
  if (/[\s\\\p{Cc}\p{Cs}]/u.test(text))
    return fault('No spaces, line breaks or backslashes are allowed. Percent-encode them.')
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined) return fault('This is not an absolute URL. Send one like https://shop.example.com/thanks.')
  if (url.username !== '' || url.password !== '')
    return fault('User name and password are not allowed in the URL. Leave them out.')
  const isLoopback = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
  if (url.protocol === 'https:' || (sandbox && url.protocol === 'http:' && isLoopback)) return []
  return fault('Only https is allowed (in the sandbox also http to localhost).')
}

const ip = z
  .string()
  .max(45)
  .refine((text) => isIP(text) !== 0 && !text.includes('%'))
  .describe("The payer's IPv4 or IPv6 address as your server sees it, like 203.0.113.7: providers check it.")

const startPaymentSchema = z.strictObject({
  method: z.enum(methods).describe(`How the payer pays: one of ${methods.join(', ')}.`),
  openid: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,128}$/)
    .optional()
    .describe(
      "The payer's openid, 1 to 128 of A-Z a-z 0-9 _ -: needed for wechat_jsapi and wechat_mini; see POST /v1/openid.",
    ),
  client_ip: ip,
})

export type StartPaymentBody = z.output<typeof startPaymentSchema>

export const startPaymentBody: BodyRule<StartPaymentBody> = {
  schema: startPaymentSchema,
  also: (raw) => {
    const needsOpenid = raw['method'] === 'wechat_jsapi' || raw['method'] === 'wechat_mini'
    if (!needsOpenid || raw['openid'] !== undefined) return []
    return [{ pointer: '/openid', detail: `Missing. ${startPaymentSchema.shape.openid.description ?? ''}` }]
  },
}

const launchSchema = z.strictObject({
  target: z
    .enum(['app', 'browser'])
    .describe('Where the payer is: app for a native app, browser for a browser outside WeChat.'),
  client_ip: ip
    .optional()
    .describe(
      "The payer's IPv4 or IPv6 address as your server sees it: passed on where the provider's own mini-program collects.",
    ),
})

export type LaunchBody = z.output<typeof launchSchema>

export const launchBody: BodyRule<LaunchBody> = { schema: launchSchema }

const requestRefundSchema = z.strictObject({
  merchant_refund_no: merchantRefundNo,
  amount,
  reason: z
    .string()
    .min(1)
    .max(80)
    .regex(plainText)
    .default('refund')
    .describe('Why, shown to the payer: 1 to 80 characters without control characters; "refund" when left out.'),
})

export type RequestRefundBody = z.output<typeof requestRefundSchema>

export const requestRefundBody: BodyRule<RequestRefundBody> = { schema: requestRefundSchema }

const nothingSchema = z.strictObject({})

export type NothingBody = z.output<typeof nothingSchema>

export const nothingBody: BodyRule<NothingBody> = { schema: nothingSchema, mayBeEmpty: true }

const openidSchema = z.strictObject({
  appid: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/)
    .describe('The appid of the mini-program: 1 to 64 of A-Z a-z 0-9 _ -.'),
  code: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,128}$/)
    .describe('The code that wx.login() gave: 1 to 128 of A-Z a-z 0-9 _ -.'),
})

export type OpenidBody = z.output<typeof openidSchema>

export const openidBody: BodyRule<OpenidBody> = { schema: openidSchema }

const limit = z
  .string()
  .regex(/^(?:[1-9]\d?|100)$/)
  .optional()
  .describe('How many at most: 1 to 100; 50 when left out.')

const orderCursor = z
  .string()
  .regex(/^ord_[0-9A-HJKMNP-TV-Z]{26}$/)
  .optional()
  .describe('The next_cursor of the page before.')

export const ordersQuery = z.strictObject({
  merchant_order_no: merchantOrderNo
    .optional()
    .describe(`Your own number of one order: ${numberRule} Not together with after or limit.`),
  after: orderCursor,
  limit,
})

export const refundsQuery = z.strictObject({ merchant_refund_no: merchantRefundNo })

export const eventsQuery = z.strictObject({
  after: z
    .string()
    .regex(/^(?:0|[1-9]\d{0,14})$/)
    .optional()
    .describe('The sequence of the last event you have; 0 when left out.'),
  limit,
})

export const noQuery = z.strictObject({})
