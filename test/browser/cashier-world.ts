import axe from 'axe-core'
import { expect } from 'chai'
import { chromium, type Browser, type BrowserContext, type BrowserContextOptions, type Page } from 'playwright-core'
import type { OrderResource } from '../../src/core/event.ts'
import { buildWeb } from '../../src/web/build.ts'
import { databases } from '../databases.ts'
import { control, startWorld, type World } from '../harness.ts'

/** A gateway, the simulators and real Chromium, with a bridge of our own in place of WeChat's. */

const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run']
const offline = ['--disable-background-networking', '--disable-component-update', '--disable-sync']

const phone =
  'Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.0.0 '
export const agents = {
  wechat: `${phone}XWEB/1260117 MMWEBSDK/20240801 Mobile Safari/537.36 MicroMessenger/8.0.55.2780(0x28003752) WeChat/arm64 NetType/WIFI Language/zh_CN`,
  miniProgram: `${phone}XWEB/1260117 Mobile Safari/537.36 MicroMessenger/8.0.55 miniProgram/wx00000000000000b1`,
  wecom: `${phone}Mobile Safari/537.36 wxwork/4.1.28 MicroMessenger/7.0.1`,
  windowsWechat:
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0.0.0 Safari/537.36 MicroMessenger/7.0.20 WindowsWechat(0x63090c11)',
  iphone:
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1',
  androidApp: `${phone}Mobile Safari/537.36 ShopApp/3.2`,
  desktop: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36',
} as const

export type Agent = keyof typeof agents
export type BridgeResult = 'ok' | 'cancel' | 'fail'

export type Visit = {
  readonly agent?: Agent
  /** What the bridge answers, one after the other; the last again. `none`: there is no bridge. */
  readonly bridge?: readonly BridgeResult[] | 'none' | 'silent'
  /** When the bridge comes, milliseconds after the page. */
  readonly bridgeLateMs?: number
  /** What happens at WeChat before the bridge answers. */
  readonly onInvoke?: (parameters: Record<string, string>) => Promise<void>
  /** Who looks at the page; the simulator's usual payer unless named. */
  readonly openid?: string
  readonly options?: BrowserContextOptions
}

export type Visitor = {
  readonly context: BrowserContext
  readonly page: Page
  /** Launch parameters of every call of the bridge. */
  readonly invoked: readonly Record<string, string>[]
  readonly violations: readonly string[]
  readonly errors: readonly string[]
  /** Bodies of everything the browser was sent. */
  readonly received: readonly string[]
  readonly requests: readonly { readonly method: string; readonly url: string; readonly body: string | null }[]
  goto(order: OrderResource, query?: string): Promise<void>
  state(wanted: string, timeout?: number): Promise<void>
  tap(selector?: string): Promise<void>
  close(): Promise<void>
}

export type CashierWorld = {
  readonly world: World
  readonly browser: Browser
  visit(visit?: Visit): Promise<Visitor>
  /** The payer pays at WeChat with the launch parameters of the sheet. */
  payAtWechat(parameters: Record<string, string>): Promise<void>
  close(): Promise<void>
}

export function cashierUrlOf(order: OrderResource): string {
  return (order as OrderResource & { cashier_url: string }).cashier_url
}

export async function startCashierWorld(channel = 'wechat-main', timeScale = 10): Promise<CashierWorld> {
  await buildWeb()
  const [database] = databases
  if (database === undefined) throw new Error('no database chosen')
  const world = await startWorld({ database, channel, timeScale })
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: [...flags, ...offline] })
  return {
    world,
    browser,
    visit: (visit = {}) => visitWith(world, browser, visit),
    async payAtWechat(parameters) {
      const handle = parameters['package'] ?? ''
      if (channel.startsWith('wechat')) await control(world, '/_sim/wechat-pay/pay', parameters)
      else await control(world, '/_sim/huifu/pay', { pay_package: handle })
    },
    async close() {
      await browser.close()
      await world.close()
    },
  }
}

/** The bridge as old versions are: it talks through frames of its own schemes, which the policy must let pass. */
function bridgeScript(visit: Visit): string {
  if (visit.bridge === 'none') return ''
  return `(() => {
  const results = ${JSON.stringify(visit.bridge === 'silent' ? [] : (visit.bridge ?? ['ok']))}
  setTimeout(() => {
    window.WeixinJSBridge = { call() {}, on() {}, invoke(name, parameters, done) {
      for (const address of ['weixin://dispatch_message/', 'weixinping://iframe']) {
        const frame = document.createElement('iframe'); frame.hidden = true; frame.src = address
        document.documentElement.append(frame); setTimeout(() => frame.remove(), 50)
      }
      window.__invoked(name, parameters).then(() => {
        const result = results.length > 1 ? results.shift() : results[0]
        if (result !== undefined) done({ err_msg: (name === 'getBrandWCPayRequest' ? 'get_brand_wcpay_request:' : name + ':') + result })
      })
    } }
    document.dispatchEvent(new Event('WeixinJSBridgeReady'))
  }, ${String(visit.bridgeLateMs ?? 30)})
})()`
}

const watchScript = `document.addEventListener('securitypolicyviolation', (event) => window.__violated(event.violatedDirective + ' ' + event.blockedURI))`

async function visitWith(world: World, browser: Browser, visit: Visit): Promise<Visitor> {
  const agent = agents[visit.agent ?? 'wechat']
  const mobile = /Mobile/.test(agent)
  const context = await browser.newContext({
    userAgent: agent,
    viewport: mobile ? { width: 375, height: 667 } : { width: 1000, height: 760 },
    deviceScaleFactor: mobile ? 2 : 1,
    locale: 'zh-CN',
    ...visit.options,
  })
  const invoked: Record<string, string>[] = []
  const violations: string[] = []
  const errors: string[] = []
  const received: string[] = []
  const requests: { method: string; url: string; body: string | null }[] = []
  await context.exposeFunction('__violated', (text: string) => void violations.push(text))
  await context.exposeFunction('__invoked', async (name: string, parameters: Record<string, string>) => {
    invoked.push({ ...parameters, ...(name === 'getBrandWCPayRequest' ? {} : { bridgeCall: name }) })
    await visit.onInvoke?.(parameters)
  })
  await context.addInitScript(watchScript)
  await context.addInitScript(bridgeScript(visit))
  const page = await context.newPage()
  page.on('pageerror', (error) => errors.push(error.message))
  page.on('request', (request) => {
    requests.push({ method: request.method(), url: request.url(), body: request.postData() })
  })
  page.on('response', (response) => {
    if (response.url().includes('/cashier'))
      response.text().then(
        (text) => received.push(text),
        () => undefined,
      )
  })
  return {
    context,
    page,
    invoked,
    violations,
    errors,
    received,
    requests,
    async goto(order, query = '') {
      // The simulated WeChat authorises whoever it is told that this browser belongs to.
      const path = '/_sim/wechat-pay/visitor'
      if (visit.openid !== undefined) await control(world, path, { openid: visit.openid })
      await page.goto(`${cashierUrlOf(order)}${query}`)
      if (visit.openid !== undefined) await control(world, path)
    },
    async state(wanted, timeout = 12_000) {
      await page.waitForSelector(`body[data-state="${wanted}"]`, { timeout }).catch(async () => {
        const now = await page.getAttribute('body', 'data-state')
        throw new Error(`the page never became ${wanted}; it is ${String(now)}: ${await page.innerText('body')}`)
      })
    },
    // Playwright's own tap waits for the navigation of the bridge's frames, which never ends.
    tap: async (selector = '#pay') =>
      void (await page.evaluate(`document.querySelector(${JSON.stringify(selector)}).click()`)),
    async close() {
      await context.close()
    },
  }
}

/** No violation of the content security policy, no script error, and nothing axe finds wrong. */
export async function expectSound(visitor: Visitor, what: string): Promise<void> {
  await visitor.page.evaluate(axe.source)
  const faults = await visitor.page.evaluate<string[]>(
    `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, nodes }) => id + ': ' + nodes.map((node) => node.html + ' ' + node.failureSummary).join(' | ')))`,
  )
  expect(faults, `${what}: accessibility`).to.deep.equal([])
  expect(visitor.violations, `${what}: content security policy`).to.deep.equal([])
  expect(visitor.errors, `${what}: script errors`).to.deep.equal([])
}

/** The amount stays inside its card, and nothing makes a phone scroll sideways. */
export async function expectFits(page: Page, what: string): Promise<void> {
  const sizes = await page.evaluate<{ amount: number; card: number; scroll: number; width: number }>(`(() => {
    const right = (selector) => { const range = document.createRange(); range.selectNodeContents(document.querySelector(selector)); return range.getBoundingClientRect().right }
    return { amount: right('.amount'), card: document.querySelector('.card').getBoundingClientRect().right,
      scroll: document.documentElement.scrollWidth, width: document.documentElement.clientWidth }
  })()`)
  expect(sizes.amount, `${what}: the amount`).to.be.at.most(sizes.card)
  expect(sizes.scroll, `${what}: the page`).to.be.at.most(sizes.width)
}

export async function visible(page: Page, selector: string): Promise<boolean> {
  return page.isVisible(selector)
}
