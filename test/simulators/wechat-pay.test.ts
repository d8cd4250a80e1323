import { expect } from 'chai'
import { expectError, MINUTE, useSimulator, type Json } from './wechat-pay-merchant.ts'

describe('WeChat Pay simulator: requests and orders', () => {
  const world = useSimulator()

  describe('check order (wechatpay.md 9.2)', () => {
    it('answers unknown paths 404 and wrong methods 405, both empty', async () => {
      const unknown = await world.merchant.call('GET', '/v3/pay/nothing')
      const method = await world.merchant.call('GET', '/v3/pay/transactions/jsapi')
      expect([unknown.status, unknown.text, method.status, method.text]).to.deep.equal([404, '', 405, ''])
    })

    it('wants Accept and User-Agent before authentication, and a 401 on order paths', async () => {
      const none = { authorization: undefined, headers: { Accept: '', 'User-Agent': '' } }
      expectError(
        await world.merchant.call('GET', '/v3/certificates', '', none),
        400,
        'INVALID_REQUEST',
        'Http头缺少Accept或User-Agent',
      )
      const order = await world.merchant.call('POST', '/v3/pay/transactions/jsapi', world.merchant.order(), none)
      expectError(order, 401, 'SIGN_ERROR', '签名信息错误，验签失败')
      expect(order.headers.get('request-id')).to.equal(null)
    })

    it('tells malformed Authorization, unknown scheme and unknown serial apart', async () => {
      const malformed = await world.merchant.call('GET', '/v3/certificates', '', { authorization: 'nonsense' })
      expectError(malformed, 401, 'SIGN_ERROR', 'Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》')
      expect(malformed.headers.get('request-id')).to.be.a('string')
      const scheme = await world.merchant.call('GET', '/v3/certificates', '', { authorization: 'Basic abc' })
      expectError(scheme, 401, 'SIGN_ERROR', 'HTTP头Authorization认证类型不正确')
      const now = Math.floor(world.sim.clock.now() / 1000)
      const authorization = `WECHATPAY2-SHA256-RSA2048 mchid="1900000000",nonce_str="N",signature="AAAA",timestamp="${now}",serial_no="00"`
      const serial = await world.merchant.call('GET', '/v3/certificates', '', { authorization })
      expectError(serial, 401, 'SIGN_ERROR', '商户证书序列号有误。请使用签名私钥匹配的证书序列号')
      const spaced = await world.merchant.call('GET', '/v3/certificates', '', {
        authorization: authorization.replaceAll(',', ', '),
      })
      expectError(spaced, 401, 'SIGN_ERROR', /格式错误/)
    })

    it('looks at the clock before the signature: 299 s pass, 301 s do not', async () => {
      const fixed = { now: () => 1_760_000_000_500 }
      await world.restart(fixed)
      for (const [skew, status] of [
        [299, 200],
        [-299, 200],
        [301, 401],
        [-301, 401],
      ] as const) {
        const timestamp = String(1_760_000_000 + skew)
        const answer = await world.merchant.call('GET', '/v3/certificates', '', { timestamp })
        expect(answer.status, `${skew} s`).to.equal(status)
      }
      const both = await world.merchant.call('POST', '/v3/pay/transactions/jsapi', world.merchant.order(), {
        timestamp: '1759999000',
        signedBody: '{}',
      })
      expectError(both, 401, 'SIGN_ERROR', 'Http头Authorization中的timestamp与发起请求的时间不得超过5分钟')
    })

    it('shows what it signed when the signature is wrong', async () => {
      const body = JSON.stringify(world.merchant.order())
      const answer = await world.merchant.call('POST', '/v3/pay/transactions/jsapi', body, { signedBody: `${body} ` })
      expectError(answer, 401, 'SIGN_ERROR', '签名错误')
      const detail = JSON.stringify(answer.json['detail'])
      expect(detail).to.contain('sign not match').and.to.contain('{\\"appid\\"\\n"')
      const { sign_information: info } = answer.json['detail'] as { sign_information: Json }
      expect(info).to.include({ method: 'POST', url: '/v3/pay/transactions/jsapi' })
      // five line ends, the target, 10 digits, 32 of the nonce and the body in bytes
      expect(info).to.have.property(
        'sign_message_length',
        4 + '/v3/pay/transactions/jsapi'.length + 10 + 32 + Buffer.byteLength(body) + 5,
      )
    })
  })

  describe('orders', () => {
    it('signs what it answers, 204 included, with the key the request names', async () => {
      const order = world.merchant.order()
      const created = await world.merchant.create(order)
      expect(created.status).to.equal(200)
      expect(created.json['prepay_id']).to.match(/^wx\d{14}[0-9a-f]{20}$/)
      expect([created.verified, created.headers.get('wechatpay-serial')]).to.deep.equal([
        true,
        world.merchant.wechat.platform[0].serial,
      ])
      expect(created.headers.get('content-type')).to.equal('application/json')
      expect(created.headers.get('request-id')).to.be.a('string')
      const named = { headers: { 'Wechatpay-Serial': world.merchant.wechat.publicKeyId } }
      const target = `/v3/pay/transactions/out-trade-no/${String(order['out_trade_no'])}/close`
      const closed = await world.merchant.call('POST', target, { mchid: world.merchant.wechat.mchid }, named)
      expect([closed.status, closed.text, closed.verified]).to.deep.equal([204, '', true])
      expect(closed.headers.get('wechatpay-serial')).to.equal(world.merchant.wechat.publicKeyId)
    })

    it('works the same on jsrsasign', async () => {
      await world.restart({ fastCrypto: false })
      const created = await world.merchant.create(world.merchant.order())
      expect([created.status, created.verified]).to.deep.equal([200, true])
    })

    const wrong: [string, Json, string][] = [
      ['an unknown field', { surprise: 1 }, '/surprise'],
      ['a null', { attach: null }, '/attach'],
      ['an amount of 0', { amount: { total: 0 } }, '/amount/total'],
      ['an amount in yuan', { amount: { total: 1.5 } }, '/amount/total'],
      ['an amount as text', { amount: { total: '100' } }, '/amount/total'],
      ['another currency', { amount: { total: 1, currency: 'USD' } }, '/amount/currency'],
      ['a short number', { out_trade_no: 'short' }, '/out_trade_no'],
      ['a long number', { out_trade_no: 'n'.repeat(33) }, '/out_trade_no'],
      ['a number with @', { out_trade_no: 'order@1' }, '/out_trade_no'],
      ['a long description', { description: '字'.repeat(128) }, '/description'],
      ['a time without offset', { time_expire: '2030-01-01T00:00:00' }, '/time_expire'],
      ['a time in UTC letters', { time_expire: '2030-01-01T00:00:00Z' }, '/time_expire'],
      ['a day that does not exist', { time_expire: '2030-02-30T00:00:00+08:00' }, '/time_expire'],
      ['a notify_url with a query', { notify_url: 'https://shop.example/n?a=1' }, '/notify_url'],
      ['a plain http notify_url', { notify_url: 'http://shop.example/n' }, '/notify_url'],
      ['a payer without openid', { payer: {} }, '/payer/openid'],
      ['a malformed openid', { payer: { openid: 'x' } }, '/payer/openid'],
      ['the openid of another application', { payer: { openid: 'oSIM-mini-payer-00000001' } }, '/payer/openid'],
      ['a scene without address', { scene_info: { device_id: 'd' } }, '/scene_info/payer_client_ip'],
    ]
    for (const [what, more, field] of wrong) {
      it(`refuses ${what}`, async () => {
        const answer = await world.merchant.create(world.merchant.order(more))
        expectError(answer, 400, 'PARAM_ERROR')
        expect(answer.json['detail']).to.include({ field, location: 'body' })
      })
    }

    it('refuses foreign merchants and applications, and uses the documented texts', async () => {
      const mchid = await world.merchant.create(world.merchant.order({ mchid: '1900000009' }))
      expectError(mchid, 400, 'PARAM_ERROR', 'http header中的mchid与post payload中的mchid不匹配')
      expectError(await world.merchant.create(world.merchant.order({ appid: 'wx1' })), 400, 'APPID_MCHID_NOT_MATCH')
      const amount = await world.merchant.create(world.merchant.order({ amount: { total: 0 } }))
      expectError(
        amount,
        400,
        'PARAM_ERROR',
        '输入源“/body/amount/total”映射到数值字段“总金额”规则校验失败，值低于最小值 1',
      )
      const openid = await world.merchant.create(
        world.merchant.order({ payer: { openid: 'oSIM-mini-payer-00000001' } }),
      )
      expectError(openid, 400, 'PARAM_ERROR', 'appid和openid不匹配')
      expectError(await world.merchant.call('POST', '/v3/pay/transactions/jsapi', '{"appid"'), 400, 'PARAM_ERROR')
    })

    it('compares all parameters of a repeated number and hands out a fresh prepay_id', async () => {
      const order = world.merchant.order({ attach: 'a' })
      const first = await world.merchant.create(order)
      const again = await world.merchant.create(Object.fromEntries(Object.entries(order).toReversed()))
      expect(again.status).to.equal(200)
      expect(again.json['prepay_id']).to.not.equal(first.json['prepay_id'])
      expectError(await world.merchant.create({ ...order, attach: 'b' }), 403, 'OUT_TRADE_NO_USED')
      expectError(await world.merchant.create({ ...order, amount: { total: 100 } }), 403, 'OUT_TRADE_NO_USED')
      await world.merchant.control(`wechat-pay/pay?out_trade_no=${String(order['out_trade_no'])}`)
      expectError(await world.merchant.create(order), 400, 'ORDER_PAID', '该订单已支付')
    })

    it('shows payment fields only after payment', async () => {
      const order = world.merchant.order({ attach: 'tag', out_trade_no: 'NUM|*-_0001' })
      await world.merchant.create(order)
      const unpaid = await world.merchant.query(order['out_trade_no'])
      expect(unpaid.verified).to.equal(true)
      expect(unpaid.json).to.deep.equal({
        appid: order['appid'],
        mchid: world.merchant.wechat.mchid,
        out_trade_no: 'NUM|*-_0001',
        trade_state: 'NOTPAY',
        trade_state_desc: '订单未支付',
        attach: 'tag',
        amount: { total: 100, currency: 'CNY' },
      })
      await world.merchant.control(`wechat-pay/pay?out_trade_no=${encodeURIComponent('NUM|*-_0001')}&payer_total=90`)
      const { json } = await world.merchant.query(order['out_trade_no'])
      expect(json).to.include({ trade_state: 'SUCCESS', trade_type: 'JSAPI', bank_type: 'OTHERS' })
      expect(json['transaction_id']).to.match(/^42000\d{23}$/)
      expect(json['success_time']).to.match(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+08:00$/)
      expect(json['amount']).to.deep.equal({ total: 100, payer_total: 90, currency: 'CNY', payer_currency: 'CNY' })
      const byId = await world.merchant.call(
        'GET',
        `/v3/pay/transactions/id/${String(json['transaction_id'])}?mchid=${world.merchant.wechat.mchid}`,
      )
      expect(byId.json).to.deep.equal(json)
    })

    it('refuses queries it cannot answer', async () => {
      expectError(await world.merchant.query('NOBODYKNOWS'), 404, 'ORDER_NOT_EXIST')
      expectError(await world.merchant.call('GET', '/v3/pay/transactions/out-trade-no/ORDER1'), 400, 'PARAM_ERROR')
      expectError(
        await world.merchant.call('GET', '/v3/pay/transactions/out-trade-no/ORDER1?mchid=1'),
        400,
        'PARAM_ERROR',
        /不匹配/,
      )
      expectError(
        await world.merchant.call('GET', `/v3/pay/transactions/id/abc?mchid=${world.merchant.wechat.mchid}`),
        500,
        'INVALID_TRANSACTIONID',
      )
    })

    it('closes again and again, but never what is paid', async () => {
      const order = world.merchant.order()
      await world.merchant.create(order)
      expect((await world.merchant.close(order['out_trade_no'])).status).to.equal(204)
      expect((await world.merchant.close(order['out_trade_no'])).status).to.equal(204)
      expect(await world.state(order['out_trade_no'])).to.equal('CLOSED')
      expectError(await world.merchant.create(order), 400, 'ORDER_CLOSED')
      expect(
        (await world.merchant.control(`wechat-pay/pay?out_trade_no=${String(order['out_trade_no'])}`)).status,
      ).to.equal(409)
      expectError(await world.merchant.close(await world.merchant.paidOrder()), 400, 'ORDER_PAID')
      expectError(await world.merchant.close('NOBODYKNOWS'), 404, 'ORDER_NOT_EXIST')
      const inQuery = `/v3/pay/transactions/out-trade-no/${String(order['out_trade_no'])}/close?mchid=${world.merchant.wechat.mchid}`
      expectError(await world.merchant.call('POST', inQuery, {}), 400, 'PARAM_ERROR')
    })

    it('refuses payment after time_expire but leaves NOTPAY; closes after seven days', async () => {
      const soon = new Date(world.sim.clock.now() + 1000 + 8 * 3600_000).toISOString().slice(0, 19)
      const order = world.merchant.order({ time_expire: `${soon}+08:00` })
      const number = String(order['out_trade_no'])
      await world.merchant.create(order)
      // under a minute ahead is raised to a minute
      world.sim.clock.advance(50_000)
      expect(
        (await world.merchant.control(`wechat-pay/pay?out_trade_no=${number}&openid=oSomebodyElse0000001`)).status,
      ).to.equal(409)
      world.sim.clock.advance(11_000)
      expect((await world.merchant.control(`wechat-pay/pay?out_trade_no=${number}`)).status).to.equal(409)
      expect(await world.state(number)).to.equal('NOTPAY')
      world.sim.clock.advance(7 * 24 * 60 * MINUTE)
      expect(await world.state(number)).to.equal('CLOSED')
    })

    it('a failed or cancelled attempt leaves the order payable', async () => {
      const order = world.merchant.order()
      await world.merchant.create(order)
      for (const outcome of ['fail', 'cancel'])
        await world.merchant.control(`wechat-pay/pay?out_trade_no=${String(order['out_trade_no'])}&outcome=${outcome}`)
      expect(await world.state(order['out_trade_no'])).to.equal('NOTPAY')
      expect(
        (await world.merchant.control(`wechat-pay/pay?out_trade_no=${String(order['out_trade_no'])}`)).status,
      ).to.equal(200)
      expect(
        (await world.merchant.control(`wechat-pay/pay?out_trade_no=${String(order['out_trade_no'])}`)).status,
      ).to.equal(409)
    })
  })
})
