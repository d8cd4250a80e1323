import { connect } from 'node:net'
import { expect } from 'chai'
import { databases } from '../databases.ts'
import { generous, startWorld, type World } from './http-world.ts'

const order = (number: string, more: object = {}) => ({
  merchant_order_no: number,
  amount: 1230,
  subject: 'Tea',
  ...more,
})

/** Sends bytes as they are and returns whatever comes back until the other side closes. */
function rawExchange(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    socket.on('data', (chunk) => (received += chunk.toString('latin1')))
    socket.on('close', () => resolve(received))
    socket.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' || error.code === 'EPIPE' ? resolve(received) : reject(error),
    )
  })
}

for (const database of databases) {
  describe(`the notification doors on ${database.name}`, function () {
    this.timeout(60_000)
    let world: World
    let count = 0
    const fresh = () => `N-${String((count += 1))}`

    before(async () => {
      world = await startWorld(database, generous)
    })
    after(() => world.stop())

    it('give exactly the reply of the adapter', async () => {
      const opened = await world.call('POST', '/v1/orders', order(fresh()))
      const started = await world.call('POST', `/v1/orders/${opened.json['id']}/payments`, {
        method: 'wechat_native',
        client_ip: '203.0.113.7',
      })
      const answer = await world.call(
        'POST',
        '/notify/main/segment',
        { paymentId: started.json['payment'].id, amount: 1230 },
        { 'x-good': 'yes' },
        '',
      )
      expect([answer.status, answer.headers.get('content-type'), answer.text]).to.deep.equal([
        200,
        'text/plain',
        'RECV_OK',
      ])
      expect(answer.headers.get('set-cookie')).to.equal(null)
    })

    it('answer a bad signature, an unknown channel and a wrong segment alike', async () => {
      const paths = [
        '/notify/main/segment',
        '/notify/main/segment/console',
        '/notify/other/segment',
        '/notify/main/wrong',
        `/notify/main/${'x'.repeat(3000)}`,
      ]
      const answers = await Promise.all(paths.map((path) => world.call('POST', path, '{}', {}, '')))
      for (const answer of answers) expect([answer.status, answer.json['code']]).to.deep.equal([401, 'FAIL'])
      expect(new Set(answers.map(({ text }) => text)).size).to.equal(1)
      expect(await world.metrics.text()).to.match(/notifications_total\{door="notify",outcome="signature"\} [1-9]/)
    })

    it('show a header that came twice as such', async () => {
      let head = 'POST /notify/main/segment HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n'
      head += 'X-Good: yes\r\n'
      expect(await rawExchange(world.port, `${head}X-Good: yes\r\n\r\n{}`)).to.match(/^HTTP\/1\.1 401 /)
    })

    it('read 64 KiB and not a byte more, announced or not', async () => {
      const fits = await world.call('POST', '/notify/main/segment', Buffer.alloc(65_536, 32), {}, '')
      expect(fits.status).to.equal(401)
      const over = await world.call('POST', '/notify/main/segment', Buffer.alloc(65_537, 32), {}, '')
      expect(over.status).to.equal(413)
      const chunk = `8000\r\n${'x'.repeat(0x8000)}\r\n`
      const endless = await rawExchange(
        world.port,
        `POST /notify/main/segment HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(3)}`,
      )
      expect(endless).to.match(/^HTTP\/1\.1 413 /)
    })

    it('inflate nothing', async () => {
      expect(
        (await world.call('POST', '/notify/main/segment', '{}', { 'content-encoding': 'gzip' }, '')).status,
      ).to.equal(415)
    })

    it('say 500 for our own failure and tell nothing about it', async () => {
      world.hooks.onNotification = () => Promise.reject(new Error('the disk is full of gw_live_KEYCANARYKEY'))
      const answer = await world.call('POST', '/notify/main/segment', '{}', {}, '')
      world.hooks.onNotification = () => Promise.resolve()
      expect([answer.status, answer.json['code']]).to.deep.equal([500, 'FAIL'])
      expect(answer.text + world.lines.join('')).not.to.include('KEYCANARY')
      expect(world.lines.join('')).to.include('the disk is full')
    })

    it('take only POST', async () => {
      const answer = await world.call('GET', '/notify/main/segment', undefined, {}, '')
      expect([answer.status, answer.headers.get('allow')]).to.deep.equal([405, 'POST'])
    })
  })
}
