import { expect } from 'chai'
import { readSettings } from '../../../../src/providers/huifu/settings.ts'
import { adapter, keys, settingsFor } from './fake-huifu.ts'

const valid = settingsFor('https://api.huifu.com')

describe('huifu settings', () => {
  it('fills in what may be left out', () => {
    const { api: _api, baseUrl: _baseUrl, deadlineMs: _deadline, ...least } = valid
    const settings = readSettings(least, false)
    expect(settings).to.include({
      baseUrl: 'https://api.huifu.com',
      api: 'v3',
      confirm: 'before',
      refundBy: 'auto',
      queryBy: 'req_seq_id',
      deadlineMs: 10_000,
    })
    expect(settings.privateKey.asymmetricKeyType).to.equal('rsa')
  })

  it('lists every fault at once, and no secret', () => {
    const faulty = {
      ...valid,
      sysId: ' 666',
      privateKey: `x${keys.merchant.privateKey}`,
      api: 'v5',
      extra: 1,
      methods: {},
    }
    let text = ''
    try {
      readSettings(faulty, false)
    } catch (error) {
      text = error instanceof Error ? error.message : ''
    }
    for (const part of ['sysId', 'privateKey', 'api', 'extra', 'methods']) expect(text).to.include(part)
    expect(text).to.not.include(keys.merchant.privateKey.slice(10, 60))
  })

  const urls: readonly [string, boolean, boolean][] = [
    ['https://api.huifu.com', false, true],
    ['https://api.huifu.com/', false, true],
    ['https://opps-stbmertest.testpnr.com', false, true],
    ['http://api.huifu.com', false, false],
    ['https://api.huifu.com.evil.example', false, false],
    ['https://sandbox.example', false, false],
    ['http://127.0.0.1:8080', false, false],
    ['https://sandbox.example', true, true],
    ['http://127.0.0.1:8080', true, true],
    ['http://localhost:8080/huifu', true, true],
    ['http://[::1]:8080', true, true],
    ['http://10.0.0.1', true, false],
    ['http://localhost.evil.example', true, false],
    ['https://u:p@sandbox.example', true, false],
    ['https://sandbox.example/?a=1', true, false],
    ['ftp://127.0.0.1', true, false],
  ]
  for (const [baseUrl, sandbox, good] of urls) {
    it(`${good ? 'takes' : 'refuses'} ${baseUrl} ${sandbox ? 'in a sandbox' : 'in production'}`, () => {
      const attempt = (): unknown => readSettings({ ...valid, baseUrl }, sandbox)
      if (good) expect(attempt).to.not.throw()
      else expect(attempt).to.throw(/baseUrl/)
    })
  }

  it('gives methods with the appid whose openid they need, and the rules of Huifu', async () => {
    const { provider, stop } = adapter('https://sandbox.example', {
      methods: { wechat_mini: { appid: 'wx0000000000000002' } },
    })
    await stop()
    expect(provider.methods).to.deep.equal({ wechat_mini: { currencies: ['CNY'], openidOf: 'wx0000000000000002' } })
    expect(provider.rules).to.include({
      tellsAccount: true,
      refundNumbers: 'per_day',
      refundSpacingMs: 60_000,
      refundDays: 360,
      closeAfterMs: 60_000,
    })
  })
})
