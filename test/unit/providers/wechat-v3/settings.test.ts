import { expect } from 'chai'
import { direct } from '../../../../src/providers/wechat-v3/direct.ts'
import { readSettings } from '../../../../src/providers/wechat-v3/settings.ts'
import { keys, publicKeySettings } from './platform.ts'

const base: Record<string, unknown> = { ...publicKeySettings }

function faults(change: object, sandbox = false): string {
  try {
    readSettings({ ...base, ...change }, direct, sandbox)
    return ''
  } catch (error) {
    return error instanceof Error ? error.message : 'not an error'
  }
}

describe('wechat-v3 settings', () => {
  it('accepts the ordinary form and infers the key mode', () => {
    const settings = readSettings(base, direct, false)
    expect(settings.keyMode).to.equal('public_key')
    expect(settings.baseUrl).to.equal('https://api.mch.weixin.qq.com')
    expect(settings.backupUrl).to.equal(undefined)
    const { wechatKey: _none, ...certificate } = base
    expect(readSettings(certificate, direct, false).keyMode).to.equal('certificate')
    const second = readSettings({ ...base, baseUrl: 'https://api2.mch.weixin.qq.com/' }, direct, false)
    expect(second.baseUrl).to.equal('https://api2.mch.weixin.qq.com')
  })

  it('names every fault at once and never a value', () => {
    const message = faults({
      mchid: 'abc',
      serial: '12:34',
      privateKey: 'SECRET-KEY',
      apiV3Key: 'SECRET-SHORT',
      extra: 'SECRET',
      methods: {},
    })
    for (const path of ['mchid', 'serial', 'privateKey', 'apiV3Key', 'methods']) expect(message).to.contain(`${path}: `)
    expect(message).to.contain('extra')
    expect(message).to.not.contain('SECRET')
  })

  it('allows other addresses in a sandbox only, and plain http to loopback only', () => {
    expect(faults({ baseUrl: 'http://127.0.0.1:9100' })).to.contain('baseUrl')
    expect(faults({ baseUrl: 'https://api.mch.weixin.qq.com.example.com' })).to.contain('baseUrl')
    expect(faults({ backupUrl: 'https://evil.example' })).to.contain('backupUrl')
    expect(faults({ baseUrl: 'http://127.0.0.1:9100' }, true)).to.equal('')
    expect(faults({ baseUrl: 'https://simulator.example' }, true)).to.equal('')
    for (const baseUrl of [
      'http://10.0.0.1',
      'http://127.0.0.1/path',
      'http://127.0.0.1.evil.example',
      'ftp://127.0.0.1',
      'x',
    ]) {
      expect(faults({ baseUrl }, true), baseUrl).to.contain('baseUrl')
    }
  })

  it('asks of each key mode what it needs', () => {
    expect(faults({ keyMode: 'both' })).to.contain('bothUntil')
    expect(faults({ keyMode: 'both', bothUntil: 'soon' })).to.contain('bothUntil')
    expect(faults({ keyMode: 'both', bothUntil: '2026-06-30T00:00:00+08:00' })).to.equal('')
    expect(faults({ bothUntil: '2026-06-30T00:00:00+08:00' })).to.contain('bothUntil')
    expect(faults({ keyMode: 'certificate' })).to.contain('keyMode')
    expect(faults({ keyMode: 'public_key', wechatKey: undefined })).to.contain('wechatKey')
    expect(faults({ wechatKey: { id: keys.platformSerial, publicKey: keys.platformPublicKey } })).to.contain(
      'wechatKey.id',
    )
  })
})
