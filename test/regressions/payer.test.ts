import { expect } from 'chai'
import { buildWeb } from '../../src/web/build.ts'
import { databases } from '../databases.ts'
import { call, control, open, payer, start, startWorld, until, type World } from '../harness.ts'

/** What strangers who hold an order's link tried, and what must come of it (docs/cashier.md). */

const phone = 'Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Safari/605'
const webView = 'Mozilla/5.0 (Linux; Android 14) Mobile MicroMessenger/8.0.55 miniProgram'
const miniAppid = 'wx00000000000000b1'

type Opened = { readonly id: string; readonly cashier_url: string }
type PaymentRow = { id: string; order_id: string; method: string; checks: number; next_check_at: number | null }

const opened = async (world: World): Promise<Opened> => {
  const order = await open(world, 100)
  return (await call<Opened>(world, 'GET', `/v1/orders/${order.id}`)).body
}

const look = (world: World, order: Opened, agent: string, below = '', method = 'GET') =>
  fetch(`http://127.0.0.1:${String(world.port)}${new URL(order.cashier_url).pathname}${below}`, {
    method,
    redirect: 'manual',
    headers: { 'user-agent': agent },
  })

async function mini(world: World, path: string, session: string | undefined, body: unknown) {
  const response = await fetch(`http://127.0.0.1:${String(world.port)}/mp/v1${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(session === undefined ? {} : { authorization: `Bearer ${session}` }),
    },
    body: JSON.stringify(body),
  })
  return { status: response.status, body: (await response.json()) as { code?: string; session?: string } }
}

async function enter(world: World, token: string, openid: string) {
  const { code } = await control<{ code: string }>(world, '/_sim/wechat-pay/code', { appid: miniAppid, openid })
  return mini(world, '/sessions', undefined, { token, code })
}

const attemptsOf = (world: World, order: Opened) =>
  world.db<PaymentRow>('payments').where({ order_id: order.id }).orderBy('id')

for (const database of databases) {
  describe(`strangers with the link, on ${database.name}`, function () {
    this.timeout(60_000)
    let world: World
    before(async () => {
      await buildWeb()
      world = await startWorld({ database, timeScale: 1 })
    })
    after(() => world.close())

    it('two people who take turns do not use up the attempts of an order', async () => {
      const order = await opened(world)
      const tokens: string[] = []
      for (const _ of [1, 2]) {
        const page = await (await look(world, order, webView)).text()
        tokens.push(/\?t=([\w.-]+)/.exec(page)?.[1] ?? '')
      }
      const one = await enter(world, tokens[0] ?? '', 'oSIM-mini-stranger-000000001')
      const two = await enter(world, tokens[1] ?? '', 'oSIM-mini-stranger-000000002')
      expect([one.status, two.status]).to.deep.equal([201, 201])
      const answers: (string | undefined)[] = []
      for (let turn = 0; turn < 4; turn += 1) {
        answers.push((await mini(world, '/pay', one.body.session, {})).body.code)
        answers.push((await mini(world, '/pay', two.body.session, {})).body.code)
      }
      expect(answers.filter((code) => code === 'launch-taken')).to.have.length(4)
      expect(await attemptsOf(world, order)).to.have.length(1)
    })

    it('a link that somebody came through is not handed to the next', async () => {
      const order = await opened(world)
      const first = (await look(world, order, phone, '/launch')).headers.get('location')
      expect(
        (await look(world, order, phone, '/launch')).headers.get('location'),
        'one link while nobody came',
      ).to.equal(first)
      const made = await control<{ links: { query: string }[] }>(world, '/_sim/wechat-pay/links')
      const token = (made.links.at(-1)?.query ?? '').replace(/^t=/, '')
      expect((await enter(world, token, 'oSIM-mini-stranger-000000001')).status).to.equal(201)
      const next = (await look(world, order, phone, '/launch')).headers.get('location')
      expect(next).to.be.a('string').and.not.equal(first)
    })

    it('a stranger who asks too often does not shut the page for others', async () => {
      const order = await opened(world)
      const answers = await Promise.all(Array.from({ length: 80 }, () => look(world, order, webView)))
      expect(answers.some(({ status }) => status === 429)).to.equal(true)
      const rows = await world.db('launches').where({ order_id: order.id })
      expect(rows.length).to.be.at.most(100)
    })

    it('hints leave the plan of an attempt as it was', async () => {
      const order = await opened(world)
      await start(world, order.id)
      const [before] = await attemptsOf(world, order)
      for (let time = 0; time < 3; time += 1) {
        await world.db('order_nudges').where({ order_id: order.id }).del()
        expect((await look(world, order, phone, '/status?hint=ok')).status).to.equal(200)
      }
      const asked = await control<{ requests: { operation: string }[] }>(world, '/_sim/requests', {}, 'GET')
      expect(
        asked.requests.filter(({ operation }) => operation === 'query').length,
        'the provider was asked',
      ).to.be.at.least(3)
      const [after] = await attemptsOf(world, order)
      expect(after?.checks).to.equal(before?.checks)
      expect(after?.next_check_at).to.be.at.most(before?.next_check_at ?? 0)
    })
  })

  describe(`looking at a page with a hosted mini-program, on ${database.name}`, function () {
    this.timeout(60_000)
    it('makes no attempt and takes nobody’s place', async () => {
      await buildWeb()
      const world = await startWorld({
        database,
        channel: 'huifu-main',
        timeScale: 1,
        configure(config) {
          const settings = config.channels['huifu-main']?.settings
          if (settings !== undefined) {
            settings['methods'] = { wechat_jsapi: { appid: 'wx00000000000000a1' }, wechat_mini: { hosted: true } }
          }
        },
      })
      try {
        const order = await opened(world)
        const body = { method: 'wechat_jsapi', openid: payer, client_ip: '203.0.113.9' }
        await call(world, 'POST', `/v1/orders/${order.id}/payments`, body)
        await look(world, order, webView)
        await look(world, order, phone, '/launch', 'HEAD')
        await look(world, order, phone, '/launch')
        const rows = await until('attempts', () => attemptsOf(world, order))
        expect(rows.map(({ method }) => method)).to.deep.equal(['wechat_jsapi'])
      } finally {
        await world.close()
      }
    })
  })
}
