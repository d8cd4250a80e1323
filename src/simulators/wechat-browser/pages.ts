import type { Person } from './people.ts'

/** The players run nothing but their own scripts; the app asks its own merchant server, which is another origin. */
export const pageHeaders: Readonly<Record<string, string>> = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self' http://127.0.0.1:* http://localhost:*; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'Cache-Control': 'no-store',
}

const page = (title: string, script: string | undefined, person: Person, body: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/__wechat/player.css">
<link rel="stylesheet" href="/__wechat/bridge.css">
<script src="/__wechat/bridge.js"></script>
${script === undefined ? '' : `<script src="/__wechat/${script}" defer></script>`}
</head>
<body class="player" data-person="${person.id}">
${body}
</body>
</html>`

/** The merchant's app, as far as paying goes: it shows an order, opens WeChat, and asks its server when it is back. */
export const appPage = (person: Person): string =>
  page(
    'The app',
    'app.js',
    person,
    `<main class="phone app">
<p class="where">The merchant’s app <span lang="zh-CN">商家 App</span></p>
<h1 id="subject">An order</h1>
<p class="amount" id="amount"></p>
<p class="status" id="status" role="status" data-status="">Asking our server…</p>
<a class="button primary" id="open" hidden>Pay with WeChat <span lang="zh-CN">微信支付</span></a>
<a class="button" id="order" hidden>Show the order in the shop</a>
<ol class="log" id="log" aria-label="What happened"></ol>
</main>`,
  )

/** The merchant's mini-program, or Huifu's hosted one, played by a page. */
export const miniPage = (person: Person): string =>
  page(
    'The mini-program',
    'mini.js',
    person,
    `<main class="phone mini">
<p class="where">WeChat mini-program <span lang="zh-CN">微信小程序</span></p>
<h1 id="subject">Order</h1>
<p class="amount" id="amount"></p>
<p class="status" id="status" role="status" data-status="loading">Signing in…</p>
<button class="button primary" id="pay" hidden>Pay now <span lang="zh-CN">立即支付</span></button>
<button class="button" id="again" hidden>Ask again <span lang="zh-CN">查询结果</span></button>
<button class="button" id="back" hidden>Back to the app <span lang="zh-CN">返回 App</span></button>
<ol class="log" id="log" aria-label="What happened"></ol>
</main>`,
  )

/** Where somebody lands who opens the fake WeChat by itself. */
export const homePage = (person: Person): string =>
  page(
    'WeChat, simulated',
    undefined,
    person,
    `<main class="phone">
<p class="where">WeChat, simulated <span lang="zh-CN">模拟微信</span></p>
<h1>Nothing is open</h1>
<p>Buy something in the shop and choose “Pay in WeChat (H5)”. Any page of the gateway opens here too: put this address in
place of the gateway’s.</p>
<p lang="zh-CN">在商店下单后点击“Pay in WeChat (H5)”。也可以把网关页面地址中的主机和端口换成本页的。</p>
</main>`,
  )
