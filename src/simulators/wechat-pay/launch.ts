import type { Order } from './ledger.ts'
import { launchMessage } from './signing.ts'
import type { World } from './world.ts'

/** A prepay_id lives two hours (wechatpay.md 3.7). */
const HANDLE_LIFE_MS = 2 * 3600_000

export const LAUNCH_FIELDS = ['timeStamp', 'nonceStr', 'package', 'signType', 'paySign'] as const

export type LaunchCheck = { order: Order } | { problem: string }

/**
 * What WeChat checks before it shows its cashier (wechatpay.md 3.1 to 3.3): handle, scene, signature of the merchant.
 * A mini-program sends no appId, yet it is in the signed text; then the order's own is taken.
 */
export function checkLaunch(world: World, parameters: Record<string, string>): LaunchCheck {
  const missing = LAUNCH_FIELDS.filter((name) => !parameters[name])
  if (missing.length > 0) return { problem: `支付验证签名失败: missing ${missing.join(', ')}` }
  const { timeStamp = '', nonceStr = '', package: packageText = '', signType, paySign = '' } = parameters
  const prepayId = /^prepay_id=(\S+)$/.exec(packageText)?.[1]
  const order = prepayId === undefined ? undefined : world.ledger.orderByPrepay(prepayId)
  const handle = order?.handles.find((one) => one.prepayId === prepayId)
  if (!order || !handle) return { problem: 'prepay_id 无效' }
  if (parameters['prepay_id'] !== undefined && parameters['prepay_id'] !== prepayId)
    return { problem: 'prepay_id 与 package 不一致' }
  if (signType !== 'RSA' || !/^\d{10}$/.test(timeStamp) || nonceStr.length > 32)
    return { problem: '支付验证签名失败: malformed' }
  const appid = parameters['appId'] ?? order.appid
  if (appid !== order.appid) return { problem: '支付场景非法' }
  const message = launchMessage(appid, timeStamp, nonceStr, packageText)
  if (!world.signing.verify(message, paySign, world.credentials.merchantCertificate))
    return { problem: '支付验证签名失败' }
  if (world.clock.now() - handle.at >= world.clock.shrink(HANDLE_LIFE_MS))
    return { problem: '支付请求已失效，请重新发起支付' }
  return { order }
}
