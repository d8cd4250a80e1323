import { createHash, randomBytes } from 'node:crypto'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import {
  ConfigError,
  loadConfig,
  resolveSettings,
  watchConfig,
  type Fault,
  type GatewayConfig,
} from '../../../src/config/load.ts'
import { jsonSchema } from '../../../src/config/schema.ts'

const configFolder = fileURLToPath(new URL('../../../config/', import.meta.url))

type Json = { [key: string]: Json } & { [index: number]: Json }

let root: string
let path: string
const secretText = 'hunter2-this-must-never-be-printed'

const credentials: Readonly<Record<string, string>> = {
  'wechat-pay/merchant_key.pem': secretText,
  'wechat-pay/apiv3_key.txt': '0123456789abcdef0123456789abcdef\n',
  'wechat-pay/public_key.pem': 'public',
  'wechat-pay/mp_secret.txt': 'mp',
  'wechat-pay/mini_secret.txt': 'mini\r\n',
  'huifu/merchant_key.txt': 'k',
  'huifu/huifu_public_key.txt': 'p',
  'huifu/webhook_key.txt': 'w',
  'shop/api_key.sha256': `${createHash('sha256').update('key').digest('hex')}\n`,
  'shop/webhook_secret.txt': `whsec_${randomBytes(32).toString('base64')}\n`,
  'shop/webhook_secret_previous.txt': `whsec_${randomBytes(32).toString('base64')}`,
  'gateway/notify_secret.txt': randomBytes(32).toString('hex'),
}

/** The sandbox configuration after a change, written where its credentials are. */
function write(change: (config: Json) => void = () => {}): void {
  const config = JSON.parse(readFileSync(join(configFolder, 'gateway.sandbox.json'), 'utf8')) as Json
  change(config)
  writeFileSync(`${path}.new`, JSON.stringify(config, null, 2))
  renameSync(`${path}.new`, path)
}

function put(config: Json, pointer: string, value: unknown): void {
  const keys = pointer.split('/').slice(1)
  const last = keys.pop() ?? ''
  const target = keys.reduce<Json>((at, key) => at[key] as Json, config)
  if (value === undefined) delete target[last]
  else target[last] = value as Json
}

async function faultsOf(env: NodeJS.ProcessEnv = {}): Promise<readonly Fault[]> {
  try {
    await loadConfig(path, env)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    expect(error.message).to.not.contain(secretText)
    return error.faults
  }
  return []
}

/** Makes every channel and the merchant real. */
function live(config: Json): void {
  put(config, '/publicUrl', 'https://pay.example.com')
  put(config, '/timeScale', 1)
  for (const id of ['wechat-main', 'huifu-main', 'huifu-v3']) {
    put(config, `/channels/${id}/sandbox`, false)
    put(config, `/channels/${id}/settings/baseUrl`, undefined)
  }
  for (const appid of ['wx00000000000000a1', 'wx00000000000000b1']) {
    put(config, `/wechatApps/${appid}/baseUrl`, undefined)
    put(config, `/wechatApps/${appid}/authorizeUrl`, undefined)
  }
  put(config, '/merchants/demo-shop/sandbox', false)
  put(config, '/merchants/demo-shop/endpoints/0/url', 'https://shop.example.com/hooks')
}

describe('configuration', () => {
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'mortise-config-'))
    path = join(root, 'config', 'gateway.json')
    mkdirSync(dirname(path))
    for (const [name, text] of Object.entries(credentials)) {
      const file = join(root, 'var', 'sandbox', name)
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, text, { mode: 0o600 })
    }
  })
  afterEach(() => rmSync(root, { recursive: true, force: true }))

  it('of the sandbox is read whole, with its secrets resolved and its settings as configured', async () => {
    write()
    const config = await loadConfig(path, {})
    expect(config).to.include({
      publicUrl: 'http://127.0.0.1:8080',
      timeScale: 60,
      sandbox: true,
      baseFolder: dirname(path),
    })
    expect(config.database).to.equal(`sqlite:${join(root, 'var/sandbox/gateway.db')}`)
    expect(config.notifySecret).to.equal(credentials['gateway/notify_secret.txt'])
    expect(config.wechatApps['wx00000000000000b1']).to.deep.equal({
      secret: 'mini',
      baseUrl: 'http://127.0.0.1:8100',
      userName: 'gh_0000000000b1',
    })
    expect(config.channels['wechat-main']?.appLaunch).to.equal('miniprogram')
    expect(Object.keys(config.channels)).to.deep.equal(['wechat-main', 'huifu-main', 'huifu-v3'])
    expect(config.channels['wechat-main']?.settings['privateKey']).to.equal(
      'file:../var/sandbox/wechat-pay/merchant_key.pem',
    )
    const shop = config.merchants['demo-shop']
    expect(shop).to.deep.include({
      latePayment: 'refund',
      surplus: 'refund',
      refunds: { requireSignature: false },
      sandbox: true,
    })
    expect(shop?.apiKeys).to.deep.equal([
      {
        id: 'demo',
        merchantId: 'demo-shop',
        sha256: createHash('sha256').update('key').digest('hex'),
        scopes: ['read', 'orders:write', 'refunds:write', 'webhooks:write'],
      },
    ])
    expect(shop?.endpoints[0]?.secrets).to.deep.equal([
      credentials['shop/webhook_secret.txt']?.trim(),
      credentials['shop/webhook_secret_previous.txt'],
    ])
    expect(config.warnings).to.deep.equal([])
    expect(JSON.stringify(config.channels)).to.not.contain(secretText)
  })

  it('changes its channel in one line', () => {
    const text = readFileSync(join(configFolder, 'gateway.sandbox.json'), 'utf8')
    const lines = text.split('\n').filter((line) => /"method": "wechat_(?:jsapi|mini)"/.test(line))
    expect(lines).to.have.length(2)
    for (const line of lines) expect(line).to.contain('"channels": ["wechat-main"]')
  })

  it('of the example has the right shape and only lacks its secrets', async () => {
    cpSync(join(configFolder, 'gateway.example.json'), path)
    const faults = await faultsOf()
    expect(faults).to.have.length.greaterThan(5)
    for (const fault of faults) expect(fault.detail).to.match(/cannot be read|not set/)
  })

  it('schema for editors is that of the code', () => {
    expect(readFileSync(join(configFolder, 'gateway.schema.json'), 'utf8')).to.equal(jsonSchema())
  })

  it('lets DATABASE_URL stand above the file', async () => {
    write()
    expect((await loadConfig(path, { DATABASE_URL: 'mysql://u:p@db/pay' })).database).to.equal('mysql://u:p@db/pay')
    write((config) => put(config, '/database', 'env:PAY_DB'))
    expect((await loadConfig(path, { PAY_DB: 'mysql://u:p@db/pay' })).database).to.equal('mysql://u:p@db/pay')
  })

  it('gives settings a digest that depends on what they say, not on how they are written', async () => {
    write()
    const before = (await loadConfig(path, {})).channels['wechat-main']?.settingsDigest
    write((config) => {
      const settings = config['channels']?.['wechat-main']?.['settings'] ?? ({} as Json)
      put(config, '/channels/wechat-main/settings', Object.fromEntries(Object.entries(settings).toReversed()))
    })
    expect((await loadConfig(path, {})).channels['wechat-main']?.settingsDigest)
      .to.equal(before)
      .and.to.match(/^[0-9a-f]{64}$/)
    write((config) => put(config, '/channels/wechat-main/settings/serial', 'AA'))
    expect((await loadConfig(path, {})).channels['wechat-main']?.settingsDigest).to.not.equal(before)
  })

  type Case = readonly [rule: string, changes: Readonly<Record<string, unknown>>, pointer: string, detail: RegExp]
  const cases: readonly Case[] = [
    ['an unknown setting', { '/publicURL': 'x' }, '/publicURL', /not a known setting/],
    ['a missing one', { '/notifySecret': undefined }, '/notifySecret', /string/],
    ['a literal secret', { '/notifySecret': secretText }, '/notifySecret', /never written here/],
    [
      'a literal webhook secret',
      { '/merchants/demo-shop/endpoints/0/secrets': [secretText] },
      '/merchants/demo-shop/endpoints/0/secrets/0',
      /never written here/,
    ],
    [
      'a literal secret inside settings',
      { '/channels/huifu-main/settings/webhookKey': secretText },
      '/channels/huifu-main/settings/webhookKey',
      /never written here/,
    ],
    [
      'a private key by its looks',
      { '/channels/huifu-main/settings/x': `-----BEGIN PRIVATE KEY-----${secretText}` },
      '/channels/huifu-main/settings/x',
      /never written here/,
    ],
    ['a literal database password', { '/database': `mysql://u:${secretText}@h/d` }, '/database', /env:NAME/],
    ['a reference to nothing', { '/notifySecret': 'env:NOT_THERE' }, '/notifySecret', /NOT_THERE is not set/],
    [
      'a file that is not there',
      { '/channels/huifu-v3/settings/privateKey': 'file:gone' },
      '/channels/huifu-v3/settings/privateKey',
      /ENOENT/,
    ],
    [
      'an appid where the original id belongs',
      { '/wechatApps/wx00000000000000b1/userName': 'wx00000000000000b1' },
      '/wechatApps/wx00000000000000b1/userName',
      /gh_/,
    ],
    [
      'a mini-program page with a query',
      { '/wechatApps/wx00000000000000b1/path': 'pages/pay/pay?x=1' },
      '/wechatApps/wx00000000000000b1/path',
      /without leading slash/,
    ],
    [
      'another way for apps to pay',
      { '/channels/wechat-main/app_launch': 'h5' },
      '/channels/wechat-main/app_launch',
      /miniprogram/,
    ],
    ['a weak notification secret', { '/notifySecret': 'env:WEAK' }, '/notifySecret', /32 characters/],
    [
      'a webhook secret of another form',
      { '/merchants/demo-shop/endpoints/0/secrets': ['env:WEAK'] },
      '/merchants/demo-shop/endpoints/0/secrets/0',
      /whsec_/,
    ],
    [
      'a key that is no digest',
      { '/merchants/demo-shop/apiKeys/0/sha256': 'env:WEAK' },
      '/merchants/demo-shop/apiKeys/0/sha256',
      /64 lower-case/,
    ],
    ['a public URL without TLS', { '/publicUrl': 'http://pay.example.com' }, '/publicUrl', /https/],
    ['a public URL with a query', { '/publicUrl': 'http://127.0.0.1:8080/?a=1' }, '/publicUrl', /no query/],
    ['a port Huifu does not reach', { '/publicUrl': 'https://pay.example.com:9006' }, '/publicUrl', /8000 to 9005/],
    [
      'an id that cannot stand in a URL',
      { '/channels/Bad Id': { provider: 'huifu', settings: {} } },
      '/channels/Bad Id',
      /lower-case/,
    ],
    [
      'a base URL on a live channel',
      { '/channels/huifu-v3/sandbox': false, '/timeScale': 1, '/publicUrl': 'https://a.example' },
      '/channels/huifu-v3/settings/baseUrl',
      /sandbox/,
    ],
    [
      'http to another machine',
      { '/channels/huifu-v3/settings/baseUrl': 'http://10.0.0.1' },
      '/channels/huifu-v3/settings/baseUrl',
      /loopback/,
    ],
    [
      'a loopback look-alike',
      { '/channels/huifu-v3/settings/baseUrl': 'http://127.0.0.1.example.com' },
      '/channels/huifu-v3/settings/baseUrl',
      /loopback/,
    ],
    [
      'scaled time with a live channel',
      { '/channels/huifu-v3/sandbox': false },
      '/timeScale',
      /every channel is a sandbox/,
    ],
    ['slowed time', { '/timeScale': 0.5 }, '/timeScale', />=1/],
    [
      'a route to nowhere',
      { '/merchants/demo-shop/routes/0/channels': ['nope'] },
      '/merchants/demo-shop/routes/0/channels/0',
      /no channel "nope"/,
    ],
    [
      'a route with nothing',
      { '/merchants/demo-shop/routes/0/channels': undefined },
      '/merchants/demo-shop/routes/0',
      /exactly one/,
    ],
    [
      'a route with both',
      { '/merchants/demo-shop/routes/0/split': { 'wechat-main': 100 } },
      '/merchants/demo-shop/routes/0',
      /exactly one/,
    ],
    [
      'a split of 90',
      { '/merchants/demo-shop/routes/0': { method: '*', split: { 'wechat-main': 50, 'huifu-main': 40 } } },
      '/merchants/demo-shop/routes/0/split',
      /100/,
    ],
    [
      'amounts the wrong way round',
      { '/merchants/demo-shop/routes/0/minAmount': 2, '/merchants/demo-shop/routes/0/maxAmount': 1 },
      '/merchants/demo-shop/routes/0/minAmount',
      /maxAmount/,
    ],
    [
      'a method the channel lacks',
      { '/merchants/demo-shop/routes/0/method': 'wechat_h5' },
      '/merchants/demo-shop/routes/0/channels/0',
      /does not offer wechat_h5/,
    ],
    [
      'fallback between appids',
      {
        '/channels/huifu-main/settings/methods/wechat_jsapi/appid': 'wx00000000000000ff',
        '/merchants/demo-shop/routes/0/channels': ['wechat-main', 'huifu-main'],
      },
      '/merchants/demo-shop/routes/0/channels',
      /different appids for wechat_jsapi/,
    ],
    [
      'a split between appids, also under *',
      {
        '/channels/huifu-main/settings/methods/wechat_mini/appid': 'wx00000000000000ff',
        '/merchants/demo-shop/routes/0': { method: '*', split: { 'wechat-main': 50, 'huifu-main': 50 } },
      },
      '/merchants/demo-shop/routes/0/split',
      /different appids for wechat_mini/,
    ],
    [
      'play money for a live merchant',
      { '/merchants/demo-shop/sandbox': false, '/merchants/demo-shop/endpoints/0/url': 'https://a.example' },
      '/merchants/demo-shop/routes/0/channels/0',
      /play money/,
    ],
    [
      'webhooks without TLS',
      { '/merchants/demo-shop/endpoints/0/url': 'http://shop.example.com' },
      '/merchants/demo-shop/endpoints/0/url',
      /https/,
    ],
    [
      'three webhook secrets',
      { '/merchants/demo-shop/endpoints/0/secrets': ['env:A', 'env:B', 'env:C'] },
      '/merchants/demo-shop/endpoints/0/secrets',
      /<=2/,
    ],
    [
      'an unknown event',
      { '/merchants/demo-shop/endpoints/0/events': ['order.eaten'] },
      '/merchants/demo-shop/endpoints/0/events/0',
      /expected one of/,
    ],
  ]
  for (const [rule, changes, pointer, detail] of cases) {
    it(`refuses ${rule}`, async () => {
      write((config) => {
        for (const [at, value] of Object.entries(changes)) put(config, at, value)
      })
      const faults = await faultsOf({ WEAK: 'weak' })
      const found = faults.filter((fault) => fault.pointer === pointer)
      expect(found.map((fault) => fault.detail).join(), JSON.stringify(faults)).to.match(detail)
    })
  }

  it('reports every fault at once', async () => {
    write((config) => {
      put(config, '/notifySecret', 'env:NOT_THERE')
      put(config, '/merchants/demo-shop/routes/0/channels', ['nope'])
      put(config, '/publicUrl', 'http://pay.example.com')
    })
    expect((await faultsOf()).map(({ pointer }) => pointer)).to.have.members([
      '/notifySecret',
      '/merchants/demo-shop/routes/0/channels/0',
      '/publicUrl',
    ])
  })

  it('refuses scaled time in production', async () => {
    write()
    expect((await faultsOf({ NODE_ENV: 'production' })).map(({ pointer }) => pointer)).to.deep.equal(['/timeScale'])
  })

  it('accepts live channels on https', async () => {
    write(live)
    expect(await faultsOf({ NODE_ENV: 'production' })).to.deep.equal([])
  })

  it('refuses a secret file others can read, warns in a sandbox, and lets public keys be public', async () => {
    chmodSync(join(root, 'var/sandbox/huifu/merchant_key.txt'), 0o640)
    chmodSync(join(root, 'var/sandbox/huifu/huifu_public_key.txt'), 0o644)
    chmodSync(join(root, 'var/sandbox/shop/api_key.sha256'), 0o644)
    write()
    const pointers = ['/channels/huifu-main/settings/privateKey', '/channels/huifu-v3/settings/privateKey']
    expect((await loadConfig(path, {})).warnings.map(({ pointer }) => pointer)).to.deep.equal(pointers)
    write(live)
    const faults = await faultsOf()
    expect(faults.map(({ pointer }) => pointer)).to.deep.equal(pointers)
    expect(faults[0]?.detail).to.contain('chmod 600')
  })

  it('refuses one key in two places', async () => {
    write((config) => {
      const shop = config['merchants']?.['demo-shop']
      put(config, '/merchants/other', { ...shop, name: 'Other' })
    })
    expect((await faultsOf()).map(({ pointer }) => pointer)).to.deep.equal(['/merchants/other/apiKeys/0'])
  })

  it('refuses keys that stand twice, and text that is not JSON, without quoting it', async () => {
    write()
    const text = readFileSync(path, 'utf8')
    writeFileSync(path, text.replace('"demo-shop": {', '"demo-shop": {\n "name": "Twice",'))
    expect(await faultsOf()).to.deep.equal([
      { pointer: '/merchants/demo-shop/name', detail: 'stands here twice: remove one' },
    ])
    writeFileSync(path, `{ "notifySecret": ${secretText}`)
    expect((await faultsOf())[0]?.detail).to.match(/^is not JSON/)
    rmSync(path)
    expect((await faultsOf())[0]?.detail).to.contain('ENOENT')
  })

  it('resolves references anywhere in settings and names those that lead nowhere', () => {
    const settings = { a: 'file:../var/sandbox/huifu/webhook_key.txt', list: [{ b: 'env:B' }], n: 1, plain: 'x' }
    expect(resolveSettings(settings, dirname(path), { B: 'bee' })).to.deep.equal({
      a: 'w',
      list: [{ b: 'bee' }],
      n: 1,
      plain: 'x',
    })
    expect(() => resolveSettings(settings, dirname(path), {})).to.throw(ConfigError, '/list/0/b')
  })

  it('is taken over when its file changes, and not at all when it is faulty', async () => {
    write()
    const changes: GatewayConfig[] = []
    const faults: ConfigError[] = []
    const stop = watchConfig(
      path,
      (config) => changes.push(config),
      (error) => faults.push(error),
    )
    const until = async (done: () => boolean) => {
      for (const start = Date.now(); !done() && Date.now() - start < 4000;) await pause(20)
      expect(done()).to.equal(true)
    }
    try {
      write((config) => put(config, '/merchants/demo-shop/routes/0/channels', ['huifu-main']))
      await until(() => changes.length === 1)
      expect(changes[0]?.merchants['demo-shop']?.routes[0]?.channels).to.deep.equal(['huifu-main'])
      write((config) => put(config, '/merchants/demo-shop/routes/0/channels', ['nope']))
      await until(() => faults.length === 1)
      expect(changes).to.have.length(1)
      write()
      await until(() => changes.length === 2)
      process.kill(process.pid, 'SIGHUP')
      await until(() => changes.length === 3)
    } finally {
      stop()
    }
    write((config) => put(config, '/timeScale', 2))
    await pause(700)
    expect(changes).to.have.length(3)
    expect(process.listenerCount('SIGHUP')).to.equal(0)
  })
})
