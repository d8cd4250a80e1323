import { expect } from 'chai'
import {
  currencies,
  isCurrency,
  largestAmount,
  money,
  parseYuan,
  printMoney,
  printYuan,
  sameMoney,
} from '../../../src/core/money.ts'

describe('core/money', () => {
  describe('parseYuan', () => {
    const accepted: readonly (readonly [string, number])[] = [
      ['0.00', 0],
      ['0.01', 1],
      ['0.10', 10],
      ['1.00', 100],
      // The classic of floating point: 19.99 * 100 is 1998.9999999999998.
      ['19.99', 1999],
      ['1.15', 115],
      ['4.35', 435],
      ['1129.60', 112_960],
      ['10000000.00', 1_000_000_000],
      ['99999999999.99', 9_999_999_999_999],
    ]
    for (const [text, fen] of accepted) {
      it(`reads ${text} as ${String(fen)} fen`, () => expect(parseYuan(text)).to.equal(fen))
    }

    const refused: readonly string[] = [
      '',
      ' ',
      '.',
      '1',
      '1.',
      '1.0',
      '1.000',
      '.50',
      '01.00',
      '00.00',
      '000.01',
      '1e2',
      '1.00e0',
      '1E2',
      '-0.01',
      '-1.00',
      '+1.00',
      ' 1.00',
      '1.00 ',
      '1.00\n',
      '\n1.00',
      '1.00\0',
      '\t1.00',
      '1,00',
      '1,000.00',
      '1_000.00',
      '1 000.00',
      "1'000.00",
      '0x1.00',
      '0b1.00',
      '1.0.0',
      '1..00',
      '1.00.',
      '1.0a',
      'a1.00',
      'NaN',
      'Infinity',
      '-Infinity',
      'null',
      'undefined',
      'true',
      '¥1.00',
      '1.00元',
      '1.00CNY',
      '１.００',
      '１.00',
      '1．00',
      '1。00',
      '١.٠٠',
      '१.००',
      '1.0０',
      '\u200b1.00',
      '1.00\u200b',
      '\ufeff1.00',
      '1\u00a0000.00',
      '−1.00',
      '123456789012.00',
      '99999999999999999999.00',
      '1.00;',
      '"1.00"',
      '`1.00',
      '(1.00)',
      '1/2',
      '½',
      '1.00%',
    ]
    for (const text of refused) {
      it(`refuses ${JSON.stringify(text)}`, () => expect(() => parseYuan(text)).to.throw(SyntaxError))
    }

    it('does not repeat what it was given, which may be anything', () => {
      expect(() => parseYuan('oSecretOpenid'))
        .to.throw(SyntaxError)
        .with.property('message')
        .that.does.not.include('oSecretOpenid')
    })
  })

  describe('printYuan', () => {
    const printed: readonly (readonly [number, string])[] = [
      [0, '0.00'],
      [1, '0.01'],
      [10, '0.10'],
      [99, '0.99'],
      [100, '1.00'],
      [1999, '19.99'],
      [largestAmount, '1000000000.00'],
    ]
    for (const [fen, text] of printed) {
      it(`prints ${String(fen)} as ${text}`, () => expect(printYuan(fen)).to.equal(text))
    }
    for (const wrong of [-1, 0.5, 1.1, Number.NaN, Number.POSITIVE_INFINITY, Number.MAX_SAFE_INTEGER + 1]) {
      it(`refuses ${String(wrong)}`, () => expect(() => printYuan(wrong)).to.throw(RangeError))
    }
  })

  describe('money', () => {
    it('accepts the smallest and the largest amount', () => {
      expect(money(1, 'CNY')).to.deep.equal({ amount: 1, currency: 'CNY' })
      expect(money(largestAmount, 'CNY').amount).to.equal(100_000_000_000)
    })
    for (const wrong of [
      0,
      -0,
      -1,
      0.1,
      1.5,
      largestAmount + 1,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.MIN_VALUE,
    ]) {
      it(`refuses ${String(wrong)}`, () => expect(() => money(wrong, 'CNY')).to.throw(RangeError))
    }
  })

  it('knows its currencies and nothing that an object inherits', () => {
    expect(currencies).to.include.members(['CNY', 'HKD', 'USD', 'JPY'])
    for (const currency of currencies) expect(isCurrency(currency)).to.equal(true)
    for (const wrong of [
      'cny',
      'RMB',
      '',
      'constructor',
      'toString',
      '__proto__',
      'hasOwnProperty',
      null,
      undefined,
      156,
      ['CNY'],
    ]) {
      expect(isCurrency(wrong), String(wrong)).to.equal(false)
    }
  })

  it('compares amount and currency', () => {
    expect(sameMoney(money(100, 'CNY'), money(100, 'CNY'))).to.equal(true)
    expect(sameMoney(money(100, 'CNY'), money(101, 'CNY'))).to.equal(false)
    expect(sameMoney(money(100, 'CNY'), money(100, 'HKD'))).to.equal(false)
  })

  it('prints for people with the decimals of the currency', () => {
    expect(printMoney(money(1230, 'CNY'))).to.equal('12.30 CNY')
    expect(printMoney(money(1230, 'JPY'))).to.equal('1230 JPY')
  })
})
