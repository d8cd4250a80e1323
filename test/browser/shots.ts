import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { open } from '../harness.ts'
import { startCashierWorld, type CashierWorld, type Visit, type Visitor } from './cashier-world.ts'

/**
 * Pictures of every state of the cashier for people to look at: `npm run shots` writes them to var/shots, with one page
 * that shows them all. They are not compared: fonts differ from machine to machine.
 */

const folder = resolve(import.meta.dirname, '../../var/shots')

type Shot = {
  readonly name: string
  readonly visit?: Visit
  readonly amount?: number
  readonly order?: Record<string, unknown>
  readonly query?: string
  readonly act?: (visitor: Visitor) => Promise<void>
}

const tapped = (state: string, timeout?: number) => async (visitor: Visitor) => {
  await visitor.tap()
  await visitor.state(state, timeout)
}

const large = `addEventListener('DOMContentLoaded', () => { document.documentElement.style.fontSize = '32px' })`

/** Everything a payer can see; the bridges are as unhelpful as each picture needs. */
function shots(cashier: CashierWorld): readonly Shot[] {
  const paying: Visit = { onInvoke: (parameters) => cashier.payAtWechat(parameters) }
  const abort = (visitor: Visitor) => visitor.context.route('**/payments', (route) => route.abort())
  return [
    { name: 'ready' },
    { name: 'ready-english', query: '?lang=en' },
    { name: 'creating', visit: { bridge: 'none' }, act: tapped('creating') },
    { name: 'invoking', visit: { bridge: 'silent' }, act: tapped('invoking') },
    { name: 'confirming', visit: { bridge: ['cancel'] }, act: tapped('confirming') },
    { name: 'paid', visit: paying, act: tapped('paid') },
    { name: 'paid-english', visit: paying, query: '?lang=en', act: tapped('paid') },
    { name: 'cancelled', visit: { bridge: ['cancel'] }, act: tapped('cancelled') },
    { name: 'failed', visit: { bridge: ['fail'] }, act: tapped('failed') },
    { name: 'failed-no-bridge', visit: { bridge: 'none' }, act: tapped('failed') },
    { name: 'slow', visit: { bridge: ['ok'] }, act: tapped('slow', 30_000) },
    {
      name: 'offline',
      act: async (visitor) => {
        await abort(visitor)
        await visitor.page.reload()
        await tapped('offline')(visitor)
      },
    },
    {
      name: 'expired',
      order: { expires_in: 1 },
      act: async (visitor) => {
        await visitor.page.waitForTimeout(1100)
        await visitor.page.reload()
      },
    },
    { name: 'other', visit: { bridge: 'silent' } },
    { name: 'outside-phone', visit: { agent: 'iphone', bridge: 'none' } },
    { name: 'outside-app', visit: { agent: 'androidApp', bridge: 'none' } },
    { name: 'outside-wecom', visit: { agent: 'wecom', bridge: 'none' } },
    { name: 'outside-mini-program', visit: { agent: 'miniProgram', bridge: 'none' } },
    { name: 'outside-desktop', visit: { agent: 'desktop', bridge: 'none' } },
    {
      name: 'desktop-wechat-no-bridge',
      visit: { agent: 'windowsWechat', bridge: 'none' },
      act: async (visitor) => {
        await visitor.page.waitForSelector('.qr', { state: 'visible' })
      },
    },
    { name: 'no-script', visit: { options: { javaScriptEnabled: false } } },
    {
      name: 'long-amount-320-200',
      amount: 123_456_789,
      visit: { options: { viewport: { width: 320, height: 640 } } },
      act: async (visitor) => {
        await visitor.page.addInitScript(large)
        await visitor.page.reload()
      },
    },
    {
      name: 'not-found',
      act: async (visitor) => {
        await visitor.page.goto(`${visitor.page.url().replace(/[^/]*$/, '')}${'x'.repeat(43)}`)
      },
    },
    { name: 'snapshot', query: '?view=full-service' },
  ]
}

async function take(cashier: CashierWorld, shot: Shot, scheme: 'light' | 'dark'): Promise<string> {
  const order = await open(cashier.world, shot.amount ?? 8800, {
    subject: '冻顶乌龙 150 g',
    return_url: 'https://shop.example/thanks',
    ...shot.order,
  })
  const visitor = await cashier.visit({
    ...shot.visit,
    options: { ...shot.visit?.options, colorScheme: scheme },
  })
  try {
    await visitor.context.route('https://shop.example/**', (route) => route.abort())
    if (shot.name === 'other') {
      // Somebody else is first, so this browser must not open the page before.
      const first = await cashier.visit({ bridge: 'silent', openid: 'oSIM-mp-payer-000000000002' })
      await first.goto(order)
      await first.tap()
      await first.state('invoking')
      await first.close()
      await visitor.goto(order)
      await visitor.state('other')
    } else {
      await visitor.goto(order, shot.query)
      await shot.act?.(visitor)
    }
    const file = `${shot.name}-${scheme}.png`
    await visitor.page.screenshot({ path: join(folder, file), fullPage: true })
    return file
  } finally {
    await visitor.close()
  }
}

function montage(files: readonly string[]): string {
  const cells = files.map((file) => `<figure><img src="${file}" alt=""><figcaption>${file}</figcaption></figure>`)
  return `<!doctype html><meta charset="utf-8"><title>Cashier</title>
<style>body{margin:1rem;background:#888;font:13px system-ui;display:flex;flex-wrap:wrap;gap:1rem;align-items:flex-start}figure{margin:0}img{width:220px;display:block}figcaption{color:#fff}</style>
${cells.join('\n')}\n`
}

rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
const only = process.argv[2]
const cashier = await startCashierWorld('wechat-main')
try {
  const files: string[] = []
  for (const scheme of ['light', 'dark'] as const) {
    for (const shot of shots(cashier)) {
      if (only === undefined || shot.name.includes(only)) files.push(await take(cashier, shot, scheme))
    }
  }
  writeFileSync(join(folder, 'index.html'), montage(files))
  const page = await cashier.browser.newPage({ viewport: { width: 1500, height: 900 } })
  await page.goto(`file://${join(folder, 'index.html')}`)
  await page.screenshot({ path: join(folder, 'montage.png'), fullPage: true })
  process.stdout.write(`${String(files.length)} pictures: ${join('var/shots', 'index.html')}\n`)
} finally {
  await cashier.close()
}
