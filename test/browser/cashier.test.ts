import { expect } from 'chai'
import { open, payer, readOrder, until } from '../harness.ts'
import {
  agents,
  cashierUrlOf,
  expectFits,
  expectSound,
  startCashierWorld,
  type CashierWorld,
  type Visit,
  type Visitor,
} from './cashier-world.ts'

const other = 'oSIM-mp-payer-000000000002'
const back = 'https://shop.example/thanks'

describe('the cashier in a browser', function () {
  this.timeout(60_000)
  let cashier: CashierWorld
  let visitor: Visitor
  const visitors: Visitor[] = []

  const visit = async (options: Visit = {}): Promise<Visitor> => {
    visitor = await cashier.visit(options)
    visitors.push(visitor)
    return visitor
  }
  const opened = (amount = 8800, more: Record<string, unknown> = {}) =>
    open(cashier.world, amount, { subject: '冻顶乌龙 150 g', ...more })
  const attempts = (orderId: string) => cashier.world.db('payments').where({ order_id: orderId })

  before(async () => {
    cashier = await startCashierWorld('wechat-main')
  })
  after(() => cashier?.close())
  afterEach(async () => {
    for (const one of visitors.splice(0)) {
      expect(one.violations, 'content security policy').to.deep.equal([])
      expect(one.errors, 'script errors').to.deep.equal([])
      await one.close()
    }
  })

  describe('in WeChat', () => {
    it('pays, asks nobody but the server, and goes back to the merchant', async () => {
      const order = await opened(8800, { return_url: back })
      await visit({ onInvoke: (parameters) => cashier.payAtWechat(parameters) })
      await visitor.context.route(`${back}*`, (route) => route.fulfill({ body: 'thanks', contentType: 'text/plain' }))
      await visitor.goto(order)
      await visitor.state('ready')
      expect(await visitor.page.innerText('.amount')).to.equal('¥88.00')
      expect(await visitor.page.innerText('h1')).to.contain('Demo Shop')
      await expectSound(visitor, 'ready')
      await visitor.tap()
      await visitor.state('paid')
      expect(await visitor.page.innerText('h1')).to.equal('支付成功')
      expect(await visitor.page.isVisible('#pay')).to.equal(false)
      expect(await visitor.page.innerText('#when')).to.match(/\d{4}/)
      await expectSound(visitor, 'paid')
      await visitor.page.waitForURL(back, { timeout: 5000 })
      expect((await readOrder(cashier.world, order.id)).status).to.equal('paid')
      expect(visitor.invoked).to.have.length(1)
      expect(Object.keys(visitor.invoked[0] ?? {}).toSorted()).to.deep.equal([
        'appId',
        'nonceStr',
        'package',
        'paySign',
        'signType',
        'timeStamp',
      ])
    })

    it('never tells the browser who pays', async () => {
      const order = await opened()
      await visit({ onInvoke: (parameters) => cashier.payAtWechat(parameters) })
      await visitor.goto(order)
      await visitor.tap()
      await visitor.state('paid')
      expect(visitor.received.length).to.be.greaterThan(2)
      expect(visitor.received.join('\n')).not.to.contain(payer)
      const cookies = await visitor.context.cookies()
      expect(cookies.length).to.be.greaterThan(0)
      for (const cookie of cookies) {
        expect(cookie.httpOnly, cookie.name).to.equal(true)
        expect(cookie.sameSite, cookie.name).to.equal('Lax')
        expect(cookie.value).not.to.contain(payer)
      }
      expect(
        await visitor.page.evaluate('document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)'),
      ).to.equal('{}{}')
      const sent = visitor.requests.filter(({ url }) => url.includes('/cashier/'))
      expect(sent.map(({ url }) => url).join('\n')).not.to.contain(payer)
    })

    it('prepares the payment before the tap, so that the tap invokes at once', async () => {
      const order = await opened()
      await visit({ bridge: 'silent' })
      await visitor.goto(order)
      await until('prepared', async () => (await attempts(order.id)).length === 1)
      await visitor.page.waitForLoadState('networkidle')
      await visitor.page.evaluate(`(() => {
        const invoke = WeixinJSBridge.invoke
        WeixinJSBridge.invoke = (...all) => { window.__inTap = window.__tapping; invoke(...all) }
        window.__tapping = true; document.getElementById('pay').click(); window.__tapping = false
      })()`)
      expect(await visitor.page.evaluate('window.__inTap')).to.equal(true)
      await visitor.state('invoking')
      await expectSound(visitor, 'invoking')
    })

    it('stays after a cancel, has asked the server twice, and lets the payer try again', async () => {
      const order = await opened()
      let calls = 0
      await visit({
        bridge: ['cancel', 'ok'],
        onInvoke: async (parameters) => {
          calls += 1
          if (calls === 2) await cashier.payAtWechat(parameters)
        },
      })
      await visitor.goto(order)
      await visitor.tap()
      await visitor.state('confirming')
      await expectSound(visitor, 'confirming')
      await visitor.state('cancelled')
      expect(visitor.requests.filter(({ url }) => url.includes('hint=cancel'))).to.have.length(2)
      expect(await visitor.page.innerText('#note')).to.contain('取消')
      await expectSound(visitor, 'cancelled')
      await visitor.tap()
      await visitor.state('paid')
      expect(await attempts(order.id), 'the same attempt').to.have.length(1)
    })

    it('sees through a cancel that was in fact paid', async () => {
      const order = await opened()
      await visit({ bridge: ['cancel'], onInvoke: (parameters) => cashier.payAtWechat(parameters) })
      await visitor.goto(order)
      await visitor.tap()
      await visitor.state('paid')
      expect((await readOrder(cashier.world, order.id)).status).to.equal('paid')
    })

    it('says why after a fail, with a number to quote, and offers another try', async () => {
      const order = await opened()
      await visit({ bridge: ['fail'] })
      await visitor.goto(order)
      await visitor.tap()
      await visitor.state('failed')
      expect(await visitor.page.innerText('.reference')).to.contain(order.id)
      expect(await visitor.page.isVisible('#pay')).to.equal(true)
      await expectSound(visitor, 'failed')
    })

    it('never shows success, nor a pay button, for an ok that is not confirmed: a lying bridge pays nothing', async () => {
      const order = await opened()
      await visit({ bridge: ['ok'] })
      await visitor.goto(order)
      await visitor.tap()
      await visitor.state('slow', 30_000)
      expect(await visitor.page.isVisible('#pay')).to.equal(false)
      expect(await visitor.page.isVisible('#check')).to.equal(true)
      await expectSound(visitor, 'slow')
      await visitor.tap('#check')
      await visitor.state('confirming')
      await visitor.state('slow')
      expect((await readOrder(cashier.world, order.id)).status).to.equal('open')
      await cashier.payAtWechat(visitor.invoked[0] ?? {})
      await visitor.tap('#check')
      await visitor.state('paid')
    })

    it('waits for a bridge that is two seconds late', async () => {
      const order = await opened()
      await visit({ bridgeLateMs: 2000, onInvoke: (parameters) => cashier.payAtWechat(parameters) })
      await visitor.goto(order)
      await visitor.tap()
      await visitor.state('creating')
      await expectSound(visitor, 'creating')
      await visitor.state('paid')
    })

    it('says so when there is no bridge', async () => {
      const order = await opened()
      await visit({ bridge: 'none' })
      await visitor.goto(order)
      await visitor.tap()
      await visitor.state('failed')
      expect(await visitor.page.innerText('#note')).to.contain('没有调起微信支付')
      await expectSound(visitor, 'failed without a bridge')
    })

    it('makes one attempt and one call out of three fast taps', async () => {
      const order = await opened()
      await visit({ bridge: 'silent' })
      await visitor.goto(order)
      await visitor.page.evaluate(`for (let tap = 0; tap < 3; tap += 1) document.getElementById('pay').click()`)
      await visitor.state('invoking')
      await visitor.page.waitForTimeout(500)
      expect(visitor.invoked).to.have.length(1)
      expect(await attempts(order.id)).to.have.length(1)
    })

    it('never shows a pay button again after payment, however often it is reloaded', async () => {
      const order = await opened()
      await visit({ onInvoke: (parameters) => cashier.payAtWechat(parameters) })
      await visitor.goto(order)
      await visitor.tap()
      await visitor.state('paid')
      await visitor.page.evaluate(`new MutationObserver(() => 0)`)
      await visitor.page.reload()
      expect(await visitor.page.getAttribute('body', 'data-state')).to.equal('paid')
      expect(await visitor.page.isVisible('#pay')).to.equal(false)
      await expectSound(visitor, 'paid after a reload')
    })

    it('asks again when the payer comes back from the sheet without an answer', async () => {
      const order = await opened()
      await visit({ bridge: 'silent', onInvoke: (parameters) => cashier.payAtWechat(parameters) })
      await visitor.goto(order)
      await visitor.tap()
      await visitor.state('invoking')
      await visitor.page.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`)
      await visitor.state('paid')
    })

    it('says that the network is away, and finds the truth when it is back', async () => {
      const order = await opened()
      await visit({
        bridge: ['ok'],
        onInvoke: async (parameters) => {
          await visitor.context.setOffline(true)
          await cashier.payAtWechat(parameters)
        },
      })
      await visitor.goto(order)
      await until('prepared', async () => (await attempts(order.id)).length === 1)
      await visitor.page.waitForLoadState('networkidle')
      await visitor.tap()
      await visitor.state('offline')
      expect(await visitor.page.isVisible('#pay')).to.equal(false)
      await expectSound(visitor, 'offline')
      await visitor.context.setOffline(false)
      await visitor.state('paid')
    })

    it('lets a payer whose network was away before the tap pay once it is back', async () => {
      const order = await opened()
      await visit({ bridge: ['ok'], onInvoke: (parameters) => cashier.payAtWechat(parameters) })
      await visitor.context.route('**/payments', (route) => route.abort())
      await visitor.goto(order)
      await visitor.tap()
      await visitor.state('offline')
      await visitor.context.unroute('**/payments')
      await visitor.tap('#check')
      await visitor.state('ready')
      await visitor.tap()
      await visitor.state('paid')
    })

    it('turns an order that expires under the payer into an end with a way back', async () => {
      const order = await opened(8800, { expires_in: 3, return_url: back })
      await visit({ bridge: ['cancel'] })
      await visitor.goto(order)
      await visitor.state('ready')
      await visitor.page.waitForTimeout(3100)
      await visitor.tap()
      await visitor.state('expired')
      expect(await visitor.page.isVisible('#pay')).to.equal(false)
      expect(await visitor.page.getAttribute('#back', 'href')).to.equal(back)
      await expectSound(visitor, 'expired')
      const again = await visitor.page.reload()
      expect(again?.status()).to.equal(410)
      expect(await visitor.page.innerText('h1')).to.equal('订单已过期')
    })

    it('does not hand one person the payment of another', async () => {
      const order = await opened()
      const first = await visit({ bridge: 'silent' })
      await first.goto(order)
      await first.tap()
      await first.state('invoking')
      const second = await visit({ bridge: 'silent', openid: other })
      await second.goto(order)
      await second.state('other')
      expect(await second.page.isVisible('#pay')).to.equal(false)
      await expectSound(second, 'other')
      expect(second.received.join('\n')).not.to.contain(first.invoked[0]?.['package'])
      // A minute later (six seconds here) the first person's attempt may be taken over, with an attempt of one's own.
      await second.state('ready', 15_000)
      await second.tap()
      await second.state('invoking')
      expect(second.invoked[0]?.['package']).not.to.equal(first.invoked[0]?.['package'])
      const rows: { id: string; payer_openid: string }[] = await attempts(order.id).orderBy('id')
      expect(rows.map((row) => row.payer_openid)).to.deep.equal([payer, other])
    })

    it('asks a snapshot page’s visitor for the full service, and retries from there', async () => {
      const order = await opened()
      await visit()
      const address = cashierUrlOf(order)
      await visitor.page.goto(`${address}?view=full-service`)
      expect(await visitor.page.innerText('body')).to.contain('使用完整服务')
      expect(await visitor.page.locator('#pay').count()).to.equal(0)
      await expectSound(visitor, 'snapshot')
      await visitor.page.click('.actions a')
      await visitor.state('ready')
    })

    it('sends an unknown link nowhere, in words', async () => {
      await visit()
      const answer = await visitor.page.goto(`http://127.0.0.1:${String(cashier.world.port)}/cashier/${'x'.repeat(43)}`)
      expect(answer?.status()).to.equal(404)
      expect(await visitor.page.innerText('h1')).to.equal('找不到订单')
      await expectSound(visitor, 'not found')
    })
  })

  describe('in every wrong browser', () => {
    for (const agent of ['wecom', 'iphone', 'androidApp', 'desktop'] as const) {
      it(`shows the way into WeChat, and the payment when it has been made there: ${agent}`, async () => {
        const order = await opened()
        await visit({ agent, bridge: 'none' })
        await visitor.goto(order)
        await visitor.state('outside')
        expect(await visitor.page.innerText('.amount')).to.equal('¥88.00')
        expect(await visitor.page.locator('#pay').count()).to.equal(0)
        const code = await visitor.page.locator('.qr').count()
        const link = await visitor.page.locator('#link').count()
        const expected = { wecom: [1, 1], iphone: [0, 1], androidApp: [0, 1], desktop: [1, 0] }[agent]
        expect([code, link]).to.deep.equal(expected)
        if (link === 1) expect(await visitor.page.inputValue('#link')).to.equal(cashierUrlOf(order))
        expect(
          visitor.requests.some(({ url }) => url.includes('oauth2')),
          'no authorisation',
        ).to.equal(false)
        await expectSound(visitor, agent)
        await expectFits(visitor.page, agent)
        const wechat = await visit({ onInvoke: (parameters) => cashier.payAtWechat(parameters) })
        await wechat.goto(order)
        await wechat.tap()
        await wechat.state('paid')
        const [outside] = visitors
        await outside?.state('paid')
      })
    }

    it('desktop WeChat pays when it has a bridge, and shows the code when it has none', async () => {
      const order = await opened()
      await visit({ agent: 'windowsWechat', bridge: 'none' })
      await visitor.goto(order)
      await visitor.state('ready')
      expect(await visitor.page.isVisible('.qr')).to.equal(false)
      await visitor.page.waitForSelector('.qr', { state: 'visible', timeout: 8000 })
      await expectSound(visitor, 'desktop WeChat without a bridge')
      const waiting = visitor
      await visit({ agent: 'windowsWechat', onInvoke: (parameters) => cashier.payAtWechat(parameters) })
      await visitor.goto(order)
      await visitor.tap()
      await visitor.state('paid')
      await waiting.state('paid')
    })

    it('a web-view in a mini-program hands over to the page that pays there', async () => {
      const order = await opened()
      await visit({ agent: 'miniProgram' })
      await visitor.goto(order)
      await visitor.state('outside')
      expect(await visitor.page.locator('#pay').count()).to.equal(0)
      await until('handed over', () => visitor.invoked.length > 0)
      expect(visitor.invoked[0]).to.include({ bridgeCall: 'invokeMiniProgramAPI', name: 'navigateTo' })
      expect(JSON.stringify(visitor.invoked[0])).to.match(/"url":"\/pages\/pay\/pay\?t=[A-Za-z0-9._-]{40,}"/)
      await expectSound(visitor, 'mini-program')
    })
  })

  describe('for everybody', () => {
    it('is readable without JavaScript', async () => {
      const order = await opened(123_456_789)
      await visit({ options: { javaScriptEnabled: false } })
      await visitor.goto(order)
      const text = await visitor.page.innerText('body')
      for (const word of ['¥1,234,567.89', 'Demo Shop', '冻顶乌龙', order.merchant_order_no, 'JavaScript']) {
        expect(text).to.contain(word)
      }
    })

    it('speaks English, and still does after the way through WeChat', async () => {
      const order = await opened()
      await visit({ onInvoke: (parameters) => cashier.payAtWechat(parameters) })
      await visitor.goto(order, '?lang=en')
      expect(visitor.requests.some(({ url }) => url.includes('/connect/oauth2/authorize'))).to.equal(true)
      expect(new URL(visitor.page.url()).search).to.equal('?lang=en')
      expect(await visitor.page.getAttribute('html', 'lang')).to.equal('en')
      expect(await visitor.page.innerText('h1')).to.equal('Pay Demo Shop')
      await expectSound(visitor, 'ready in English')
      await visitor.tap()
      await visitor.state('paid')
      expect(await visitor.page.innerText('h1')).to.equal('Payment successful')
      expect(await visitor.page.innerText('#when')).to.match(/[A-Z][a-z]{2} /)
    })

    it('is sound in the dark', async () => {
      const order = await opened()
      await visit({ bridge: ['cancel', 'fail'], options: { colorScheme: 'dark' } })
      await visitor.goto(order)
      await expectSound(visitor, 'ready in the dark')
      await visitor.tap()
      await visitor.state('cancelled')
      await expectSound(visitor, 'cancelled in the dark')
      await visitor.tap()
      await visitor.state('failed')
      await expectSound(visitor, 'failed in the dark')
    })

    for (const [width, rem, amount] of [
      [320, 16, 8800],
      [320, 32, 8800],
      [320, 32, 123_456_789],
      [375, 32, 123_456_789],
    ] as const) {
      it(`fits ${String(width)} px with letters of ${String(rem)} px and ${String(amount)} fen`, async () => {
        const order = await opened(amount, { return_url: back })
        await visit({ bridge: ['cancel'], options: { viewport: { width, height: 640 } } })
        await visitor.context.addInitScript(
          `addEventListener('DOMContentLoaded', () => { document.documentElement.style.fontSize = '${String(rem)}px' })`,
        )
        await visitor.goto(order)
        await expectFits(visitor.page, 'ready')
        await visitor.tap()
        await visitor.state('cancelled')
        await expectFits(visitor.page, 'cancelled')
        await expectSound(visitor, 'cancelled with large letters')
      })
    }
  })

  it('knows its browsers', () => expect(Object.keys(agents)).to.have.length(7))
})

describe('the cashier over Huifu in a browser', function () {
  this.timeout(60_000)
  it('pays with the other channel’s parameters, with nothing else changed', async () => {
    const cashier = await startCashierWorld('huifu-main')
    const visitor = await cashier.visit({ onInvoke: (parameters) => cashier.payAtWechat(parameters) })
    try {
      const order = await open(cashier.world, 8800)
      await visitor.goto(order)
      await visitor.state('ready')
      await expectSound(visitor, 'ready')
      await visitor.tap()
      await visitor.state('paid')
      await expectSound(visitor, 'paid')
      const paid = await readOrder(cashier.world, order.id)
      expect([paid.status, paid.payments[0]?.channel]).to.deep.equal(['paid', 'huifu-main'])
      expect(visitor.received.join('\n')).not.to.contain(payer)
    } finally {
      await visitor.close()
      await cashier.close()
    }
  })
})
