import type { SimHandler, SimResponse } from '../http.ts'
import { parametersOf } from '../parameters.ts'
import { checkLaunch, LAUNCH_FIELDS } from './launch.ts'
import type { Order } from './ledger.ts'
import { payOrder } from './orders.ts'
import type { World } from './world.ts'

const WALLET_PATH = '/wallet/wechat'

const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`)

const STYLE = `:root{color-scheme:light dark;--ink:#111;--soft:#666;--ground:#ededed;--card:#fff;--line:#ddd}
@media (prefers-color-scheme:dark){:root{--ink:#eee;--soft:#999;--ground:#111;--card:#1c1c1e;--line:#333}}
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;padding:16px;background:var(--ground);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"PingFang SC","Microsoft YaHei",sans-serif}
main{width:100%;max-width:380px;background:var(--card);border:1px solid var(--line);border-radius:14px;padding:28px 24px;text-align:center}
small{color:var(--soft);display:block;overflow-wrap:anywhere}h1{font-size:1rem;font-weight:500;margin:8px 0;overflow-wrap:anywhere}
.amount{font-size:2.6rem;font-weight:600;margin:8px 0 20px;font-variant-numeric:tabular-nums}
button,a.button{display:block;width:100%;min-height:48px;margin-top:12px;border-radius:10px;border:1px solid var(--line);background:transparent;color:inherit;
font:inherit;cursor:pointer;text-decoration:none;line-height:46px}button.pay{background:#06803f;border-color:#06803f;color:#fff;font-weight:600}
:focus-visible{outline:3px solid #2f7de1;outline-offset:2px}p[role=alert]{color:#c0392b}@media (prefers-color-scheme:dark){p[role=alert]{color:#ff8a80}}`

const page = (title: string, content: string, status = 200): SimResponse => ({
  status,
  headers: { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-store' },
  body: `<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escape(title)}</title><style>${STYLE}</style></head><body><main>${content}<small>模拟微信支付 · simulated, no real money</small></main></body></html>`,
})

/** Fen as yuan for people, by text arithmetic. */
const yuan = (fen: number): string => {
  const digits = String(fen).padStart(3, '0')
  return `¥${digits.slice(0, -2)}.${digits.slice(-2)}`
}

const summary = (order: Order): string =>
  `<small>商户订单 ${escape(order.outTradeNo)}</small><h1>${escape(order.description)}</h1><div class="amount">${yuan(order.total)}</div>`

const refusal = (problem: string, order?: Order): SimResponse =>
  page('无法支付', `${order ? summary(order) : ''}<p role="alert">${escape(problem)}</p>`, 400)

function askPage(order: Order, parameters: Record<string, string>): SimResponse {
  const kept = ['prepay_id', 'appId', ...LAUNCH_FIELDS, 'openid', 'return_url']
  const hidden = kept
    .flatMap((name) => (parameters[name] === undefined ? [] : [[name, parameters[name]] as const]))
    .map(([name, value]) => `<input type="hidden" name="${name}" value="${escape(value)}">`)
    .join('')
  const button = (act: string, text: string): string =>
    `<button class="${act}" id="${act}" name="act" value="${act}">${text}</button>`
  const buttons = `${button('pay', '支付 Pay')}${button('cancel', '取消 Cancel')}${button('fail', '失败 Fail')}`
  return page(
    '微信支付（模拟）',
    `${summary(order)}<form method="post" action="${WALLET_PATH}">${hidden}${buttons}</form>`,
  )
}

/** Tells the page that opened the wallet what its bridge would tell it (wechatpay.md 3.2). */
function donePage(order: Order, outcome: 'ok' | 'cancel' | 'fail', returnUrl: string | undefined): SimResponse {
  const text = { ok: '支付成功 Paid', cancel: '已取消 Cancelled', fail: '支付失败 Failed' }[outcome]
  const back = returnUrl !== undefined && /^https?:\/\//i.test(returnUrl) && URL.canParse(returnUrl)
  const link = back ? `<a class="button" id="back" href="${escape(new URL(returnUrl).href)}">返回商家 Back</a>` : ''
  const message = JSON.stringify({ source: 'simulated-wallet', err_msg: `get_brand_wcpay_request:${outcome}` })
  const script = `<script>for(const w of [window.opener,window.parent])if(w&&w!==window)w.postMessage(${message},'*')</script>`
  return page(text, `${summary(order)}<p id="outcome" role="status">${text}</p>${link}${script}`)
}

/** The page on which a person or a browser test presses Pay; nothing is paid without a right launch signature. */
export function createWallet(world: World): SimHandler {
  return (request) => {
    if (request.path !== WALLET_PATH) return undefined
    const parameters = parametersOf(request)
    const checked = checkLaunch(world, parameters)
    if ('problem' in checked) {
      const order = world.ledger.orderByPrepay(parameters['prepay_id'] ?? '')
      return refusal(checked.problem, order)
    }
    const { order } = checked
    if (request.method === 'GET') return askPage(order, parameters)
    if (request.method !== 'POST') return { status: 405, headers: {}, body: '' }
    if (parameters['act'] === 'pay') {
      const { openid } = parameters
      const problem = payOrder(world, order, openid === undefined ? {} : { openid })
      return problem === undefined ? donePage(order, 'ok', parameters['return_url']) : refusal(problem, order)
    }
    if (parameters['act'] === 'fail') {
      // A failed attempt leaves the order NOTPAY; it can be paid again (wechatpay.md 2.5).
      order.failedAttempts += 1
      world.ledger.changed()
    }
    return donePage(order, parameters['act'] === 'fail' ? 'fail' : 'cancel', parameters['return_url'])
  }
}
