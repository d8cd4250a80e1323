import { expect } from 'chai'
import { eventPayload, eventTypes, orderResource, paymentResource, refundResource } from '../../../src/core/event.ts'
import type { Order } from '../../../src/core/order.ts'
import type { Payment } from '../../../src/core/payment.ts'
import type { Refund } from '../../../src/core/refund.ts'

const created = Date.parse('2026-01-05T00:00:00Z')
const openid = 'oUpF8uMuAJO_M2pxb1Q9zNjWeS6o'

const order: Order = {
  id: 'ord_01J9ZK3X5QW8E7R6T5Y4V3B2N1',
  merchant_id: 'acme',
  merchant_order_no: 'A-1',
  amount: 1000,
  currency: 'CNY',
  subject: 'tea',
  status: 'paid',
  expires_at: created + 7_200_000,
  content_hash: 'hash-of-content',
  current_payment_id: 'pay_1',
  paid_payment_id: 'pay_1',
  cashier_token: 'cashier-secret',
  return_url: null,
  metadata: null,
  close_requested_at: null,
  checks: 0,
  next_check_at: null,
  created_at: created,
  paid_at: created + 5000,
  closed_at: null,
}

const wechat: Payment = {
  id: 'pay_1',
  order_id: order.id,
  merchant_id: 'acme',
  channel_id: 'wechat-main',
  settings_version: 1,
  method: 'wechat_jsapi',
  amount: 1000,
  currency: 'CNY',
  payer_openid: openid,
  client_ip: '203.0.113.77',
  status: 'succeeded',
  close_reason: null,
  account_status: 'none',
  transaction_id: '4200001',
  party_order_id: null,
  payer_transaction_id: null,
  invocation: '{"kind":"jsapi","paySign":"invocation-secret"}',
  usable_until: created,
  payer_amount: 900,
  fee: null,
  settlement_amount: null,
  settlement_currency: null,
  exchange_rate: null,
  refund_reserved: 300,
  refund_over: 0,
  refund_count: 1,
  refund_slot_at: 0,
  checks: 0,
  confirm_step: null,
  close_attempts: 0,
  absent_at: null,
  next_check_at: null,
  created_at: created,
  succeeded_at: created + 5000,
  closed_at: null,
}

/** What only Huifu tells: a fee, a number on the payer's bill, crediting. */
const huifu: Payment = {
  ...wechat,
  id: 'pay_2',
  channel_id: 'huifu-main',
  account_status: 'credited',
  transaction_id: '002900TOP1A',
  party_order_id: '03212401',
  payer_transaction_id: '4200002',
  fee: 6,
  settlement_amount: 994,
  settlement_currency: 'CNY',
  exchange_rate: '1',
}

const fresh: Payment = {
  ...wechat,
  id: 'pay_3',
  status: 'created',
  transaction_id: null,
  payer_transaction_id: null,
  invocation: null,
  payer_amount: null,
  succeeded_at: null,
  payer_openid: null,
}

const refund: Refund = {
  id: 'ref_1',
  payment_id: 'pay_1',
  order_id: order.id,
  merchant_id: 'acme',
  channel_id: 'wechat-main',
  merchant_refund_no: 'R-1',
  initiated_by: 'merchant',
  amount: 300,
  currency: 'CNY',
  reason: 'too cold',
  content_hash: 'hash-of-content',
  status: 'succeeded',
  failure_reason: null,
  confirm_no: null,
      provider_refund_id: '5030001',
  checks: 0,
  next_check_at: null,
  created_at: created + 6000,
  succeeded_at: created + 7000,
}

const surplus: Refund = {
  ...refund,
  id: 'ref_2',
  payment_id: 'pay_2',
  channel_id: 'huifu-main',
  merchant_refund_no: null,
  initiated_by: 'gateway',
  status: 'created',
  provider_refund_id: null,
  succeeded_at: null,
  amount: 1000,
}

const keys = (value: object) => Object.keys(value)
/** What survives JSON: a key whose value is undefined would be missing on one channel and not on the other. */
const sent = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T

describe('core/event', () => {
  it('gives a payment the same keys, whatever its channel knows', () => {
    const expected = [
      'id',
      'order_id',
      'channel',
      'method',
      'status',
      'close_reason',
      'account_status',
      'amount',
      'currency',
      'payer_amount',
      'transaction_id',
      'payer_transaction_id',
      'created_at',
      'succeeded_at',
      'closed_at',
    ]
    for (const payment of [wechat, huifu, fresh]) expect(keys(sent(paymentResource(payment)))).to.deep.equal(expected)
  })

  it('gives a refund the same keys, whoever asked for it', () => {
    const expected = [
      'id',
      'order_id',
      'payment_id',
      'merchant_refund_no',
      'status',
      'amount',
      'currency',
      'reason',
      'initiated_by',
      'failure_reason',
      'provider_refund_id',
      'created_at',
      'succeeded_at',
    ]
    for (const one of [refund, surplus]) expect(keys(sent(refundResource(one)))).to.deep.equal(expected)
  })

  it('gives an order the same keys in every state', () => {
    const bare: Order = { ...order, status: 'open', paid_payment_id: null, current_payment_id: null, paid_at: null }
    const full: Order = {
      ...order,
      metadata: '{"table":"7"}',
      return_url: 'https://shop.example.com/',
      closed_at: created,
    }
    const expected = [
      'id',
      'merchant_order_no',
      'status',
      'amount',
      'currency',
      'subject',
      'refunded',
      'refund_status',
      'refundable',
      'paid_payment_id',
      'current_payment_id',
      'return_url',
      'metadata',
      'expires_at',
      'created_at',
      'paid_at',
      'closed_at',
      'payments',
      'refunds',
    ]
    for (const one of [bare, full])
      expect(keys(sent(orderResource(one, [wechat, huifu], [refund])))).to.deep.equal(expected)
  })

  it('tells merchants nothing personal, secret or internal', () => {
    const payload = eventPayload({
      id: 'evt_1',
      type: 'order.paid',
      sequence: 1,
      occurredAt: created,
      subjectId: order.id,
      order: orderResource(order, [wechat, huifu, fresh], [refund, surplus]),
    })
    for (const secret of [
      openid,
      'openid',
      '203.0.113.77',
      'client_ip',
      'invocation',
      'invocation-secret',
      'cashier-secret',
      'hash-of-content',
      'settings_version',
      'next_check_at',
      'fee',
      'party_order_id',
    ]) {
      expect(payload, secret).to.not.include(secret)
    }
  })

  it('prints times as RFC 3339 and amounts as integers', () => {
    const resource = orderResource(order, [wechat], [refund])
    expect(resource.created_at).to.equal('2026-01-05T00:00:00.000Z')
    expect(resource.closed_at).to.equal(null)
    expect(resource.amount).to.equal(1000)
    expect(resource.payments[0]?.succeeded_at).to.equal('2026-01-05T00:00:05.000Z')
  })

  describe('what has gone back', () => {
    const of = (refunds: readonly Refund[], status: Order['status'] = 'paid') => {
      const { refunded, refund_status, refundable } = orderResource({ ...order, status }, [wechat], refunds)
      return { refunded, refund_status, refundable }
    }
    it('counts refunds that succeeded, of the payment that paid', () => {
      expect(of([])).to.deep.equal({ refunded: 0, refund_status: 'none', refundable: 1000 })
      expect(of([refund])).to.deep.equal({ refunded: 300, refund_status: 'partial', refundable: 700 })
      expect(of([refund, { ...refund, amount: 700 }])).to.deep.equal({
        refunded: 1000,
        refund_status: 'full',
        refundable: 0,
      })
    })
    it('holds back what is under way and gives back what failed', () => {
      expect(of([{ ...refund, status: 'processing' }])).to.deep.equal({
        refunded: 0,
        refund_status: 'none',
        refundable: 700,
      })
      expect(of([{ ...refund, status: 'failed' }])).to.deep.equal({
        refunded: 0,
        refund_status: 'none',
        refundable: 1000,
      })
    })
    it('leaves the refund of a surplus payment out of it', () => {
      expect(of([{ ...surplus, status: 'succeeded' }])).to.deep.equal({
        refunded: 0,
        refund_status: 'none',
        refundable: 1000,
      })
    })
    it('never offers a refund of an order that is not paid, nor less than nothing', () => {
      expect(of([], 'open').refundable).to.equal(0)
      expect(of([], 'closed').refundable).to.equal(0)
      expect(of([refund, { ...refund, amount: 900 }]).refundable).to.equal(0)
    })
  })

  it('writes the same bytes for the same event', () => {
    const event = {
      id: 'evt_1',
      type: 'refund.succeeded',
      sequence: 7,
      occurredAt: created,
      subjectId: 'ref_1',
      order: orderResource(order, [wechat], [refund]),
    } as const
    expect(eventPayload(event)).to.equal(eventPayload({ ...event }))
    const parsed = JSON.parse(eventPayload(event)) as Record<string, unknown>
    expect(keys(parsed)).to.deep.equal(['id', 'type', 'timestamp', 'schema_version', 'sequence', 'subject_id', 'data'])
    expect(parsed).to.include({
      id: 'evt_1',
      type: 'refund.succeeded',
      timestamp: '2026-01-05T00:00:00.000Z',
      schema_version: 1,
      sequence: 7,
      subject_id: 'ref_1',
    })
    expect(eventPayload(event).length).to.be.lessThan(20_000)
  })

  it('has the eight types that merchants subscribe to', () => {
    expect(eventTypes).to.deep.equal([
      'order.paid',
      'order.closed',
      'payment.surplus',
      'payment.credited',
      'payment.credit_failed',
      'refund.succeeded',
      'refund.failed',
      'refund.abnormal',
    ])
  })
})
