import { mkdtemp, readFile, rm } from 'node:fs/promises'
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

const host = '127.0.0.1'
const patience = { timeout: 20_000 }

const quiet = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run']
const offline = ['--disable-background-networking', '--disable-component-update', '--disable-sync']

/** Keeps pictures of what the tests saw when a folder is named. */
async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env['SHOP_PICTURES']
  if (folder !== undefined) await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true })
}

/** The amount must not stick out of its card, and nothing may make a phone scroll sideways. */
async function fits(page: Page): Promise<boolean> {
  return page.evaluate<boolean>(
    `document.documentElement.scrollWidth <= document.documentElement.clientWidth &&
     [...document.querySelectorAll('.amount')].every((one) => one.getBoundingClientRect().right <= one.closest('.card').getBoundingClientRect().right)`,
  )
}

/** The smallest contrast of any text against what is behind it (WCAG 2.2: 4.5 for text of this size). */
const weakestContrast = `(() => {
  const channels = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number)
  const luminance = ([r, g, b]) => [r, g, b]
    .map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0)
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = channels(getComputedStyle(one).backgroundColor)
      if (color.length === 3 || color[3] === 1) return color
    }
    return [255, 255, 255]
  }
  let weakest = { ratio: 21, text: '' }
  for (const element of document.querySelectorAll('body *')) {
    const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data.trim()).join('')
    if (text === '' || element.closest('.hidden')) continue
    const [a, b] = [luminance(channels(getComputedStyle(element).color)), luminance(ground(element))]
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    if (ratio < weakest.ratio) weakest = { ratio, text }
  }
  return weakest
})()`

async function expectReadable(page: Page): Promise<void> {
  const weakest = await page.evaluate<{ ratio: number; text: string }>(weakestContrast)
  expect(weakest.ratio, `contrast of “${weakest.text}”`).to.be.at.least(4.5)
}

describe('the demo shop in a browser', function () {
  this.timeout(120_000)
  let folder: string
  let configFile: string
  let world: SimulatorsProcess
  let gateway: Gateway
  let browser: Browser
  let context: BrowserContext
  let page: Page
  const faults: string[] = []

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mortise-shop-'))
    const [gatewayPort, shopPort, simulatorsPort] = [await freeHuifuPort(), await freePort(), await freePort()]
    const ports = { gateway: gatewayPort, private: await freePort(), simulators: simulatorsPort, shop: shopPort }
    const config = writeSandboxConfig({ folder, ports })
    configFile = config.path
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

  async function open(scheme: 'light' | 'dark', width: number): Promise<void> {
    context = await browser.newContext({ colorScheme: scheme, viewport: { width, height: 812 } })
    page = await context.newPage()
    page.on('console', (message) => {
      if (message.type() === 'error') faults.push(message.text())
    })
    page.on('pageerror', (error) => faults.push(error.message))
    await page.goto(world.shopUrl)
  }

  afterEach(async () => {
    await context?.close()
    // Violations of the content security policy are reported here too.
    expect(faults.splice(0)).to.deep.equal([])
  })

  async function buy(product: string, channel: string): Promise<void> {
    await page.getByRole('radio', { name: product }).check()
    await page.getByRole('radio', { name: channel }).check()
    await page.getByRole('button', { name: 'Buy' }).click()
    await page.getByRole('link', { name: 'Open the wallet' }).waitFor(patience)
  }

  const status = (wanted: string) => page.locator(`[data-status="${wanted}"]`).waitFor(patience)
  const moment = (text: string) => page.locator('.moment', { hasText: text })

  it('sells a mug over Huifu: real clicks, both notifications, three refunds, a fourth refused', async () => {
    await open('light', 375)
    await picture(page, 'home-light-375')
    expect(await fits(page)).to.equal(true)
    await expectReadable(page)
    await buy('A clay mug', 'huifu-main')
    expect(await readFile(configFile, 'utf8')).to.contain('{ "method": "wechat_jsapi", "channels": ["huifu-main"] }')
    await moment('One line changed').waitFor(patience)
    expect(await page.locator('.moment .removed').textContent()).to.contain('"channels": ["wechat-main"]')
    expect(await page.locator('.moment .added').textContent()).to.contain('"channels": ["huifu-main"]')
    expect(await page.locator('#channel').textContent()).to.equal('huifu-main')
    await picture(page, 'open-light-375')

    const [wallet] = await Promise.all([
      context.waitForEvent('page'),
      page.getByRole('link', { name: 'Open the wallet' }).click(),
    ])
    await wallet.getByRole('button', { name: 'Pay', exact: true }).click()
    await wallet.locator('#state[data-stat="S"]').waitFor(patience)
    await wallet.close()

    await status('paid')
    await moment('Webhook: order.paid').waitFor(patience)
    await moment('Webhook: payment.credited').waitFor(patience)
    await moment('Notification type 1: trade').waitFor(patience)
    await moment('Notification type 2: account credited').waitFor(patience)
    expect(await moment('Webhook: order.paid').first().textContent()).to.contain('verified ✓ with the current secret')
    for (const [index, amount] of ['4.11', '4.11', '4.12'].entries()) {
      const field = page.getByLabel('Refund, in yuan')
      await page.waitForFunction(`document.querySelector('#refund-amount')?.value === '${amount}'`, undefined, patience)
      expect(await field.inputValue()).to.equal(amount)
      await page.locator('#refund').click()
      await page.locator('#refunds .succeeded').nth(index).waitFor(patience)
    }
    await page.getByRole('button', { name: 'Try one fen more' }).click()
    await page.getByRole('alert').waitFor(patience)
    expect(await page.getByRole('alert').textContent()).to.contain('409 refund-exceeds-payment')
    await page.waitForFunction(`document.querySelectorAll('#books .agree').length === 3`, undefined, patience)
    expect(await page.locator('#refunded').textContent()).to.equal('¥12.34')
    await picture(page, 'done-light-375')
    expect(await fits(page)).to.equal(true)
    await expectReadable(page)
  })

  it('sells tea over WeChat Pay in the dark, on a desktop, and by the quick button', async () => {
    await open('dark', 1280)
    await picture(page, 'home-dark-1280')
    await expectReadable(page)
    await buy('A cup of oolong', 'wechat-main')
    await expectReadable(page)
    await picture(page, 'open-dark-1280')
    await page.getByRole('button', { name: 'Pay now' }).click()
    await status('paid')
    await moment('Webhook: order.paid').waitFor(patience)
    expect(await page.locator('#account').textContent()).to.equal('not told by this channel')
    await page.locator('#refund').click()
    await page.locator('#refunds .succeeded').waitFor(patience)
    await page.waitForFunction(`document.querySelectorAll('#books .agree').length === 3`, undefined, patience)
    await picture(page, 'done-dark-1280')
    expect(await fits(page)).to.equal(true)
    await expectReadable(page)
  })

  it('pays in the WeChat wallet, whose launch signature is checked', async () => {
    await open('dark', 375)
    await buy('A cup of oolong', 'wechat-main')
    const [wallet] = await Promise.all([
      context.waitForEvent('page'),
      page.getByRole('link', { name: 'Open the wallet' }).click(),
    ])
    await wallet.getByRole('button', { name: /Pay/ }).click()
    await wallet.getByText('支付成功').first().waitFor(patience)
    await wallet.close()
    await status('paid')
    await page.locator('#remaining').waitFor(patience)
    await picture(page, 'paid-dark-375')
    await expectReadable(page)
    expect(await fits(page)).to.equal(true)
  })

  it('keeps what is being typed while the page follows events', async () => {
    await open('light', 1280)
    await buy('A cup of oolong', 'wechat-main')
    await page.getByRole('button', { name: 'Pay now' }).click()
    await page.locator('#refund').click(patience)
    const field = page.getByLabel('Refund, in yuan')
    await field.fill('0.07')
    await page.locator('#refunds .succeeded').waitFor(patience)
    await moment('Webhook: refund.succeeded').waitFor(patience)
    expect(await field.inputValue()).to.equal('0.07')
    expect(await field.evaluate('document.activeElement.id')).to.equal('refund-amount')
    await field.press('Enter')
    await page.locator('#refunds .succeeded').nth(1).waitFor(patience)
    expect(await page.locator('#refunds').textContent()).to.contain('¥0.07')
    await picture(page, 'done-light-1280')
  })

  it('closes an order nobody paid', async () => {
    await open('light', 375)
    await buy('A cup of oolong', 'wechat-main')
    await page.getByRole('button', { name: 'Close the order' }).click()
    await status('closed')
    await moment('Webhook: order.closed').waitFor(patience)
    await picture(page, 'closed-light-375')
    await expectReadable(page)
  })
})
