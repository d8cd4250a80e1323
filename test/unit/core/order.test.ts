import { expect } from 'chai'
import { closeReasonOf, mayBePaid, payableFrom, type Order } from '../../../src/core/order.ts'

const now = 1_767_600_000_000

function order(changes: Partial<Order>): Order {
  return {
    id: 'ord_01J9ZK3X5QW8E7R6T5Y4V3B2N1',
    merchant_id: 'acme',
    merchant_order_no: 'A-1',
    amount: 1,
    currency: 'CNY',
    subject: 'tea',
    status: 'open',
    expires_at: now + 1,
    content_hash: 'x',
    current_payment_id: null,
    paid_payment_id: null,
    cashier_token: 't',
    return_url: null,
    metadata: null,
    close_requested_at: null,
    checks: 0,
    next_check_at: null,
    created_at: now,
    paid_at: null,
    closed_at: null,
    ...changes,
  }
}

describe('core/order', () => {
  const cases: readonly (readonly [Order['status'], number, boolean])[] = [
    ['open', 1, true],
    ['open', 0, false],
    ['open', -1, false],
    ['closed', 1, false],
    ['paid', 1, false],
    ['paid', -1, false],
  ]
  for (const [status, left, may] of cases) {
    it(`${status} with ${String(left)} ms left ${may ? 'may' : 'may not'} be paid`, () => {
      expect(mayBePaid(order({ status, expires_at: now + left }), now)).to.equal(may)
    })
  }

  it('lets a late payment pay a closed order only where the merchant wants it, and a paid one never', () => {
    expect(payableFrom('refund')).to.deep.equal(['open'])
    expect(payableFrom('accept')).to.have.members(['open', 'closed'])
    expect(payableFrom('accept')).to.not.include('paid')
  })

  it('tells an order closed by its merchant from one that expired', () => {
    expect(closeReasonOf(order({ close_requested_at: now }))).to.equal('merchant')
    expect(closeReasonOf(order({}))).to.equal('expired')
  })
})
