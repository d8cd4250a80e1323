// A shop in one small file: open an order, hand the payer what the phone needs, believe nothing but a verified webhook.
import { createServer } from 'node:http'
import { Webhook } from 'standardwebhooks'

const { GATEWAY_URL = 'http://127.0.0.1:8080', GATEWAY_KEY = '', WEBHOOK_SECRET = '', PORT = '3000' } = process.env
const webhook = new Webhook(WEBHOOK_SECRET)
const paid = new Map() // order number → amount in fen; a database in a real shop
const heard = new Set() // webhooks come at least once, so remember which ones you have seen

async function gateway(path, body) {
  const headers = { Authorization: `Bearer ${GATEWAY_KEY}`, 'Content-Type': 'application/json' }
  const response = await fetch(GATEWAY_URL + path, { method: 'POST', headers, body: JSON.stringify(body) })
  const answer = await response.json()
  if (!response.ok) throw new Error(`${answer.code}: ${answer.detail}`)
  return answer
}

/** Opening twice with the same number and content gives the same order: repeat it as often as you like. */
async function buy(number, openid) {
  const order = { merchant_order_no: number, amount: 88, currency: 'CNY', subject: 'A cup of oolong' }
  const { id } = await gateway('/v1/orders', order)
  const attempt = { method: 'wechat_jsapi', openid, client_ip: '127.0.0.1' }
  return gateway(`/v1/orders/${id}/payments`, attempt) // { payment, invocation } for WeixinJSBridge
}

/** The signature covers the exact bytes, so verify before parsing; the snapshot in it is complete. */
function receive(headers, body) {
  const event = webhook.verify(body, headers)
  if (heard.has(headers['webhook-id'])) return
  heard.add(headers['webhook-id'])
  const { order } = event.data
  if (order.status === 'paid') paid.set(order.merchant_order_no, order.amount - order.refunded)
}

async function answer(req, body) {
  const url = new URL(req.url, 'http://shop')
  if (req.method === 'POST' && url.pathname === '/webhooks') return receive(req.headers, body)
  if (req.method === 'POST' && url.pathname === '/buy')
    return buy(url.searchParams.get('no'), url.searchParams.get('openid'))
  return Object.fromEntries(paid)
}

async function respond(req, res) {
  const parts = []
  for await (const part of req) parts.push(part)
  const outcome = await answer(req, Buffer.concat(parts)).then(
    (value) => [200, value ?? {}],
    (error) => [400, { error: error.message }],
  )
  res.writeHead(outcome[0], { 'Content-Type': 'application/json' }).end(JSON.stringify(outcome[1]))
}

createServer((req, res) => void respond(req, res)).listen(Number(PORT), '127.0.0.1', () => console.log(`shop at http://127.0.0.1:${PORT}`))
