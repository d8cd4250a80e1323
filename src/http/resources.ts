import { z } from 'zod'
import { accountChain, orderChain, paymentChain, refundChain } from '../core/chain.ts'
import { eventTypes } from '../core/event.ts'
import { methods } from '../core/provider.ts'
import { problems } from '../core/problem.ts'
import type { Launch } from '../flows/launch-order.ts'
import type { EventRow } from '../store/rows.ts'

/**
 * What merchants receive, as schemas for the OpenAPI document. The values come from core/event.ts; a test holds the two
 * against each other.
 */

const instant = z.iso.datetime()
const amount = z.int().min(0).describe('Minor units of the currency (fen for CNY).')
const currency = z.string().length(3)

export const refundSchema = z
  .strictObject({
    id: z.string(),
    order_id: z.string(),
    payment_id: z.string(),
    merchant_refund_no: z.string().nullable().describe('null when the gateway gave a surplus payment back.'),
    status: z.enum(refundChain),
    amount,
    currency,
    reason: z.string(),
    initiated_by: z.enum(['merchant', 'operator', 'gateway']),
    failure_reason: z.string().nullable(),
    provider_refund_id: z.string().nullable(),
    created_at: instant,
    succeeded_at: instant.nullable(),
  })
  .meta({ id: 'Refund', description: 'Money back for a payment, whole or part.' })

export const paymentSchema = z
  .strictObject({
    id: z.string(),
    order_id: z.string(),
    channel: z.string(),
    method: z.enum(methods),
    status: z.enum(paymentChain),
    close_reason: z.string().nullable(),
    account_status: z
      .enum(accountChain)
      .describe('Whether the provider has credited your account; none where it does not tell.'),
    amount,
    currency,
    payer_amount: amount.nullable(),
    transaction_id: z.string().nullable(),
    payer_transaction_id: z.string().nullable(),
    created_at: instant,
    succeeded_at: instant.nullable(),
    closed_at: instant.nullable(),
  })
  .meta({ id: 'Payment', description: 'One attempt to pay an order through one channel.' })

const orderSnapshot = z.strictObject({
  id: z.string(),
  merchant_order_no: z.string(),
  status: z.enum(orderChain),
  amount,
  currency,
  subject: z.string(),
  refunded: amount,
  refund_status: z.enum(['none', 'partial', 'full']),
  refundable: amount,
  paid_payment_id: z.string().nullable(),
  current_payment_id: z.string().nullable(),
  return_url: z.string().nullable(),
  metadata: z.record(z.string(), z.string()).nullable(),
  expires_at: instant,
  created_at: instant,
  paid_at: instant.nullable(),
  closed_at: instant.nullable(),
  payments: z.array(paymentSchema),
  refunds: z.array(refundSchema),
})

/** An order as events carry it: where the payer pays is nothing to pass around. */
export const orderSnapshotSchema = orderSnapshot.meta({
  id: 'OrderSnapshot',
  description: 'An order as it was when something happened to it.',
})

export const orderSchema = orderSnapshot
  .extend({ cashier_url: z.string().describe('Where the payer pays: send the payer there, and nobody else.') })
  .meta({ id: 'Order', description: 'What you want paid, once, with every attempt and refund.' })

export const eventSchema = z
  .strictObject({
    id: z.string(),
    type: z.enum(eventTypes),
    timestamp: instant,
    schema_version: z.int(),
    sequence: z.int().describe('Counts your events without gaps.'),
    subject_id: z.string(),
    data: z.strictObject({ order: orderSnapshotSchema }),
  })
  .meta({ id: 'Event', description: 'Something that happened; the body of a webhook.' })

const text = z.string()

export const invocationSchema = z
  .union([
    z.strictObject({
      kind: z.literal('jsapi'),
      appId: text,
      timeStamp: text,
      nonceStr: text,
      package: text,
      signType: z.enum(['RSA', 'MD5', 'HMAC-SHA256']),
      paySign: text,
    }),
    z.strictObject({
      kind: z.literal('app'),
      appid: text,
      partnerid: text,
      prepayid: text,
      package: text,
      noncestr: text,
      timestamp: text,
      sign: text,
    }),
    z.strictObject({ kind: z.literal('redirect'), url: text }),
    z.strictObject({ kind: z.literal('qr'), content: text }),
    z.strictObject({ kind: z.literal('miniprogram'), userName: text, path: text, scheme: text.optional() }),
  ])
  .meta({ id: 'Invocation', description: "What the payer's device needs to start paying. Proof of nothing." })

export const startedPaymentSchema = z
  .strictObject({ payment: paymentSchema, invocation: invocationSchema })
  .meta({ id: 'StartedPayment' })

export const launchSchema = z
  .union([
    z.strictObject({
      kind: z.literal('miniprogram'),
      user_name: text.describe('userName of WXLaunchMiniProgramReq.'),
      path: text.describe('path of WXLaunchMiniProgramReq, with its query.'),
      expires_at: instant,
    }),
    z.strictObject({
      kind: z.enum(['url_link', 'scheme', 'plain_scheme']),
      url: text.describe('For a link that the payer taps; browsers block jumps that nobody tapped.'),
      expires_at: instant,
    }),
  ])
  .meta({ id: 'Launch', description: 'What opens the mini-program for one order. Who has it can pay: never log it.' })

/** A launch as merchants receive it. */
export function launchResource(launch: Launch): z.output<typeof launchSchema> {
  const expires_at = new Date(launch.expiresAt).toISOString()
  return launch.kind === 'miniprogram'
    ? { kind: launch.kind, user_name: launch.userName, path: launch.path, expires_at }
    : { kind: launch.kind, url: launch.url, expires_at }
}

export const openidSchema = z.strictObject({ openid: z.string() }).meta({ id: 'Openid' })

const page = <T extends z.ZodType>(item: T) =>
  z.strictObject({
    data: z.array(item),
    next_cursor: z.string().nullable().describe('Give it as after for the next page.'),
    has_more: z.boolean(),
  })

export const orderPageSchema = page(orderSchema).meta({ id: 'OrderPage' })
export const eventPageSchema = page(eventSchema).meta({ id: 'EventPage' })

/** The answer to GET /v1/orders: one order when asked for by number, otherwise a page. */
export const ordersSchema = z.union([orderSchema, orderPageSchema])

export const problemSchema = z
  .strictObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string().describe('The id of the request; quote it when you report a fault.'),
    code: z.enum(Object.keys(problems)),
    errors: z.array(z.strictObject({ pointer: z.string(), detail: z.string() })).optional(),
    retry_after: z.int().optional().describe('Seconds.'),
    provider: z.strictObject({ channel: z.string(), reason: z.string(), code: z.string() }).optional(),
    existing: z.string().optional().describe('The id of what is already there.'),
  })
  .meta({ id: 'Problem', description: 'RFC 9457 problem details.' })

/** An event as merchants see it: the value of the very bytes their endpoints receive. */
export function eventResource(event: EventRow): unknown {
  return JSON.parse(event.payload)
}
