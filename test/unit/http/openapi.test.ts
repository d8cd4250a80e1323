import { expect } from 'chai'
import type { Router } from 'express'
import { orderResource, eventPayload } from '../../../src/core/event.ts'
import type { Order } from '../../../src/core/order.ts'
import type { Payment } from '../../../src/core/payment.ts'
import type { Refund } from '../../../src/core/refund.ts'
import type { Context } from '../../../src/context.ts'
import { Problem, problems } from '../../../src/core/problem.ts'
import { merchantApi, merchantOperations } from '../../../src/http/merchant-api.ts'
import { openApiDocument } from '../../../src/http/openapi.ts'
import { eventSchema, orderSchema, orderSnapshotSchema, problemSchema } from '../../../src/http/resources.ts'
import { problemAnswer } from '../../../src/http/respond.ts'

const document = openApiDocument(merchantOperations, { version: '1.0.0', publicUrl: 'https://pay.example' })

/** What Express will really answer: read from the router, not from the table both are made of. */
function routesOf(router: Router): readonly string[] {
  return router.stack.flatMap(({ route }) => {
    if (route === undefined) return []
    const methods = route.stack.map(({ method }) => method).filter((method) => typeof method === 'string')
    return methods.map((method) => `${method} ${String(route.path).replaceAll(/:(\w+)/g, '{$1}')}`)
  })
}

function everyReference(value: unknown): readonly string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, inner]) => (name === '$ref' ? [String(inner)] : everyReference(inner)))
}

describe('the OpenAPI document', () => {
  it('describes every route, and nothing else', () => {
    const gate = { enter: () => Promise.reject(new Problem('unauthenticated', '')), stop: () => {} }
    const routes = routesOf(merchantApi({} as Context, gate))
    const described = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method} ${path}`),
    )
    expect(described.toSorted()).to.deep.equal(routes.toSorted())
    expect(routes).to.have.length.of.at.least(12)
  })

  it('declares every parameter of a path, and refers to nothing that is missing', () => {
    for (const [path, item] of Object.entries(document.paths)) {
      for (const described of Object.values(item)) {
        const parameters = described['parameters'] as readonly { name: string; in: string }[]
        const inPath = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => `{${name}}`)
        expect(path.match(/\{\w+\}/g) ?? [], path).to.deep.equal(inPath)
      }
    }
    const references = everyReference(document)
    expect(references).to.have.length.greaterThan(5)
    for (const reference of references) {
      const name = reference.replace('#/components/schemas/', '')
      expect(document.components.schemas, reference).to.have.property(name)
    }
  })

  it('says the same about required fields and unknown ones as the checks do', () => {
    const body = JSON.parse(JSON.stringify(document)).paths['/v1/orders'].post.requestBody.content['application/json']
      .schema
    expect(body.required).to.deep.equal(['merchant_order_no', 'amount', 'subject'])
    expect(body.additionalProperties).to.equal(false)
    expect(body.properties.amount).to.include({ type: 'integer', minimum: 1, maximum: 100_000_000_000 })
    for (const field of Object.values(body.properties)) expect(field).to.have.property('description')
  })

  it('has unique operation ids', () => {
    const ids = merchantOperations.map(({ operationId }) => operationId)
    expect(new Set(ids).size).to.equal(ids.length)
  })
})

describe('what merchants receive', () => {
  const common = {
    merchant_id: 'm',
    amount: 5,
    currency: 'CNY',
    checks: 0,
    next_check_at: null,
    created_at: 1,
  } as const
  const order: Order = {
    ...common,
    id: 'ord_1',
    merchant_order_no: 'A',
    subject: 's',
    status: 'paid',
    expires_at: 9,
    content_hash: 'h',
    current_payment_id: 'pay_1',
    paid_payment_id: 'pay_1',
    cashier_token: 'CANARY',
    return_url: null,
    metadata: '{"a":"b"}',
    close_requested_at: null,
    paid_at: 2,
    closed_at: null,
  }
  const payment: Payment = {
    ...common,
    id: 'pay_1',
    order_id: 'ord_1',
    channel_id: 'c',
    settings_version: 1,
    method: 'wechat_jsapi',
    payer_openid: 'CANARY',
    client_ip: 'CANARY',
    status: 'succeeded',
    close_reason: null,
    account_status: 'credited',
    transaction_id: 't',
    party_order_id: null,
    payer_transaction_id: null,
    invocation: 'CANARY',
    usable_until: null,
    payer_amount: 5,
    fee: 1,
    settlement_amount: null,
    settlement_currency: null,
    exchange_rate: null,
    refund_reserved: 0,
    refund_over: 0,
    refund_count: 1,
    refund_slot_at: 0,
    confirm_step: null,
    close_attempts: 0,
    absent_at: null,
    succeeded_at: 2,
    closed_at: null,
  }
  const refund: Refund = {
    ...common,
    id: 'ref_1',
    payment_id: 'pay_1',
    order_id: 'ord_1',
    channel_id: 'c',
    merchant_refund_no: null,
    initiated_by: 'gateway',
    reason: 'r',
    content_hash: 'CANARY',
    status: 'abnormal',
    failure_reason: null,
    confirm_no: null,
      provider_refund_id: null,
    succeeded_at: null,
  }

  it('is exactly what the schemas say, and holds nothing private', () => {
    const resource = orderResource(order, [payment], [refund])
    expect(orderSnapshotSchema.parse(resource)).to.deep.equal(resource)
    const answered = { ...resource, cashier_url: 'https://pay.example.com/cashier/t' }
    expect(orderSchema.parse(answered)).to.deep.equal(answered)
    expect(orderSnapshotSchema.safeParse(answered).success, 'webhooks carry no cashier_url').to.equal(false)
    const payload = eventPayload({
      id: 'evt_1',
      type: 'order.paid',
      sequence: 1,
      occurredAt: 3,
      subjectId: 'ord_1',
      order: resource,
    })
    eventSchema.parse(JSON.parse(payload))
    expect(payload).not.to.include('CANARY')
  })

  it('covers every problem', () => {
    for (const code of Object.keys(problems) as (keyof typeof problems)[]) {
      const extras = {
        errors: [{ pointer: '/a', detail: 'b' }],
        retryAfter: 1,
        provider: { channel: 'c', reason: 'r', code: 'x' },
        existing: 'e',
      }
      problemSchema.parse(
        problemAnswer(new Problem(code, 'd', extras), 'req_1', { publicUrl: 'https://pay.example' }).body,
      )
    }
  })
})
