import { createDecipheriv, createHash, createPublicKey, randomBytes, sign, verify, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Credentials } from '../../src/simulators/keys.ts'
import { expect } from 'chai'
import { startSimulators, type Simulators, type SimulatorsOptions } from '../../src/simulators/start.ts'

/** A merchant written for these tests alone, on node:crypto, from wechatpay.md 1.3 and 1.4. */
export type Json = Record<string, unknown>
export type Answer = { status: number; headers: Headers; text: string; json: Json; verified: boolean }
export type CallOptions = {
  timestamp?: string
  authorization?: string | undefined
  headers?: Record<string, string>
  without?: string[]
  signedBody?: string
}

const asJson = (text: string): Json => {
  if (!text.startsWith('{')) return {}
  const value: Json = JSON.parse(text)
  return value
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** Whether headers sign the body with the platform key they name. */
export function isSigned(
  wechat: Credentials['wechatPay'],
  header: (name: string) => string | null | undefined,
  body: string,
): boolean {
  const serial = header('wechatpay-serial')
  const pair = wechat.platform.find((one) => one.serial === serial)
  const key =
    serial === wechat.publicKeyId
      ? createPublicKey(wechat.publicKey)
      : pair && new X509Certificate(pair.certificate).publicKey
  if (!key) return false
  const message = `${header('wechatpay-timestamp')}\n${header('wechatpay-nonce')}\n${body}\n`
  return verify('RSA-SHA256', Buffer.from(message), key, Buffer.from(header('wechatpay-signature') ?? '', 'base64'))
}

export function authorizationOf(
  wechat: Credentials['wechatPay'],
  method: string,
  target: string,
  body: string,
  timestamp: string,
): string {
  const nonce = randomBytes(16).toString('hex').toUpperCase()
  const message = `${method}\n${target}\n${timestamp}\n${nonce}\n${body}\n`
  const signature = sign('RSA-SHA256', Buffer.from(message), wechat.merchantKey).toString('base64')
  return `WECHATPAY2-SHA256-RSA2048 mchid="${wechat.mchid}",nonce_str="${nonce}",signature="${signature}",timestamp="${timestamp}",serial_no="${wechat.merchantSerial}"`
}

export const openResource = (
  key: string,
  resource: { ciphertext: string; nonce: string; associated_data: string },
): string => {
  const bytes = Buffer.from(resource.ciphertext, 'base64')
  const decipher = createDecipheriv('aes-256-gcm', Buffer.from(key), Buffer.from(resource.nonce), { authTagLength: 16 })
  decipher.setAAD(Buffer.from(resource.associated_data)).setAuthTag(bytes.subarray(-16))
  return Buffer.concat([decipher.update(bytes.subarray(0, -16)), decipher.final()]).toString('utf8')
}

/** Calls the simulated API as a merchant would, and its control door as a person would. */
export function merchantOf(sim: Simulators) {
  const wechat = sim.credentials.wechatPay
  const call = async (
    method: string,
    target: string,
    body: Json | string = '',
    options: CallOptions = {},
  ): Promise<Answer> => {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    const timestamp = options.timestamp ?? String(Math.floor(sim.clock.now() / 1000))
    const signed = authorizationOf(wechat, method, target, options.signedBody ?? text, timestamp)
    const headers: Record<string, string> = {
      Accept: 'application/json',
      'User-Agent': 'tests/1',
      ...(text === '' ? {} : { 'Content-Type': 'application/json' }),
      Authorization: 'authorization' in options ? (options.authorization ?? '') : signed,
      ...options.headers,
    }
    for (const name of options.without ?? []) delete headers[name]
    const response = await fetch(sim.apiUrl + target, { method, headers, ...(text === '' ? {} : { body: text }) })
    const answer = await response.text()
    const verified = isSigned(wechat, (name) => response.headers.get(name), answer)
    return { status: response.status, headers: response.headers, text: answer, json: asJson(answer), verified }
  }
  const control = async (path: string, method = 'POST'): Promise<{ status: number; json: Json }> => {
    const response = await fetch(`${sim.controlUrl}/_sim/${path}`, { method })
    return { status: response.status, json: asJson(await response.text()) }
  }
  const order = (more: Json = {}): Json => ({
    appid: wechat.officialAccount.appid,
    mchid: wechat.mchid,
    description: '测试商品',
    out_trade_no: `T${randomBytes(8).toString('hex')}`,
    notify_url: 'http://127.0.0.1:9/notify',
    amount: { total: 100, currency: 'CNY' },
    payer: { openid: wechat.officialAccount.openid },
    ...more,
  })
  const create = (body: Json): Promise<Answer> => call('POST', '/v3/pay/transactions/jsapi', body)
  const query = (number: unknown): Promise<Answer> =>
    call('GET', `/v3/pay/transactions/out-trade-no/${encodeURIComponent(String(number))}?mchid=${wechat.mchid}`)
  const close = (number: unknown): Promise<Answer> =>
    call('POST', `/v3/pay/transactions/out-trade-no/${String(number)}/close`, { mchid: wechat.mchid })
  const refund = (
    outTradeNo: unknown,
    outRefundNo: string,
    fen: number,
    total = 100,
    more: Json = {},
  ): Promise<Answer> =>
    call('POST', '/v3/refund/domestic/refunds', {
      out_trade_no: outTradeNo,
      out_refund_no: outRefundNo,
      amount: { refund: fen, total, currency: 'CNY' },
      ...more,
    })
  const refundQuery = (outRefundNo: string): Promise<Answer> =>
    call('GET', `/v3/refund/domestic/refunds/${encodeURIComponent(outRefundNo)}`)
  /** A fresh order, paid. */
  const paidOrder = async (more: Json = {}, how = ''): Promise<string> => {
    const body = order(more)
    await create(body)
    const paid = await control(`wechat-pay/pay?out_trade_no=${String(body['out_trade_no'])}${how}`)
    if (paid.status !== 200) throw new Error(JSON.stringify(paid.json))
    return String(body['out_trade_no'])
  }
  return { call, control, order, create, query, close, refund, refundQuery, paidOrder, wechat }
}

export type Delivery = { headers: Record<string, string | undefined>; body: string; at: number }

/** A merchant's notification door; answers each status once, then 204. */
export async function startReceiver() {
  const deliveries: Delivery[] = []
  const statuses: number[] = []
  const server = createServer((req, res) => {
    const parts: Buffer[] = []
    req.on('data', (part: Buffer) => parts.push(part))
    req.on('end', () => {
      const headers = Object.fromEntries(Object.entries(req.headers).map(([name, value]) => [name, value?.toString()]))
      deliveries.push({ headers, body: Buffer.concat(parts).toString('utf8'), at: Date.now() })
      res.writeHead(statuses.shift() ?? 204).end()
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    url: `http://127.0.0.1:${address.port}/notify`,
    deliveries,
    statuses,
    async close(): Promise<void> {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export const MINUTE = 60_000

/** What a promise was rejected with, or undefined. */
export const rejection = async (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  )

/** An error answer in the documented form: code, message, and no Wechatpay-* header (wechatpay.md 1.4, 9.2). */
export function expectError(answer: Answer, status: number, code: string, message?: string | RegExp): void {
  expect([answer.status, answer.json['code']]).to.deep.equal([status, code])
  if (typeof message === 'string') expect(answer.json['message']).to.equal(message)
  else if (message) expect(answer.json['message']).to.match(message)
  expect([...answer.headers.keys()].filter((name) => name.startsWith('wechatpay-'))).to.deep.equal([])
  expect(answer.headers.get('content-type')).to.equal('application/json; charset=utf-8')
}

/** Fresh simulators in memory for each test of the surrounding suite, closed afterwards. */
export function useSimulator() {
  let sim: Simulators | undefined
  const running = (): Simulators => {
    if (!sim) throw new Error('no simulator is running')
    return sim
  }
  const start = async (options: SimulatorsOptions): Promise<void> => {
    await sim?.close()
    sim = undefined
    sim = await startSimulators({ seed: 1, fastCrypto: true, ...options })
  }
  beforeEach(() => start({}))
  afterEach(async () => {
    await sim?.close()
    sim = undefined
  })
  return {
    get sim(): Simulators {
      return running()
    },
    get merchant(): ReturnType<typeof merchantOf> {
      return merchantOf(running())
    },
    restart: start,
    state: async (number: unknown): Promise<unknown> => (await merchantOf(running()).query(number)).json['trade_state'],
  }
}
