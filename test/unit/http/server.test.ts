import { once } from 'node:events'
import type { Server } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { expect } from 'chai'
import express from 'express'
import { createServer } from '../../../src/http/server.ts'

describe('the HTTP server', () => {
  let server: Server
  let port = 0
  const app = express()
  const born: boolean[] = []
  app.set('trust proxy', 1)
  // The first thing that sees a request, before Express has set any prototype itself, is the server's own listener.
  app.get('/who', (req, res) => {
    res.json({ ip: req.ip, query: req.query })
  })
  app.get('/late', async () => {
    await Promise.reject(new Error('late'))
  })
  app.use((_error: unknown, _req: express.Request, res: express.Response, _next: express.NextFunction) => {
    res.status(500).send('caught')
  })

  before(async () => {
    server = createServer(app)
    server.prependListener('request', (req) => born.push(Object.getPrototypeOf(req) === app.request))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
  })
  after(() => {
    server.closeAllConnections()
    server.close()
  })

  const send = async (bytes: string) => {
    const socket = connect(port, '127.0.0.1')
    socket.write(bytes)
    let received = ''
    socket.on('data', (chunk) => (received += chunk.toString()))
    await once(socket, 'close')
    return received
  }

  it('behaves like Express', async () => {
    const answer = await fetch(`http://127.0.0.1:${String(port)}/who?a=1`, {
      headers: { 'x-forwarded-for': '6.6.6.6, 203.0.113.9' },
    })
    expect(await answer.json()).to.deep.equal({ ip: '203.0.113.9', query: { a: '1' } })
    expect((await fetch(`http://127.0.0.1:${String(port)}/late`)).status).to.equal(500)
    expect((await fetch(`http://127.0.0.1:${String(port)}/none`)).status).to.equal(404)
  })

  it('gives requests their prototype at birth where changing it later is slow', () => {
    const isNeeded = Number.parseInt(process.versions.node, 10) < 24
    expect(born).to.have.length.of.at.least(3)
    for (const one of born) expect(one).to.equal(isNeeded)
  })

  it('is impatient with slow callers and modest about headers', () => {
    expect([server.headersTimeout, server.requestTimeout, server.keepAliveTimeout]).to.deep.equal([
      10_000, 15_000, 65_000,
    ])
    expect(server.maxHeadersCount).to.equal(100)
  })

  for (const [name, head] of [
    ['both lengths', 'Content-Length: 4\r\nTransfer-Encoding: chunked'],
    ['two lengths', 'Content-Length: 4\r\nContent-Length: 5'],
    ['an odd encoding', 'Transfer-Encoding: xchunked\r\nTransfer-Encoding: chunked\r\nContent-Length: 4'],
    ['a space before the colon', 'Content-Length : 4'],
    ['a folded header', 'X-A: b\r\n c: d\r\nContent-Length: x'],
    ['too many bytes of headers', `X-A: ${'x'.repeat(17_000)}`],
  ] as const) {
    it(`refuses ${name}`, async () => {
      expect(
        await send(`POST /who HTTP/1.1\r\nHost: x\r\n${head}\r\n\r\n0\r\n\r\nGET /who HTTP/1.1\r\nHost: x\r\n\r\n`),
      ).to.match(/^HTTP\/1\.1 4\d\d [^]*$/)
    })
  }

  it('refuses a request without a host', async () => {
    expect(await send('GET /who HTTP/1.1\r\nConnection: close\r\n\r\n')).to.match(/^HTTP\/1\.1 400 /)
  })
})
