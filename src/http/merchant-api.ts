import { Router } from 'express'
import type { Context, Merchant } from '../context.ts'
import { paymentResource, refundResource } from '../core/event.ts'
import { Problem } from '../core/problem.ts'
import { closeOrder } from '../flows/close-order.ts'
import { launchOrder } from '../flows/launch-order.ts'
import { openOrder } from '../flows/open-order.ts'
import {
  listEvents,
  listOrders,
  readOrder,
  readOrderByNo,
  readPayment,
  readRefund,
  readRefundByNo,
} from '../flows/read.ts'
import { redeliverEvent } from '../flows/redeliver-event.ts'
import { requestRefund } from '../flows/request-refund.ts'
import { startPayment } from '../flows/start-payment.ts'
import type { Gate } from './authenticate.ts'
import {
  eventsQuery,
  expiryAsked,
  expiryOf,
  launchBody,
  noQuery,
  nothingBody,
  openidBody,
  openOrderBody,
  ordersQuery,
  refundsQuery,
  requestRefundBody,
  startPaymentBody,
  tooNear,
} from './bodies.ts'
import { invalid } from './json-body.ts'
import { operation, type Operation } from './operation.ts'
import {
  eventPageSchema,
  eventResource,
  eventSchema,
  launchResource,
  launchSchema,
  openidSchema,
  orderSchema,
  ordersSchema,
  paymentSchema,
  refundSchema,
  startedPaymentSchema,
} from './resources.ts'
import { onlyMethods } from './respond.ts'

/** The merchant API, /v1 (design.md 12): a table of operations, each a few lines around a flow. */

const usualPage = 50

/** The appids whose openids the channels of this merchant's routes take. */
function appidsOf(ctx: Context, merchant: Merchant): ReadonlySet<string> {
  const names = merchant.routes.flatMap((route) => [...(route.channels ?? []), ...Object.keys(route.split ?? {})])
  const facts = names.flatMap((name) => Object.values(ctx.channels.current(name)?.provider.methods ?? {}))
  return new Set(facts.map((fact) => fact.openidOf).filter((appid) => appid !== undefined))
}

const orderOperations: readonly Operation[] = [
  operation({
    method: 'post',
    path: '/v1/orders',
    operationId: 'openOrder',
    summary: 'Open an order; repeating it with the same content gives the same order.',
    scope: 'orders:write',
    body: openOrderBody,
    query: noQuery,
    idempotencyKey: 'understood',
    success: [201, 200],
    answer: orderSchema,
    async run({ ctx, merchant, body }) {
      const now = ctx.now()
      const expiresAt = expiryOf(body, now)
      const fault = tooNear(expiresAt, { sandbox: merchant.sandbox, now })
      if (fault !== undefined && !(await isKnown(ctx, merchant.id, body.merchant_order_no))) throw invalid([fault])
      const { order, created } = await openOrder(ctx, merchant, {
        merchantOrderNo: body.merchant_order_no,
        amount: body.amount,
        currency: body.currency,
        subject: body.subject,
        expiresAt,
        expiryAsked: expiryAsked(body),
        ...(body.return_url === undefined ? {} : { returnUrl: body.return_url }),
        ...(body.metadata === undefined ? {} : { metadata: body.metadata }),
      })
      return madeOrFound(created, `/v1/orders/${order.id}`, await readOrder(ctx, merchant.id, order.id))
    },
    reread: ({ ctx, merchant }, id) => readOrder(ctx, merchant.id, id),
  }),
  operation({
    method: 'get',
    path: '/v1/orders',
    operationId: 'findOrders',
    summary: 'The order with a merchant_order_no, or a page of all orders.',
    scope: 'read',
    // Looking one order up by its number is no listing, and shops do it often.
    limit: ({ merchant_order_no: number }) => (number === undefined ? 'lists' : undefined),
    body: nothingBody,
    query: ordersQuery,
    success: [200],
    answer: ordersSchema,
    async run({ ctx, merchant, query }) {
      if (query.merchant_order_no !== undefined) {
        if (query.after !== undefined || query.limit !== undefined) {
          throw invalid([
            { pointer: '?merchant_order_no', detail: 'Give merchant_order_no alone, without after or limit.' },
          ])
        }
        return { status: 200, body: await readOrderByNo(ctx, merchant.id, query.merchant_order_no) }
      }
      const { orders, next } = await listOrders(ctx, merchant.id, {
        limit: pageSize(query.limit),
        ...(query.after === undefined ? {} : { after: query.after }),
      })
      return { status: 200, body: { data: orders, next_cursor: next, has_more: next !== null } }
    },
  }),
  operation({
    method: 'get',
    path: '/v1/orders/{id}',
    operationId: 'readOrder',
    summary: 'One order with its payments and refunds.',
    scope: 'read',
    idKind: 'order',
    body: nothingBody,
    query: noQuery,
    success: [200],
    answer: orderSchema,
    run: async ({ ctx, merchant, id }) => ({ status: 200, body: await readOrder(ctx, merchant.id, id) }),
  }),
  operation({
    method: 'post',
    path: '/v1/orders/{id}/close',
    operationId: 'closeOrder',
    summary: 'Close an order. A payer who was faster wins: the order may still become paid.',
    scope: 'orders:write',
    idKind: 'order',
    body: nothingBody,
    query: noQuery,
    idempotencyKey: 'understood',
    success: [200],
    answer: orderSchema,
    async run({ ctx, merchant, id }) {
      await closeOrder(ctx, merchant.id, id)
      return { status: 200, body: await readOrder(ctx, merchant.id, id) }
    },
    reread: ({ ctx, merchant }, id) => readOrder(ctx, merchant.id, id),
  }),
]

const paymentOperations: readonly Operation[] = [
  operation({
    method: 'post',
    path: '/v1/orders/{id}/payments',
    operationId: 'startPayment',
    summary: "Start an attempt to pay, and get what the payer's device needs.",
    scope: 'orders:write',
    idKind: 'order',
    body: startPaymentBody,
    query: noQuery,
    idempotencyKey: 'understood',
    success: [201, 200],
    answer: startedPaymentSchema,
    async run({ ctx, merchant, id, body }) {
      const { payment, invocation, created } = await startPayment(ctx, merchant, id, {
        method: body.method,
        clientIp: body.client_ip,
        ...(body.openid === undefined ? {} : { openid: body.openid }),
      })
      return madeOrFound(created, `/v1/payments/${payment.id}`, { payment: paymentResource(payment), invocation })
    },
  }),
  operation({
    method: 'post',
    path: '/v1/orders/{id}/launch',
    operationId: 'launchOrder',
    summary: 'Open the mini-program that takes this order: from a native app, or from a browser outside WeChat.',
    scope: 'orders:write',
    idKind: 'order',
    body: launchBody,
    query: noQuery,
    // No Idempotency-Key: a launch is a secret that is kept as a digest, and a second one does no harm.
    success: [200],
    answer: launchSchema,
    async run({ ctx, merchant, id, body }) {
      const launch = await launchOrder(ctx, merchant, id, body.target, body.client_ip ?? '')
      return { status: 200, body: launchResource(launch) }
    },
  }),
  operation({
    method: 'get',
    path: '/v1/payments/{id}',
    operationId: 'readPayment',
    summary: 'One attempt to pay.',
    scope: 'read',
    idKind: 'payment',
    body: nothingBody,
    query: noQuery,
    success: [200],
    answer: paymentSchema,
    run: async ({ ctx, merchant, id }) => ({
      status: 200,
      body: paymentResource(await readPayment(ctx, merchant.id, id)),
    }),
  }),
  operation({
    method: 'post',
    path: '/v1/openid',
    operationId: 'exchangeLoginCode',
    summary: "Exchange a mini-program login code for the payer's openid.",
    scope: 'orders:write',
    body: openidBody,
    query: noQuery,
    success: [200],
    answer: openidSchema,
    async run({ ctx, merchant, body }) {
      // A tenant has no business with the applications of another, nor with their quotas.
      if (!appidsOf(ctx, merchant).has(body.appid)) {
        throw invalid([{ pointer: '/appid', detail: 'No channel of this merchant takes openids of this appid.' }])
      }
      return { status: 200, body: { openid: await ctx.openids.byLoginCode(body.appid, body.code) } }
    },
  }),
]

const refundOperations: readonly Operation[] = [
  operation({
    method: 'post',
    path: '/v1/orders/{id}/refunds',
    operationId: 'requestRefund',
    summary: 'Give money back, whole or part; repeating it with the same content gives the same refund.',
    scope: 'refunds:write',
    limit: () => 'refunds',
    idKind: 'order',
    body: requestRefundBody,
    query: noQuery,
    idempotencyKey: 'understood',
    success: [201, 200],
    answer: refundSchema,
    async run({ ctx, merchant, id, body }) {
      const { refund, created } = await requestRefund(ctx, merchant, id, {
        merchantRefundNo: body.merchant_refund_no,
        amount: body.amount,
        reason: body.reason,
      })
      return madeOrFound(created, `/v1/refunds/${refund.id}`, refundResource(refund))
    },
    reread: async ({ ctx, merchant }, id) => refundResource(await readRefund(ctx, merchant.id, id)),
  }),
  operation({
    method: 'get',
    path: '/v1/refunds',
    operationId: 'findRefund',
    summary: 'The refund with a merchant_refund_no.',
    scope: 'read',
    body: nothingBody,
    query: refundsQuery,
    success: [200],
    answer: refundSchema,
    run: async ({ ctx, merchant, query }) => {
      return { status: 200, body: refundResource(await readRefundByNo(ctx, merchant.id, query.merchant_refund_no)) }
    },
  }),
  operation({
    method: 'get',
    path: '/v1/refunds/{id}',
    operationId: 'readRefund',
    summary: 'One refund.',
    scope: 'read',
    idKind: 'refund',
    body: nothingBody,
    query: noQuery,
    success: [200],
    answer: refundSchema,
    run: async ({ ctx, merchant, id }) => ({
      status: 200,
      body: refundResource(await readRefund(ctx, merchant.id, id)),
    }),
  }),
]

const eventOperations: readonly Operation[] = [
  operation({
    method: 'get',
    path: '/v1/events',
    operationId: 'listEvents',
    summary: 'Events after a sequence number, oldest first: a way to catch up without webhooks.',
    scope: 'read',
    limit: () => 'lists',
    body: nothingBody,
    query: eventsQuery,
    success: [200],
    answer: eventPageSchema,
    async run({ ctx, merchant, query }) {
      const after = Number.parseInt(query.after ?? '0', 10)
      const limit = pageSize(query.limit)
      const rows = await listEvents(ctx, merchant.id, { after, limit: limit + 1 })
      const page = rows.slice(0, limit)
      // The cursor is never null: it is what the next poll starts from, whether or not there is more today.
      const cursor = String(page.at(-1)?.sequence ?? after)
      return {
        status: 200,
        body: { data: page.map(eventResource), next_cursor: cursor, has_more: rows.length > limit },
      }
    },
  }),
  operation({
    method: 'post',
    path: '/v1/events/{id}/redeliver',
    operationId: 'redeliverEvent',
    summary: 'Send an event to your endpoints again, with the same webhook-id.',
    scope: 'webhooks:write',
    idKind: 'event',
    body: nothingBody,
    query: noQuery,
    idempotencyKey: 'required',
    success: [200],
    answer: eventSchema,
    run: async ({ ctx, merchant, id }) => ({
      status: 200,
      body: eventResource(await redeliverEvent(ctx, merchant.id, id)),
    }),
  }),
]

/** Every operation of the merchant API. */
export const merchantOperations: readonly Operation[] = [
  ...orderOperations,
  ...paymentOperations,
  ...refundOperations,
  ...eventOperations,
]

/** The router of /v1: each path with its methods, and 405 for the others. */
export function merchantApi(ctx: Context, gate: Gate): Router {
  const router = Router({ caseSensitive: true })
  const paths = new Set(merchantOperations.map(({ path }) => path))
  for (const path of paths) {
    const route = router.route(path.replace('{id}', ':id'))
    const operations = merchantOperations.filter((candidate) => candidate.path === path)
    for (const one of operations) route[one.method](one.handler(ctx, gate))
    route.all(onlyMethods(...operations.flatMap(({ method }) => (method === 'get' ? ['GET', 'HEAD'] : ['POST']))))
  }
  return router
}

async function isKnown(ctx: Context, merchantId: string, merchantOrderNo: string): Promise<boolean> {
  try {
    await readOrderByNo(ctx, merchantId, merchantOrderNo)
    return true
  } catch (error) {
    if (error instanceof Problem && error.code === 'not-found') return false
    throw error
  }
}

function madeOrFound(created: boolean, location: string, body: unknown) {
  return created ? { status: 201, body, location } : { status: 200, body }
}

function pageSize(limit: string | undefined): number {
  return limit === undefined ? usualPage : Number.parseInt(limit, 10)
}
