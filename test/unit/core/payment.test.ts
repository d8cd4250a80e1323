import { expect } from 'chai'
import {
  accountChain,
  orderChain,
  paymentChain,
  type AccountStatus,
  type PaymentStatus,
} from '../../../src/core/chain.ts'
import type { PaymentFact } from '../../../src/core/fact.ts'
import type { Money } from '../../../src/core/money.ts'
import type { Order } from '../../../src/core/order.ts'
import {
  judgePaymentFact,
  movesAccountFrom,
  movesPaymentFrom,
  paymentRef,
  usableInvocation,
  whyClose,
  type Payment,
} from '../../../src/core/payment.ts'

const now = 1_767_600_000_000
const orderId = 'ord_01J9ZK3X5QW8E7R6T5Y4V3B2N1'
const paymentId = 'pay_01J9ZK3X5QW8E7R6T5Y4V3B2N2'

function payment(changes: Partial<Payment> = {}): Payment {
  return {
    id: paymentId,
    order_id: orderId,
    merchant_id: 'acme',
    channel_id: 'wechat-main',
    settings_version: 1,
    method: 'wechat_jsapi',
    amount: 1999,
    currency: 'CNY',
    payer_openid: null,
    client_ip: '203.0.113.7',
    status: 'pending',
    close_reason: null,
    account_status: 'none',
    transaction_id: null,
    party_order_id: null,
    payer_transaction_id: null,
    invocation: '{"kind":"qr","content":"weixin://wxpay/x"}',
    usable_until: now + 60_000,
    payer_amount: null,
    fee: null,
    settlement_amount: null,
    settlement_currency: null,
    exchange_rate: null,
    refund_reserved: 0,
    refund_over: 0,
    refund_count: 0,
    refund_slot_at: 0,
    checks: 0,
    confirm_step: null,
    close_attempts: 0,
    absent_at: null,
    next_check_at: now,
    created_at: now - 1000,
    succeeded_at: null,
    closed_at: null,
    ...changes,
  }
}

function order(changes: Partial<Order> = {}): Order {
  return {
    id: orderId,
    merchant_id: 'acme',
    merchant_order_no: 'A-1',
    amount: 1999,
    currency: 'CNY',
    subject: 'tea',
    status: 'open',
    expires_at: now + 60_000,
    content_hash: 'x',
    current_payment_id: paymentId,
    paid_payment_id: null,
    cashier_token: 't',
    return_url: null,
    metadata: null,
    close_requested_at: null,
    checks: 0,
    next_check_at: null,
    created_at: now - 1000,
    paid_at: null,
    closed_at: null,
    ...changes,
  }
}

const seens = ['absent', 'pending', 'closed', 'succeeded'] as const

describe('core/payment', () => {
  describe('judging a fact', () => {
    const amounts: Readonly<Record<string, Money | undefined>> = {
      'no amount': undefined,
      'our amount': { amount: 1999, currency: 'CNY' },
      'one fen less': { amount: 1998, currency: 'CNY' },
      'one fen more': { amount: 2000, currency: 'CNY' },
      'a hundredth': { amount: 19, currency: 'CNY' },
      'another currency': { amount: 1999, currency: 'HKD' },
    }
    const numbers: Readonly<Record<string, readonly [row: string | null, fact: string | undefined]>> = {
      'no number anywhere': [null, undefined],
      'the first number': [null, '4200001'],
      'a number not repeated': ['4200001', undefined],
      'the same number': ['4200001', '4200001'],
      'another number': ['4200001', '4200002'],
    }
    /** Written out, so that the rule is here a second time and not computed the same way. */
    const amountRefused = (seen: string, name: string) =>
      name !== 'our amount' && (name !== 'no amount' || seen === 'succeeded')

    for (const seen of seens) {
      for (const [amountName, amount] of Object.entries(amounts)) {
        for (const [numberName, [known, said]] of Object.entries(numbers)) {
          const expected = amountRefused(seen, amountName)
            ? 'amount_mismatch'
            : numberName === 'another number'
              ? 'transaction_mismatch'
              : 'applies'
          it(`${seen} with ${amountName} and ${numberName}: ${expected}`, () => {
            const fact: PaymentFact = {
              about: 'payment',
              paymentId,
              seen,
              ...(amount === undefined ? {} : { amount }),
              ...(said === undefined ? {} : { transactionId: said }),
            }
            const judged = judgePaymentFact(payment({ transaction_id: known }), fact, 'wechat-main')
            expect(judged.verdict === 'mismatch' ? judged.kind : 'applies').to.equal(expected)
          })
        }
      }
    }

    it('refuses a fact of another channel before anything else', () => {
      for (const seen of seens) {
        const fact: PaymentFact = { about: 'payment', paymentId, seen, amount: { amount: 1, currency: 'HKD' } }
        expect(judgePaymentFact(payment(), fact, 'huifu-main')).to.deep.equal({
          verdict: 'mismatch',
          kind: 'channel_mismatch',
          expected: 'wechat-main',
          actual: 'huifu-main',
        })
      }
    })

    it('says what was expected and what came', () => {
      const fact: PaymentFact = {
        about: 'payment',
        paymentId,
        seen: 'succeeded',
        amount: { amount: 1, currency: 'CNY' },
      }
      expect(judgePaymentFact(payment(), fact, 'wechat-main')).to.include({ expected: '1999 CNY', actual: '1 CNY' })
      const silent: PaymentFact = { about: 'payment', paymentId, seen: 'succeeded' }
      expect(judgePaymentFact(payment(), silent, 'wechat-main')).to.include({
        expected: '1999 CNY',
        actual: 'no amount',
      })
    })

    it('does not take what the payer gave after coupons for the amount', () => {
      const coupon: PaymentFact = {
        about: 'payment',
        paymentId,
        seen: 'succeeded',
        amount: { amount: 1999, currency: 'CNY' },
        payerAmount: { amount: 999, currency: 'CNY' },
      }
      expect(judgePaymentFact(payment(), coupon, 'wechat-main').verdict).to.equal('applies')
    })
  })

  describe('what a fact moves', () => {
    /** design.md 6.3 as rows. */
    const trade: Readonly<Record<PaymentStatus, Readonly<Record<PaymentFact['seen'], PaymentStatus>>>> = {
      created: { absent: 'created', pending: 'pending', closed: 'closed', succeeded: 'succeeded' },
      pending: { absent: 'pending', pending: 'pending', closed: 'closed', succeeded: 'succeeded' },
      closed: { absent: 'closed', pending: 'closed', closed: 'closed', succeeded: 'succeeded' },
      succeeded: { absent: 'succeeded', pending: 'succeeded', closed: 'succeeded', succeeded: 'succeeded' },
    }
    for (const from of paymentChain) {
      for (const seen of seens) {
        it(`${from}, told ${seen}, is ${trade[from][seen]}`, () => {
          expect(movesPaymentFrom({ about: 'payment', paymentId, seen }).includes(from)).to.equal(
            trade[from][seen] !== from,
          )
        })
      }
    }

    /** design.md 6.4 as rows. */
    const account: Readonly<Record<AccountStatus, Readonly<Record<'pending' | 'failed' | 'credited', AccountStatus>>>> =
      {
        none: { pending: 'pending', failed: 'failed', credited: 'credited' },
        pending: { pending: 'pending', failed: 'failed', credited: 'credited' },
        failed: { pending: 'failed', failed: 'failed', credited: 'credited' },
        credited: { pending: 'credited', failed: 'credited', credited: 'credited' },
      }
    for (const from of accountChain) {
      for (const said of ['pending', 'failed', 'credited'] as const) {
        it(`account ${from}, told ${said}, is ${account[from][said]}`, () => {
          const moves = movesAccountFrom({ about: 'payment', paymentId, seen: 'succeeded', account: said }).includes(
            from,
          )
          expect(moves).to.equal(account[from][said] !== from)
        })
      }
    }

    it('believes nothing about the account beside anything but a success', () => {
      for (const seen of ['absent', 'pending', 'closed'] as const) {
        expect(movesAccountFrom({ about: 'payment', paymentId, seen, account: 'credited' })).to.deep.equal([])
      }
      expect(movesAccountFrom({ about: 'payment', paymentId, seen: 'succeeded' })).to.deep.equal([])
    })
  })

  describe('whyClose', () => {
    const cases: readonly (readonly [string, Partial<Order>, Partial<Payment>, string | undefined])[] = [
      ['the current attempt of an open order', {}, {}, undefined],
      ['one whose invocation was lost', {}, { invocation: null, status: 'created' }, 'never_sent'],
      ['one that a newer attempt has replaced', { current_payment_id: 'pay_other' }, {}, 'superseded'],
      ['one of an order without a current attempt', { current_payment_id: null }, {}, 'superseded'],
      ['one of an expired order', { expires_at: now - 1 }, {}, 'expired'],
      ['one whose order expires this very millisecond', { expires_at: now }, {}, 'expired'],
      ['one whose order has one millisecond left', { expires_at: now + 1 }, {}, undefined],
      ['one that the merchant wants closed', { close_requested_at: now, expires_at: now }, {}, 'merchant'],
      ['one of an order that another attempt paid', { status: 'paid', paid_payment_id: 'pay_other' }, {}, 'superseded'],
      ['one of a closed order', { status: 'closed', expires_at: now - 1 }, {}, 'expired'],
      ['one of an order that the merchant closed', { status: 'closed', close_requested_at: now - 1 }, {}, 'merchant'],
      ['one that has succeeded', { status: 'closed' }, { status: 'succeeded' }, undefined],
      ['one that is closed already', { close_requested_at: now }, { status: 'closed' }, undefined],
    ]
    for (const [name, ofOrder, ofPayment, why] of cases) {
      it(`${name}: ${why ?? 'kept'}`, () => expect(whyClose(order(ofOrder), payment(ofPayment), now)).to.equal(why))
    }

    it('over every combination keeps an attempt alive only while it is wanted, and names no reason for one that has ended', () => {
      let seen = 0
      for (const status of paymentChain)
        for (const orderStatus of orderChain)
          for (const requested of [null, now - 5])
            for (const expires of [now - 1, now, now + 1])
              for (const current of [paymentId, 'pay_other', null])
                for (const invocation of [null, '{"kind":"qr","content":"x"}']) {
                  seen += 1
                  const o = order({
                    status: orderStatus,
                    close_requested_at: requested,
                    expires_at: expires,
                    current_payment_id: current,
                  })
                  const why = whyClose(o, payment({ status, invocation }), now)
                  const what = JSON.stringify({
                    status,
                    orderStatus,
                    requested,
                    expires: expires - now,
                    current,
                    invocation,
                  })
                  const ended = status === 'closed' || status === 'succeeded'
                  const wanted =
                    orderStatus === 'open' &&
                    requested === null &&
                    expires > now &&
                    current === paymentId &&
                    invocation !== null
                  expect(why === undefined, what).to.equal(ended || wanted)
                  // never_sent is the weakest claim: it is made only where nothing else is wrong.
                  if (why === 'never_sent')
                    expect(orderStatus === 'open' && expires > now && current === paymentId, what).to.equal(true)
                  if (!ended && requested !== null) expect(why, what).to.equal('merchant')
                }
      expect(seen).to.equal(4 * 3 * 2 * 3 * 3 * 2)
    })
  })

  describe('handing out an invocation', () => {
    it('hands out the stored one while it is usable', () => {
      expect(usableInvocation(payment(), now)).to.deep.equal({ kind: 'qr', content: 'weixin://wxpay/x' })
      expect(usableInvocation(payment({ status: 'created' }), now)).to.not.equal(undefined)
      expect(usableInvocation(payment({ usable_until: null }), now)).to.not.equal(undefined)
    })
    const withheld: readonly (readonly [string, Partial<Payment>])[] = [
      ['there is none', { invocation: null }],
      ['its time is over', { usable_until: now - 1 }],
      ['its time is over right now', { usable_until: now }],
      ['a close has been sent', { close_attempts: 1 }],
      ['the attempt is closed', { status: 'closed' }],
      ['the attempt has succeeded', { status: 'succeeded' }],
    ]
    for (const [name, changes] of withheld) {
      it(`withholds it when ${name}`, () => expect(usableInvocation(payment(changes), now)).to.equal(undefined))
    }
  })

  describe('naming the payment to its provider', () => {
    it('takes the date from the attempt and leaves out what is not known', () => {
      expect(paymentRef(payment())).to.deep.equal({
        paymentId,
        createdAt: now - 1000,
        method: 'wechat_jsapi',
        amount: { amount: 1999, currency: 'CNY' },
      })
    })
    it('adds the provider’s numbers once they are known', () => {
      expect(paymentRef(payment({ transaction_id: '42', party_order_id: '03' }))).to.include({
        transactionId: '42',
        partyOrderId: '03',
      })
    })
  })
})
