import type { SimResponse } from '../http.ts'
import type { Link } from './links.ts'

const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`)

const STYLE = `:root{color-scheme:light dark;--ink:#16181b;--soft:#5d6570;--ground:#ededed;--card:#fff;--go:#067a38}
@media (prefers-color-scheme:dark){:root{--ink:#eee;--soft:#a0a7b0;--ground:#111;--card:#1c1c1e;--go:#0a7f3f}}
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;background:var(--ground);color:var(--ink);font:1rem/1.5 system-ui,-apple-system,"PingFang SC","Microsoft YaHei",sans-serif}
main{width:100%;max-width:24rem;background:var(--card);border-radius:.8rem;padding:1.75rem 1.5rem;text-align:center}
h1{font-size:1.15rem;margin:0 0 1rem}p{color:var(--soft);margin:1rem 0 0;overflow-wrap:anywhere;font-size:.875rem}
a{display:block;min-height:3rem;line-height:3rem;border-radius:.5rem;background:var(--go);color:#fff;text-decoration:none;font-weight:600}
:focus-visible{outline:3px solid #2f7de1;outline-offset:2px}`

const page = (status: number, title: string, content: string): SimResponse => ({
  status,
  headers: {
    'Content-Type': 'text/html; charset=utf-8',
    'Cache-Control': 'no-store',
    'Referrer-Policy': 'no-referrer',
  },
  body: `<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>${escape(title)}</title><style>${STYLE}</style></head><body><main><h1>${escape(title)}</h1>${content}<p>模拟微信链接 · simulated link</p></main></body></html>`,
})

/** What a browser outside WeChat shows for a URL Link: one tap opens WeChat, here the player of the fake WeChat. */
export function linkPage(link: Link, playerUrl: string): SimResponse {
  const scheme = `weixin://dl/business/?t=${link.ticket}`
  // 1194: opened by a URL Link; 1065: by an encrypted scheme (wechatpay.md 5.3).
  const query = new URLSearchParams({
    path: link.path,
    query: link.query,
    scene: link.kind === 'scheme' ? '1065' : '1194',
  })
  const target = playerUrl === '' ? scheme : `${playerUrl}/__mini?${query.toString()}`
  return page(200, '打开微信小程序', `<a id="open" href="${escape(target)}">打开微信 Open WeChat</a>`)
}

/** An expired link, or one that never was, tells the two apart as little as WeChat does. */
export const expiredLinkPage = (): SimResponse => page(404, '链接已过期', '<p id="expired">This link has expired.</p>')
