// A merchant on one page: opens an order, sends the payer to the cashier, hears by webhook that it is paid.
import { createServer } from 'node:http'
import { Webhook } from 'standardwebhooks'

const { GATEWAY = 'http://127.0.0.1:8080', API_KEY, WEBHOOK_SECRET, SHOP = 'http://127.0.0.1:3000' } = process.env
const headers = { authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json' }
const paid = new Set()

async function buy(res) {
  const no = `tea-${Date.now()}`
  const order = { merchant_order_no: no, amount: 88, currency: 'CNY', subject: 'A cup of oolong' }
  const body = JSON.stringify({ ...order, return_url: `${SHOP}/orders/${no}` })
  const opened = await (await fetch(`${GATEWAY}/v1/orders`, { method: 'POST', headers, body })).json()
  res.writeHead(303, { location: opened.cashier_url }).end()
}

async function hear(req, res) {
  const body = Buffer.concat(await req.toArray()).toString()
  try {
    const event = new Webhook(WEBHOOK_SECRET).verify(body, req.headers)
    if (event.type === 'order.paid') paid.add(event.data.order.merchant_order_no)
    res.writeHead(204).end()
  } catch {
    res.writeHead(401).end()
  }
}

async function answer(req, res) {
  const no = /^\/orders\/(tea-\d+)/.exec(req.url)?.[1]
  if (req.url === '/webhooks') await hear(req, res)
  else if (req.url === '/buy') await buy(res)
  // Whoever comes back from the cashier may have paid or not: the page tells what the webhook told.
  else res.end(no && paid.has(no) ? `${no} is paid` : no ? `${no}: not yet; reload in a moment` : 'open /buy')
}

const server = createServer((req, res) => void answer(req, res).catch(() => res.writeHead(502).end()))
server.listen(new URL(SHOP).port)
