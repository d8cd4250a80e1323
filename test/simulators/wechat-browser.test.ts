import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createPrivateKey, sign } from 'node:crypto'
import { expect } from 'chai'
import { startSimulators, type Simulators } from '../../src/simulators/start.ts'
import { merchantOf, type Json } from './wechat-pay-merchant.ts'

/** The fake WeChat: what the gateway sees of it, what its pages get, and how little its wallet can do. */
describe('the fake WeChat browser', () => {
  let gateway: Server
  let gatewayUrl: string
  let sim: Simulators
  let here: string
  let seen: { method: string; url: string; headers: IncomingMessage['headers']; body: string }[]
  let answer: (res: ServerResponse) => void

  beforeEach(async () => {
    seen = []
    answer = (res) => res.end()
    gateway = createServer((req, res) => {
      const parts: Buffer[] = []
      req.on('data', (part: Buffer) => parts.push(part))
      req.on('end', () => {
        const { method = '', url = '', headers } = req
        seen.push({ method, url, headers, body: Buffer.concat(parts).toString() })
        answer(res)
      })
    }).listen(0, '127.0.0.1')
    await once(gateway, 'listening')
    const address = gateway.address()
    gatewayUrl = `http://127.0.0.1:${String(typeof address === 'object' && address !== null ? address.port : 0)}`
    sim = await startSimulators({ browser: { gatewayUrl } })
    here = sim.browser?.url ?? ''
  })
  afterEach(async () => {
    await sim.close()
    gateway.close()
    gateway.closeAllConnections()
  })

  const wallet = async (body: Json, headers: Record<string, string> = {}): Promise<{ status: number; json: Json }> => {
    const init = {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'Content-Type': 'application/json', ...headers },
    }
    const response = await fetch(`${here}/__wechat/wallet`, init)
    return { status: response.status, json: (await response.json().catch(() => ({}))) as Json }
  }

  it('looks like WeChat on a phone, at a page of the gateway’s own origin', async () => {
    await fetch(`${here}/cashier/T/payments?x=1`, {
      method: 'POST',
      body: '{"intent":"pay"}',
      headers: { Origin: here, Referer: `${here}/cashier/T`, Cookie: 'payer=1', 'X-Own': 'yes' },
    })
    const [request] = seen
    expect(request).to.include({ method: 'POST', url: '/cashier/T/payments?x=1', body: '{"intent":"pay"}' })
    expect(request?.headers).to.include({ origin: gatewayUrl, referer: `${gatewayUrl}/cashier/T`, cookie: 'payer=1' })
    expect(request?.headers).to.include({ 'x-own': 'yes', host: new URL(gatewayUrl).host })
    expect(request?.headers['user-agent']).to.match(/Android.*MicroMessenger\/8/)
    await fetch(`${here}/x`, { headers: { Origin: 'https://evil.example' } })
    expect(seen[1]?.headers.origin, 'a foreign origin stays foreign').to.equal('https://evil.example')
  })

  it('puts the bridge in front of the page’s own scripts, and leaves the rest of the answer alone', async () => {
    const policy = "default-src 'none'; script-src 'self'"
    answer = (res) => {
      res.setHeader('Content-Security-Policy', policy)
      res.setHeader('Set-Cookie', ['a=1; HttpOnly', 'b=2'])
      res
        .writeHead(410, { 'Content-Type': 'text/html; charset=utf-8' })
        .end('<html><head lang="x"><script src="/own.js">')
    }
    const page = await fetch(`${here}/cashier/T`)
    const text = await page.text()
    expect(page.status).to.equal(410)
    expect(page.headers.get('content-security-policy')).to.equal(policy)
    expect(page.headers.getSetCookie()).to.deep.equal(['a=1; HttpOnly', 'b=2'])
    expect(text.indexOf('/__wechat/bridge.js')).to.be.greaterThan(0).and.lessThan(text.indexOf('/own.js'))
    answer = (res) => res.writeHead(200, { 'Content-Type': 'application/json' }).end('{"head":"<head>"}')
    expect(await (await fetch(`${here}/cashier/T/status`)).text()).to.equal('{"head":"<head>"}')
  })

  it('keeps redirects inside, through WeChat’s authorisation, and lets the payer go back to the merchant', async () => {
    const to = async (location: string, cookie = ''): Promise<string> => {
      answer = (res) => res.writeHead(302, { Location: location }).end()
      const init: RequestInit = { redirect: 'manual', headers: cookie === '' ? {} : { Cookie: cookie } }
      return (await fetch(`${here}/cashier/T`, init)).headers.get('location') ?? ''
    }
    expect(await to(`${gatewayUrl}/cashier/T?lang=en`)).to.equal(`${here}/cashier/T?lang=en`)
    expect(await to('/cashier/T')).to.equal('/cashier/T')
    expect(await to('http://127.0.0.1:1/orders/7')).to.equal('http://127.0.0.1:1/orders/7')
    expect(await to(`${gatewayUrl}0/other`), 'another port is another place').to.equal(`${gatewayUrl}0/other`)
    const redirect = encodeURIComponent(`${gatewayUrl}/cashier/openid`)
    const { appid } = sim.credentials.wechatPay.officialAccount
    const query = `appid=${appid}&redirect_uri=${redirect}&response_type=code&scope=snsapi_base&state=s1#wechat_redirect`
    for (const [cookie, person] of [
      ['', sim.credentials.wechatPay.officialAccount.openid],
      ['sim_wechat_person=b', 'oSIM-mp-payer-000000000002'],
    ] as const) {
      const authorise = await to(`${sim.apiUrl}/connect/oauth2/authorize?${query}`, cookie)
      const back = new URL((await fetch(authorise, { redirect: 'manual' })).headers.get('location') ?? '')
      expect(`${back.origin}${back.pathname}`, 'the order of parameters survived').to.equal(`${here}/cashier/openid`)
      expect(back.searchParams.get('state')).to.equal('s1')
      const { secret } = sim.credentials.wechatPay.officialAccount
      const exchange = `appid=${appid}&secret=${secret}&code=${back.searchParams.get('code') ?? ''}&grant_type=authorization_code`
      const told = (await (await fetch(`${sim.apiUrl}/sns/oauth2/access_token?${exchange}`)).json()) as Json
      expect(told['openid']).to.equal(person)
    }
  })

  it('pays what the launch parameters sign, by the person they were made for, and refuses everything else', async () => {
    const merchant = merchantOf(sim)
    const { officialAccount, merchantKey } = sim.credentials.wechatPay
    const order = merchant.order({ payer: { openid: officialAccount.openid } })
    const made = await merchant.call('POST', '/v3/pay/transactions/jsapi', order)
    const prepay = `prepay_id=${String(made.json['prepay_id'])}`
    const timeStamp = String(Math.floor(Date.now() / 1000))
    const text = `${officialAccount.appid}\n${timeStamp}\nabc\n${prepay}\n`
    const paySign = sign('sha256', Buffer.from(text), createPrivateKey(merchantKey)).toString('base64')
    const parameters = {
      appId: officialAccount.appid,
      timeStamp,
      nonceStr: 'abc',
      package: prepay,
      signType: 'RSA',
      paySign,
    }
    const state = async (): Promise<unknown> =>
      (
        await merchant.call(
          'GET',
          `/v3/pay/transactions/out-trade-no/${String(order['out_trade_no'])}?mchid=${sim.credentials.wechatPay.mchid}`,
        )
      ).json['trade_state']

    expect((await wallet(parameters)).json).to.include({ provider: 'wechat-pay', amount: 100 })
    for (const wrong of [{ nonceStr: 'abd' }, { package: 'prepay_id=wx1' }, { appId: 'wx00000000000000b1' }])
      expect((await wallet({ ...parameters, ...wrong, act: 'pay' })).status, JSON.stringify(wrong)).to.equal(409)
    expect((await wallet({ ...parameters, act: 'pay' }, { Cookie: 'sim_wechat_person=b' })).json['problem']).to.equal(
      '下单账号与支付账号不一致',
    )
    expect((await wallet({ ...parameters, act: 'pay' }, { Origin: 'https://evil.example' })).status).to.equal(403)
    for (const act of ['cancel', 'fail']) expect((await wallet({ ...parameters, act })).status, act).to.equal(200)
    expect(await state()).to.equal('NOTPAY')
    expect((await wallet({ ...parameters, act: 'pay' })).json).to.deep.equal({ done: 'pay' })
    expect(await state()).to.equal('SUCCESS')
    expect((await wallet({ ...parameters, act: 'pay' })).status, 'a second time').to.equal(409)
  })

  it('is where a link leads to, and says where to start', async () => {
    const { appid, secret } = sim.credentials.wechatPay.miniProgram
    const post = async (path: string, body: object): Promise<Json> =>
      (await (await fetch(sim.apiUrl + path, { method: 'POST', body: JSON.stringify(body) })).json()) as Json
    const token = await post('/cgi-bin/stable_token', { grant_type: 'client_credential', appid, secret })
    const link = await post(`/wxa/generate_urllink?access_token=${String(token['access_token'])}`, {
      path: 'pages/pay/pay',
      query: 't=abc',
      expire_type: 1,
      expire_interval: 1,
    })
    const page = await (await fetch(String(link['url_link']))).text()
    expect(page).to.contain(`${here}/__mini?path=`.replaceAll('&', '&#38;'))
    expect(await (await fetch(here)).text()).to.contain('Pay in WeChat (H5)')
    expect(await (await fetch(`${here}/__mini?path=pages/pay/pay`)).text()).to.contain('/__wechat/mini.js')
    expect(seen, 'none of these asked the gateway').to.deep.equal([])
  })
})
