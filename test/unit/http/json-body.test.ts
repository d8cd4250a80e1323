import { expect } from 'chai'
import fc from 'fast-check'
import { Problem, type Fault } from '../../../src/core/problem.ts'
import { openOrderBody, requestRefundBody, startPaymentBody } from '../../../src/http/bodies.ts'
import { readJsonBody, type BodyRule } from '../../../src/http/json-body.ts'

const now = Date.parse('2026-03-01T00:00:00Z')
const order = { merchant_order_no: 'A-1', amount: 1230, subject: 'Tea' }

function read<T>(rule: BodyRule<T>, body: unknown, sandbox = false, contentType = 'application/json'): T {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  return readJsonBody(rule, contentType, bytes, { sandbox, now })
}

function problemOf(run: () => unknown): Problem {
  try {
    run()
  } catch (error) {
    if (error instanceof Problem) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

function faultsOf(body: unknown, rule: BodyRule<unknown> = openOrderBody, sandbox = false): readonly Fault[] {
  const problem = problemOf(() => read(rule, body, sandbox))
  expect(problem.code).to.equal('invalid-request')
  return problem.extras.errors ?? []
}

const pointers = (faults: readonly Fault[]) => faults.map(({ pointer }) => pointer)

describe('bodies of the merchant API', () => {
  it('reads an order and fills in what may be left out', () => {
    expect(read(openOrderBody, order)).to.deep.equal({ ...order, currency: 'CNY' })
    expect(read(requestRefundBody, { merchant_refund_no: 'R', amount: 1 }).reason).to.equal('refund')
  })

  it('tells every fault at once, each with pointer, rule and cure', () => {
    const faults = faultsOf({
      merchant_order_no: 'a b',
      amount: -1,
      currency: 'XXX',
      colour: 'red',
      metadata: { a: 1 },
      'x/y~z': 1,
    })
    expect(pointers(faults).toSorted()).to.deep.equal(
      ['/amount', '/colour', '/currency', '/merchant_order_no', '/metadata/a', '/subject', '/x~1y~0z'].toSorted(),
    )
    const detail = Object.fromEntries(faults.map((fault) => [fault.pointer, fault.detail]))
    expect(detail['/subject']).to.match(/^Missing\. .*1 to 127 characters/)
    expect(detail['/amount']).to.include('minor units')
    expect(detail['/colour']).to.include('Unknown field').and.to.include('merchant_order_no')
  })

  for (const literal of ['1.0', '1e2', '1E2', '12.5', '9007199254740993', '-0', '1'.repeat(30)]) {
    it(`refuses the number ${literal} and says where it is`, () => {
      const faults = faultsOf(`{"merchant_order_no":"A","subject":"x","amount":${literal}}`)
      expect(pointers(faults)).to.deep.equal(['/amount'])
    })
  }

  for (const amount of [0, -5, 100_000_000_001, '5', null, true, [], {}, [5]]) {
    it(`refuses the amount ${JSON.stringify(amount)}`, () => {
      expect(pointers(faultsOf({ ...order, amount })).every((pointer) => pointer.startsWith('/amount'))).to.equal(true)
    })
  }

  it('accepts the largest amount', () => {
    expect(read(openOrderBody, { ...order, amount: 100_000_000_000 }).amount).to.equal(100_000_000_000)
  })

  it('refuses a key that is written twice, also in nested objects and when escaped', () => {
    expect(pointers(faultsOf('{"merchant_order_no":"A","subject":"x","amount":1,"am\\u006funt":2}'))).to.deep.equal([
      '/amount',
    ])
    const nested = faultsOf('{"merchant_order_no":"A","subject":"x","amount":1,"metadata":{"a":"1","a":"2"}}')
    expect(pointers(nested)).to.deep.equal(['/metadata/a'])
  })

  for (const key of ['__proto__', 'constructor', 'prototype', '\\u005f_proto__']) {
    it(`refuses the key ${key} wherever it stands`, () => {
      const top = faultsOf(`{"merchant_order_no":"A","subject":"x","amount":1,"${key}":{"polluted":true}}`)
      expect(top).to.have.length.greaterThan(0)
      const inner = faultsOf(`{"merchant_order_no":"A","subject":"x","amount":1,"metadata":{"${key}":"x"}}`)
      expect(inner[0]?.pointer).to.match(/^\/metadata\//)
      expect(({} as Record<string, unknown>)['polluted']).to.equal(undefined)
    })
  }

  it('refuses nesting beyond eight levels without walking into it', () => {
    const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
    expect(problemOf(() => read(openOrderBody, deep(16_000))).extras.errors?.[0]?.detail).to.include('levels deep')
    const eight = faultsOf(`{"metadata":${deep(7)}}`)
    expect(eight.some(({ detail }) => detail.includes('levels deep'))).to.equal(false)
    expect(faultsOf(`{"metadata":${deep(8)}}`)[0]?.detail).to.include('levels deep')
  })

  it('refuses what is not UTF-8, has a byte order mark, is not JSON, or is not announced as JSON', () => {
    expect(problemOf(() => read(openOrderBody, Buffer.from([0x7b, 0xff, 0x7d]))).detail).to.include('UTF-8')
    expect(problemOf(() => read(openOrderBody, '\uFEFF{}')).detail).to.include('byte order mark')
    for (const text of ['{', '{"a":}', "{'a':1}", 'NaN', '{"a":01}', '']) {
      expect(problemOf(() => read(openOrderBody, text)).code, text).to.equal('invalid-request')
    }
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'application/json; charset=gbk',
      'application/jsonp',
    ]) {
      expect(problemOf(() => read(openOrderBody, order, false, type)).code, type).to.equal('unsupported-media-type')
    }
    expect(read(openOrderBody, order, false, 'application/json; charset=UTF-8').amount).to.equal(1230)
  })

  it('never repeats the body in its complaint', () => {
    const problem = problemOf(() => read(openOrderBody, '{"secret":"hunter2"'))
    expect(problem.message + problem.detail).not.to.include('hunter2')
  })

  it('takes a number of the order only in its alphabet', () => {
    const bad = ['', 'a'.repeat(65), 'é', 'Ａ', 'a\n', ' a', 'a ', 'a/b', 'a\u200b', 0, true, [], {}, null, ['a']]
    for (const merchant_order_no of bad) {
      expect(pointers(faultsOf({ ...order, merchant_order_no })), JSON.stringify(merchant_order_no)).to.include(
        '/merchant_order_no',
      )
    }
  })

  it('refuses control characters, broken surrogates and direction marks in texts', () => {
    for (const subject of ['a\nb', 'a\u0000', '\ud800', 'a\u202eb', '\u2028', '   ', 'x'.repeat(128)]) {
      expect(pointers(faultsOf(JSON.stringify({ ...order, subject }))), JSON.stringify(subject)).to.deep.equal([
        '/subject',
      ])
    }
    expect(read(openOrderBody, { ...order, subject: '茶 🍵👩‍👧' }).subject).to.equal('茶 🍵👩‍👧')
  })

  it('checks where the payer is sent', () => {
    const bad = [
      'http://shop.example',
      'javascript:alert(1)',
      'https://a@shop.example',
      'https://a:b@shop.example',
      '//shop.example',
      'https://shop.example\\@evil.example',
      'https://shop.example/\r\nSet-Cookie: a=b',
      'ftp://shop.example',
      'shop',
      'https://',
      'http://localhost/',
      'data:text/html,x',
    ]
    for (const return_url of bad)
      expect(pointers(faultsOf({ ...order, return_url })), return_url).to.deep.equal(['/return_url'])
    expect(read(openOrderBody, { ...order, return_url: 'https://shop.example/thanks?a=b' }).return_url).to.be.a(
      'string',
    )
    expect(read(openOrderBody, { ...order, return_url: 'http://127.0.0.1:9/x' }, true).return_url).to.be.a('string')
    expect(pointers(faultsOf({ ...order, return_url: 'http://shop.example' }, openOrderBody, true))).to.deep.equal([
      '/return_url',
    ])
  })

  it('limits the expiry, more loosely in the sandbox', () => {
    for (const expires_in of [0, 59, 604_801])
      expect(pointers(faultsOf({ ...order, expires_in }))).to.deep.equal(['/expires_in'])
    expect(read(openOrderBody, { ...order, expires_in: 1 }, true).expires_in).to.equal(1)
    const tooFar = new Date(now + 604_801_000).toISOString()
    expect(pointers(faultsOf({ ...order, expires_at: tooFar }))).to.deep.equal(['/expires_at'])
    expect(pointers(faultsOf({ ...order, expires_at: '2026-03-01' }))).to.deep.equal(['/expires_at'])
    const both = { ...order, expires_in: 60, expires_at: new Date(now + 60_000).toISOString() }
    expect(pointers(faultsOf(both))).to.deep.equal(['/expires_at'])
  })

  it('limits metadata', () => {
    const many = Object.fromEntries(Array.from({ length: 21 }, (_, at) => [`k${String(at)}`, 'v']))
    expect(pointers(faultsOf({ ...order, metadata: many }))).to.deep.equal(['/metadata'])
    expect(faultsOf({ ...order, metadata: { a: 'x'.repeat(201) } })).to.have.length(1)
    expect(faultsOf({ ...order, metadata: { ['k'.repeat(41)]: 'x' } })).to.have.length(1)
  })

  it('wants the openid where WeChat wants it, and a real address of the payer', () => {
    expect(pointers(faultsOf({ method: 'wechat_jsapi', client_ip: '203.0.113.7' }, startPaymentBody))).to.deep.equal([
      '/openid',
    ])
    expect(read(startPaymentBody, { method: 'wechat_native', client_ip: '2001:db8::1' }).client_ip).to.equal(
      '2001:db8::1',
    )
    for (const client_ip of ['', 'localhost', '1.2.3', '1.2.3.4, 5.6.7.8', 'fe80::1%eth0', 7]) {
      const faults = faultsOf({ method: 'wechat_native', client_ip }, startPaymentBody)
      expect(pointers(faults), String(client_ip)).to.deep.equal(['/client_ip'])
    }
  })

  it('answers any JSON with an order or an invalid-request, and never grows with the input', () => {
    const seed = Date.now() % 1_000_000
    const any = fc.oneof(
      fc.json(),
      fc.string(),
      fc.json().map((text) => `{"amount":${text},"a":${text}}`),
    )
    const property = fc.property(any, (text) => {
      try {
        read(openOrderBody, text)
      } catch (error) {
        if (!(error instanceof Problem) || error.code !== 'invalid-request') throw error
        expect(JSON.stringify(error.extras).length).to.be.lessThan(60_000)
      }
    })
    fc.assert(property, { seed, numRuns: 300 })
  })
})
