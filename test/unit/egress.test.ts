import { createServer, type Server } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import type { AddressInfo, Server as TcpServer, Socket } from 'node:net'
import { expect } from 'chai'
import { createWebhookPoster, type Resolve, type WebhookPoster } from '../../src/egress/merchant-endpoint.ts'
import { permitted } from '../../src/egress/public-address.ts'

/** Hosts in every spelling that means, or might be taken to mean, somewhere inside. */
const insideHosts = [
  '127.0.0.1',
  '127.1',
  '127.0.1',
  '2130706433',
  '0x7f000001',
  '0x7f.0.0.1',
  '0177.0.0.1',
  '017700000001',
  '127.255.255.254',
  '127.0.0.1.',
  '0',
  '0.0.0.0',
  '0.1.2.3',
  '10.0.0.1',
  '10.255.255.255',
  '0xa.0.0.1',
  '012.0.0.1',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.0.1',
  '192.168.257',
  '100.64.0.1',
  '100.127.255.255',
  '100.100.100.200',
  '169.254.169.254',
  '0xa9fea9fe',
  '2852039166',
  '169.254.1',
  '192.0.0.1',
  '192.0.2.1',
  '192.88.99.1',
  '198.18.0.1',
  '198.19.255.255',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '239.255.255.255',
  '240.0.0.1',
  '255.255.255.255',
  '[::]',
  '[::1]',
  '[0:0:0:0:0:0:0:1]',
  '[::127.0.0.1]',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[::ffff:10.0.0.1]',
  '[::ffff:8.8.8.8]',
  '[::ffff:0:127.0.0.1]',
  '[64:ff9b::7f00:1]',
  '[64:ff9b::8.8.8.8]',
  '[64:ff9b:1::1]',
  '[2002:7f00:1::]',
  '[2002:808:808::1]',
  '[2001::1]',
  '[2001:0:4136:e378:8000:63bf:3fff:fdd2]',
  '[2001:10::1]',
  '[2001:20::1]',
  '[2001:db8::1]',
  '[3fff::1]',
  '[3fff:fff::1]',
  '[100::1]',
  '[fc00::1]',
  '[fd00:ec2::254]',
  '[fdff::1]',
  '[fe80::1]',
  '[febf::1]',
  '[fec0::1]',
  '[ff02::1]',
  '[5f00::1]',
  '[4000::1]',
  '[::1.2.3.4]',
  '[1::1]',
  '[e000::1]',
]

const outside = [
  '8.8.8.8',
  '1.1.1.1',
  '172.15.0.1',
  '172.32.0.1',
  '100.63.255.255',
  '100.128.0.1',
  '192.167.0.1',
  '2606:4700::1111',
  '2001:4860:4860::8888',
  '2400:3200::1',
  '2003::1',
]

async function listen(server: Server | TcpServer, host = '127.0.0.1'): Promise<number> {
  await new Promise<void>((resolve) => void server.listen(0, host, resolve))
  return (server.address() as AddressInfo).port
}

describe('addresses merchants may name', () => {
  it('knows the internet from everything else', () => {
    for (const address of outside) expect(permitted(address, 'public'), address).to.equal(true)
    for (const address of outside) expect(permitted(address, 'loopback'), address).to.equal(false)
    for (const address of ['127.0.0.1', '127.9.9.9', '::1']) {
      expect(permitted(address, 'public'), address).to.equal(false)
      expect(permitted(address, 'loopback'), address).to.equal(true)
      expect(permitted(address, 'either'), address).to.equal(true)
    }
    for (const address of [
      '10.0.0.1',
      '::ffff:127.0.0.1',
      '169.254.169.254',
      'fe80::1%lo',
      'fe80::1',
      '::',
      '0.0.0.0',
      'localhost',
      '',
    ]) {
      for (const policy of ['public', 'loopback', 'either'] as const)
        expect(permitted(address, policy), `${address} ${policy}`).to.equal(false)
    }
  })
})

describe('posting to a merchant endpoint', () => {
  let poster: WebhookPoster | undefined
  const closing: (() => unknown)[] = []

  const make = (options: Partial<Parameters<typeof createWebhookPoster>[0]> = {}) => {
    poster = createWebhookPoster({ now: () => Date.parse('2026-01-01T00:00:00Z'), totalMs: 3000, ...options })
    return poster
  }
  const serve = async (handler: Parameters<typeof createServer>[1]) => {
    const server = createServer(handler)
    closing.push(
      () => server.closeAllConnections(),
      () => server.close(),
    )
    return listen(server)
  }
  afterEach(async () => {
    await poster?.close()
    for (const close of closing.splice(0)) close()
  })

  it('has enough spellings to try', () => expect(new Set(insideHosts).size).to.be.at.least(60))

  for (const [scheme, sandbox] of [
    ['https', false],
    ['https', true],
    ['http', true],
    ['http', false],
  ] as const) {
    it(`refuses every ${scheme} address inside without a packet${sandbox ? ', in a sandbox all but loopback' : ''}`, async () => {
      // A listener that must hear nothing.
      let knocks = 0
      const port = await serve((_req, res) => {
        knocks += 1
        res.end()
      })
      const { post } = make({ resolve: (_host, done) => done(new Error('nothing of this is to be looked up'), []) })
      for (const host of insideHosts) {
        if (sandbox && /^(?:127\.|\[::1\]$)/.test(new URL(`http://${host}/`).hostname)) continue
        const answer = await post(`${scheme}://${host}:${String(port)}/`, {}, '{}', sandbox)
        expect(answer.kind, host).to.equal('failed')
        expect(answer.kind === 'failed' && answer.error, host).to.match(/not permitted|only https|cannot be read/)
      }
      expect(knocks).to.equal(0)
    })
  }

  it('opens nothing but loopback in a sandbox, and http to nothing else', async () => {
    const port = await serve((_req, res) => void res.writeHead(204).end())
    const { post } = make()
    expect(await post(`http://127.0.0.1:${String(port)}/`, {}, '{}', true)).to.deep.include({
      kind: 'answered',
      status: 204,
    })
    for (const url of [
      'http://10.0.0.1/',
      'https://10.0.0.1/',
      'http://8.8.8.8/',
      'http://[::ffff:127.0.0.1]/',
      'https://169.254.169.254/',
    ]) {
      expect(await post(url, {}, '{}', true), url).to.deep.equal({
        kind: 'failed',
        error: 'the address is not permitted',
      })
    }
  })

  it('refuses other schemes, credentials and nonsense', async () => {
    const { post } = make()
    for (const url of [
      'ftp://example.com/',
      'file:///etc/passwd',
      'https://a:b@example.com/',
      'https://a@example.com/',
      'nonsense',
      'gopher://x',
      '',
    ]) {
      expect((await post(url, {}, '{}', true)).kind, url).to.equal('failed')
    }
  })

  it('refuses a name as soon as one of its addresses is inside', async () => {
    const answers: Record<string, readonly { address: string; family: number }[]> = {
      'inside.example': [{ address: '10.0.0.1', family: 4 }],
      'mixed.example': [
        { address: '93.184.216.34', family: 4 },
        { address: '127.0.0.1', family: 4 },
      ],
      'mapped.example': [{ address: '::ffff:127.0.0.1', family: 6 }],
      'none.example': [],
    }
    const { post } = make({ resolve: (host, done) => done(null, answers[host] ?? []) })
    for (const host of Object.keys(answers)) {
      expect(await post(`https://${host}/`, {}, '{}', false), host).to.deep.equal({
        kind: 'failed',
        error: 'the host resolves to an address that is not permitted',
      })
    }
    const real = make()
    expect(await real.post('https://localhost:9/', {}, '{}', false)).to.deep.include({
      kind: 'failed',
      error: 'the host resolves to an address that is not permitted',
    })
  })

  it('connects to the addresses it checked: a resolver that changes its mind gains nothing', async () => {
    let knocks = 0
    const port = await serve((_req, res) => {
      knocks += 1
      res.setHeader('Connection', 'close').end('ok')
    })
    let asked = 0
    const rebinding: Resolve = (_host, done) => {
      asked += 1
      // Loopback is what this policy permits; the second answer of each pair is not.
      done(null, [{ address: asked % 2 === 1 ? '127.0.0.1' : '169.254.169.254', family: 4 }])
    }
    const { post } = make({ resolve: rebinding })
    const kinds: string[] = []
    for (let round = 0; round < 20; round += 1)
      kinds.push((await post(`http://rebind.example:${String(port)}/`, {}, '{}', true)).kind)
    expect(kinds.filter((kind) => kind === 'answered')).to.have.length(10)
    expect(knocks).to.equal(10)
    expect(asked).to.equal(20)
  })

  it('sends exactly the body and headers it was given', async () => {
    let seen: { method: string | undefined; headers: Record<string, unknown>; body: string } | undefined
    const port = await serve((req, res) => {
      const chunks: Buffer[] = []
      req.on('data', (chunk: Buffer) => chunks.push(chunk))
      req.on('end', () => {
        seen = { method: req.method, headers: req.headers, body: Buffer.concat(chunks).toString() }
        res.end('thanks')
      })
    })
    const { post } = make()
    const answer = await post(
      `http://127.0.0.1:${String(port)}/hook#part`,
      { 'webhook-id': 'evt_1' },
      '{"a":"茶"}',
      true,
    )
    expect(answer).to.deep.equal({ kind: 'answered', status: 200, excerpt: 'thanks' })
    expect(seen).to.deep.include({ method: 'POST', body: '{"a":"茶"}' })
    expect(seen?.headers).to.include({ 'webhook-id': 'evt_1', 'content-type': 'application/json' })
  })

  it('follows no redirect: 3xx is the answer', async () => {
    let followed = false
    const port = await serve((req, res) => {
      if (req.url === '/secret') followed = true
      res.writeHead(307, { location: '/secret' }).end()
    })
    expect(await make().post(`http://127.0.0.1:${String(port)}/`, {}, '{}', true)).to.deep.include({
      kind: 'answered',
      status: 307,
    })
    expect(followed).to.equal(false)
  })

  it('ignores proxy variables', async () => {
    let proxied = false
    const proxy = await serve((_req, res) => {
      proxied = true
      res.end()
    })
    const port = await serve((_req, res) => void res.end('direct'))
    const before = process.env['HTTP_PROXY']
    process.env['HTTP_PROXY'] = `http://127.0.0.1:${String(proxy)}`
    try {
      expect(await make().post(`http://127.0.0.1:${String(port)}/`, {}, '{}', true)).to.deep.include({
        excerpt: 'direct',
      })
    } finally {
      if (before === undefined) delete process.env['HTTP_PROXY']
      else process.env['HTTP_PROXY'] = before
    }
    expect(proxied).to.equal(false)
  })

  it('gives up on an endpoint that never answers', async () => {
    const sockets = new Set<Socket>()
    const server = createTcpServer((socket) => void sockets.add(socket))
    closing.push(
      () => sockets.forEach((socket) => socket.destroy()),
      () => server.close(),
    )
    const port = await listen(server)
    const began = Date.now()
    const answer = await make({ totalMs: 200 }).post(`http://127.0.0.1:${String(port)}/`, {}, '{}', true)
    expect(answer).to.deep.equal({ kind: 'failed', error: 'no answer in time' })
    expect(Date.now() - began).to.be.lessThan(1500)
  })

  it('takes the status of an answer that drips for ever, and stops at its deadline', async () => {
    const port = await serve((_req, res) => {
      res.writeHead(200)
      const drip = setInterval(() => res.write('.'), 20)
      res.on('close', () => clearInterval(drip))
    })
    const began = Date.now()
    const answer = await make({ totalMs: 300 }).post(`http://127.0.0.1:${String(port)}/`, {}, '{}', true)
    expect(answer).to.deep.include({ kind: 'answered', status: 200 })
    expect(Date.now() - began).to.be.lessThan(1500)
  })

  it('reads sixteen KiB of a huge answer and keeps one KiB of printable text', async () => {
    let sent = 0
    const port = await serve((_req, res) => {
      res.writeHead(500)
      const chunk = '\u0000\u001b[31m茶\u202e<b>\r\n'.repeat(2000)
      const more = () => {
        while (sent < 200_000_000 && !res.destroyed) {
          sent += chunk.length
          if (!res.write(chunk)) return void res.once('drain', more)
        }
      }
      more()
    })
    const answer = await make().post(`http://127.0.0.1:${String(port)}/`, {}, '{}', true)
    expect(answer).to.deep.include({ kind: 'answered', status: 500 })
    const excerpt = answer.kind === 'answered' ? answer.excerpt : ''
    expect(Buffer.byteLength(excerpt)).to.be.within(500, 1024)
    expect(excerpt).not.to.match(/[\p{Cc}\p{Cf}\uFFFD]/u)
    expect(sent).to.be.lessThan(50_000_000)
  })

  for (const [header, expected] of [
    ['120', 120_000],
    ['999999999', 86_400_000],
    ['Thu, 01 Jan 2026 00:01:00 GMT', 60_000],
    ['Wed, 31 Dec 2025 00:00:00 GMT', 0],
    ['Thu, 01 Jan 2099 00:00:00 GMT', 86_400_000],
    ['-5', undefined],
    ['soon', undefined],
  ] as const) {
    it(`reads Retry-After: ${header}`, async () => {
      const port = await serve((_req, res) => void res.writeHead(503, { 'retry-after': header }).end())
      const answer = await make().post(`http://127.0.0.1:${String(port)}/`, {}, '{}', true)
      expect(answer.kind === 'answered' ? answer.retryAfterMs : 'failed').to.equal(expected)
    })
  }

  it('keeps at most four requests in flight for an endpoint', async () => {
    let now = 0
    let most = 0
    const port = await serve((_req, res) => {
      now += 1
      most = Math.max(most, now)
      setTimeout(() => {
        now -= 1
        res.end()
      }, 30)
    })
    const { post } = make()
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => post(`http://127.0.0.1:${String(port)}/`, {}, '{}', true)),
    )
    expect(answers.filter(({ kind }) => kind === 'answered')).to.have.length(4)
    expect(answers.filter(({ kind }) => kind === 'busy'), 'the others are not sent, and not failed').to.have.length(16)
    expect(most).to.equal(4)
    expect((await post(`http://127.0.0.1:${String(port)}/`, {}, '{}', true)).kind, 'there is room again').to.equal('answered')
  })

  it('names a refused connection without telling an address', async () => {
    const port = await serve(() => {})
    for (const close of closing.splice(0)) close()
    const answer = await make().post(`http://127.0.0.1:${String(port)}/`, {}, '{}', true)
    expect(answer).to.deep.equal({ kind: 'failed', error: 'the connection was refused' })
  })
})
