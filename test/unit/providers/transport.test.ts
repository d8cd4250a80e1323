import { expect } from 'chai'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { inspect } from 'node:util'
import net, { type AddressInfo } from 'node:net'
import { ProviderRejected, ProviderUnknown } from '../../../src/core/provider.ts'
import { LostAnswer, NotSent, type Transport, type WireRequest } from '../../../src/core/transport.ts'
import { isLosslessNumber } from 'lossless-json'
import { parseStrict, parseStrictBytes } from '../../../src/providers/json.ts'
import { exchange, outcomeOf } from '../../../src/providers/outcome.ts'
import { createTransport } from '../../../src/providers/transport.ts'

const secret = 'Bearer do-not-leak'

async function failureOf(work: Promise<unknown>): Promise<Error> {
  try {
    await work
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error('expected a failure')
}

async function listen(server: net.Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address: AddressInfo | string | null = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening on a port')
  return address.port
}

describe('transport', () => {
  let server: Server
  let base: string
  let handle: (request: IncomingMessage, response: ServerResponse, body: string) => void
  let seen: { url: string; body: string; headers: IncomingMessage['headers'] }[]
  let transport: ReturnType<typeof createTransport>
  const never = new AbortController().signal

  before(async () => {
    server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const body = Buffer.concat(chunks).toString('utf8')
        seen.push({ url: request.url ?? '', body, headers: request.headers })
        handle(request, response, body)
      })
    })
    base = `http://127.0.0.1:${String(await listen(server))}`
  })
  after(() => {
    server.closeAllConnections()
    server.close()
  })
  beforeEach(() => {
    seen = []
    transport = createTransport()
    handle = (_request, response) => response.end('ok')
  })
  afterEach(async () => {
    server.closeAllConnections()
    await transport.close()
  })

  const get = (path: string, more: Partial<WireRequest> = {}): WireRequest => ({
    method: 'GET',
    url: base + path,
    headers: { Authorization: secret },
    deadlineMs: 2_000,
    ...more,
  })

  it('sends the request target, the body and the headers exactly as written', async () => {
    const target = '/v3/a%7Cb/./c/../d?x=%2A&y=*|&z='
    await transport(get(target.replace('|', '%7c')), never)
    const body = '{"a":"\\u0041",  "ü":1}\n'
    await transport(
      get('/p', { method: 'POST', body, headers: { 'X-Odd': 'v', 'Content-Type': 'application/json' } }),
      never,
    )
    expect(seen[0]?.url).to.equal(target.replace('|', '%7c'))
    expect(seen[1]?.body).to.equal(body)
    expect(seen[1]?.headers['x-odd']).to.equal('v')
    expect(seen[1]?.headers['content-type']).to.equal('application/json')
    expect(seen[1]?.headers['accept-encoding']).to.equal('identity')
    expect(seen[1]?.headers).to.not.have.any.keys('user-agent', 'accept')
  })

  for (const status of [204, 301, 404, 429, 500, 599, 999]) {
    it(`returns status ${String(status)} as an answer`, async () => {
      handle = (_request, response) => response.writeHead(status, { location: `${base}/elsewhere` }).end()
      const answer = await transport(get('/'), never)
      expect(answer.status).to.equal(status)
      expect(seen).to.have.length(1)
    })
  }

  it('joins a doubled header and keeps the raw bytes', async () => {
    handle = (_request, response) => {
      response.setHeader('Wechatpay-Serial', ['A', 'B'])
      response.end(Buffer.from([0xff, 0x00, 0x7b]))
    }
    const answer = await transport(get('/'), never)
    expect(answer.headers['wechatpay-serial']).to.equal('A, B')
    expect([...answer.body]).to.deep.equal([0xff, 0x00, 0x7b])
  })

  it('uses a connection again', async () => {
    const ports = new Set<number | undefined>()
    handle = (request, response) => {
      ports.add(request.socket.remotePort)
      response.end('ok')
    }
    await transport(get('/1'), never)
    // The pool takes a connection back a moment after the answer has been handed out.
    await new Promise((resolve) => setTimeout(resolve, 20))
    await transport(get('/2'), never)
    expect(ports.size).to.equal(1)
  })

  it('says NotSent for a refused connection, an unknown name, and broken TLS', async () => {
    const closed = net.createServer()
    const port = await listen(closed)
    await new Promise((resolve) => closed.close(resolve))
    const refused = await failureOf(transport({ ...get('/'), url: `http://127.0.0.1:${String(port)}/` }, never))
    expect(refused).to.be.instanceOf(NotSent)
    const unnamed = await failureOf(transport({ ...get('/'), url: 'https://no-such-host.invalid/' }, never))
    expect(unnamed).to.be.instanceOf(NotSent)
    const tls = await failureOf(transport({ ...get('/'), url: base.replace('http:', 'https:') + '/' }, never))
    expect(tls).to.be.instanceOf(NotSent)
    expect(seen).to.have.length(0)
  })

  it('says NotSent for a request given up before a connection was free, and never sends it afterwards', async () => {
    await transport.close()
    transport = createTransport({ connections: 1 })
    handle = (_request, response) => void setTimeout(() => response.end('slow'), 300)
    const slow = transport(get('/slow'), never)
    const waiting = await failureOf(transport(get('/waiting', { deadlineMs: 50 }), never))
    expect(waiting).to.be.instanceOf(NotSent)
    expect((await slow).body.toString()).to.equal('slow')
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(seen.map((request) => request.url)).to.deep.equal(['/slow'])
  })

  it('says NotSent when the caller had already given up', async () => {
    expect(await failureOf(transport(get('/'), AbortSignal.abort()))).to.be.instanceOf(NotSent)
    expect(seen).to.have.length(0)
  })

  const lost: Record<string, (request: IncomingMessage, response: ServerResponse) => void> = {
    'a hang': () => undefined,
    'a reset': (request) => request.socket.resetAndDestroy(),
    'an early end': (request) => request.socket.destroy(),
    'a truncated body': (request, response) => {
      response.writeHead(200, { 'content-length': '100' })
      response.write('half', () => request.socket.destroy())
    },
    'a body that stalls': (_request, response) => {
      response.writeHead(200, { 'content-length': '100' })
      response.write('half')
    },
    'an answer over the cap': (_request, response) => response.end('x'.repeat(5_000)),
    'garbage instead of HTTP': (request) => void request.socket.end('220 mail.example ESMTP\r\n\r\n'),
  }
  for (const [name, behave] of Object.entries(lost)) {
    it(`says LostAnswer for ${name}, without anything of the request in the error`, async () => {
      handle = behave
      const error = await failureOf(transport(get('/secret-path', { deadlineMs: 200, maxBytes: 1_000 }), never))
      expect(error).to.be.instanceOf(LostAnswer)
      expect(inspect(error, { depth: 20, showHidden: true })).to.not.match(/do-not-leak|secret-path/)
      expect(seen).to.have.length(1)
    })
  }

  it('says LostAnswer when the caller gives up while waiting', async () => {
    handle = () => undefined
    const stop = new AbortController()
    const call = failureOf(transport(get('/'), stop.signal))
    setTimeout(() => stop.abort(), 50)
    expect(await call).to.be.instanceOf(LostAnswer)
  })

  it('refuses plain http beyond loopback and addresses that are none', async () => {
    for (const url of [
      'http://example.com/',
      'http://127.0.0.1.example.com/',
      'ftp://x/',
      'https://u:p@x/',
      'https://x/#f',
      'x',
    ]) {
      expect(await failureOf(transport({ ...get('/'), url }, never)), url).to.be.instanceOf(NotSent)
    }
    const strict = createTransport({ allowHttp: () => false })
    expect(await failureOf(strict(get('/'), never))).to.be.instanceOf(NotSent)
    await strict.close()
  })

  describe('exchange', () => {
    it('repeats what was never sent once, and nothing else', async () => {
      let calls = 0
      const failing =
        (error: Error): Transport =>
        () => {
          calls += 1
          return Promise.reject(error)
        }
      const unreachable = await failureOf(exchange(failing(new NotSent('x')), get('/'), never, 'query'))
      expect(unreachable).to.be.instanceOf(ProviderRejected).with.property('reason', 'unreachable')
      expect(calls).to.equal(2)
      calls = 0
      const unknown = await failureOf(exchange(failing(new LostAnswer('x')), get('/'), never, 'query'))
      expect(unknown).to.be.instanceOf(ProviderUnknown)
      expect(calls).to.equal(1)
    })

    it('turns every other failure into unknown and passes the two outcomes through', () => {
      expect(outcomeOf(new TypeError('bug'), 'x')).to.be.instanceOf(ProviderUnknown)
      expect(outcomeOf('text', 'x')).to.be.instanceOf(ProviderUnknown)
      const rejected = new ProviderRejected('declined', 'C', 'm')
      expect(outcomeOf(rejected, 'x')).to.equal(rejected)
    })
  })
})

describe('strict JSON', () => {
  it('agrees with JSON.parse on ordinary documents', () => {
    for (const value of [
      { a: [1, -2, 'x"\\\n\u2028', null, true, false, {}, []], '': { b: 9007199254740991 } },
      'text',
      0,
      [],
    ]) {
      for (const text of [JSON.stringify(value), ` \t\r\n${JSON.stringify(value, null, 2)}\n`]) {
        expect(parseStrict(text)).to.deep.equal(JSON.parse(text))
      }
    }
  })

  it('refuses repeated keys, also with equal values and in escaped spelling', () => {
    for (const text of ['{"a":1,"a":2}', '{"a":1,"a":1}', '{"a":1,"\\u0061":1}', '[{"b":{"c":1,"c":1}}]']) {
      expect(() => parseStrict(text), text).to.throw(SyntaxError, 'twice')
    }
  })

  it('refuses everything that is not exactly one value', () => {
    const bad = [
      '',
      ' ',
      '{',
      '{}x',
      '{} {}',
      '[1,]',
      '{"a":1,}',
      '{a:1}',
      "{'a':1}",
      '01',
      '+1',
      '.5',
      '1.',
      'NaN',
      'nul',
      '"a',
      '"\n"',
    ]
    for (const text of [...bad, '"\\x"', '"\\u12"', '\ufeff{}', '[1 2]', '{"a" 1}', '"\\', '\u00a01', '١']) {
      expect(() => parseStrict(text), JSON.stringify(text)).to.throw(SyntaxError)
    }
    expect(() => parseStrictBytes(Buffer.from([0x22, 0xc3, 0x22]))).to.throw(SyntaxError)
    expect(() => parseStrictBytes(Buffer.from('\ufeff{}'))).to.throw(SyntaxError)
  })

  it('allows sixteen levels and no more', () => {
    expect(() => parseStrict('['.repeat(15) + '1' + ']'.repeat(15))).to.not.throw()
    expect(() => parseStrict('['.repeat(16) + '1' + ']'.repeat(16))).to.throw(SyntaxError, 'deep')
    expect(() => parseStrict('['.repeat(200_000))).to.throw(SyntaxError, 'deep')
  })

  it('never rounds a number', () => {
    for (const text of ['1.0', '1e2', '-0', '9007199254740992', '99999999999999999999', '0.1']) {
      const value = parseStrict(text)
      expect(isLosslessNumber(value), text).to.equal(true)
      expect(String(value)).to.equal(text)
    }
  })

  it('keeps __proto__ an ordinary key', () => {
    const value = parseStrict('{"__proto__":{"polluted":1}}')
    expect(Object.keys(value ?? {})).to.deep.equal(['__proto__'])
    expect(({} as Record<string, unknown>)['polluted']).to.equal(undefined)
  })

  it('does not quote the text in its errors', () => {
    for (const text of ['"oSecretOpenid\\x"', '{"oSecretOpenid":oSecretOpenid}']) {
      expect(() => parseStrict(text))
        .to.throw(SyntaxError)
        .with.property('message')
        .not.contains('Secret')
    }
  })
})
