import type { KeyObject } from 'node:crypto'
import type { Invocation } from '../../core/provider.ts'
import { signRsa } from '../../crypto/rsa.ts'

/**
 * prepay_id → what `getBrandWCPayRequest` and `wx.requestPayment` take (wechatpay.md 3.1 to 3.3). The signature is made
 * with the key that signed the order; `signType` is sent but not signed. A mini-program drops `appId` but it is signed.
 * @param timestamp Unix seconds
 */
export async function jsapiInvocation(
  key: KeyObject,
  appid: string,
  prepayId: string,
  timestamp: number,
  nonce: string,
): Promise<Invocation> {
  const packed = `prepay_id=${prepayId}`
  const paySign = await signRsa(key, `${appid}\n${String(timestamp)}\n${nonce}\n${packed}\n`)
  return {
    kind: 'jsapi',
    appId: appid,
    timeStamp: String(timestamp),
    nonceStr: nonce,
    package: packed,
    signType: 'RSA',
    paySign,
  }
}
