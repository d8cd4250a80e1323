import { expect } from 'chai'
import { setTimeout as sleep } from 'node:timers/promises'
import { createAccessTokens } from '../../src/identity/access-token.ts'
import { createTransport } from '../../src/providers/transport.ts'
import {
  accessToken,
  claimAccessToken,
  keepAccessToken,
  releaseAccessToken,
  spoilAccessToken,
} from '../../src/store/access-tokens.ts'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { databases } from '../databases.ts'
import { call, control, open, quietLog, readOrder, startWorld, until, type World } from '../harness.ts'

/** From the merchant's launch call to a payer back at a paid order, with the simulators as WeChat and Huifu. */

const miniAppid = 'wx00000000000000b1'

type Launched = { kind: string; user_name: string; path: string; url: string; expires_at: string }
type View = { id: string; status: string; amount: number; subject: string; merchant_name: string; payable: boolean }
type Opened = { session: string; order: View; code?: string; detail?: string }
type Parameters = Record<'timeStamp' | 'nonceStr' | 'package' | 'signType' | 'paySign', string>

async function launch(world: World, orderId: string, target: 'app' | 'browser') {
  return call<Launched & { code?: string; detail?: string }>(world, 'POST', `/v1/orders/${orderId}/launch`, { target })
}

async function mp<T>(world: World, method: 'GET' | 'POST', path: string, session?: string, body?: unknown) {
  const response = await fetch(`http://127.0.0.1:${String(world.port)}/mp/v1${path}`, {
    method,
    headers: {
      ...(session === undefined ? {} : { authorization: `Bearer ${session}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, body: JSON.parse(text) as T, text, headers: response.headers }
}

async function loginCode(world: World, openid?: string): Promise<string> {
  const fields = { appid: miniAppid, ...(openid === undefined ? {} : { openid }) }
  return (await control<{ code: string }>(world, '/_sim/wechat-pay/code', fields)).code
}

const tokenOf = (path: string) => /\?t=(.*)$/.exec(path)?.[1] ?? ''

async function openSession(world: World, token: string, openid?: string) {
  return mp<Opened>(world, 'POST', '/sessions', undefined, { token, code: await loginCode(world, openid) })
}

async function payAtWallet(world: World, channel: string, parameters: Parameters): Promise<void> {
  if (channel.startsWith('huifu')) await control(world, '/_sim/huifu/pay', { pay_package: parameters.package })
  else await control(world, '/_sim/wechat-pay/pay', parameters)
}

async function links(world: World, fields: Record<string, string> = {}) {
  return control<{ rules: Record<string, unknown>; links: { path: string; query: string; kind: string }[] }>(
    world,
    '/_sim/wechat-pay/links',
    fields,
  )
}

for (const database of databases) {
  describe(`launching the mini-program on ${database.name}`, function () {
    this.timeout(60_000)

    for (const channel of ['wechat-main', 'huifu-main']) {
      describe(`through ${channel}`, () => {
        let world: World
        before(async () => {
          world = await startWorld({ database, channel })
        })
        after(() => world.close())

        it('goes from an app to a paid order, and the openid never leaves the server', async () => {
          const order = await open(world, 1990)
          const launched = await launch(world, order.id, 'app')
          expect(launched.status).to.equal(200)
          expect(Object.keys(launched.body).toSorted()).to.deep.equal(['expires_at', 'kind', 'path', 'user_name'])
          expect(launched.body.user_name).to.equal('gh_0000000000b1')
          expect(launched.body.path).to.match(/^pages\/pay\/pay\?t=[A-Za-z0-9_-]{33}\.[A-Za-z0-9_-]{22}$/)
          const opened = await openSession(world, tokenOf(launched.body.path))
          expect(opened.status).to.equal(201)
          expect(opened.body.order).to.include({
            id: order.id,
            status: 'open',
            payable: true,
            amount: 1990,
            merchant_name: 'Demo Shop',
          })
          const { session } = opened.body
          const paying = await mp<{ payment: Parameters }>(world, 'POST', '/pay', session, {})
          expect(Object.keys(paying.body.payment).toSorted()).to.deep.equal(
            ['nonceStr', 'package', 'paySign', 'signType', 'timeStamp'].toSorted(),
          )
          const again = await mp<{ payment: Parameters }>(world, 'POST', '/pay', session)
          expect(again.body.payment.package, 'a second tap is the same attempt').to.equal(paying.body.payment.package)
          const unpaid = await mp<{ order: View }>(world, 'GET', '/order?hint=cancel', session)
          expect(unpaid.body.order.status).to.equal('open')
          await payAtWallet(world, channel, paying.body.payment)
          const paid = await until('paid', async () => {
            const look = await mp<{ order: View }>(world, 'GET', '/order?hint=ok', session)
            return look.body.order?.status === 'paid' ? look : undefined
          })
          const texts = [launched, opened, paying, paid].map((answer) => JSON.stringify(answer.body))
          for (const text of texts) expect(text).not.to.match(/openid|oSIM-/i)
          const stored = await readOrder(world, order.id)
          expect(stored.status).to.equal('paid')
          expect(stored.payments).to.have.length(1)
          const late = await mp<{ code: string }>(world, 'POST', '/pay', session, {})
          expect([late.status, late.body.code]).to.deep.equal([409, 'order-not-payable'])
        })
      })
    }

    describe('its rules', () => {
      let world: World
      let skew = 0
      before(async () => {
        // Without a worker: what the provider is asked here, it is asked because of a payer.
        world = await startWorld({ database, gateway: { now: () => Date.now() + skew, worker: false } })
      })
      afterEach(() => {
        skew = 0
      })
      after(() => world.close())

      it('lets the first payer in as often as they like, and nobody else', async () => {
        const order = await open(world, 100)
        const token = tokenOf((await launch(world, order.id, 'app')).body.path)
        expect((await openSession(world, token)).status).to.equal(201)
        expect((await openSession(world, token)).status, 'the same payer, opened again').to.equal(201)
        const second = await openSession(world, token, 'oSIM-mini-second-person')
        expect([second.status, second.body.code]).to.deep.equal([409, 'launch-taken'])
        expect(second.body.order, 'the second person sees nothing').to.equal(undefined)
      })

      it('binds one payer when many come at once', async () => {
        const order = await open(world, 100)
        const token = tokenOf((await launch(world, order.id, 'app')).body.path)
        const people = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => `oSIM-mini-racer-${name}`)
        const answers = await Promise.all(people.map((openid) => openSession(world, token, openid)))
        expect(answers.map(({ status }) => String(status)).toSorted()).to.deep.equal([
          '201',
          '409',
          '409',
          '409',
          '409',
          '409',
        ])
      })

      it('refuses an expired token, a changed one and another order’s, in the same words', async () => {
        const order = await open(world, 100)
        const token = tokenOf((await launch(world, order.id, 'app')).body.path)
        const other = tokenOf((await launch(world, (await open(world, 1)).id, 'app')).body.path)
        const changed = token.slice(0, 5) + (token[5] === 'A' ? 'B' : 'A') + token.slice(6)
        const spliced = other.slice(0, 33) + token.slice(33)
        const refusals = []
        for (const bad of [changed, spliced, 'x', `${token}A`]) refusals.push(await openSession(world, bad))
        skew = 10 * 60_000
        refusals.push(await openSession(world, token))
        for (const refusal of refusals) {
          expect([refusal.status, refusal.body.code, refusal.body.detail]).to.deep.equal([
            410,
            'launch-expired',
            refusals[0]?.body.detail,
          ])
        }
        const fresh = tokenOf((await launch(world, order.id, 'app')).body.path)
        expect((await openSession(world, fresh)).status, 'a new launch works').to.equal(201)
      })

      it('gives a launch no longer a life than its order, and never more than ten minutes', async () => {
        const long = await launch(world, (await open(world, 1, { expires_in: 7200 })).id, 'app')
        const life = Date.parse(long.body.expires_at) - Date.now()
        expect(life).to.be.within(590_000, 600_000)
        const short = await open(world, 1, { expires_in: 60 })
        const launched = await launch(world, short.id, 'app')
        expect(Date.parse(launched.body.expires_at)).to.be.at.most(Date.parse(short.expires_at ?? ''))
      })

      it('keeps digests only: neither token nor session nor link is in the database', async () => {
        const order = await open(world, 100)
        const token = tokenOf((await launch(world, order.id, 'app')).body.path)
        const { session } = (await openSession(world, token)).body
        const { url } = (await launch(world, order.id, 'browser')).body
        const rows = JSON.stringify([
          await world.db('launches').select(),
          await world.db('payer_sessions').select(),
          await world.db('access_tokens').select(),
        ])
        for (const secret of [token, session, url, url.split('/').at(-1) ?? url]) expect(rows).not.to.contain(secret)
      })

      it('ends a session after thirty minutes and opens no other order with it', async () => {
        const order = await open(world, 100)
        const { session } = (await openSession(world, tokenOf((await launch(world, order.id, 'app')).body.path))).body
        expect((await mp<{ order: View }>(world, 'GET', '/order', session)).body.order.id).to.equal(order.id)
        for (const bad of ['A'.repeat(43), 'short', undefined]) {
          const refused = await mp<{ code: string }>(world, 'GET', '/order', bad)
          expect([refused.status, refused.body.code]).to.deep.equal([401, 'session-expired'])
        }
        skew = 30 * 60_000
        expect((await mp(world, 'GET', '/order', session)).status).to.equal(401)
      })

      it('takes no openid, amount or order from the device', async () => {
        const order = await open(world, 100)
        const token = tokenOf((await launch(world, order.id, 'app')).body.path)
        const code = await loginCode(world)
        const forged = await mp<{ code: string }>(world, 'POST', '/sessions', undefined, { token, code, openid: 'o' })
        expect([forged.status, forged.body.code]).to.deep.equal([400, 'invalid-request'])
        const { session } = (await openSession(world, token)).body
        for (const body of [{ openid: 'oX' }, { amount: 1 }, { order_id: 'ord_1' }]) {
          expect((await mp(world, 'POST', '/pay', session, body)).status).to.equal(400)
        }
        expect((await mp(world, 'GET', '/order?hint=paid', session)).status).to.equal(400)
        expect((await mp(world, 'GET', '/order?order_id=1', session)).status).to.equal(400)
        expect((await mp<{ order: View }>(world, 'GET', '/order?hint=ok', session)).body.order.status).to.equal('open')
      })

      it('tells a refusal of the scene from other failures, and changes no status for either', async () => {
        const order = await open(world, 100)
        const { session } = (await openSession(world, tokenOf((await launch(world, order.id, 'app')).body.path))).body
        const report = (body: object) => mp<{ code?: string; order?: View }>(world, 'POST', '/result', session, body)
        const plain = await report({ errmsg: 'requestPayment:fail (timeout)' })
        expect([plain.status, plain.body.order?.status]).to.deep.equal([200, 'open'])
        for (const body of [
          { errmsg: 'requestPayment:fail 当前商户该支付方式存在异常，暂时无法支付' },
          { errmsg: 'requestPayment:fail', errno: 102 },
        ]) {
          const refused = await report(body)
          expect([refused.status, refused.body.code]).to.deep.equal([422, 'launch-scene-refused'])
        }
        expect((await readOrder(world, order.id)).status).to.equal('open')
      })

      it('limits how often one payer may ask', async () => {
        const order = await open(world, 100)
        const { session } = (await openSession(world, tokenOf((await launch(world, order.id, 'app')).body.path))).body
        const statuses = await Promise.all(
          Array.from({ length: 40 }, async () => {
            const { status, headers } = await mp(world, 'GET', '/order', session)
            if (status === 429) expect(Number.parseInt(headers.get('retry-after') ?? '', 10)).to.be.greaterThan(0)
            return status
          }),
        )
        expect(statuses.filter((status) => status === 200).length).to.be.within(15, 25)
        expect(statuses).to.include(429)
      })

      it('asks the provider at most once in two seconds, however often a device says ok', async () => {
        const order = await open(world, 100)
        const { session } = (await openSession(world, tokenOf((await launch(world, order.id, 'app')).body.path))).body
        await mp(world, 'POST', '/pay', session, {})
        const asked = async () =>
          (await control<{ requests: { path: string }[] }>(world, '/_sim/requests', {}, 'GET')).requests.filter(
            ({ path }) => path.includes('/transactions/out-trade-no/'),
          ).length
        const before = await asked()
        await Promise.all(Array.from({ length: 10 }, () => mp(world, 'GET', '/order?hint=ok', session)))
        expect((await asked()) - before).to.equal(1)
      })

      it('answers app launches of an app_pay channel with the cure', async () => {
        const order = await open(world, 100)
        world.configure((config) => {
          Object.assign(config.channels['wechat-main'] ?? {}, { app_launch: 'app_pay' })
        })
        const refused = await until('the new setting', async () => {
          const answer = await launch(world, order.id, 'app')
          return answer.status === 422 ? answer : undefined
        })
        expect(refused.body.code).to.equal('launch-unavailable')
        expect(refused.body.detail).to.match(/wechat_app.*app_launch/)
        expect((await launch(world, order.id, 'browser')).status, 'browsers are not apps').to.equal(200)
        world.configure((config) => {
          Object.assign(config.channels['wechat-main'] ?? {}, { app_launch: 'miniprogram' })
        })
        await until('the old setting', async () => (await launch(world, order.id, 'app')).status === 200)
      })
    })

    describe('from a browser', () => {
      let world: World
      before(async () => {
        world = await startWorld({ database })
      })
      after(() => world.close())

      it('gives a URL Link that opens the page with its token, one per order', async () => {
        const order = await open(world, 100)
        const first = await launch(world, order.id, 'browser')
        expect(first.body.kind).to.equal('url_link')
        const made = (await links(world)).links.at(-1)
        expect(made?.path).to.equal('pages/pay/pay')
        const count = (await links(world)).links.length
        expect((await launch(world, order.id, 'browser')).body.url).to.equal(first.body.url)
        expect((await links(world)).links.length, 'no second link').to.equal(count)
        const opened = await openSession(world, made?.query.replace(/^t=/, '') ?? '')
        expect(opened.body.order.id).to.equal(order.id)
        expect(await world.db('launch_quota').sum('used as used').first()).to.satisfy(
          (row: { used: unknown }) => Number(row.used) >= 1,
        )
      })

      for (const [what, fields, undo] of [
        ['the daily quota is used up', { daily_left: '0' }, { daily_left: '500000' }],
        ['too many calls in a second', { per_second: '0' }, { per_second: '100' }],
        ['the mini-program has no permission', { permission: 'personal' }, { permission: 'granted' }],
      ] as const) {
        it(`falls back to a plain scheme when ${what}`, async () => {
          await world.db('launch_quota').update({ used: 0 })
          await links(world, fields)
          const order = await open(world, 100)
          const { body } = await launch(world, order.id, 'browser')
          await links(world, undo)
          expect(body.kind).to.equal('plain_scheme')
          const url = new URL(body.url)
          expect(url.protocol + url.host + url.pathname).to.equal('weixin:dl/business/')
          expect(url.searchParams.get('appid')).to.equal(miniAppid)
          const token = url.searchParams.get('query')?.replace(/^t=/, '') ?? ''
          expect((await openSession(world, token)).body.order.id).to.equal(order.id)
        })
      }

      it('asks WeChat no more on a day whose links are used up', async () => {
        await world.db('launch_quota').update({ used: 0 })
        await links(world, { daily_left: '0' })
        expect((await launch(world, (await open(world, 1)).id, 'browser')).body.kind).to.equal('plain_scheme')
        await links(world, { daily_left: '5' })
        expect((await launch(world, (await open(world, 1)).id, 'browser')).body.kind).to.equal('plain_scheme')
        await links(world, { daily_left: '500000' })
        await world.db('launch_quota').update({ used: 0 })
      })

      it('says so when WeChat opens the mini-program for nobody', async () => {
        await links(world, { permission: 'unpublished' })
        const refused = await launch(world, (await open(world, 1)).id, 'browser')
        await links(world, { permission: 'granted' })
        expect([refused.status, refused.body.code]).to.deep.equal([422, 'launch-unavailable'])
      })

      it('replaces a token that WeChat refuses, once, and goes on', async () => {
        const before = await control<{ issued: { stable: number } }>(world, '/_sim/wechat-pay/tokens')
        await control(world, '/_sim/wechat-pay/tokens', { revoke: miniAppid })
        const launches = await Promise.all(
          Array.from({ length: 4 }, async () => launch(world, (await open(world, 1)).id, 'browser')),
        )
        expect(launches.map(({ body }) => body.kind)).to.deep.equal(Array(4).fill('url_link'))
        const after = await control<{ issued: { stable: number } }>(world, '/_sim/wechat-pay/tokens')
        expect(after.issued.stable - before.issued.stable).to.equal(1)
      })
    })

    describe('access tokens', () => {
      it('are fetched once by eight processes, sealed on the shelf, and replaced before they end', async () => {
        const world = await startWorld({ database, start: false })
        const transport = createTransport()
        try {
          const secret = readFileSync(join(world.folder, 'sandbox/wechat-pay/mini_secret.txt'), 'utf8').trim()
          let now = Date.now()
          const process_ = (sealing = 'a secret of at least thirty-two letters') =>
            createAccessTokens({
              apps: { [miniAppid]: { secret, baseUrl: world.simulators.apiUrl } },
              shelf: {
                async read(appid) {
                  const row = await accessToken(world.db, appid)
                  if (row === undefined) return undefined
                  return { sealed: row.sealed_token, expiresAt: row.expires_at, refreshedAt: row.refreshed_at }
                },
                claim: (...claim) => claimAccessToken(world.db, ...claim),
                keep: (...token) => keepAccessToken(world.db, ...token),
                release: (...lease) => releaseAccessToken(world.db, ...lease),
                spoil: (...token) => spoilAccessToken(world.db, ...token),
              },
              transport,
              log: quietLog,
              now: () => now,
              secret: sealing,
            })
          const issued = async () =>
            (await control<{ issued: { stable: number } }>(world, '/_sim/wechat-pay/tokens')).issued.stable
          const tokens = await Promise.all(
            Array.from({ length: 8 }, () => process_()).flatMap((one) => [one.get(miniAppid), one.get(miniAppid)]),
          )
          expect(new Set(tokens).size).to.equal(1)
          expect(await issued()).to.equal(1)
          const row = await accessToken(world.db, miniAppid)
          expect(row?.sealed_token).to.be.a('string').and.not.contain(tokens[0])
          expect(await process_().get(miniAppid)).to.equal(tokens[0])
          expect(await issued(), 'a later process takes it from the shelf').to.equal(1)
          now += 6901_000
          await Promise.all([process_(), process_(), process_()].map((one) => one.get(miniAppid)))
          expect(await issued(), 'five minutes before its end').to.equal(2)
          expect(await process_('another secret of thirty-two letters').get(miniAppid)).to.be.a('string')
          expect(await issued(), 'a shelf sealed with another key is no shelf').to.equal(3)
        } finally {
          await sleep(10)
          await transport.close()
          await world.close()
        }
      })
    })
  })
}
