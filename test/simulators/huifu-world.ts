import { expect } from 'chai'
import { sign, verify } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { createChaos } from '../../src/simulators/chaos.ts'
import { createClock, type Clock } from '../../src/simulators/clock.ts'
import type { SimHandler, SimResponse } from '../../src/simulators/http.ts'
import { createHuifuSimulator } from '../../src/simulators/huifu/simulator.ts'
import { createNotifier } from '../../src/simulators/notifier.ts'

/** A simulator with a client, a receiver and a control hand, written with node:crypto and JSON.stringify only. */
export type Data = Record<string, string>
type Pair = { privateKey: string; publicKey: string }

export const vector = <Shape>(name: string): Shape =>
  JSON.parse(readFileSync(new URL(`../vectors/huifu/${name}.json`, import.meta.url), 'utf8')) as Shape
export const keys = vector<{ merchant: Pair; huifu: Pair }>('keys')
export const v1 = vector<{ input: string; canonical: string; sign: string }>('v1')

const pem = (label: string, base64: string): string => `-----BEGIN ${label}-----\n${base64}\n-----END ${label}-----\n`
const merchantKey = pem('PRIVATE KEY', keys.merchant.privateKey)
const huifuKey = pem('PUBLIC KEY', keys.huifu.publicKey)
export const signAs = (text: string, key = merchantKey): string =>
  sign('sha256', Buffer.from(text), key).toString('base64')
export const isHuifus = (text: string, signature: string): boolean =>
  verify('sha256', Buffer.from(text), huifuKey, Buffer.from(signature, 'base64'))
export const sorted = (data: object): string =>
  JSON.stringify(Object.fromEntries(Object.entries(data).toSorted(([a], [b]) => (a < b ? -1 : 1))))

export const identity = {
  sysId: '6666000100000000',
  productId: 'YYZY',
  huifuId: '6666000100000001',
  merchantPublicKey: keys.merchant.publicKey,
  huifuPrivateKey: keys.huifu.privateKey,
  webhookKey: '0123456789abcdef0123456789ABCDEF',
}
export const noonOnFifth = Date.parse('2026-01-05T04:00:00Z')
export const sub = { sub_appid: 'wx0000000000000001', sub_openid: 'oTEST-sub_openid_0001' }

type Answer = { status: number; data: Data; sign: string | undefined; response: SimResponse; text: string }

export async function ask(handler: SimHandler, path: string, body: string, method = 'POST'): Promise<SimResponse> {
  const [bare = '', query = ''] = path.split('?')
  const answer = await handler({
    method,
    path: bare,
    query,
    target: path,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(body),
  })
  if (answer === undefined) throw new Error(`nobody answered ${path}`)
  return answer
}

/** A simulator, a signing client and the control door. */
export function world(options: { clock?: Clock; books?: string; fastCrypto?: boolean } = {}) {
  const clock = options.clock ?? createClock({ scale: 100 })
  const chaos = createChaos({ seed: 7 })
  const notifier = createNotifier(clock)
  const sim = createHuifuSimulator({
    clock,
    chaos,
    notifier,
    credentials: { huifu: identity },
    books: options.books,
    fastCrypto: options.fastCrypto ?? true,
  })
  let count = 0
  const envelope = (data: object, signature = signAs(sorted(data))): string =>
    JSON.stringify({ sys_id: identity.sysId, product_id: identity.productId, data, sign: signature })
  const today = (): string => new Date(clock.now() + 28_800_000).toISOString().slice(0, 10).replaceAll('-', '')

  async function raw(path: string, body: string): Promise<Answer> {
    const response = await ask(sim.handle, path, body)
    const text = String(response.body)
    const found = /^\{"data":(\{.*\})(?:,"sign":"([^"]*)")?\}$/.exec(text)
    const data = found?.[1] === undefined ? {} : (JSON.parse(found[1]) as Data)
    const signature = found?.[2]
    return { status: response.status, data, sign: signature, response, text: found?.[1] ?? text }
  }
  /** Signed call; whatever comes back signed must verify over the raw bytes and over parsed and sorted ones (18.4). */
  async function post(path: string, data: object): Promise<Data> {
    const answer = await raw(path, envelope(data))
    expect(answer.status, answer.text).to.equal(200)
    expect(isHuifus(answer.text, answer.sign ?? ''), answer.text).to.equal(true)
    expect(isHuifus(sorted(answer.data), answer.sign ?? '')).to.equal(true)
    return answer.data
  }
  async function act(path: string, method = 'POST'): Promise<Record<string, unknown>> {
    const answer = await ask(sim.control, `/_sim/huifu/${path}`, '', method)
    return { status: answer.status, ...(JSON.parse(String(answer.body)) as object) }
  }
  const orderData = (extra: object = {}): Data => ({
    req_date: today(),
    req_seq_id: `T${String((count += 1)).padStart(8, '0')}`,
    huifu_id: identity.huifuId,
    trade_type: 'T_MINIAPP',
    trans_amt: '100.00',
    goods_desc: '测试商品',
    wx_data: JSON.stringify(sub),
    ...extra,
  })
  const refundData = (order: Data, amount: string, extra: object = {}): Data => ({
    req_date: today(),
    req_seq_id: `R${String((count += 1)).padStart(8, '0')}`,
    huifu_id: identity.huifuId,
    ord_amt: amount,
    org_req_date: order['req_date'] ?? '',
    org_req_seq_id: order['req_seq_id'] ?? '',
    ...extra,
  })
  const closeData = (order: Data, extra: object = {}): Data => {
    const { ord_amt: _amount, ...rest } = refundData(order, '0.01', extra)
    return { ...rest, req_seq_id: `C${rest['req_seq_id'] ?? ''}`, ...extra }
  }
  const create = (extra: object = {}): Promise<Data> => post('/v3/trade/payment/jspay', orderData(extra))
  /** A paid order whose money is already on the merchant's account. */
  async function posted(extra: object = {}): Promise<Data> {
    const order = await create(extra)
    await act(`hold?req_seq_id=${order['req_seq_id']}`)
    await act(`pay?req_seq_id=${order['req_seq_id']}`)
    await act(`post?req_seq_id=${order['req_seq_id']}`)
    return order
  }
  const stop = (): void => {
    sim.stop()
    notifier.stop()
  }
  return {
    clock,
    chaos,
    notifier,
    sim,
    envelope,
    raw,
    post,
    act,
    create,
    posted,
    orderData,
    refundData,
    closeData,
    stop,
  }
}

export type Seen = { url: string; type: string; body: string; form: URLSearchParams; data: Record<string, unknown> }

/** A merchant's receiver on a port Huifu can reach. `reply` decides the answer; by default the exact ack. */
export async function receiver(reply?: (seen: Seen, index: number) => { status: number; body: string } | 'silence') {
  const seen: Seen[] = []
  const server: Server = createServer((req, res) => {
    const parts: Buffer[] = []
    req.on('data', (part: Buffer) => parts.push(part))
    req.on('end', () => {
      const body = Buffer.concat(parts).toString('utf8')
      const form = new URLSearchParams(body)
      const type = String(req.headers['content-type'])
      const text = type === 'application/json' ? body : (form.get('resp_data') ?? '{}')
      const one = { url: req.url ?? '', type, body, form, data: parsed(text) }
      seen.push(one)
      const answer = reply?.(one, seen.length - 1) ?? ackOf(one)
      if (answer === 'silence') return
      res.writeHead(answer.status).end(answer.body)
    })
  })
  for (let port = 8300; ; port += 1) {
    server.listen(port, '127.0.0.1')
    // A taken port makes this reject, and the next one is tried.
    const outcome = await once(server, 'listening').then(
      () => true,
      () => false,
    )
    if (outcome) return { url: `http://127.0.0.1:${port}/notify`, seen, close: () => closed(server) }
    if (port > 9005) throw new Error('no free port between 8300 and 9005')
  }
}

export const parsed = (text: string): Record<string, unknown> => {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    return {}
  }
}
const ackOf = (seen: Seen) => ({ status: 200, body: `RECV_ORD_ID_${String(seen.data['req_seq_id'])}` })
async function closed(server: Server): Promise<void> {
  server.close()
  server.closeAllConnections()
  await once(server, 'close')
}
export async function until(what: () => boolean, limitMs = 4000): Promise<void> {
  const end = Date.now() + limitMs
  while (!what()) {
    if (Date.now() > end) throw new Error(`never happened: ${what.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export const types = (seen: readonly Seen[]): unknown[] => seen.map((one) => one.data['notify_type'])
const member = (one: Seen | undefined, name: string): string => one?.form.get(name) ?? ''
export const genuine = (one: Seen | undefined): boolean => isHuifus(member(one, 'resp_data'), member(one, 'sign'))
export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

export type Here = ReturnType<typeof world>
type Shop = Awaited<ReturnType<typeof receiver>>
type Reply = Parameters<typeof receiver>[0]

/** A world and a receiver, both taken down again whatever happens. */
export async function staged(run: (here: Here, shop: Shop) => Promise<void>, reply?: Reply): Promise<void> {
  const here = world()
  const shop = await receiver(reply)
  try {
    await run(here, shop)
  } finally {
    here.stop()
    await shop.close()
  }
}

export async function paid(here: Here, shop: Shop, wishes = ''): Promise<Data> {
  const order = await here.create({ notify_url: shop.url, remark: 'a+b & c' })
  await here.act(`pay?req_seq_id=${order['req_seq_id']}${wishes}`)
  return order
}
