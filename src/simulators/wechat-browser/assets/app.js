/*
 * The merchant's app, played by a page: it opens the mini-program with the launch fields its server gave it, and asks its
 * server whenever it is in front again, however the payer came back (experience.md 4.1).
 * Query: user_name, path, expires_at; order_url: the app's own server, JSON { status, amount, subject }; page: its page.
 */
;(() => {
  'use strict'
  const query = new URLSearchParams(location.search)
  const at = (id) => document.getElementById(id)
  const log = (text) => {
    const line = document.createElement('li')
    line.textContent = text
    at('log').append(line)
  }
  const words = { open: 'Waiting for payment', paid: 'Paid', closed: 'Closed' }
  const yuan = (fen) => {
    const digits = String(fen).padStart(3, '0')
    return `¥${digits.slice(0, -2)}.${digits.slice(-2)}`
  }
  const show = (order) => {
    at('subject').textContent = order.subject || 'An order'
    if (Number.isInteger(order.amount)) at('amount').textContent = yuan(order.amount)
    at('status').textContent = words[order.status] || order.status
    at('status').dataset.status = order.status
    at('open').hidden = order.status !== 'open'
  }

  let asking = false
  let tries = 8
  /** One question at a time; the answer decides what the app shows, and nothing WeChat handed over does. */
  const refresh = async (why) => {
    const url = query.get('order_url')
    if (url === null || asking) return
    asking = true
    log(`asked our server: ${why}`)
    try {
      const order = await (await fetch(url, { cache: 'no-store' })).json()
      show(order)
      log(`our server says: ${order.status}`)
      // After a payment the webhook may still be under way.
      if (order.status === 'open' && why !== 'start' && tries-- > 0) setTimeout(() => void refresh('not paid yet'), 700)
    } catch {
      at('status').textContent = 'Our server does not answer.'
    }
    asking = false
  }

  // userName is the original id, path carries the token: both as the gateway's launch answer gave them.
  const path = query.get('path') || ''
  const mark = path.indexOf('?')
  const target = new URLSearchParams({
    path: mark < 0 ? path : path.slice(0, mark),
    query: mark < 0 ? '' : path.slice(mark + 1),
    user_name: query.get('user_name') || '',
    scene: '1069',
    back: location.pathname + location.search,
  })
  at('open').href = `/__mini?${target}`
  if (query.get('page')) {
    at('order').href = query.get('page')
    at('order').hidden = false
  }
  if (path === '') at('status').textContent = 'No launch: open this page from the shop.'

  addEventListener('pageshow', (event) => {
    const back = location.hash === '#back'
    void refresh(event.persisted || back ? 'the app is in front again' : 'start')
    if (back) log('WeChat gave extMsg: a hint, not looked at')
  })
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') void refresh('the app is in front again')
  })
})()
