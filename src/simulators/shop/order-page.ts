import { html, type Html } from './html.ts'
import { refundedOf, type LedgerOrder } from './ledger.ts'
import type { Act, ShopOrder } from './memory.ts'
import { plainYuan, yuan } from './money.ts'
import { layout } from './page.ts'
import type { OrderView } from './snapshot.ts'
import type { Moment } from './timeline.ts'

export type OrderPage = {
  order: ShopOrder
  /** As the gateway tells it now; undefined while it has not answered. */
  now: OrderView | undefined
  /** As the shop knows it from webhooks alone. */
  heard: LedgerOrder | undefined
  acts: readonly Act[]
  moments: readonly Moment[]
  walletUrl: string | undefined
  /** There is a fake WeChat to pay in. */
  inWechat: boolean
}

/** Parts of the page that change while it is open, by the id of their element. */
export type Regions = Readonly<Record<'state' | 'actions' | 'books' | 'timeline', Html>>

const statusOf = (page: OrderPage): string => page.heard?.status || page.now?.status || 'opening'

const words: Readonly<Record<string, string>> = {
  opening: 'Opening…',
  open: 'Waiting for payment',
  paid: 'Paid',
  closed: 'Closed',
}

function paidPayment(page: OrderPage) {
  return page.now?.payments.find((payment) => payment.id === page.now?.paidPaymentId)
}

function state(page: OrderPage): Html {
  const status = statusOf(page)
  const payment = paidPayment(page) ?? page.now?.payments.at(-1)
  const account = payment?.accountStatus ?? 'none'
  const untold = payment?.status === 'succeeded' ? 'not told by this channel' : 'not yet'
  const refunded = page.now?.refunded ?? 0
  return html`<p class="amount">${yuan(page.order.amount)}</p>
    <p class="badge ${status}" data-status="${status}" role="status">${words[status] ?? status}</p>
    <dl>
      <dt>Order</dt>
      <dd><code>${page.order.no}</code></dd>
      <dt>Channel</dt>
      <dd><code id="channel">${payment?.channel ?? page.order.channel}</code></dd>
      <dt>Trade</dt>
      <dd id="trade">${payment?.status ?? 'not yet'}</dd>
      <dt>Account</dt>
      <dd id="account">${account === 'none' ? untold : account}</dd>
      <dt>Refunded</dt>
      <dd id="refunded">${yuan(refunded)}</dd>
    </dl>`
}

const action = (page: OrderPage, verb: string, text: string, kind: string): Html =>
  html`<form method="post" action="/orders/${page.order.no}/${verb}" data-live-form>
    <button class="${kind}" id="${verb}">${text}</button>
  </form>`

function payPart(page: OrderPage): Html {
  if (page.walletUrl === undefined) return html`<p class="hint">Getting ready…</p>`
  const inWechat = page.inWechat
    ? html`<a class="button primary" id="h5" href="/orders/${page.order.no}/h5">Pay in WeChat (H5)</a>
        <a class="button" id="app" href="/orders/${page.order.no}/app">Pay from the shop’s app</a>`
    : ''
  return html`${inWechat}<a
      class="button ${page.inWechat ? '' : 'primary'}"
      id="wallet"
      href="${page.walletUrl}"
      target="_blank"
      rel="noreferrer"
      >Open the wallet</a
    >
    ${action(page, 'pay', 'Pay now, as the payer’s phone would', '')}
    ${action(page, 'close', 'Close the order', 'quiet')}`
}

/** About a third of the price, so that three refunds give everything back; the last one takes what remains. */
function suggested(page: OrderPage, remaining: number): number {
  const done = page.now?.refunds.filter((refund) => refund.status !== 'failed').length ?? 0
  return done >= 2 ? remaining : Math.max(1, Math.min(remaining, Math.floor(page.order.amount / 3)))
}

function refundPart(page: OrderPage): Html {
  const remaining = page.now?.refundable ?? 0
  const amount = remaining > 0 ? suggested(page, remaining) : 1
  const text = remaining > 0 ? 'Refund' : 'Try one fen more'
  return html`<form method="post" action="/orders/${page.order.no}/refund" data-live-form class="refund">
    <label for="refund-amount">Refund, in yuan</label>
    <input
      id="refund-amount"
      name="amount"
      value="${plainYuan(amount)}"
      inputmode="decimal"
      autocomplete="off"
      pattern="[0-9]+([.][0-9]{1,2})?"
      required
    />
    <button id="refund" class="${remaining > 0 ? 'primary' : ''}">${text}</button>
    <p class="hint" id="remaining">
      ${remaining > 0 ? `${yuan(remaining)} of ${yuan(page.order.amount)} can still be refunded.` : 'Nothing is left to refund. The gateway refuses more.'}
    </p>
  </form>`
}

const refundRow = (refund: OrderView['refunds'][number]): Html =>
  html`<li><span>${yuan(refund.amount)}</span><span class="refund-status ${refund.status}">${refund.status}</span></li>`

function actions(page: OrderPage): Html {
  const status = page.now?.status ?? 'opening'
  const last = page.acts.at(-1)
  const refusal =
    last?.kind === 'refused'
      ? html`<div class="refusal" role="alert" id="refusal">
          <b>${last.title}</b>
          <p>${last.detail}</p>
        </div>`
      : ''
  const refunds = page.now?.refunds ?? []
  const list =
    refunds.length === 0
      ? ''
      : html`<ul class="refunds" id="refunds">
          ${refunds.map(refundRow)}
        </ul>`
  if (status === 'open') return html`${refusal}${payPart(page)}`
  if (status === 'paid') return html`${refusal}${refundPart(page)}${list}`
  return html`${refusal}
    <p class="hint">${status === 'closed' ? 'Nobody can pay this order any more.' : 'One moment…'}</p>`
}

const same = (left: string | number, right: string | number): Html =>
  left === right ? html`<td class="agree">✓ agree</td>` : html`<td class="wait">not yet</td>`

function books(page: OrderPage): Html {
  const { heard, now } = page
  const rows: readonly [string, string, string][] = [
    ['Status', heard?.status ?? 'nothing yet', now?.status ?? '…'],
    ['Refunded', yuan(heard === undefined ? 0 : refundedOf(heard)), yuan(now?.refunded ?? 0)],
    [
      'Account',
      heard?.payments.get(heard.paidPaymentId)?.accountStatus ?? '–',
      paidPayment(page)?.accountStatus ?? '–',
    ],
  ]
  return html`<table>
      <thead>
        <tr>
          <th scope="col"><span class="hidden">What</span></th>
          <th scope="col">Shop</th>
          <th scope="col">Gateway</th>
          <th scope="col"><span class="hidden">Agreement</span></th>
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          ([name, left, right]) =>
            html`<tr>
              <th scope="row">${name}</th>
              <td>${left}</td>
              <td>${right}</td>
              ${same(left, right)}
            </tr>`,
        )}
      </tbody>
    </table>
    <p class="hint">The shop’s side is made from verified webhooks alone.</p>`
}

/** Seconds since the order began: +1.24 s. */
function since(start: number, at: number): string {
  const ms = String(Math.max(0, Math.round(at - start))).padStart(4, '0')
  return `+${ms.slice(0, -3)}.${ms.slice(-3, -1)} s`
}

const diffLine = (line: string): Html =>
  html`<span class="${line.startsWith('+') ? 'added' : line.startsWith('-') ? 'removed' : ''}">${line}</span>`

function detailOf(moment: Moment): Html {
  if (!moment.detail.includes('{')) return html`<p>${moment.detail}</p>`
  return html`<pre>${moment.detail.split('\n').map(diffLine)}</pre>`
}

function timeline(page: OrderPage): Html {
  const items = page.moments.map(
    (moment) =>
      html`<li id="${moment.key}" class="moment ${moment.lane} ${moment.tone}">
        <p class="who">
          ${moment.who}<time datetime="${new Date(moment.at).toISOString()}">${since(page.order.at, moment.at)}</time>
        </p>
        <h3>${moment.title}</h3>
        ${detailOf(moment)}
      </li>`,
  )
  return html`<ol class="timeline">
    ${items}
  </ol>`
}

/** The parts that change, from what is known now. */
export const regionsOf = (page: OrderPage): Regions => ({
  state: state(page),
  actions: actions(page),
  books: books(page),
  timeline: timeline(page),
})

/** One order and its life. */
export function orderPage(page: OrderPage): string {
  const regions = regionsOf(page)
  return layout(
    page.order.subject,
    html`<div class="wide" data-live="/orders/${page.order.no}/live">
      <div class="side">
        <section class="card">
          <h1>${page.order.subject}</h1>
          <div id="state">${regions.state}</div>
        </section>
        <section class="card" aria-label="What you can do"><div id="actions">${regions.actions}</div></section>
        <section class="card">
          <h2>Two sets of books</h2>
          <div id="books">${regions.books}</div>
        </section>
        <p><a href="/">Buy something else</a></p>
      </div>
      <section class="card life">
        <h2>The life of this order</h2>
        <div id="timeline">${regions.timeline}</div>
      </section>
    </div>`,
  )
}
