import type { Invocation } from '../../core/provider.ts'
import { objectOf, textOf, type JsonObject } from './lossless.ts'

/**
 * `pay_info` of T_JSAPI and T_MINIAPP → the same invocation that WeChat Pay's own adapter gives. Values pass untouched,
 * `signType` among them: the guide's MD5 is a placeholder (huifu-dougong.md 4.8 and 17 row 20).
 * @returns undefined where the answer has no complete pay_info
 */
export function invocationOf(data: JsonObject): Invocation | undefined {
  const info = objectOf(data, 'pay_info')
  if (info === undefined) return undefined
  const [appId, timeStamp, nonceStr, prepay, signType, paySign] = [
    'appId',
    'timeStamp',
    'nonceStr',
    'package',
    'signType',
    'paySign',
  ].map((name) => textOf(info, name))
  if (appId === undefined || timeStamp === undefined || nonceStr === undefined) return undefined
  if (prepay === undefined || paySign === undefined) return undefined
  if (signType !== 'RSA' && signType !== 'MD5' && signType !== 'HMAC-SHA256') return undefined
  return { kind: 'jsapi', appId, timeStamp, nonceStr, package: prepay, signType, paySign }
}
