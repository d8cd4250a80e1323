import { expect } from 'chai'
import {
  idFromProviderNumber,
  idOf,
  isId,
  providerNumber,
  submissionNumber,
  surplusAttemptsMax,
  surplusRefundId,
  type IdKind,
} from '../../../src/core/ids.ts'

const ulid = '01J9ZK3X5QW8E7R6T5Y4V3B2N1'
const kinds: readonly IdKind[] = ['order', 'payment', 'refund', 'event', 'delivery', 'notification', 'discrepancy']

describe('core/ids', () => {
  it('prefixes a ULID with its kind', () => {
    expect(idOf('order', ulid)).to.equal(`ord_${ulid}`)
    expect(idOf('payment', ulid)).to.equal(`pay_${ulid}`)
    expect(idOf('refund', ulid)).to.equal(`ref_${ulid}`)
    expect(idOf('event', ulid)).to.equal(`evt_${ulid}`)
  })

  it('accepts an id as its own kind and as no other', () => {
    for (const made of kinds) {
      for (const asked of kinds) expect(isId(asked, idOf(made, ulid)), `${made} as ${asked}`).to.equal(made === asked)
    }
  })

  const shapes: readonly unknown[] = [
    undefined,
    null,
    0,
    1,
    true,
    {},
    [],
    [`ord_${ulid}`],
    { toString: () => `ord_${ulid}` },
    '',
    'ord_',
    ulid,
    `ord${ulid}`,
    `ord_${ulid} `,
    ` ord_${ulid}`,
    `ord_${ulid}\n`,
    `ord_${ulid}\0`,
    `ORD_${ulid}`,
    `ord_${ulid.toLowerCase()}`,
    `ord_${ulid}0`,
    `ord_${ulid.slice(1)}`,
    `ord_8${ulid.slice(1)}`,
    `ord_${ulid.slice(0, -1)}I`,
    `ord_${ulid.slice(0, -1)}L`,
    `ord_${ulid.slice(0, -1)}O`,
    `ord_${ulid.slice(0, -1)}U`,
    `ord_${ulid.slice(0, -1)}%`,
    `ord_${ulid.slice(0, -1)}１`,
    `ord-${ulid}`,
    `ord_ord_${ulid}`,
    `ord_' OR 1=1 --`,
  ]
  for (const shape of shapes) {
    it(`is not fooled by ${JSON.stringify(shape) ?? 'undefined'}`, () => expect(isId('order', shape)).to.equal(false))
  }

  it('gives providers at most 32 letters and digits', () => {
    const numbers = [
      providerNumber(idOf('payment', ulid)),
      providerNumber(idOf('refund', ulid)),
      submissionNumber(idOf('refund', ulid), 1),
      submissionNumber(idOf('refund', ulid), 2),
      submissionNumber(idOf('refund', ulid), 1295),
      submissionNumber(surplusRefundId(idOf('payment', ulid), surplusAttemptsMax), 1295),
    ]
    for (const number of numbers) expect(number).to.match(/^[A-Za-z0-9]{1,32}$/)
    expect(numbers[0]).to.equal(`pay${ulid}`)
  })

  it('finds the id behind a number', () => {
    expect(idFromProviderNumber('payment', `pay${ulid}`)).to.equal(`pay_${ulid}`)
    expect(idFromProviderNumber('refund', `ref${ulid}`)).to.equal(`ref_${ulid}`)
  })

  it('finds the refund behind every submission', () => {
    const refund = idOf('refund', ulid)
    for (const attempt of [1, 2, 9, 10, 35, 36, 1295]) {
      expect(idFromProviderNumber('refund', submissionNumber(refund, attempt)), String(attempt)).to.equal(refund)
    }
  })

  it('finds every surplus refund, and it behind each of its submissions', () => {
    const payment = idOf('payment', ulid)
    const ids = Array.from({ length: surplusAttemptsMax }, (_, index) => surplusRefundId(payment, index + 1))
    expect(new Set(ids).size).to.equal(surplusAttemptsMax)
    for (const id of ids) {
      expect(isId('refund', id), id).to.equal(true)
      for (const attempt of [1, 2, 36, 1295])
        expect(idFromProviderNumber('refund', submissionNumber(id, attempt))).to.equal(id)
    }
  })

  it('keeps the submissions of different refunds of one payment apart', () => {
    const payment = idOf('payment', ulid)
    const refunds = [
      idOf('refund', ulid),
      ...Array.from({ length: surplusAttemptsMax }, (_, index) => surplusRefundId(payment, index + 1)),
    ]
    const numbers = refunds.flatMap((id) => Array.from({ length: 60 }, (_, index) => submissionNumber(id, index + 1)))
    expect(new Set(numbers).size).to.equal(numbers.length)
  })

  it('refuses a number of the other kind', () => {
    expect(idFromProviderNumber('refund', `pay${ulid}`)).to.equal(undefined)
    expect(idFromProviderNumber('payment', `ref${ulid}`)).to.equal(undefined)
    expect(idFromProviderNumber('payment', `ord${ulid}`)).to.equal(undefined)
  })

  for (const number of [
    '',
    'pay',
    'ref',
    `pay_${ulid}`,
    `pay${ulid}02`,
    `pay${ulid}1`,
    `pay${ulid.toLowerCase()}`,
    'T20260105001',
    `pay${ulid}\n`,
    `PAY${ulid}`,
    `pay${ulid} `,
  ]) {
    it(`is not one of our payments: ${JSON.stringify(number)}`, () =>
      expect(idFromProviderNumber('payment', number)).to.equal(undefined))
  }

  for (const number of [
    'ref',
    `ref${ulid}0`,
    `ref${ulid}1234`,
    `ref${ulid}a1`,
    `ref${ulid}1 2`,
    `ref_${ulid}`,
    `ref${ulid}0１`,
  ]) {
    it(`is not one of our refunds: ${JSON.stringify(number)}`, () =>
      expect(idFromProviderNumber('refund', number)).to.equal(undefined))
  }

  it('refuses attempts that have no number', () => {
    for (const attempt of [0, -1, 1.5, surplusAttemptsMax + 1, Number.NaN]) {
      expect(() => surplusRefundId(idOf('payment', ulid), attempt), String(attempt)).to.throw(RangeError)
    }
    for (const attempt of [0, -1, 1.5, 1296, Number.NaN]) {
      expect(() => submissionNumber(idOf('refund', ulid), attempt), String(attempt)).to.throw(RangeError)
    }
  })
})
