import { setTimeout as sleep } from 'node:timers/promises'
import { open } from '../test/harness.ts'
import { cashierUrlOf, startCashierWorld, type CashierWorld } from '../test/browser/cashier-world.ts'

/**
 * What the cashier weighs, and how long a payer on a slow phone waits: `npm run bench:cashier`. Emulated by Chromium:
 * 150 ms round trips, 1.6 Mbit/s, a processor four times slower; a cold cache every time, WeChat's own authorisation
 * excluded because it is not ours (experience.md 2.1, 2.8). Fails when a budget is broken.
 */

const rounds = 5
const network = { offline: false, latency: 150, downloadThroughput: 200_000, uploadThroughput: 200_000 }
const slowdown = 4

type Round = { readonly amount: number; readonly bridge: number; readonly bytes: number; readonly requests: number }

const budgets: Readonly<Record<keyof Round, { readonly limit: number; readonly name: string; readonly unit: string }>> =
  {
    amount: { limit: 1200, name: 'amount visible', unit: 'ms' },
    bridge: { limit: 1500, name: 'bridge called', unit: 'ms' },
    bytes: { limit: 15_000, name: 'page weight, gzipped', unit: 'bytes' },
    requests: { limit: 4, name: 'requests', unit: '' },
  }

/** Taps as soon as the button works, as fast as no finger is; notes when the amount was painted and the bridge called. */
const watch = `(() => {
  window.__times = {}
  const tick = () => {
    if (window.__times.amount === undefined && document.querySelector('.amount')) {
      requestAnimationFrame(() => setTimeout(() => { window.__times.amount ??= performance.now() }))
    }
    const pay = document.getElementById('pay')
    if (pay && pay.getAttribute('aria-disabled') === 'false') pay.click()
    else requestAnimationFrame(tick)
  }
  window.WeixinJSBridge = { call() {}, on() {}, invoke() { window.__times.bridge ??= performance.now() } }
  requestAnimationFrame(tick)
})()`

async function measure(cashier: CashierWorld): Promise<Round> {
  const order = await open(cashier.world, 8800)
  const visitor = await cashier.visit({ bridge: 'none' })
  try {
    // Once through WeChat, so that the measured visit has its session; then nothing is left in the cache.
    await visitor.goto(order)
    await visitor.context.addInitScript(watch)
    const page = await visitor.context.newPage()
    const cdp = await visitor.context.newCDPSession(page)
    await cdp.send('Network.enable')
    await cdp.send('Network.clearBrowserCache')
    await cdp.send('Network.emulateNetworkConditions', network)
    await cdp.send('Emulation.setCPUThrottlingRate', { rate: slowdown })
    let bytes = 0
    let requests = 0
    cdp.on('Network.requestWillBeSent', ({ request }) => {
      if (request.url.startsWith('http')) requests += 1
    })
    cdp.on('Network.loadingFinished', ({ encodedDataLength }) => {
      bytes += encodedDataLength
    })
    await page.goto(cashierUrlOf(order))
    for (let waited = 0; waited < 20_000; waited += 200) {
      await sleep(200)
      const times = await page.evaluate<{ amount?: number; bridge?: number }>('window.__times')
      const { amount, bridge } = times
      if (amount !== undefined && bridge !== undefined) return { amount, bridge, bytes, requests }
    }
    throw new Error(`never paid: ${await page.innerText('body')}`)
  } finally {
    await visitor.close()
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

const cashier = await startCashierWorld('wechat-main', 1)
try {
  await measure(cashier)
  const measured: Round[] = []
  for (let round = 0; round < rounds; round += 1) measured.push(await measure(cashier))
  const keys = Object.keys(budgets) as (keyof Round)[]
  const rows = keys.map((key) => {
    const { name, limit, unit } = budgets[key]
    const values = measured.map((round) => Math.round(round[key]))
    return {
      what: name,
      median: median(values),
      budget: limit,
      unit,
      all: values.join(' '),
      ok: median(values) <= limit,
    }
  })
  console.table(Object.fromEntries(rows.map(({ what, ...row }) => [what, row])))
  if (rows.some(({ ok }) => !ok)) process.exitCode = 1
} finally {
  await cashier.close()
}
