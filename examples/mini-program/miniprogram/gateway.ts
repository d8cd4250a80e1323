import { gatewayUrl } from './config'

/** The gateway's /mp/v1 as promises. Nothing here decides anything: the gateway knows who pays, what, and whether it is paid. */

export type OrderView = {
  id: string
  subject: string
  amount: number
  currency: string
  status: 'open' | 'paid' | 'closed'
  payable: boolean
  merchant_name: string
  expires_at: string
  paid_at: string | null
}

export type PaymentParameters = {
  timeStamp: string
  nonceStr: string
  package: string
  signType: 'RSA' | 'MD5' | 'HMAC-SHA256'
  paySign: string
}

/** The gateway said no; `code` is one of its documented problem codes. */
export class Refused extends Error {
  code: string
  /** Seconds to wait before asking again; 0 when it did not say. */
  retryAfter: number
  constructor(code: string, retryAfter: number) {
    super(code)
    this.code = code
    this.retryAfter = retryAfter
  }
}

/** There was no answer: no network, or a time-out. */
export class Unreachable extends Error {}

const patienceMs = 10_000

/** WeChat's login code: it lives five minutes, works once, and only the gateway can turn it into an openid. */
export function loginCode(): Promise<string> {
  return new Promise((resolve, reject) => {
    wx.login({
      timeout: patienceMs,
      success: ({ code }) => resolve(code),
      fail: () => reject(new Unreachable('wx.login')),
    })
  })
}

export function openSession(token: string, code: string): Promise<{ session: string; order: OrderView }> {
  return ask('POST', '/sessions', '', { token, code })
}

export function startPayment(session: string): Promise<{ payment: PaymentParameters }> {
  return ask('POST', '/pay', session, {})
}

/** @param hint what the device saw, so that the gateway asks the provider at once; it is no proof of anything */
export function readOrder(
  session: string,
  hint: '' | 'ok' | 'cancel' | 'fail' | 'wake',
): Promise<{ order: OrderView }> {
  return ask('GET', hint === '' ? '/order' : `/order?hint=${hint}`, session)
}

/** Tells what wx.requestPayment complained about; a refusal of this whole way of paying comes back as Refused. */
export function reportFailure(
  session: string,
  failure: { errmsg: string; errno?: number },
): Promise<{ order: OrderView }> {
  return ask('POST', '/result', session, failure)
}

function ask<T extends WechatMiniprogram.IAnyObject>(
  method: 'GET' | 'POST',
  path: string,
  session: string,
  body?: object,
): Promise<T> {
  return new Promise((resolve, reject) => {
    wx.request<T>({
      url: `${gatewayUrl}/mp/v1${path}`,
      method,
      timeout: patienceMs,
      header: {
        'content-type': 'application/json',
        ...(session === '' ? {} : { authorization: `Bearer ${session}` }),
      },
      ...(body === undefined ? {} : { data: body }),
      success: ({ statusCode, data }) => {
        if (statusCode >= 200 && statusCode < 300) resolve(data)
        else reject(refusalOf(data))
      },
      fail: () => reject(new Unreachable(path)),
    })
  })
}

function refusalOf(data: unknown): Refused {
  const problem: { code?: unknown; retry_after?: unknown } = typeof data === 'object' && data !== null ? data : {}
  const code = typeof problem.code === 'string' ? problem.code : 'internal'
  return new Refused(code, typeof problem.retry_after === 'number' ? problem.retry_after : 0)
}
