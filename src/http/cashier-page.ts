import type { Order } from '../core/order.ts'
import { printMoney } from '../core/money.ts'
import { copyOf, type MessageKey } from './cashier-copy.ts'
import { paysHere, type Entry, type Language } from './cashier-entry.ts'
import { html, jsonScript, trusted, type Html } from './html.ts'
import { qrImage } from './qr.ts'

/** The cashier as HTML: whole and readable before any script runs, and without one (experience.md 2.3, 2.6). */

export type PageState = 'ready' | 'paid' | 'expired' | 'other' | 'failed' | 'outside'

export type PageAssets = { readonly script: string; readonly style: string }

export type CashierView = {
  readonly order: Order
  readonly merchantName: string
  readonly sandbox: boolean
  readonly language: Language
  readonly entry: Entry
  readonly state: PageState
  /** Whether the page may prepare the payment before the tap. */
  readonly precreate: boolean
  /** Where a phone's browser goes to open the mini-program, when there is one. */
  readonly launch?: string
  /** The address of this very page, for other devices. */
  readonly url: string
  readonly assets: PageAssets
}

type Copy = ReturnType<typeof copyOf>

/** What a state is called, and what it says below the amount. */
type Words = { readonly title: string; readonly note: string }

function wordsOf(view: CashierView, copy: Copy): Readonly<Record<string, Words>> {
  const payTo = copy('payTo', { merchant: view.merchantName })
  const words = (title: MessageKey, note: MessageKey): Words => ({ title: copy(title), note: copy(note) })
  return {
    ready: { title: payTo, note: '' },
    creating: { title: payTo, note: copy('creating') },
    invoking: { title: payTo, note: copy('invoking') },
    confirming: { title: payTo, note: copy('confirming') },
    slow: words('slowTitle', 'slow'),
    paid: words('paidTitle', 'paid'),
    cancelled: words('cancelledTitle', 'cancelled'),
    failed: words('failedTitle', view.state === 'failed' ? 'failedUnavailable' : 'failed'),
    expired: words('expiredTitle', 'expired'),
    offline: words('offlineTitle', 'offline'),
    other: words('otherTitle', 'other'),
    outside: outsideWords(view, words),
  }
}

function outsideWords(view: CashierView, words: (title: MessageKey, note: MessageKey) => Words): Words {
  if (view.entry === 'mini-program') return words('miniTitle', 'mini')
  if (view.entry === 'wecom') return words('wecomTitle', 'wecom')
  if (view.entry === 'phone') return words('phoneTitle', view.launch === undefined ? 'phone' : 'phoneMini')
  return words('desktopTitle', 'desktop')
}

/** The whole page. */
export function cashierPage(view: CashierView): string {
  const copy = copyOf(view.language)
  const words = wordsOf(view, copy)
  const now = words[view.state] ?? { title: '', note: '' }
  const { order } = view
  const amount = amountText(order, view.language)
  const body = html`<body data-state="${view.state}" data-entry="${view.entry}">
    ${view.sandbox && html`<header class="ribbon">${copy('sandbox')}</header>`}
    <main>
      <section class="card">
        <div class="mark" aria-hidden="true"></div>
        <h1 id="title" tabindex="-1">${now.title}</h1>
        <p class="amount${amount.length > 8 ? ' long' : ''}">${amount}</p>
        <dl>
          <div>
            <dt>${copy('item')}</dt>
            <dd>${order.subject}</dd>
          </div>
          <div>
            <dt>${copy('orderNo')}</dt>
            <dd>${order.merchant_order_no}</dd>
          </div>
          <div class="when">
            <dt>${copy('paidAt')}</dt>
            <dd id="when">${timeText(order.paid_at, view.language)}</dd>
          </div>
          <div class="reference">
            <dt>${copy('reference')}</dt>
            <dd>${order.id}</dd>
          </div>
        </dl>
      </section>
      <p id="note" class="note" role="status" aria-live="polite">${now.note}</p>
      ${guide(view, copy)}
      <div class="actions">
        ${paysHere(view.entry) && html`<button id="pay" type="button" aria-disabled="true">${copy('pay')}</button>`}
        <button id="check" class="second" type="button">${copy('check')}</button>
        ${order.return_url !== null && html`<a id="back" class="button second" href="${order.return_url}" rel="noreferrer">${copy('back')}</a>`}
      </div>
      <noscript><p class="note">${copy('noScript')}</p></noscript>
    </main>
    <footer>
      <a href="?lang=${otherLanguage(view.language)}" lang="${otherLanguage(view.language)}"
        >${copy('otherLanguage')}</a
      >
    </footer>
    ${jsonScript('cashier', setupOf(view, copy, words))}
  </body>`
  return documentOf(view.language, now.title, view.assets, body)
}

/** What the script must know. Nothing in it is a secret: whoever has the link may see all of it. */
function setupOf(view: CashierView, copy: Copy, words: Readonly<Record<string, Words>>) {
  const base = `${view.order.cashier_token}/`
  return {
    state: view.state,
    payments: `${base}payments`,
    status: `${base}status?lang=${view.language}`,
    prepare: view.precreate,
    back: view.order.return_url,
    words,
    labels: {
      pay: copy('pay'),
      again: copy('payAgain'),
      busy: copy('payBusy'),
      copied: copy('copied'),
      returning: copy('returning'),
    },
    reasons: {
      bridge: copy('failedBridge'),
      refused: copy('failedRefused'),
      busy: copy('failedBusy'),
      unavailable: copy('failedUnavailable'),
    },
    ...(view.entry === 'mini-program' && view.launch !== undefined ? { launch: view.launch } : {}),
  }
}

/** How to get into WeChat, for browsers that cannot pay; desktop WeChat keeps it in reserve for a missing bridge. */
function guide(view: CashierView, copy: Copy): Html {
  if (view.entry === 'wechat' || view.entry === 'mini-program') return trusted('')
  const launchable = view.entry === 'phone' && view.launch !== undefined
  return html`<section class="guide">
    ${
      launchable &&
      html`<a id="launch" class="button" href="${view.launch}" rel="noreferrer">${copy('openMini')}</a>
        <p class="help">${copy('openMiniHelp')}</p>`
    }
    ${view.entry !== 'phone' && html`<img class="qr" src="${qrImage(view.url)}" width="208" height="208" alt="${copy('qrAlt')}" />`}
    ${
      (view.entry === 'phone' || view.entry === 'wecom') &&
      html`<label for="link">${copy('linkLabel')}</label><input id="link" readonly value="${view.url}" /><button
          id="copy"
          class="second"
          type="button"
        >
          ${copy('copy')}
        </button>`
    }
  </section>`
}

/** A page that only says something: a broken link, an authorisation that did not happen. */
export function messagePage(options: {
  readonly language: Language
  readonly title: MessageKey
  readonly text: MessageKey
  readonly assets: PageAssets
  readonly next?: { readonly label: MessageKey; readonly href: string }
}): string {
  const copy = copyOf(options.language)
  const body = html`<body data-state="message">
    <main>
      <section class="card">
        <div class="mark" aria-hidden="true"></div>
        <h1 id="title">${copy(options.title)}</h1>
        <p class="text">${copy(options.text)}</p>
      </section>
      ${options.next !== undefined && html`<div class="actions"><a class="button" href="${options.next.href}">${copy(options.next.label)}</a></div>`}
    </main>
  </body>`
  return documentOf(options.language, copy(options.title), { ...options.assets, script: '' }, body)
}

/** The frame around every page of the cashier. */
export function documentOf(language: Language, title: string, assets: PageAssets, body: Html): string {
  return html`<!doctype html>
    <html lang="${language}">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width,initial-scale=1,viewport-fit=cover" />
        <meta name="color-scheme" content="light dark" />
        <meta name="format-detection" content="telephone=no" />
        <title>${title}</title>
        <link rel="icon" href="data:," />
        <link rel="stylesheet" href="${assets.style}" />
        ${assets.script !== '' && html`<script src="${assets.script}" defer></script>`}
      </head>
      ${body}
    </html>`.markup.replaceAll(/\n+/g, '\n')
}

/** An amount for people, in their language: 8800 CNY → ¥88.00. Formatted from the decimal text, so that nothing rounds. */
export function amountText(order: Pick<Order, 'amount' | 'currency'>, language: Language): string {
  const [decimal = '0'] = printMoney({ amount: order.amount, currency: order.currency }).split(' ')
  const format = new Intl.NumberFormat(language, {
    style: 'currency',
    currency: order.currency,
    currencyDisplay: 'narrowSymbol',
  })
  return format.format(decimal as `${number}`)
}

/** An instant for people, on the clock their WeChat shows. */
export function timeText(instant: number | null, language: Language): string {
  if (instant === null) return ''
  return new Intl.DateTimeFormat(language, {
    dateStyle: 'medium',
    timeStyle: 'medium',
    timeZone: 'Asia/Shanghai',
  }).format(instant)
}

function otherLanguage(language: Language): Language {
  return language === 'en' ? 'zh-CN' : 'en'
}
