import { objectOf, orderOf, textOf, type Json, type OrderView } from './snapshot.ts'

/** The gateway said no, or did not answer; the message is what a person should read. */
export class Refusal extends Error {
  readonly code: string
  readonly status: number
  constructor(status: number, code: string, message: string) {
    super(message)
    this.name = 'Refusal'
    this.code = code
    this.status = status
  }
}

export type Started = { paymentId: string; channel: string; invocation: Readonly<Record<string, string>> }

/** What an app hands to WeChat's OpenSDK. */
export type Launch = { userName: string; path: string; expiresAt: string }

/** What the shop asks of the gateway, over its public API alone. */
export type Gateway = {
  /** `returnUrl`: where the payer comes back to. */
  openOrder(no: string, amount: number, subject: string, returnUrl: string): Promise<OrderView>
  startPayment(orderId: string): Promise<Started>
  /** What opens the mini-program for this order, from an app. */
  launch(orderId: string): Promise<Launch>
  refund(orderId: string, no: string, amount: number): Promise<string>
  closeOrder(orderId: string): Promise<OrderView>
  readOrder(orderId: string): Promise<OrderView>
}

const textsOf = (object: Json): Record<string, string> =>
  Object.fromEntries(Object.entries(object).filter((entry): entry is [string, string] => typeof entry[1] === 'string'))

function refusalOf(status: number, body: Json): Refusal {
  const faults = Array.isArray(body['errors']) ? body['errors'].map(objectOf) : []
  const details = faults.map((fault) => ` ${textOf(fault, 'pointer')}: ${textOf(fault, 'detail')}`).join('')
  return new Refusal(status, textOf(body, 'code'), `${textOf(body, 'title')}: ${textOf(body, 'detail')}${details}`)
}

/**
 * A client of the merchant API.
 * @param options `url` of the gateway; `apiKey`; `method` and `openid` of the one simulated payer
 */
export function createGateway(options: { url: string; apiKey: string; method: string; openid: string }): Gateway {
  async function call(method: 'GET' | 'POST', path: string, body?: object): Promise<Json> {
    let response: Response
    try {
      response = await fetch(new URL(path, options.url), {
        method,
        headers: {
          Authorization: `Bearer ${options.apiKey}`,
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        redirect: 'error',
        signal: AbortSignal.timeout(20_000),
      })
    } catch {
      throw new Refusal(0, 'no-answer', 'The gateway does not answer.')
    }
    const answer = objectOf(await response.json().catch(() => undefined))
    if (!response.ok) throw refusalOf(response.status, answer)
    return answer
  }
  function asOrder(answer: Json): OrderView {
    const order = orderOf(answer)
    if (order === undefined)
      throw new Refusal(0, 'no-answer', 'The gateway answered with something else than an order.')
    return order
  }
  return {
    async openOrder(no, amount, subject, returnUrl) {
      const order = { merchant_order_no: no, amount, currency: 'CNY', subject, expires_in: 3600 }
      const body = { ...order, return_url: returnUrl }
      return asOrder(await call('POST', '/v1/orders', body))
    },
    async startPayment(orderId) {
      const body = { method: options.method, openid: options.openid, client_ip: '127.0.0.1' }
      const answer = await call('POST', `/v1/orders/${orderId}/payments`, body)
      const payment = objectOf(answer['payment'])
      return {
        paymentId: textOf(payment, 'id'),
        channel: textOf(payment, 'channel'),
        invocation: textsOf(objectOf(answer['invocation'])),
      }
    },
    async launch(orderId) {
      const answer = await call('POST', `/v1/orders/${orderId}/launch`, { target: 'app', client_ip: '127.0.0.1' })
      return {
        userName: textOf(answer, 'user_name'),
        path: textOf(answer, 'path'),
        expiresAt: textOf(answer, 'expires_at'),
      }
    },
    async refund(orderId, no, amount) {
      const body = { merchant_refund_no: no, amount, reason: 'changed my mind' }
      return textOf(await call('POST', `/v1/orders/${orderId}/refunds`, body), 'id')
    },
    closeOrder: async (orderId) => asOrder(await call('POST', `/v1/orders/${orderId}/close`, {})),
    readOrder: async (orderId) => asOrder(await call('GET', `/v1/orders/${orderId}`)),
  }
}
