import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import type { OrderResource } from '../../src/core/event.ts'
import { databases } from '../databases.ts'
import { call, control, payer, startWorld, until, type World } from '../harness.ts'
import { checkInvariants } from '../invariants.ts'
import { bothChannels, calm, channels, chaos, paidOn, seedOf } from './acts.ts'
import { spawnGateway, type Ending } from './child.ts'

/**
 * SIGTERM under traffic, at the real `mortise serve` (reliability.md 5.12): whoever was let in gets an answer, nobody gets
 * half of one, nothing stays half done, and the process ends by itself with 0.
 */

const program = resolve(import.meta.dirname, '../../src/cli/main.ts')

type Served = { readonly process: ChildProcess; readonly ended: Promise<Ending>; readonly said: () => string }

async function serve(world: World): Promise<Served> {
  const env = { ...process.env, DATABASE_URL: world.database.url }
  const child = spawn(process.execPath, ['--import', 'tsx', program, 'serve', '--config', world.configPath], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const text: string[] = []
  child.stderr.on('data', (chunk: Buffer) => text.push(chunk.toString('utf8')))
  const ended = new Promise<Ending>((done) => child.once('exit', (code, signal) => done({ code, signal })))
  const said = () => text.join('')
  const up = until('the server to come up', () => said().includes('gateway at '), 40_000)
  await Promise.race([up, ended.then(() => Promise.reject(new Error(`serve ended: ${said()}`)))])
  return { process: child, ended, said }
}

/** How a request ended: with a status, or without an answer. `sentAt`: when its last byte had left, if it ever did. */
type Ended = {
  readonly path: string
  readonly body: unknown
  readonly sentAt: number | undefined
  readonly how: number | string
  readonly text: string
}

/** A client that keeps its connections, as backends do. */
function client(world: World) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 32 })
  const key = readFileSync(join(world.folder, 'sandbox/shop/api_key.txt'), 'utf8').trim()
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  const ends: Ended[] = []
  const ask = (path: string, body: unknown): Promise<Ended> =>
    new Promise((done) => {
      let [text, sentAt, answered]: [string, number | undefined, boolean] = ['', undefined, false]
      const end = (how: number | string): void => {
        const ended = { path, body, sentAt, how, text }
        ends.push(ended)
        done(ended)
      }
      const request = http.request(
        { host: '127.0.0.1', port: world.port, method: 'POST', path, agent, headers },
        (response) => {
          answered = true
          response.setEncoding('utf8')
          response.on('data', (chunk: string) => (text += chunk))
          response.on('end', () => end(response.statusCode ?? 0))
          response.on('error', (error) => end(`half an answer: ${error.message}`))
        },
      )
      request.on('finish', () => (sentAt = Date.now()))
      request.on('error', (error: NodeJS.ErrnoException) => {
        if (!answered) end(error.code ?? error.message)
      })
      request.end(JSON.stringify(body))
    })
  return { ask, ends, close: () => agent.destroy() }
}

/** A request may lie unread in a socket for so long on a busy machine; what is read has been let in. */
const readWithinMs = 300

for (const database of databases) {
  describe(`SIGTERM under traffic on ${database.name}`, function () {
    this.timeout(90_000)
    let world: World

    before(async () => {
      const seed = seedOf(`SIGTERM on ${database.name}`)
      world = await startWorld({
        database,
        timeScale: 600,
        start: false,
        configure: bothChannels,
        simulators: { seed },
      })
    })
    after(() => world.close())

    it('finishes what is in work and ends with 0', async () => {
      const served = await serve(world)
      const { ask, ends, close } = client(world)
      const refundable = await Promise.all(
        Array.from({ length: 12 }, (_, index) => paidOn(world, channels[index % 2] ?? 'wechat-main', 100)),
      )
      // A second on the way at the provider: these requests are in work when the signal comes.
      await chaos(world, 'slow', 1, 'create')
      await chaos(world, 'slow', 1, 'refund')

      const clients = { going: true }
      const lane = async (index: number): Promise<void> => {
        for (let round = 0; clients.going; round += 1) {
          const number = `sig-${String(process.pid)}-${database.name}-${String(index)}-${String(round)}`
          const opened = await ask('/v1/orders', {
            merchant_order_no: number,
            amount: 100,
            currency: 'CNY',
            subject: 'Oolong',
          })
          if (opened.how === 'ECONNREFUSED') return
          if (opened.how !== 201) continue
          const order = JSON.parse(opened.text) as OrderResource
          const method = index % 2 === 0 ? 'wechat_jsapi' : 'wechat_mini'
          await ask(`/v1/orders/${order.id}/payments`, { method, openid: payer, client_ip: '203.0.113.9' })
        }
      }
      const refundOf = (order: OrderResource) => ({
        merchant_refund_no: `${order.merchant_order_no}-r`,
        amount: 60,
        reason: 'broken cup',
      })
      const refunds = refundable.map(async (order, index) => {
        await sleep(200 + index * 20)
        await ask(`/v1/orders/${order.id}/refunds`, refundOf(order))
      })
      const lanes = Array.from({ length: 10 }, (_, index) => lane(index))
      await sleep(1000)
      const stoppedAt = Date.now()
      served.process.kill('SIGTERM')
      // Clients go on for a moment on the connections they have, as those do that have not noticed yet.
      await sleep(700)
      clients.going = false
      const ending = await Promise.race([served.ended, sleep(40_000, undefined, { ref: false })])
      const took = Date.now() - stoppedAt
      await Promise.all([...lanes, ...refunds])
      close()

      expect(ending, served.said()).to.deep.equal({ code: 0, signal: null })
      expect(took).to.be.lessThan(35_000)
      console.log(`      ${String(ends.length)} requests, ended ${String(took)} ms after the signal`)
      const letIn = ends.filter(({ sentAt }) => sentAt !== undefined && sentAt < stoppedAt - readWithinMs)
      expect(letIn.length, 'there was traffic').to.be.greaterThan(10)
      expect(
        letIn.filter(({ how }) => typeof how !== 'number' || how >= 500),
        'whoever was let in got a real answer',
      ).to.deep.equal([])
      expect(
        ends.filter(({ how }) => typeof how === 'string' && how.startsWith('half')),
        'nobody got half an answer',
      ).to.deep.equal([])
      const answeredLate = ends.filter(
        ({ how, sentAt }) => typeof how === 'number' && sentAt !== undefined && sentAt < stoppedAt,
      )
      expect(answeredLate.length).to.be.at.least(letIn.length)
      await calm(world)

      const successor = await spawnGateway(world, { deadlineMs: 2000 })
      try {
        for (const { path, body, how } of ends) {
          // Also where the limits of `serve` said to come back later.
          if (how === 200 || how === 201) continue
          const again = await call(world, 'POST', path, body)
          expect(again.status, `${path} that got no answer can be repeated`).to.be.oneOf([200, 201])
        }
        for (const order of refundable) {
          expect((await call(world, 'POST', `/v1/orders/${order.id}/refunds`, refundOf(order))).status).to.equal(200)
        }
        await until('every refund succeeded', async () => {
          const rows = await world.db<{ status: string }>('refunds').select('status')
          return rows.length === refundable.length && rows.every(({ status }) => status === 'succeeded')
        })
        await until(
          'every event delivered',
          async () => (await world.db('deliveries').where({ status: 'pending' })).length === 0,
        )
        await control(world, '/_sim/chaos/reset')
        await checkInvariants(world, { quiet: true })
      } finally {
        await successor.stop()
      }
    })
  })
}
