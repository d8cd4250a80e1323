import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type {
  Log,
  LogFields,
  PaymentRef,
  PrepayRequest,
  Provider,
  RefundRequest,
} from '../../../../src/core/provider.ts'
import { huifu } from '../../../../src/providers/huifu/provider.ts'
import { createTransport } from '../../../../src/providers/transport.ts'

/** A Huifu of a few lines, signing on node:crypto with the published vector keys, so that a test can say anything. */

type Keys = Record<'merchant' | 'huifu', { readonly privateKey: string; readonly publicKey: string }>

export function vector<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../../vectors/huifu/${name}.json`, import.meta.url), 'utf8')) as T
}

export const keys = vector<Keys>('keys')
const huifuKey = createPrivateKey({ key: Buffer.from(keys.huifu.privateKey, 'base64'), format: 'der', type: 'pkcs8' })
const merchantKey = createPublicKey({
  key: Buffer.from(keys.merchant.publicKey, 'base64'),
  format: 'der',
  type: 'spki',
})

export const huifuId = '6666000100000001'
export const webhookKey = '0123456789abcdef0123456789ABCDEF'

export function signedByHuifu(text: string): string {
  return sign('sha256', Buffer.from(text), huifuKey).toString('base64')
}

/** Sorted, compact, without nulls: written here once more, not imported. */
export function sorted(members: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(Object.fromEntries(Object.entries(members).sort(([a], [b]) => (a < b ? -1 : 1))))
}

export function signedAnswer(members: Readonly<Record<string, unknown>>): string {
  const data = sorted(members)
  return `{"data":${data},"sign":"${signedByHuifu(data)}"}`
}

export type Received = {
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
  readonly data: Record<string, string>
  readonly genuine: boolean
}

type Handler = (received: Received, response: ServerResponse) => void

export type FakeHuifu = {
  readonly url: string
  readonly requests: Received[]
  /** Answers to come, one for each request; the last one stays. */
  handle(...handlers: Handler[]): void
  /** Signed members, merged over the echoes of the request. */
  answer(...members: Readonly<Record<string, unknown>>[]): void
  close(): Promise<void>
}

export async function startHuifu(): Promise<FakeHuifu> {
  const requests: Received[] = []
  let handlers: Handler[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const received = read(request, Buffer.concat(chunks).toString('utf8'))
      requests.push(received)
      const handler = handlers.length > 1 ? handlers.shift() : handlers[0]
      if (handler === undefined) response.writeHead(404).end()
      else handler(received, response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    requests,
    handle: (...next) => {
      handlers = next
    },
    answer: (...next) => {
      handlers = next.map((members) => (received: Received, response: ServerResponse) => {
        const body = signedAnswer({ ...echoesOf(received), ...members })
        response.writeHead(200, { 'content-type': 'application/json;charset=UTF-8' }).end(body)
      })
    },
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function read(request: IncomingMessage, body: string): Received {
  const envelope = JSON.parse(body) as { data: Record<string, string>; sign: string }
  const signature = Buffer.from(envelope.sign, 'base64')
  const genuine = verify('sha256', Buffer.from(sorted(envelope.data)), merchantKey, signature)
  return { path: request.url ?? '', headers: request.headers, body, data: envelope.data, genuine }
}

/** What Huifu repeats of a request: its own keys and the original's. */
function echoesOf({ data }: Received): Record<string, string> {
  const names = ['huifu_id', 'req_date', 'req_seq_id', 'org_req_date', 'org_req_seq_id']
  return Object.fromEntries(names.flatMap((name) => (data[name] === undefined ? [] : [[name, data[name]]])))
}

export function settingsFor(url: string, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    sysId: '6666000100000000',
    productId: 'YYZY',
    huifuId,
    privateKey: keys.merchant.privateKey,
    huifuPublicKey: keys.huifu.publicKey,
    webhookKey,
    api: 'v3',
    baseUrl: url,
    methods: { wechat_jsapi: { appid: 'wx0000000000000001' }, wechat_mini: { appid: 'wx0000000000000002' } },
    deadlineMs: 400,
    ...more,
  }
}

// A day after everything below was created: whatever reads this clock for a date is found out.
export const wrongDay = Date.parse('2026-01-07T04:00:00.000Z')

export type Line = { readonly message: string; readonly fields: LogFields | undefined }

/** An adapter on the real transport. */
export function adapter(
  url: string,
  more: Readonly<Record<string, unknown>> = {},
): { provider: Provider; lines: Line[]; stop: () => Promise<void> } {
  const lines: Line[] = []
  const note = (message: string, fields?: LogFields): void => {
    lines.push({ message, fields })
  }
  const log: Log = { info: note, warn: note, error: note }
  const transport = createTransport()
  const tools = { transport, now: () => wrongDay, log, timeScale: 1, sandbox: true }
  return { provider: huifu(settingsFor(url, more), tools), lines, stop: () => transport.close() }
}

export const never = new AbortController().signal

export const paymentId = 'pay_01KE5Z9Q8R7S6T5V4W3X2Y1Z0A'
export const number = 'pay01KE5Z9Q8R7S6T5V4W3X2Y1Z0A'
export const transactionId = '002900TOP1A260105120000P001ac13000000001'

// 23:59:58 in Beijing: the next second is another day there, while UTC has eight hours to go.
export const createdAt = Date.parse('2026-01-05T15:59:58.000Z')

export const payment: PaymentRef = {
  paymentId,
  createdAt,
  method: 'wechat_jsapi',
  amount: { amount: 10, currency: 'CNY' },
}

export const openid = 'oUpF8uMuAJO_M2pxb1Q9zNjWeS6o'

export const prepayRequest: PrepayRequest = {
  ...payment,
  merchantOrderNo: 'SHOP-1',
  subject: '测试商品/面包&牛奶 <大>',
  openid,
  clientIp: '203.0.113.9',
  expiresAt: Date.parse('2026-01-05T16:29:58.000Z'),
  notifyUrl: 'https://shop.example.com:8443/notify/huifu/abc',
}

export const refundId = 'ref_01KE5ZZZZZ7S6T5V4W3X2Y1Z0A'

export const refundRequest: RefundRequest = {
  refundId,
  submission: { number: 'ref01KE5ZZZZZ7S6T5V4W3X2Y1Z0A02', sentAt: Date.parse('2026-01-06T01:00:28.000Z') },
  createdAt: Date.parse('2026-01-06T00:59:00.000Z'),
  amount: { amount: 4, currency: 'CNY' },
  payment,
  reason: '部分退款：缺货（1件）',
  notifyUrl: 'https://shop.example.com:8443/notify/huifu/abc',
}

export const payInfo = JSON.stringify({
  appId: 'wx0000000000000001',
  timeStamp: '1767585600',
  nonceStr: '5K8264ILTKCH16CQ2502SI8ZNMTM67VS',
  package: 'prepay_id=wx05120000000000testprepay0001',
  signType: 'RSA',
  paySign: 'oR9d8PuhnIc+YZ8cBHFCwfgpaK9gd7vaRvkYD7rthRAZ/X==',
})

/** The error a promise ends in. */
export async function errorOf(
  promise: Promise<unknown>,
): Promise<{ name: string; reason?: string; providerCode?: string; message: string }> {
  try {
    await promise
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error('expected a rejection')
}

// Appendix B: unpaid and paid orders as observed.
export const unpaid = {
  acct_stat: 'I',
  bank_code: 'NOTPAY',
  bank_desc: '订单未支付',
  bank_message: '订单未支付',
  fee_amt: '0.26',
  hf_seq_id: transactionId,
  huifu_id: huifuId,
  is_delay_acct: '0',
  is_div: '0',
  org_resp_code: '00000100',
  org_resp_desc: '交易正在处理中',
  party_order_id: '03242601050000000000002',
  resp_code: '00000000',
  resp_desc: '查询成功',
  settlement_amt: '30.79',
  trade_type: 'T_MINIAPP',
  trans_amt: '0.10',
  trans_stat: 'P',
}
export const paid = {
  acct_date: '20260105',
  acct_id: 'F00000001',
  acct_stat: 'S',
  bank_code: 'SUCCESS',
  bank_message: '交易成功',
  delay_acct_flag: 'N',
  div_flag: 'N',
  end_time: '20260105131716',
  fee_amount: '1.73',
  hf_seq_id: transactionId,
  huifu_id: huifuId,
  method_expand: '{"bank_type":"OTHERS","coupon_fee":"0.00","openid":"oTEST-openid_0001"}',
  out_trans_id: '4200000000202601050000000003',
  party_order_id: '03242601050000000000003',
  pay_amt: '824.00',
  payment_fee: '{"fee_amount":"1.74"}',
  resp_code: '00000000',
  resp_desc: '查询成功',
  settlement_amt: '825.00',
  trade_type: 'T_JSAPI',
  trans_amt: '825.00',
  trans_stat: 'S',
}
export const cny = (amount: number) => ({ amount, currency: 'CNY' })

/** The same answer in the dialect of a version (huifu-dougong.md 5.3). */
export function inDialect(api: 'v3' | 'v4', members: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const all = { req_date: '20260105', req_seq_id: number, ...members }
  if (api === 'v4') return all
  const renamed = ['req_date', 'req_seq_id', 'hf_seq_id']
  return Object.fromEntries(
    Object.entries(all).map(([key, value]) => [renamed.includes(key) ? `org_${key}` : key, value]),
  )
}
