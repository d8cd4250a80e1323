import { html, type Html } from './html.ts'
import type { Product, ShopOrder } from './memory.ts'
import { yuan } from './money.ts'

export type Channel = { id: string; name: string; note: string }

/** Pages that run nothing but the shop's own script. */
export const pageHeaders: Readonly<Record<string, string>> = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'Referrer-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
  'Cache-Control': 'no-store',
}

/** The frame around every page. */
export function layout(title: string, main: Html): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} · Demo Teahouse</title>
        <link rel="icon" href="data:," />
        <link rel="stylesheet" href="/shop.css" />
        <script src="/shop.js" defer></script>
      </head>
      <body>
        <p class="ribbon">Sandbox: nothing here is real money <span lang="zh-CN">模拟环境，不涉及真实资金</span></p>
        <header class="top">
          <a class="brand" href="/"><span aria-hidden="true" lang="zh-CN">茶</span> Demo Teahouse</a>
        </header>
        <main>${main}</main>
      </body>
    </html>`.markup
}

const radio = (name: string, value: string, first: boolean, label: Html): Html =>
  html`<label class="choice"
    ><input type="radio" name="${name}" value="${value}" required${first ? html` checked` : ''} /><span
      >${label}</span
    ></label
  >`

const productLabel = (product: Product): Html =>
  html`<span class="choice-head"><b>${product.name}</b><b class="price">${yuan(product.price)}</b></span
    ><small>${product.note}</small>`

const channelLabel = (channel: Channel): Html =>
  html`<span class="choice-head"><b>${channel.name}</b><code>${channel.id}</code></span
    ><small>${channel.note}</small>`

const orderRow = (order: ShopOrder, status: string): Html =>
  html`<li>
    <a href="/orders/${order.no}"
      ><span>${order.subject}<small>${order.no} · ${order.channel}</small></span
      ><span class="price">${yuan(order.amount)}<small>${status}</small></span></a
    >
  </li>`

/** What is for sale, and through which channel it shall be paid. */
export function homePage(view: {
  products: readonly Product[]
  channels: readonly Channel[]
  orders: readonly { order: ShopOrder; status: string }[]
  canRoute: boolean
}): string {
  const rows = view.orders.map(({ order, status }) => orderRow(order, status))
  const recent =
    rows.length === 0
      ? ''
      : html`<section>
          <h2>Recent orders</h2>
          <ul class="orders">
            ${rows}
          </ul>
        </section>`
  const routing = view.canRoute
    ? 'Buying points one line of the gateway’s configuration at this channel. The shop’s own code stays the same.'
    : 'The gateway’s configuration decides; this shop was started without its path.'
  return layout(
    'Buy',
    html`<div class="narrow">
      <h1>What would you like?</h1>
      <form method="post" action="/buy" class="card" data-busy="Opening…">
        <fieldset>
          <legend>Goods</legend>
          ${view.products.map((product, index) => radio('product', product.id, index === 0, productLabel(product)))}
        </fieldset>
        <fieldset>
          <legend>Paid through</legend>
          ${view.channels.map((channel, index) => radio('channel', channel.id, index === 0, channelLabel(channel)))}
          <p class="hint">${routing}</p>
        </fieldset>
        <button class="primary" id="buy">Buy</button>
      </form>
      ${recent}
    </div>`,
  )
}

/** For addresses that lead nowhere. */
export const notFoundPage = (): string =>
  layout(
    'Not found',
    html`<div class="narrow">
      <h1>There is no such page</h1>
      <p><a href="/">Back to the shop</a></p>
    </div>`,
  )
