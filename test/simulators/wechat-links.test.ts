import { expect } from 'chai'
import { startSimulators, type Simulators } from '../../src/simulators/start.ts'

/** Access tokens, URL Links, schemes and the snapshot flag (wechatpay.md 5.1, 5.3), spoken to over HTTP alone. */
type Json = Record<string, unknown>

describe('the simulated WeChat around payments', () => {
  let sim: Simulators
  let appid: string
  let secret: string

  beforeEach(async () => {
    sim = await startSimulators({})
    ;({ appid, secret } = sim.credentials.wechatPay.miniProgram)
  })
  afterEach(() => sim.close())

  const json = async (response: Response): Promise<Json> => (await response.json()) as Json
  const post = async (path: string, body: object): Promise<Json> =>
    json(await fetch(sim.apiUrl + path, { method: 'POST', body: JSON.stringify(body) }))
  const get = async (path: string): Promise<Json> => json(await fetch(sim.apiUrl + path))
  const act = async (path: string): Promise<Json> =>
    json(await fetch(`${sim.controlUrl}/_sim/wechat-pay/${path}`, { method: 'POST' }))
  const stable = (more: Json = {}): Promise<Json> =>
    post('/cgi-bin/stable_token', { grant_type: 'client_credential', appid, secret, ...more })
  const linkBody = (more: Json = {}): Json => ({
    path: 'pages/pay/pay',
    query: 't=abc-123',
    expire_type: 0,
    expire_time: Math.floor(sim.clock.now() / 1000) + 600,
    ...more,
  })
  const link = async (more: Json = {}, way = 'generate_urllink'): Promise<Json> =>
    post(`/wxa/${way}?access_token=${String((await stable())['access_token'])}`, linkBody(more))

  it('gives the stable token again until its last five minutes, and the plain one anew each time', async () => {
    const first = await stable()
    expect(first['expires_in']).to.equal(7200)
    expect((await stable())['access_token']).to.equal(first['access_token'])
    const plain = `/cgi-bin/token?grant_type=client_credential&appid=${appid}&secret=${secret}`
    expect((await get(plain))['access_token']).to.not.equal((await get(plain))['access_token'])
    sim.clock.advance(6_950_000)
    const renewed = await stable()
    expect(renewed['access_token']).to.not.equal(first['access_token'])
    expect((await stable({ force_refresh: true }))['access_token']).to.not.equal(renewed['access_token'])
  })

  it('refuses token requests with the codes WeChat uses', async () => {
    const codes = [
      [{ appid: 'wx1' }, 40013],
      [{ appid: '' }, 41002],
      [{ secret: '' }, 41004],
      [{ secret: 'f'.repeat(32) }, 40125],
      [{ grant_type: 'x' }, 40002],
    ] as const
    for (const [more, code] of codes) expect((await stable(more))['errcode'], JSON.stringify(more)).to.equal(code)
    await act('tokens?busy=1')
    expect((await stable())['errcode']).to.equal(-1)
    expect(await stable()).to.have.property('access_token')
  })

  it('tells expired, revoked and missing tokens apart', async () => {
    const token = String((await stable())['access_token'])
    const call = (text: string) => post(`/wxa/generate_urllink?access_token=${text}`, linkBody())
    expect((await call(token))['errcode']).to.equal(0)
    expect((await call(''))['errcode']).to.equal(41001)
    await act(`tokens?revoke=${appid}`)
    expect((await call(token))['errcode']).to.equal(40001)
    const next = String((await stable())['access_token'])
    sim.clock.advance(7_200_000)
    expect((await call(next))['errcode']).to.equal(42001)
    const { appid: mp, secret: mpSecret } = sim.credentials.wechatPay.officialAccount
    const foreign = String((await stable({ appid: mp, secret: mpSecret }))['access_token'])
    expect((await call(foreign))['errcode'], 'an official account has no links').to.equal(48001)
  })

  it('refuses bad links, and those over a quota', async () => {
    const now = Math.floor(sim.clock.now() / 1000)
    const codes: [Json, number][] = [
      [{ path: 'pages/secret' }, 40165],
      [{ path: 'pages/pay/pay?t=1' }, 40165],
      [{ query: 'a'.repeat(1025) }, 40212],
      [{ query: 'a b' }, 40212],
      [{ expire_time: now - 1 }, 85401],
      [{ expire_time: now + 31 * 86_400 }, 85401],
      [{ expire_type: 1, expire_time: undefined, expire_interval: 31 }, 85401],
      [{ env_version: 'beta' }, 40097],
      [{ amount: 1 }, 40097],
    ]
    for (const [more, code] of codes) expect((await link(more))['errcode'], JSON.stringify(more)).to.equal(code)
    for (const [rule, code] of [
      ['daily_left=0', 45009],
      ['per_second=0', 44990],
      ['permission=personal', 40002],
      ['permission=banned', 40013],
      ['permission=unpublished', 85079],
    ] as const) {
      await act(`links?daily_left=9&per_second=100&permission=granted`)
      await act(`links?${rule}`)
      expect((await link())['errcode'], rule).to.equal(code)
    }
    await act('links?daily_left=9&per_second=100&permission=granted&long_left=0')
    expect((await link({ expire_time: undefined }))['errcode']).to.equal(85400)
  })

  it('opens a link in a browser until it expires, and answers questions about it', async () => {
    const url = String((await link())['url_link'])
    const page = await fetch(url)
    expect(page.status).to.equal(200)
    expect(await page.text()).to.contain('Open WeChat')
    const asked = await post(`/wxa/query_urllink?access_token=${String((await stable())['access_token'])}`, {
      url_link: url,
    })
    expect(asked['url_link_info']).to.include({ path: 'pages/pay/pay', query: 't=abc-123', appid })
    sim.clock.advance(601_000)
    expect((await fetch(url)).status).to.equal(404)
    const scheme = await post(`/wxa/generatescheme?access_token=${String((await stable())['access_token'])}`, {
      jump_wxa: { path: 'pages/pay/pay', query: 't=1' },
      expire_type: 1,
      expire_interval: 1,
    })
    expect(scheme['openlink']).to.match(/^weixin:\/\/dl\/business\/\?t=\w+$/)
    expect(await act(`open-link?link=${encodeURIComponent(String(scheme['openlink']))}`)).to.include({
      scene: 1065,
      query: 't=1',
    })
  })

  it('marks snapshot visitors, whose openid cannot pay', async () => {
    const { appid: mp, secret: mpSecret } = sim.credentials.wechatPay.officialAccount
    const exchange = async (code: string): Promise<Json> =>
      get(`/sns/oauth2/access_token?appid=${mp}&secret=${mpSecret}&code=${code}&grant_type=authorization_code`)
    const visit = async (): Promise<Json> => {
      const redirect = encodeURIComponent('http://127.0.0.1:1/cashier/back')
      const query = `appid=${mp}&redirect_uri=${redirect}&response_type=code&scope=snsapi_base&state=s1`
      const answer = await fetch(`${sim.apiUrl}/connect/oauth2/authorize?${query}`, { redirect: 'manual' })
      return exchange(new URL(answer.headers.get('location') ?? '').searchParams.get('code') ?? '')
    }
    expect(await visit()).to.not.have.property('is_snapshotuser')
    await act('visitor?snapshot=1')
    const snapshot = await visit()
    expect(snapshot['is_snapshotuser']).to.equal(1)
    expect(snapshot['openid']).to.match(/^oSIM-snapshot-/)
    await act('visitor?openid=oSIM-mp-payer-000000000009')
    expect((await visit())['openid']).to.equal('oSIM-mp-payer-000000000009')
    await act('visitor')
    expect((await visit())['openid']).to.equal(sim.credentials.wechatPay.officialAccount.openid)
  })
})
