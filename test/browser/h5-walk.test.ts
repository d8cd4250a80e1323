import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'
import { freeHuifuPort, freePort } from '../../src/cli/ports.ts'
import { quietLog } from '../../src/cli/quiet-log.ts'
import { writeSandboxConfig } from '../../src/cli/sandbox-config.ts'
import { sandboxEnv } from '../../src/cli/sandbox.ts'
import { spawnSimulators, type SimulatorsProcess } from '../../src/cli/simulators-process.ts'
import { startGateway, type Gateway } from '../../src/main.ts'

/** The README's demo, walked as a person would: shop → cashier in the fake WeChat → paid → webhook → back at the shop. */
const host = '127.0.0.1'
const patience = { timeout: 20_000 }
const quiet = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run']
const offline = ['--disable-background-networking', '--disable-component-update', '--disable-sync']

async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env['WALK_PICTURES']
  if (folder !== undefined) await page.screenshot({ path: join(folder, `${name}.png`) })
}

describe('the H5 walk in a browser', function () {
  this.timeout(120_000)
  let folder: string
  let world: SimulatorsProcess
  let gateway: Gateway
  let browser: Browser
  let context: BrowserContext
  let page: Page
  let faults: string[]

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mortise-walk-'))
    const [gatewayPort, shopPort, simulatorsPort] = [await freeHuifuPort(), await freePort(), await freePort()]
    const ports = { gateway: gatewayPort, private: await freePort(), simulators: simulatorsPort, shop: shopPort }
    const config = writeSandboxConfig({ folder, ports })
    world = await spawnSimulators({
      host,
      port: simulatorsPort,
      controlPort: await freePort(),
      shop: true,
      shopPort,
      wechatPort: await freePort(),
      folder: join(folder, 'sandbox'),
      timeScale: config.timeScale,
      chaos: false,
      fastCrypto: false,
      gateway: `http://${host}:${String(gatewayPort)}`,
      gatewayConfig: config.path,
      verbose: false,
    })
    gateway = await startGateway({ configPath: config.path, env: sandboxEnv(process.env), log: quietLog(false) })
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: [...quiet, ...offline] })
  })

  after(async () => {
    await browser?.close()
    await gateway?.close()
    await world?.stop()
    await rm(folder, { recursive: true, force: true })
  })

  beforeEach(async () => {
    faults = []
    context = await browser.newContext({ viewport: { width: 1100, height: 800 } })
    page = await context.newPage()
    page.on('console', (message) => {
      if (message.type() === 'error') faults.push(message.text())
    })
    page.on('pageerror', (error) => faults.push(error.message))
  })
  afterEach(() => context.close())

  async function buy(channel: string): Promise<string> {
    await page.goto(world.shopUrl)
    await page.check(`input[value="${channel}"]`)
    await Promise.all([page.waitForURL(/\/orders\//), page.locator('form[action="/buy"] button').first().click()])
    await page.locator('#h5').waitFor(patience)
    return page.url()
  }
  const shopSays = (status: string) => page.locator(`[data-status="${status}"]`).waitFor(patience)

  for (const channel of ['wechat-main', 'huifu-main']) {
    it(`pays through ${channel} and is back at the shop, which heard it by webhook`, async () => {
      const order = await buy(channel)
      await page.click('#h5')
      await page.waitForURL(`${world.wechatUrl}/cashier/**`, patience)
      await page.locator('#pay:not([hidden])').waitFor(patience)
      expect(await page.locator('main').innerText()).to.contain('0.88')
      await picture(page, `${channel}-1-cashier`)
      await page.click('#pay')
      await page.locator('#wxs-pay').waitFor(patience)
      await page.locator('.wxs-amount', { hasText: '¥0.88' }).waitFor(patience)
      await picture(page, `${channel}-2-wallet`)
      await page.click('#wxs-pay')
      await page.waitForURL(order, patience)
      await shopSays('paid')
      expect(await page.locator('#channel').innerText()).to.equal(channel)
      await page.locator('#books .agree').first().waitFor(patience)
      await picture(page, `${channel}-3-shop`)
      expect(faults, 'errors in the console, CSP violations among them').to.deep.equal([])
    })

    it(`pays through ${channel} although the bridge says cancelled`, async () => {
      const order = await buy(channel)
      await page.click('#h5')
      await page.click('#pay', patience)
      await page.click('#wxs-pay-say-cancel', patience)
      await page.waitForURL(order, patience)
      await shopSays('paid')
    })

    it(`stays unpaid through ${channel} although the bridge says ok, and offers another try after a cancel`, async () => {
      await buy(channel)
      await page.click('#h5')
      await page.click('#pay', patience)
      await page.click('#wxs-cancel', patience)
      await page.locator('#pay:enabled').waitFor(patience)
      await picture(page, `${channel}-4-cancelled`)
      await page.click('#pay')
      await page.click('#wxs-cancel-say-ok', patience)
      await page.waitForTimeout(1500)
      expect(page.url(), 'nothing was paid').to.contain('/cashier/')
      expect(await page.locator('[data-status="paid"]').count()).to.equal(0)
    })

    it(`pays from the app through the mini-program over ${channel}, and the app asks its own server`, async () => {
      await buy(channel)
      await page.click('#app')
      await page.waitForURL(/\/__app\?/, patience)
      await shopSays('open')
      await picture(page, `${channel}-5-app`)
      await page.click('#open')
      await page.locator('#pay:not([hidden])').waitFor(patience)
      await picture(page, `${channel}-6-mini-program`)
      await page.click('#pay')
      await page.click('#wxs-pay', patience)
      await shopSays('paid')
      await page.click('#back')
      await page.waitForURL(/\/__app\?/, patience)
      await shopSays('paid')
      await picture(page, `${channel}-7-app-paid`)
      expect(await page.locator('#log').innerText()).to.contain('the app is in front again')
      await page.click('#order')
      await shopSays('paid')
      expect(await page.locator('#channel').innerText()).to.equal(channel)
      expect(faults).to.deep.equal([])
    })
  }

  it('does not let another person pay with the link of the first', async () => {
    await buy('wechat-main')
    await page.click('#app')
    await page.click('#open', patience)
    await page.locator('#pay:not([hidden])').waitFor(patience)
    await page.click('#wxs-person')
    await page.locator('[data-status="refused"]').waitFor(patience)
    expect(await page.locator('#status').innerText()).to.contain('launch-taken')
    expect(await page.locator('#pay').isVisible()).to.equal(false)
  })
})
