import { createPrivateKey, sign } from 'node:crypto'
import type { Bench, Kind } from './bench.ts'
import { providerNumber } from '../../src/core/ids.ts'

/** The providers that the contract is held against: only names and addresses differ, never the promises. */

const methods = { wechat_jsapi: { appid: 'wx00000000000000a1' }, wechat_mini: { appid: 'wx00000000000000b1' } }

async function books<T>(bench: Bench, path: string): Promise<T> {
  return (await (await bench.control(path, {}, 'GET')).json()) as T
}

export const wechat: Kind = {
  provider: 'wechat-v3-direct',
  repeats: ['badSignature'],
  names: {
    prepay: 'wechat-pay.create',
    query: 'wechat-pay.query',
    close: 'wechat-pay.close',
    refund: 'wechat-pay.refund',
    queryRefund: 'wechat-pay.refundQuery',
  },
  settings({ credentials: { wechatPay } }) {
    return {
      mchid: wechatPay.mchid,
      serial: wechatPay.merchantSerial,
      privateKey: wechatPay.merchantKey,
      apiV3Key: wechatPay.apiV3Key,
      wechatKey: { id: wechatPay.publicKeyId, publicKey: wechatPay.publicKey },
      methods,
    }
  },
  secrets: ({ credentials: { wechatPay } }) => [
    wechatPay.apiV3Key,
    wechatPay.officialAccount.openid,
    ...wechatPay.merchantKey.split('\n').filter((line) => line.length > 30),
  ],
  async pay(bench, request, invocation, payerTotal) {
    const fields = Object.entries(invocation).filter(([name]) => name !== 'kind')
    const answer = await bench.control('/_sim/wechat-pay/pay', {
      ...Object.fromEntries(fields.map(([name, value]) => [name, value])),
      out_trade_no: providerNumber(request.paymentId),
      openid: request.openid ?? '',
      ...(payerTotal === undefined ? {} : { payer_total: String(payerTotal) }),
    })
    return answer.status
  },
  // Errors of WeChat Pay carry no signature (wechatpay.md 1.4).
  unknownCode: () => ({
    status: 400,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from('{"code":"NOBODY_KNOWS_THIS","message":"?"}'),
  }),
  async sums(bench) {
    const { refunds } = await books<{ refunds: { amount: { refund: number } }[] }>(bench, '/_sim/wechat-pay/books')
    return { refunds: refunds.length, refunded: refunds.reduce((sum, { amount }) => sum + amount.refund, 0) }
  },
}

const huifu = (api: 'v3' | 'v4'): Kind => ({
  provider: 'huifu',
  repeats: [],
  names: {
    prepay: 'huifu.create',
    query: 'huifu.query',
    close: 'huifu.close',
    refund: 'huifu.refund',
    queryRefund: 'huifu.refundQuery',
  },
  settings: ({ credentials }) => ({
    sysId: credentials.huifu.sysId,
    productId: credentials.huifu.productId,
    huifuId: credentials.huifu.huifuId,
    privateKey: credentials.huifu.merchantKey,
    huifuPublicKey: credentials.huifu.huifuPublicKey,
    webhookKey: credentials.huifu.webhookKey,
    api,
    // What a notice says of itself is looked at here; the engine's caution has tests of its own.
    confirm: 'after',
    methods,
  }),
  secrets: ({ credentials: { huifu: own, wechatPay } }) => [
    own.webhookKey,
    own.merchantKey.slice(0, 64),
    own.merchantKey.slice(-64),
    wechatPay.officialAccount.openid,
  ],
  async pay(bench, request, invocation, payerTotal) {
    const pay_package = 'package' in invocation ? invocation.package : ''
    const coupon = payerTotal === undefined ? {} : { coupon: String(request.amount.amount - payerTotal) }
    return (await bench.control('/_sim/huifu/pay', { pay_package, ...coupon })).status
  },
  unknownCode({ credentials }) {
    const der = Buffer.from(credentials.huifu.huifuPrivateKey, 'base64')
    const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    const data = '{"resp_code":"77777777","resp_desc":"?"}'
    const signature = sign('RSA-SHA256', Buffer.from(data), key).toString('base64')
    return {
      status: 200,
      headers: { 'content-type': 'application/json' },
      body: Buffer.from(`{"data":${data},"sign":"${signature}"}`),
    }
  },
  async sums(bench) {
    const { refunds } = await books<{ refunds: { amountFen: number }[] }>(bench, '/_sim/huifu/books')
    return { refunds: refunds.length, refunded: refunds.reduce((sum, { amountFen }) => sum + amountFen, 0) }
  },
})

export const huifuV3 = huifu('v3')
export const huifuV4 = huifu('v4')
