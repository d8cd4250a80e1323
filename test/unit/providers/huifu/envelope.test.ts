import { expect } from 'chai'
import fc from 'fast-check'
import { createPublicKey } from 'node:crypto'
import { canonicalData, open } from '../../../../src/providers/huifu/envelope.ts'
import { readForm } from '../../../../src/providers/huifu/form.ts'
import { canonical, firstText, objectOf, parseLossless, textOf } from '../../../../src/providers/huifu/lossless.ts'
import { safeText } from '../../../../src/providers/huifu/requests.ts'
import { keys, signedByHuifu, sorted } from './fake-huifu.ts'

const key = createPublicKey({ key: Buffer.from(keys.huifu.publicKey, 'base64'), format: 'der', type: 'spki' })
const openText = (text: string) => open(Buffer.from(text), key).state

describe('huifu lossless reader', () => {
  const refused = [
    '',
    ' ',
    '{',
    '[',
    '"',
    '{"a":1,}',
    '{"a":1 "b":2}',
    '[1,]',
    '{a:1}',
    "{'a':1}",
    '01',
    '1.',
    '.5',
    '+1',
    '1e',
    'nul',
    'NaN',
    '{"a":1}{"b":2}',
    '"\\x"',
    '"\n"',
    '{"a":1,"a":1}',
    '{"a":{"b":1,"b":2}}',
    '{"a":1,"\\u0061":2}',
    '1 2',
    'truex',
    '-',
    '['.repeat(40) + ']'.repeat(40),
    '['.repeat(100_000),
  ]
  for (const text of refused) {
    it(`refuses ${JSON.stringify(text.slice(0, 30))}`, () => {
      expect(() => parseLossless(text)).to.throw(SyntaxError)
    })
  }

  it('never throws anything but SyntaxError, and agrees with JSON.parse about what it reads', () => {
    fc.assert(
      fc.property(fc.json(), fc.integer({ min: 0, max: 30 }), fc.string({ maxLength: 2 }), (json, at, noise) => {
        const text = json.slice(0, at) + noise + json.slice(at)
        let value
        try {
          value = parseLossless(text)
        } catch (error) {
          expect(error).to.be.instanceOf(SyntaxError)
          return
        }
        const parsed: unknown = JSON.parse(text)
        if (value.kind === 'text') expect(value.text).to.equal(parsed)
        expect(text.slice(value.from, value.to).trim()).to.equal(text.trim())
      }),
    )
  })

  it('canonical text is a fixed point, whatever the order of the first level', () => {
    const scalars = fc.oneof(fc.string({ unit: 'binary' }), fc.integer(), fc.boolean())
    fc.assert(
      fc.property(fc.dictionary(fc.string({ minLength: 1 }), scalars), (members) => {
        const once = canonical(parseLossless(JSON.stringify(members)))
        const reversed = canonical(parseLossless(JSON.stringify(Object.fromEntries(Object.entries(members).reverse()))))
        expect(canonical(parseLossless(once))).to.equal(once)
        expect(reversed).to.equal(once)
        expect(JSON.parse(once)).to.deep.equal(JSON.parse(JSON.stringify(members)))
      }),
    )
  })

  it('reads members of every dialect as text', () => {
    const data = parseLossless('{"a":1,"b":"1","c":0.00,"d":null,"e":"","f":{"x":"y"},"g":"{\\"x\\":\\"z\\"}","h":[1]}')
    if (data.kind !== 'object') throw new Error('object expected')
    expect(['a', 'b', 'c', 'd', 'e', 'f', 'h', 'i'].map((name) => textOf(data, name))).to.deep.equal([
      '1',
      '1',
      '0.00',
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
    ])
    expect(firstText(data, 'i', 'e', 'd', 'c', 'a')).to.equal('0.00')
    expect(['f', 'g'].map((name) => textOf(objectOf(data, name) ?? data, 'x'))).to.deep.equal(['y', 'z'])
    expect(objectOf(data, 'a')).to.equal(undefined)
  })
})

describe('huifu envelope', () => {
  it('drops empty members and sorts the rest, whatever the values contain', () => {
    expect(canonicalData({ b: '', c: undefined, Z: '</&>"\\', a: '面/\n' })).to.equal(
      '{"Z":"</&>\\"\\\\","a":"面/\\n"}',
    )
  })

  const data = sorted({ a: '0.00', b: '面/<&>' })
  const sign = signedByHuifu(data)

  it('opens what Huifu signed, wherever data stands and whatever surrounds it', () => {
    expect(openText(`{"data":${data},"sign":"${sign}"}`)).to.equal('verified')
    expect(openText(` { "x":{"data":{"a":"1"}}, "sign" : "${sign}" ,\n"data" :  ${data} } `)).to.equal('verified')
    expect(openText(`{"x":"\\"data\\":{}","data":${data},"sign":"${sign}"}`)).to.equal('verified')
  })

  it('believes the exact text as received, canonical or not', () => {
    const raw = '{"b" : "\\u9762", "a":[{"z":0.00,"y":1}]}'
    expect(openText(`{"data":${raw},"sign":"${signedByHuifu(raw)}"}`)).to.equal('verified')
    expect(openText(`{"data":${raw.replace(' :', ':')},"sign":"${signedByHuifu(raw)}"}`)).to.equal('forged')
  })

  it('falls back to the canonical text for unsorted and escaped answers', () => {
    expect(openText(`{"data":{"b":"\\u9762\\/<&>", "a":"0.00"},"sign":"${sign}"}`)).to.equal('verified')
    expect(openText(`{"data":{"b":"面/<&>","a":"0.00","c":null},"sign":"${sign}"}`)).to.equal('verified')
    expect(openText(`{"data":{"b":"面/<&>","a":"0.00","c":""},"sign":"${sign}"}`)).to.equal('forged')
  })

  it('refuses duplicate keys at both levels, so that no second reading exists', () => {
    expect(openText(`{"data":${data},"sign":"${sign}","data":{"a":"1.00"}}`)).to.equal('unreadable')
    expect(openText(`{"data":{"a":"9.00","a":"0.00","b":"面/<&>"},"sign":"${sign}"}`)).to.equal('unreadable')
  })

  it('tells unsigned from forged from unreadable', () => {
    expect(openText(`{"data":${data}}`)).to.equal('unsigned')
    expect(openText(`{"data":${data},"sign":""}`)).to.equal('unsigned')
    expect(openText(`{"data":${data},"sign":null}`)).to.equal('unsigned')
    expect(openText('{"resp_code":"40002"}')).to.equal('unsigned')
    expect(openText(`{"data":${data},"sign":7}`)).to.equal('forged')
    expect(openText(`{"data":${data},"sign":"${sign.slice(0, -4)}"}`)).to.equal('forged')
    expect(openText(`{"data":${JSON.stringify(data)},"sign":"${sign}"}`)).to.equal('forged')
    expect(openText(`{"data":{"outer":${data}},"sign":"${sign}"}`)).to.equal('forged')
    expect(openText('<html>502</html>')).to.equal('unreadable')
    expect(openText('[]')).to.equal('unreadable')
    expect(openText(`{"data":${data},"sign":"${sign}"`)).to.equal('unreadable')
    const broken = Buffer.concat([
      Buffer.from(`{"data":{"a":"`),
      Buffer.from([0xff]),
      Buffer.from(`"},"sign":"${sign}"}`),
    ])
    expect(open(broken, key).state).to.equal('unreadable')
  })
})

describe('huifu form', () => {
  const cases: readonly [string, Record<string, string[]> | undefined][] = [
    ['a=1&b=2', { a: ['1'], b: ['2'] }],
    ['a=x+y%2Bz', { a: ['x y+z'] }],
    ['a=%E4%BA%A4&a=*', { a: ['交', '*'] }],
    ['a=', { a: [''] }],
    ['a=b=c', { a: ['b=c'] }],
    ['%61=1', { a: ['1'] }],
    ['', undefined],
    ['a', undefined],
    ['=1', undefined],
    ['a=1&', undefined],
    ['a=%', undefined],
    ['a=%4', undefined],
    ['a=%zz', undefined],
    ['a=%FF', undefined],
    ['a=%C0%80', undefined],
    ['a=%ED%A0%80', undefined],
    [Array.from({ length: 33 }, (_, i) => `k${String(i)}=1`).join('&'), undefined],
  ]
  for (const [body, expected] of cases) {
    it(`${expected === undefined ? 'refuses' : 'reads'} ${JSON.stringify(body.slice(0, 24))}`, () => {
      const fields = readForm(Buffer.from(body))
      expect(fields === undefined ? undefined : Object.fromEntries(fields)).to.deep.equal(expected)
    })
  }

  it('reads back whatever a form encoder wrote', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), fc.string({ unit: 'grapheme' }), (name, value) => {
        const body = new URLSearchParams([[name, value]]).toString()
        expect(readForm(Buffer.from(body))?.get(name)).to.deep.equal([value])
      }),
    )
  })

  it('refuses bytes that are not UTF-8', () => {
    expect(readForm(Buffer.from([0x61, 0x3d, 0xff]))).to.equal(undefined)
  })
})

describe('huifu safe text', () => {
  it('loses every character on whose spelling signers disagree, and nothing else', () => {
    expect(safeText('a\u0000b\u2028c\u007fd\u009fe\ud800f', 40)).to.equal('a b c d e f')
    expect(safeText('测试/&<>"\\', 40)).to.equal('测试/&<>"\\')
  })

  it('cuts by characters and never through one', () => {
    expect(Array.from(safeText('🍊'.repeat(50), 40))).to.have.length(40)
    expect(safeText('🍊'.repeat(50), 40)).to.not.match(/\p{Cs}/u)
  })
})
