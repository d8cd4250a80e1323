import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import fc from 'fast-check'
import { Webhook } from 'standardwebhooks'
import { html } from '../../src/simulators/shop/html.ts'
import { createLedger } from '../../src/simulators/shop/ledger.ts'
import { fenOf, plainYuan, yuan } from '../../src/simulators/shop/money.ts'
import { changeRoute } from '../../src/simulators/shop/route-line.ts'
import { startShop, type Shop } from '../../src/simulators/shop/shop.ts'
import { orderOf } from '../../src/simulators/shop/snapshot.ts'

const secretOf = (letter: string): string => `whsec_${Buffer.from(letter.repeat(32)).toString('base64')}`
const [current, previous, foreign] = [secretOf('a'), secretOf('b'), secretOf('c')]

type Books = {
  orders: {
    id: string
    status: string
    refunded: number
    refunds: { status: string }[]
    payments: { accountStatus: string }[]
  }[]
  webhook_ids: string[]
  sums: { paid: number; refunded: number }
  rejected: number
}

const snapshot = (status: string, refundStatus: string, account = 'none') => ({
  id: 'ord_1',
  merchant_order_no: 'shop-1',
  status,
  amount: 88,
  currency: 'CNY',
  subject: 'tea',
  refunded: 0,
  refundable: 0,
  paid_payment_id: status === 'paid' ? 'pay_1' : null,
  payments: [
    {
      id: 'pay_1',
      channel: 'huifu-main',
      method: 'wechat_jsapi',
      status: status === 'paid' ? 'succeeded' : 'pending',
      account_status: account,
      amount: 88,
    },
  ],
  refunds:
    refundStatus === ''
      ? []
      : [{ id: 'ref_1', merchant_refund_no: 'r1', payment_id: 'pay_1', status: refundStatus, amount: 30 }],
})

async function deliver(url: string, id: string, order: object, secret = current, at = new Date(), tampered = false) {
  const body = JSON.stringify({ id, type: 'order.paid', schema_version: 1, sequence: 1, data: { order } })
  const signature = new Webhook(secret).sign(id, at, body)
  const headers = {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': signature,
  }
  const response = await fetch(`${url}/webhooks`, {
    method: 'POST',
    headers,
    body: tampered ? body.replace('88', '89') : body,
  })
  return response.status
}

describe('the demo shop', () => {
  let shop: Shop
  let folder: string
  const start = () =>
    startShop({
      gatewayUrl: 'http://127.0.0.1:9',
      controlUrl: 'http://127.0.0.1:9',
      apiKey: 'gw_test_none',
      webhookSecret: current,
      webhookSecretPrevious: previous,
      openid: 'oSIM-nobody-0000000000001',
      folder,
    })
  const books = async (): Promise<Books> => (await (await fetch(`${shop.url}/books`)).json()) as Books

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mortise-shop-'))
    shop = await start()
  })
  afterEach(async () => {
    await shop.close()
    await rm(folder, { recursive: true, force: true })
  })

  it('enters what either live secret has signed, and nothing else', async () => {
    expect(await deliver(shop.url, 'evt_1', snapshot('paid', ''))).to.equal(204)
    expect(await deliver(shop.url, 'evt_2', snapshot('paid', ''), previous)).to.equal(204)
    expect(await deliver(shop.url, 'evt_3', snapshot('paid', ''), foreign)).to.equal(401)
    expect(await deliver(shop.url, 'evt_4', snapshot('paid', ''), current, new Date(), true)).to.equal(401)
    expect(await deliver(shop.url, 'evt_5', snapshot('paid', ''), current, new Date(Date.now() - 600_000))).to.equal(
      401,
    )
    expect((await fetch(`${shop.url}/webhooks`, { method: 'POST', body: '{}' })).status).to.equal(401)
    const { webhook_ids: ids, rejected, sums } = await books()
    expect(ids).to.deep.equal(['evt_1', 'evt_2'])
    expect(rejected).to.equal(4)
    expect(sums).to.deep.equal({ paid: 88, refunded: 0 })
  })

  it('keeps the highest status whatever comes late, and counts a repeat once', async () => {
    await deliver(shop.url, 'evt_9', snapshot('paid', 'succeeded', 'credited'))
    await deliver(shop.url, 'evt_1', snapshot('open', '', 'pending'))
    await deliver(shop.url, 'evt_5', snapshot('paid', 'processing', 'pending'))
    await deliver(shop.url, 'evt_9', snapshot('paid', 'succeeded', 'credited'))
    const { orders, webhook_ids: ids } = await books()
    expect(ids).to.have.lengthOf(3)
    expect(orders[0]).to.include({ status: 'paid', refunded: 30 })
    expect(orders[0]?.refunds[0]?.status).to.equal('succeeded')
    expect(orders[0]?.payments[0]?.accountStatus).to.equal('credited')
  })

  it('finds its books again after a restart, also when the last line was cut off', async () => {
    await deliver(shop.url, 'evt_1', snapshot('paid', 'succeeded'))
    const before = await books()
    await shop.close()
    const journal = join(folder, 'journal.jsonl')
    await writeFile(journal, `${await readFile(journal, 'utf8')}{"webhook":{"id":"evt_2","ty`)
    shop = await start()
    expect(await books()).to.deep.equal(before)
    await deliver(shop.url, 'evt_2', snapshot('paid', 'succeeded'))
    await shop.close()
    shop = await start()
    expect((await books()).webhook_ids).to.deep.equal(['evt_1', 'evt_2'])
  })

  it('shows a refusal when the gateway does not answer, and stays up', async () => {
    const bought = await fetch(`${shop.url}/buy`, {
      method: 'POST',
      body: new URLSearchParams({ product: 'oolong', channel: 'huifu-main' }),
    })
    expect(bought.status).to.equal(200)
    const live = `${bought.url}/live`
    let actions = ''
    for (let tries = 0; tries < 50 && !actions.includes('refusal'); tries += 1) {
      const regions = (await (await fetch(live)).json()) as { actions: string }
      actions = regions.actions
    }
    expect(actions).to.contain('The gateway does not answer.')
  })

  it('refuses buttons pressed by another site, and pages that may run foreign scripts', async () => {
    const page = await fetch(shop.url)
    expect(page.headers.get('content-security-policy')).to.contain("default-src 'none'; script-src 'self'")
    const markup = await page.text()
    expect(markup).to.not.match(/<script(?![^>]*src=)|\son[a-z]+=|style=/)
    const headers = { origin: 'https://evil.example', 'content-type': 'application/x-www-form-urlencoded' }
    const body = 'product=oolong&channel=huifu-main'
    expect((await fetch(`${shop.url}/buy`, { method: 'POST', headers, body })).status).to.equal(403)
    expect(await readFile(join(folder, 'journal.jsonl'), 'utf8').catch(() => 'nothing')).to.equal('nothing')
  })
})

describe('the demo shop, between a gateway and a control door of our own making', () => {
  it('asks again until the attempt is on the channel it chose, and pays with the invocation', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mortise-shop-'))
    const config = join(folder, 'gateway.json')
    await writeFile(config, '{\n  "routes": [\n    { "method": "wechat_jsapi", "channels": ["wechat-main"] }\n  ]\n}\n')
    const seen: { path: string; body: string }[] = []
    let attempts = 0
    const answerOf = (path: string): object => {
      if (path.endsWith('/payments')) {
        attempts += 1
        const channel = attempts > 2 ? 'huifu-main' : 'wechat-main'
        return { payment: { id: `pay_${channel}`, channel }, invocation: { kind: 'jsapi', package: 'prepay_id=wx42' } }
      }
      if (path.startsWith('/_sim')) return {}
      return { ...snapshot('open', ''), id: 'ord_1' }
    }
    const server: Server = createServer((req: IncomingMessage, res) => {
      let body = ''
      req.on('data', (part: Buffer) => (body += part.toString()))
      req.on('end', () => {
        seen.push({ path: req.url ?? '', body })
        res.setHeader('content-type', 'application/json').end(JSON.stringify(answerOf(req.url ?? '')))
      })
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `http://127.0.0.1:${String((server.address() as { port: number }).port)}`
    const shop = await startShop({
      gatewayUrl: url,
      controlUrl: url,
      apiKey: 'gw_test_key',
      webhookSecret: current,
      openid: 'oSIM-nobody-0000000000001',
      gatewayConfig: config,
    })
    try {
      const form = new URLSearchParams({ product: 'mug', channel: 'huifu-main' })
      const { url: page } = await fetch(`${shop.url}/buy`, { method: 'POST', body: form })
      let regions = { actions: '', timeline: '' }
      for (let tries = 0; tries < 100 && !regions.actions.includes('id="wallet"'); tries += 1) {
        await new Promise((resolve) => setTimeout(resolve, 50))
        regions = (await (await fetch(`${page}/live`)).json()) as typeof regions
      }
      expect(attempts).to.equal(3)
      expect(await readFile(config, 'utf8')).to.contain('"channels": ["huifu-main"]')
      expect(regions.timeline).to.contain('One line changed: gateway.json, line 3')
      await fetch(`${page}/pay`, { method: 'POST', redirect: 'manual' })
      expect(seen.at(-1)).to.deep.equal({ path: '/_sim/huifu/pay', body: 'pay_package=prepay_id%3Dwx42' })
      const opened = seen.find(({ path }) => path === '/v1/orders')
      expect(JSON.parse(opened?.body ?? '{}')).to.include({ amount: 1234, currency: 'CNY' })
    } finally {
      await shop.close()
      server.close()
      server.closeAllConnections()
      await rm(folder, { recursive: true, force: true })
    }
  })
})

describe('the shop’s ledger', () => {
  it('is the same whatever the order and number of webhooks', () => {
    const states = [snapshot('open', ''), snapshot('paid', '', 'pending'), snapshot('paid', 'processing', 'credited')]
    const webhooks = [...states, snapshot('paid', 'succeeded', 'pending')].map((order, index) => ({
      id: `evt_${String(index)}`,
      order,
    }))
    const entered = (list: readonly { id: string; order: object }[]) => {
      const ledger = createLedger()
      for (const { id, order } of list) ledger.enter(id, orderOf(order))
      return ledger.books().orders
    }
    const expected = entered(webhooks)
    const shuffled = fc.shuffledSubarray(webhooks, { minLength: webhooks.length })
    fc.assert(
      fc.property(shuffled, fc.array(fc.constantFrom(...webhooks)), (all, repeats) => {
        expect(entered([...all, ...repeats])).to.deep.equal(expected)
      }),
    )
  })

  it('ignores words it does not know', () => {
    const ledger = createLedger()
    ledger.enter('evt_1', orderOf(snapshot('paid', '')))
    ledger.enter('evt_2', orderOf({ ...snapshot('paid', ''), status: 'teleported' }))
    expect(ledger.order('ord_1')?.status).to.equal('paid')
  })
})

describe('the shop’s small parts', () => {
  it('escapes every value in markup', () => {
    const nasty = `<script>"'&`
    expect(html`<p title="${nasty}">${nasty}${html`<b>${1}</b>`}</p>`.markup).to.equal(
      '<p title="&lt;script&gt;&quot;&#39;&amp;">&lt;script&gt;&quot;&#39;&amp;<b>1</b></p>',
    )
  })

  it('reads and prints yuan without ever multiplying', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 999_999_999 }), (fen) => fenOf(plainYuan(fen)) === fen))
    expect([fenOf('0.3'), fenOf('12'), fenOf('1.005'), fenOf('-1'), fenOf('')]).to.deep.equal([
      30,
      1200,
      undefined,
      undefined,
      undefined,
    ])
    expect([yuan(0), yuan(88), yuan(123_456_789)]).to.deep.equal(['¥0.00', '¥0.88', '¥1,234,567.89'])
  })

  it('changes one line of the configuration and nothing else', async () => {
    const text = await readFile('config/gateway.sandbox.json', 'utf8')
    const { text: edited, change } = changeRoute(text, 'wechat_jsapi', 'huifu-main')
    const [before, after] = [text.split('\n'), edited.split('\n')]
    const different = before.flatMap((line, index) => (line === after[index] ? [] : [index + 1]))
    expect(different).to.deep.equal([change.line])
    expect(after[change.line - 1]?.trim()).to.equal(change.after)
    expect(JSON.parse(edited)).to.be.an('object')
    expect(changeRoute(edited, 'wechat_jsapi', 'huifu-main').change.changed).to.equal(false)
    expect(() => changeRoute('{}', 'wechat_jsapi', 'huifu-main')).to.throw('no route')
    expect(() => changeRoute(text, 'wechat_jsapi', '"], "x": ["')).to.throw('not the name')
  })
})
