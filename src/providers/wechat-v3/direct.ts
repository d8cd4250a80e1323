import type { Method } from '../../core/provider.ts'

/**
 * What differs between the families of WeChat Pay APIv3, as data. The verbs in provider.ts are written once over this
 * type; a partner or Global table needs no code of its own (wechatpay.md 2.1).
 */
export type Variant = {
  readonly name: string
  /** Hosts a production channel may call; the first is the default (wechatpay.md 1.1). */
  readonly hosts: readonly string[]
  /** The only currency of this family; also what an absent currency means (wechatpay.md 2.2). */
  readonly currency: 'CNY'
  /** Request path per method. */
  readonly order: Readonly<Partial<Record<Method, string>>>
  /** Request targets. Numbers arrive raw and leave percent-encoded, because the encoded form is what is signed. */
  readonly queryByNumber: (mchid: string, outTradeNo: string) => string
  readonly queryByTransaction: (mchid: string, transactionId: string) => string
  readonly close: (outTradeNo: string) => string
  readonly refund: string
  readonly queryRefund: (outRefundNo: string) => string
  readonly certificates: string
  /** Identity fields of an order body; the merchant number of a query is in its target instead (wechatpay.md 2.5). */
  readonly orderIdentity: (mchid: string, appid: string) => Readonly<Record<string, string>>
  readonly closeIdentity: (mchid: string) => Readonly<Record<string, string>>
}

const segment = encodeURIComponent

/** Mainland, direct merchant (普通商户). Mini-programs use the JSAPI path (wechatpay.md 2.1). */
export const direct: Variant = {
  name: 'wechat-v3-direct',
  hosts: ['https://api.mch.weixin.qq.com', 'https://api2.mch.weixin.qq.com'],
  currency: 'CNY',
  order: { wechat_jsapi: '/v3/pay/transactions/jsapi', wechat_mini: '/v3/pay/transactions/jsapi' },
  queryByNumber: (mchid, number) => `/v3/pay/transactions/out-trade-no/${segment(number)}?mchid=${segment(mchid)}`,
  queryByTransaction: (mchid, id) => `/v3/pay/transactions/id/${segment(id)}?mchid=${segment(mchid)}`,
  close: (number) => `/v3/pay/transactions/out-trade-no/${segment(number)}/close`,
  refund: '/v3/refund/domestic/refunds',
  queryRefund: (number) => `/v3/refund/domestic/refunds/${segment(number)}`,
  certificates: '/v3/certificates',
  orderIdentity: (mchid, appid) => ({ appid, mchid }),
  closeIdentity: (mchid) => ({ mchid }),
}
