import { expect } from 'chai'
import type { OrderResource } from '../../src/core/event.ts'
import { buildWeb } from '../../src/web/build.ts'
import { databases } from '../databases.ts'
import { call, control, open, pay, payer, readOrder, start, startWorld, until, type World } from '../harness.ts'

const wechat = 'Mozilla/5.0 (Linux; Android 14) Mobile MicroMessenger/8.0.55'
const other = 'oSIM-mp-payer-000000000002'

/** A browser as far as HTTP knows one: cookies with their paths, redirects only where asked. */
function browser(world: World, agent = wechat) {
  const jar: { name: string; value: string; path: string }[] = []
  const origin = `http://127.0.0.1:${String(world.port)}`
  async function request(path: string, init: RequestInit = {}): Promise<Response> {
    const url = new URL(path, origin)
    const cookie = jar
      .filter((one) => url.pathname === one.path || url.pathname.startsWith(`${one.path}/`))
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ')
    const response = await fetch(url, {
      redirect: 'manual',
      ...init,
      headers: {
        'user-agent': agent,
        ...(cookie === '' ? {} : { cookie }),
        ...(init.headers as Record<string, string>),
      },
    })
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = '', path_ = '/'] = /^([^=]+)=([^;]*);.*?Path=([^;]*)/.exec(line) ?? []
      const kept = jar.findIndex((one) => one.name === name && one.path === path_)
      if (kept >= 0) jar.splice(kept, 1)
      jar.push({ name, value, path: path_ })
    }
    return response
  }
  const locationOf = (response: Response) => new URL(response.headers.get('location') ?? '', origin)
  return {
    jar,
    request,
    locationOf,
    /** Goes to the cashier and to WeChat, and gives the address WeChat sends the browser back to. */
    async away(order: OrderResource, query = ''): Promise<{ authorize: URL; back: URL }> {
      const first = await request(`${pathOf(order)}${query}`)
      expect(first.status).to.equal(302)
      const authorize = locationOf(first)
      const there = await fetch(authorize, { redirect: 'manual' })
      expect(there.status).to.equal(302)
      return { authorize, back: locationOf(there) }
    },
    async signIn(order: OrderResource): Promise<void> {
      const { back } = await this.away(order)
      const response = await request(back.href)
      expect(response.status).to.equal(302)
    },
    pay: (order: OrderResource, body: unknown = { intent: 'pay' }, headers: Record<string, string> = {}) =>
      request(`${pathOf(order)}/payments`, {
        method: 'POST',
        headers: { origin, 'content-type': 'application/json', 'x-mortise-cashier': '1', ...headers },
        body: JSON.stringify(body),
      }),
  }
}

function pathOf(order: OrderResource): string {
  return new URL((order as OrderResource & { cashier_url: string }).cashier_url).pathname
}

for (const database of databases) {
  describe(`the cashier’s doors on ${database.name}`, function () {
    this.timeout(30_000)
    let world: World
    const payments = (orderId: string): Promise<{ id: string; payer_openid: string; status: string }[]> =>
      world.db('payments').where({ order_id: orderId }).orderBy('id')
    const sessions = async () => (await world.db('payer_sessions').select('token_hash')).length
    const exchanges = async () => {
      const { requests } = await control<{ requests: { path?: string; url?: string }[] }>(
        world,
        '/_sim/requests',
        {},
        'GET',
      )
      return requests.filter((one) => JSON.stringify(one).includes('/sns/oauth2/access_token')).length
    }

    before(async () => {
      await buildWeb()
      world = await startWorld({ database, timeScale: 1 })
    })
    after(() => world?.close())

    describe('authorisation', () => {
      it('asks as WeChat checks it: the order of the parameters, and its fragment', async () => {
        const { authorize } = await browser(world).away(await open(world, 100))
        expect([...authorize.searchParams.keys()]).to.deep.equal([
          'appid',
          'redirect_uri',
          'response_type',
          'scope',
          'state',
        ])
        expect(authorize.hash).to.equal('#wechat_redirect')
        expect(authorize.searchParams.get('scope')).to.equal('snsapi_base')
        expect(authorize.searchParams.get('state')).to.match(/^[a-z0-9]{64}$/)
        expect(authorize.searchParams.get('redirect_uri')).to.equal(
          `http://127.0.0.1:${String(world.port)}/cashier/openid`,
        )
      })

      it('goes on at a clean address in the language that was asked for, with a session of its own', async () => {
        const order = await open(world, 100)
        const payerBrowser = browser(world)
        const { back } = await payerBrowser.away(order, '?lang=en')
        const response = await payerBrowser.request(back.href)
        expect(payerBrowser.locationOf(response).href).to.equal(
          `http://127.0.0.1:${String(world.port)}${pathOf(order)}?lang=en`,
        )
        const cookie = response.headers.getSetCookie().join()
        expect(cookie)
          .to.match(/HttpOnly; SameSite=Lax/)
          .and.to.contain(`Path=${pathOf(order)};`)
        const page = await payerBrowser.request(pathOf(order))
        expect(page.status).to.equal(200)
        expect(await page.text()).not.to.contain(payer)
      })

      it('uses a state once: a replay neither exchanges nor signs in', async () => {
        const order = await open(world, 100)
        const payerBrowser = browser(world)
        const { back } = await payerBrowser.away(order)
        await payerBrowser.request(back.href)
        const before = [await exchanges(), await sessions()]
        const again = await payerBrowser.request(back.href)
        expect(again.status).to.equal(302)
        expect(again.headers.getSetCookie()).to.deep.equal([])
        expect([await exchanges(), await sessions()]).to.deep.equal(before)
      })

      it('gives a stolen code, or a stolen return address, to nobody', async () => {
        const order = await open(world, 100)
        const victim = browser(world)
        const { back } = await victim.away(order)
        const before = [await exchanges(), await sessions()]
        const thief = browser(world)
        const taken = await thief.request(back.href)
        expect(taken.status).to.equal(403)
        // With a browser cookie of the thief's own it is no better, nor with another state and the victim's code.
        const own = await thief.away(order)
        expect((await thief.request(back.href)).status).to.equal(403)
        own.back.searchParams.set('state', 'a'.repeat(64))
        expect((await thief.request(own.back.href)).status).to.equal(403)
        expect([await exchanges(), await sessions()]).to.deep.equal(before)
        expect(await taken.text()).not.to.contain(order.id)
        expect((await victim.request(back.href)).status, 'the victim is not hindered').to.equal(302)
        expect(await exchanges(), 'and only the victim’s code was exchanged').to.equal((before[0] ?? 0) + 1)
        expect(await sessions()).to.equal((before[1] ?? 0) + 1)
      })

      it('tries once more when the code has been used or is wrong, and then says so', async () => {
        const order = await open(world, 100)
        const payerBrowser = browser(world)
        const { back } = await payerBrowser.away(order)
        back.searchParams.set('code', 'wrong')
        const retry = await payerBrowser.request(back.href)
        const again = payerBrowser.locationOf(retry)
        expect(again.pathname).to.equal('/connect/oauth2/authorize')
        const second = payerBrowser.locationOf(await fetch(again, { redirect: 'manual' }))
        second.searchParams.set('code', 'wrong')
        const given = payerBrowser.locationOf(await payerBrowser.request(second.href))
        expect(given.searchParams.get('view')).to.equal('not-authorised')
        const page = await (await payerBrowser.request(given.href)).text()
        expect(page).to.contain('没有完成授权')
      })

      it('recognises a snapshot page, and does not order for its virtual payer', async () => {
        const order = await open(world, 100)
        const payerBrowser = browser(world)
        const { back } = await payerBrowser.away(order)
        const { code } = await control<{ code: string }>(world, '/_sim/wechat-pay/code', {
          appid: 'wx00000000000000a1',
          snapshot: '1',
        })
        back.searchParams.set('code', code)
        const before = await sessions()
        const target = payerBrowser.locationOf(await payerBrowser.request(back.href))
        expect(await (await payerBrowser.request(target.href)).text()).to.contain('使用完整服务')
        expect(await sessions()).to.equal(before)
        expect(await (await payerBrowser.pay(order)).json()).to.deep.equal({ state: 'signed_out' })
        expect(await payments(order.id)).to.deep.equal([])
      })
    })

    describe('payments', () => {
      it('belong to the payer of the session, and repeat as the same attempt', async () => {
        const order = await open(world, 100)
        const payerBrowser = browser(world)
        await payerBrowser.signIn(order)
        const answers = await Promise.all([1, 2, 3].map(async () => (await payerBrowser.pay(order)).json()))
        const packages = answers.map((answer) => (answer as { invocation: { package: string } }).invocation.package)
        expect(new Set(packages).size).to.equal(1)
        const rows = await payments(order.id)
        expect(rows.map((row) => row.payer_openid)).to.deep.equal([payer])
        expect(JSON.stringify(answers)).not.to.contain(payer)
      })

      it('take no openid, no amount and no order from the body', async () => {
        const order = await open(world, 100)
        const payerBrowser = browser(world)
        await payerBrowser.signIn(order)
        for (const extra of [{ openid: other }, { amount: 1 }, { order_id: order.id }, { method: 'wechat_native' }]) {
          const answer = await payerBrowser.pay(order, { intent: 'pay', ...extra })
          expect(answer.status, JSON.stringify(extra)).to.equal(400)
        }
        expect(await payments(order.id)).to.deep.equal([])
      })

      it('are refused to another page, another origin and a form', async () => {
        const order = await open(world, 100)
        const payerBrowser = browser(world)
        await payerBrowser.signIn(order)
        const headers: Record<string, string>[] = [
          { origin: 'https://evil.example' },
          { origin: 'null' },
          { 'x-mortise-cashier': '' },
        ]
        for (const one of headers) expect((await payerBrowser.pay(order, { intent: 'pay' }, one)).status).to.equal(403)
        const form = await payerBrowser.pay(order, { intent: 'pay' }, { 'content-type': 'text/plain' })
        expect(form.status).to.equal(415)
        expect(await payments(order.id)).to.deep.equal([])
      })

      it('are refused with another order’s session, wherever its cookie is put', async () => {
        const [mine, theirs] = [await open(world, 100), await open(world, 99_900)]
        const payerBrowser = browser(world)
        await payerBrowser.signIn(mine)
        for (const cookie of payerBrowser.jar) if (cookie.path === pathOf(mine)) cookie.path = pathOf(theirs)
        const answer = await payerBrowser.pay(theirs)
        expect(await answer.json()).to.deep.equal({ state: 'signed_out' })
        expect(await payments(theirs.id)).to.deep.equal([])
      })

      it('of one person are not handed to another while they are young', async () => {
        const order = await open(world, 100)
        const first = browser(world)
        await first.signIn(order)
        await first.pay(order)
        await control(world, '/_sim/wechat-pay/visitor', { openid: other })
        const second = browser(world)
        await second.signIn(order)
        await control(world, '/_sim/wechat-pay/visitor')
        for (const intent of ['prepare', 'pay']) {
          expect(await (await second.pay(order, { intent })).json()).to.deep.equal({ state: 'other_payer' })
        }
        const status = (await (await second.request(`${pathOf(order)}/status`)).json()) as { other_payer: boolean }
        expect(status.other_payer).to.equal(true)
        await world
          .db('payments')
          .where({ order_id: order.id })
          .update({ created_at: Date.now() - 61_000 })
        expect(
          await (await second.pay(order, { intent: 'prepare' })).json(),
          'a page that opens takes nothing over',
        ).to.deep.equal({ state: 'other_payer' })
        expect(await (await second.pay(order)).json()).to.have.property('state', 'ready')
        expect((await payments(order.id)).map((row) => row.payer_openid)).to.deep.equal([payer, other])
      })

      it('end with the order', async () => {
        const order = await open(world, 100)
        const payerBrowser = browser(world)
        await payerBrowser.signIn(order)
        await call(world, 'POST', `/v1/orders/${order.id}/close`, {})
        expect(await (await payerBrowser.pay(order)).json()).to.deep.equal({ state: 'expired' })
        expect((await payerBrowser.request(pathOf(order))).status).to.equal(410)
      })
    })

    describe('status', () => {
      it('answers from rows, whatever it is told', async () => {
        const order = await open(world, 100)
        const payerBrowser = browser(world)
        await payerBrowser.signIn(order)
        await payerBrowser.pay(order)
        for (const query of ['?hint=ok', '?state=paid', '?hint=ok&status=paid&paid=1&trade_state=SUCCESS']) {
          const answer = (await (await payerBrowser.request(`${pathOf(order)}/status${query}`)).json()) as {
            state: string
          }
          expect(answer.state).to.equal('ready')
        }
        expect(
          (await payerBrowser.request(`${pathOf(order)}/status`, { method: 'POST', body: '{"state":"paid"}' })).status,
        ).to.equal(405)
        expect((await readOrder(world, order.id)).status).to.equal('open')
      })

      it('asks the provider at once on a hint, and never more than once in two seconds', async () => {
        const order = await open(world, 100)
        const started = await start(world, order.id)
        await pay(world, started)
        const answers = await Promise.all(
          [1, 2, 3, 4, 5].map(async () =>
            (await fetch(`http://127.0.0.1:${String(world.port)}${pathOf(order)}/status?hint=ok`)).json(),
          ),
        )
        expect(answers.length).to.equal(5)
        await until('paid', async () => (await readOrder(world, order.id)).status === 'paid')
        const nudged = await world.db('order_nudges').where({ order_id: order.id })
        expect(nudged).to.have.length(1)
        const open2 = await open(world, 100)
        await start(world, open2.id)
        const queries = async () => {
          const { requests } = await control<{ requests: unknown[] }>(world, '/_sim/requests', {}, 'GET')
          return requests.filter((one) => JSON.stringify(one).includes('/v3/pay/transactions/out-trade-no/')).length
        }
        const before = await queries()
        await Promise.all(
          Array.from({ length: 8 }, () =>
            fetch(`http://127.0.0.1:${String(world.port)}${pathOf(open2)}/status?hint=ok`),
          ),
        )
        expect((await queries()) - before).to.equal(1)
      })

      it('holds back whoever asks too often', async () => {
        const order = await open(world, 100)
        const url = `http://127.0.0.1:${String(world.port)}${pathOf(order)}/status`
        const statuses = await Promise.all(Array.from({ length: 100 }, async () => fetch(url)))
        const refused = statuses.find(({ status }) => status === 429)
        expect(refused?.headers.get('retry-after')).to.match(/^\d+$/)
      })
    })

    describe('pages', () => {
      it('carry the headers that keep others out', async () => {
        const order = await open(world, 100)
        const page = await browser(world, 'Mozilla/5.0 (X11; Linux x86_64)').request(pathOf(order))
        expect(page.headers.get('content-security-policy')).to.equal(
          "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-src weixin: weixinping:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
        )
        expect(page.headers.get('referrer-policy')).to.equal('same-origin')
        expect(page.headers.get('cache-control')).to.equal('no-store')
        expect(page.headers.get('x-content-type-options')).to.equal('nosniff')
      })

      it('escape what a merchant calls the goods', async () => {
        const order = await open(world, 100, { subject: '</script><img src=x onerror=alert(1)>&"\'' })
        const text = await (await browser(world, 'Mozilla/5.0 (X11; Linux x86_64)').request(pathOf(order))).text()
        expect(text).not.to.contain('<img src=x')
        expect(text).to.contain('&lt;/script&gt;&lt;img src=x')
      })

      it('are told to merchants in answers and to nobody in webhooks', async () => {
        const order = await open(world, 100)
        expect(order).to.have.property('cashier_url')
        const started = await start(world, order.id)
        await pay(world, started)
        const hook = await until('webhook', () => world.webhooks.find((one) => one.order.id === order.id))
        expect(hook.order).not.to.have.property('cashier_url')
      })

      it('show a receipt in WeChat’s frame only, and only for a payment that succeeded', async () => {
        const order = await open(world, 8800, { return_url: 'https://shop.example/thanks' })
        const started = await start(world, order.id)
        const receipt = async (number: string) => {
          const response = await browser(world).request(
            `/cashier/receipt?sub_mch_id=1&out_trade_no=${number}&check_code=x`,
          )
          return { response, text: await response.text() }
        }
        const number = started.payment.id.replace('_', '')
        expect((await receipt(number)).text)
          .to.contain('SHOW_OFFICIAL_PAGE')
          .and.not.to.contain('88.00')
        await pay(world, started)
        await until('paid', async () => (await readOrder(world, order.id)).status === 'paid')
        const { response, text } = await receipt(number)
        expect(text)
          .to.contain('SHOW_CUSTOM_PAGE')
          .and.to.contain('¥88.00')
          .and.to.contain('https://shop.example/thanks')
        expect(response.headers.get('x-frame-options')).to.equal(null)
        expect(response.headers.get('content-security-policy')).to.contain(
          'frame-ancestors https://payapp.weixin.qq.com',
        )
        expect((await receipt('pay00000000000000000000000000')).text).to.contain('SHOW_OFFICIAL_PAGE')
      })

      it('come with scripts and styles that may be kept for ever', async () => {
        const order = await open(world, 100)
        const text = await (await browser(world, 'Mozilla/5.0 (X11; Linux x86_64)').request(pathOf(order))).text()
        const names = [...text.matchAll(/(?:src|href)="(assets\/[^"]+)"/g)].map(([, name]) => name ?? '')
        expect(names).to.have.length(2)
        for (const name of names) {
          const file = await fetch(`http://127.0.0.1:${String(world.port)}/cashier/${name}`)
          expect(file.status).to.equal(200)
          expect(file.headers.get('cache-control')).to.contain('immutable')
          expect(file.headers.get('content-encoding')).to.equal('gzip')
        }
        expect(
          (await fetch(`http://127.0.0.1:${String(world.port)}/cashier/assets/..%2Fmanifest.json`)).status,
        ).to.equal(404)
      })
    })
  })
}
