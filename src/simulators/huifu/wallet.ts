import { beijingStamp } from './beijing.ts'
import type { OrderRow } from './books.ts'
import { yuanOf } from './money.ts'

const escape = (text: string): string => text.replace(/[&<>"']/g, (mark) => `&#${mark.charCodeAt(0)};`)

const STATES: Readonly<Record<OrderRow['transStat'], string>> = {
  P: 'Waiting for payment',
  S: 'Paid',
  F: 'Closed or failed',
}

const STYLE = `
:root{color-scheme:light dark;--ground:#f3f4f6;--card:#fff;--ink:#15181c;--soft:#5b6470;--line:#e1e4e8;--pay:#0a7d43}
@media(prefers-color-scheme:dark){:root{--ground:#101214;--card:#1b1e22;--ink:#eceff2;--soft:#a0a9b4;--line:#2c3137;--pay:#0d8246}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"PingFang SC",sans-serif}
main{max-width:26rem;margin:0 auto;padding:1.25rem}
.note{color:var(--soft);font-size:.8rem;text-align:center;margin:.5rem 0 1.25rem}
section{background:var(--card);border:1px solid var(--line);border-radius:16px;padding:1.5rem}
.amount{font-size:2.75rem;font-weight:650;text-align:center;margin:.25rem 0;font-variant-numeric:tabular-nums}
.state{text-align:center;color:var(--soft);margin:0 0 1rem}
dl{display:grid;grid-template-columns:auto 1fr;gap:.35rem 1rem;margin:0 0 1.5rem;border-top:1px solid var(--line);padding-top:1rem;font-size:.9rem}
dt{color:var(--soft)}dd{margin:0;text-align:right;overflow-wrap:anywhere}
form{margin:0 0 .75rem}
button{width:100%;min-height:3rem;border-radius:12px;border:1px solid var(--line);background:transparent;color:inherit;font:inherit;font-weight:600;cursor:pointer}
button.pay{background:var(--pay);border-color:var(--pay);color:#fff}
button:focus-visible{outline:3px solid var(--pay);outline-offset:2px}
`

const frame = (title: string, body: string): string =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1,viewport-fit=cover"><title>${escape(title)}</title><style>${STYLE}</style></head><body><main><p class="note">Simulated wallet — no real money</p>${body}</main></body></html>`

/** The page on which a person, or a browser test, pays a simulated order. Works without scripts. */
export function walletPage(order: OrderRow): string {
  const act = (verb: string, label: string, kind: string): string =>
    `<form method="post" action="/_sim/huifu/${verb}"><input type="hidden" name="hf_seq_id" value="${escape(order.hfSeqId)}"><input type="hidden" name="return" value="wallet"><button class="${kind}" id="${verb}">${label}</button></form>`
  const rows: [string, string][] = [
    ['Goods', order.goodsDesc],
    ['Order', order.reqSeqId],
    ['Type', order.tradeType],
    ['Created', beijingStamp(order.createdAt).replace(/(\d{4})(..)(..)(..)(..)(..)/, '$1-$2-$3 $4:$5:$6')],
    ...(order.transStat === 'S' ? [['Transaction', order.outTransId] as [string, string]] : []),
    ...(order.transStat === 'F' ? [['Reason', order.bankMessage] as [string, string]] : []),
  ]
  const list = rows.map(([name, value]) => `<dt>${name}</dt><dd>${escape(value)}</dd>`).join('')
  const buttons = order.transStat === 'P' ? act('pay', 'Pay', 'pay') + act('fail', 'Fail', 'fail') : ''
  return frame(
    'Wallet',
    `<section><p class="amount">¥${yuanOf(order.amountFen)}</p><p class="state" id="state" data-stat="${order.transStat}">${STATES[order.transStat]}</p><dl>${list}</dl>${buttons}</section>`,
  )
}

/** What a person sees who followed a stale link. */
export const noSuchOrderPage = (): string =>
  frame('Wallet', '<section><p class="state">There is no such order.</p></section>')
