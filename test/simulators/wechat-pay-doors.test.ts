import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { sign, X509Certificate } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { startSimulators } from '../../src/simulators/start.ts'
import { MINUTE, rejection, sha256, useSimulator, type Json } from './wechat-pay-merchant.ts'

describe('WeChat Pay simulator: wallet, login and start', () => {
  const world = useSimulator()

  describe('wallet (wechatpay.md 3)', () => {
    const launch = (prepayId: unknown, more: Record<string, string> = {}): URLSearchParams => {
      const { officialAccount, merchantKey } = world.merchant.wechat
      const timeStamp = String(Math.floor(world.sim.clock.now() / 1000))
      const packageText = `prepay_id=${String(prepayId)}`
      const message = `${officialAccount.appid}\n${timeStamp}\nNONCE\n${packageText}\n`
      const paySign = sign('RSA-SHA256', Buffer.from(message), merchantKey).toString('base64')
      return new URLSearchParams({
        appId: officialAccount.appid,
        timeStamp,
        nonceStr: 'NONCE',
        package: packageText,
        signType: 'RSA',
        paySign,
        ...more,
      })
    }
    const wallet = async (parameters: URLSearchParams, act?: string): Promise<{ status: number; text: string }> => {
      const url = `${world.sim.controlUrl}/wallet/wechat`
      const body = act === undefined ? undefined : new URLSearchParams([...parameters, ['act', act]])
      const response = await (body ? fetch(url, { method: 'POST', body }) : fetch(`${url}?${parameters.toString()}`))
      return { status: response.status, text: await response.text() }
    }

    it('shows the order and pays it for a right launch signature', async () => {
      const order = world.merchant.order({ description: '<b>杯子</b>', amount: { total: 1205 } })
      const { json } = await world.merchant.create(order)
      const shown = await wallet(launch(json['prepay_id']))
      expect(shown.text).to.contain('¥12.05').and.to.contain('&#60;b&#62;杯子').and.to.not.contain('<b>杯子')
      expect((await wallet(launch(json['prepay_id']), 'cancel')).text).to.contain('get_brand_wcpay_request:cancel')
      expect((await wallet(launch(json['prepay_id']), 'fail')).text).to.contain('get_brand_wcpay_request:fail')
      expect(await world.state(order['out_trade_no'])).to.equal('NOTPAY')
      expect((await wallet(launch(json['prepay_id']), 'pay')).text).to.contain('get_brand_wcpay_request:ok')
      expect(await world.state(order['out_trade_no'])).to.equal('SUCCESS')
    })

    it('pays nothing without a right launch signature', async () => {
      const order = world.merchant.order()
      const { json } = await world.merchant.create(order)
      const attempts = [
        new URLSearchParams({ prepay_id: String(json['prepay_id']) }),
        launch(json['prepay_id'], { nonceStr: 'OTHER' }),
        launch(json['prepay_id'], { appId: world.merchant.wechat.miniProgram.appid }),
        launch('wx00000000000000000000000000000000'),
        launch(json['prepay_id'], { signType: 'MD5' }),
      ]
      for (const parameters of attempts) expect((await wallet(parameters, 'pay')).status).to.equal(400)
      const viaDoor = await world.merchant.control(
        `wechat-pay/pay?out_trade_no=${String(order['out_trade_no'])}&${launch(json['prepay_id'], { timeStamp: '1700000000' }).toString()}`,
      )
      expect(viaDoor.status).to.equal(400)
      world.sim.clock.advance(120 * MINUTE)
      expect((await wallet(launch(json['prepay_id']), 'pay')).text).to.contain('支付请求已失效')
      expect(await world.state(order['out_trade_no'])).to.equal('NOTPAY')
    })
  })

  describe('login (wechatpay.md 5)', () => {
    const get = async (target: string): Promise<Json> => {
      const response = await fetch(world.sim.apiUrl + target)
      expect(response.status).to.equal(200)
      const value: Json = (await response.json()) as Json
      return value
    }

    it('exchanges a code once, within five minutes, for the openid of its appid', async () => {
      const { miniProgram, officialAccount } = world.merchant.wechat
      const mint = async (appid: string): Promise<string> =>
        String((await world.merchant.control(`wechat-pay/code?appid=${appid}`)).json['code'])
      const mini = (code: string, more: Json = {}): Promise<Json> =>
        get(
          `/sns/jscode2session?${new URLSearchParams({ appid: miniProgram.appid, secret: miniProgram.secret, js_code: code, grant_type: 'authorization_code', ...more }).toString()}`,
        )
      const code = await mint(miniProgram.appid)
      expect(await mini(code, { secret: 'wrong' })).to.include({ errcode: 40125 })
      expect(await mini(code, { appid: 'wx1' })).to.include({ errcode: 40013 })
      expect(await mini(code)).to.include({ openid: miniProgram.openid })
      expect(await mini(code)).to.include({ errcode: 40163 })
      expect(await mini('nonsense')).to.include({ errcode: 40029 })
      expect(await mini(await mint(officialAccount.appid))).to.include({ errcode: 40029 })
      const old = await mint(miniProgram.appid)
      world.sim.clock.advance(5 * MINUTE)
      expect(await mini(old)).to.include({ errcode: 40029 })
    })

    it('redirects a silent web authorisation back with a code', async () => {
      const { appid, secret, openid } = world.merchant.wechat.officialAccount
      const redirect = encodeURIComponent('https://shop.example/back?x=1')
      const ask = (query: string): Promise<Response> =>
        fetch(`${world.sim.apiUrl}/connect/oauth2/authorize?${query}`, { redirect: 'manual' })
      const answer = await ask(`appid=${appid}&redirect_uri=${redirect}&response_type=code&scope=snsapi_base&state=abc`)
      const location = new URL(answer.headers.get('location') ?? '')
      expect([answer.status, location.searchParams.get('state'), location.searchParams.get('x')]).to.deep.equal([
        302,
        'abc',
        '1',
      ])
      const code = location.searchParams.get('code') ?? ''
      expect(
        await get(
          `/sns/oauth2/access_token?appid=${appid}&secret=${secret}&code=${code}&grant_type=authorization_code`,
        ),
      ).to.include({ openid, expires_in: 7200 })
      const disordered = await ask(
        `redirect_uri=${redirect}&appid=${appid}&response_type=code&scope=snsapi_base&state=abc`,
      )
      expect(disordered.status).to.equal(400)
    })
  })

  describe('start', () => {
    let folder: string
    beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'simulators-'))))
    afterEach(() => rmSync(folder, { recursive: true }))

    it('finds its keys and orders again after a restart', async () => {
      await world.restart({ folder })
      const { merchantKey } = world.sim.credentials.wechatPay
      const number = await world.merchant.paidOrder()
      await world.merchant.refund(number, 'R1', 10)
      await world.restart({ folder })
      expect(world.sim.credentials.wechatPay.merchantKey).to.equal(merchantKey)
      expect(await world.state(number)).to.equal('REFUND')
      world.sim.clock.advance(2000)
      await new Promise((resolve) => setTimeout(resolve, 10))
      expect((await world.merchant.refundQuery('R1')).json).to.include({ status: 'SUCCESS' })
    })

    it('writes private files without trailing line ends, and a page for strangers', async () => {
      await world.restart({ folder })
      const read = (name: string): string => readFileSync(join(folder, name), 'utf8')
      expect(read('wechat-pay/apiv3_key.txt')).to.match(/^[0-9A-Za-z]{32}$/)
      expect(read('shop/api_key.txt')).to.match(/^gw_test_[0-9A-Za-z]{43}$/)
      expect(read('shop/api_key.sha256')).to.equal(sha256(read('shop/api_key.txt')))
      expect(read('shop/webhook_secret.txt')).to.match(/^whsec_[0-9A-Za-z+/]{43}=$/)
      expect(read('gateway/notify_secret.txt')).to.match(/^[0-9a-f]{64}$/)
      expect(new X509Certificate(read('wechat-pay/merchant_cert.pem')).serialNumber).to.equal(
        world.merchant.wechat.merchantSerial,
      )
      expect(read('huifu/huifu_public_key.txt')).to.match(/^[0-9A-Za-z+/]+=*$/)
      expect(statSync(join(folder, 'wechat-pay/merchant_key.pem')).mode & 0o777).to.equal(0o600)
      expect(statSync(join(folder, 'wechat-pay')).mode & 0o777).to.equal(0o700)
      const open: Json = JSON.parse(read('credentials.json'))
      expect(open).to.include({ apiUrl: world.sim.apiUrl, controlUrl: world.sim.controlUrl })
      expect(read('credentials.json')).to.not.contain(read('wechat-pay/public_key_private.pem').slice(40, 90))
      expect((await world.merchant.control('credentials', 'GET')).json).to.deep.equal(open)
    })

    it('refuses production', async () => {
      const before = process.env['NODE_ENV']
      process.env['NODE_ENV'] = 'production'
      try {
        expect(await rejection(startSimulators({}))).to.match(/production/)
      } finally {
        if (before === undefined) delete process.env['NODE_ENV']
        else process.env['NODE_ENV'] = before
      }
    })

    it('lists every act of the control door', async () => {
      const unknown = await world.merchant.control('nothing')
      expect(unknown.status).to.equal(404)
      const index = await world.merchant.control('', 'GET')
      expect(index.json['acts']).to.deep.equal(unknown.json['acts'])
      expect(String(index.json['acts']))
        .to.contain('/_sim/wechat-pay/pay')
        .and.to.contain('/_sim/huifu/')
        .and.to.contain('/_sim/chaos')
      const page = await fetch(`${world.sim.controlUrl}/_sim/`, { headers: { Accept: 'text/html' } })
      expect(await page.text()).to.contain('<h1>')
      expect((await world.merchant.control('huifu/books', 'GET')).status).to.equal(200)
    })
  })
})
