/** Every text, in both languages; the compiler finds what one of them lacks. */

export type TextKey =
  | 'opening'
  | 'ready'
  | 'creating'
  | 'invoking'
  | 'confirming'
  | 'slow'
  | 'paid'
  | 'cancelled'
  | 'failed'
  | 'expired'
  | 'taken'
  | 'refused'
  | 'offline'
  | 'missing'
  | 'pay'
  | 'check'
  | 'backToApp'
  | 'backByHand'

const zh: Record<TextKey, string> = {
  opening: '正在打开订单…',
  ready: '请确认金额后支付',
  creating: '正在下单…',
  invoking: '正在调起微信支付…',
  confirming: '正在确认支付结果…',
  slow: '结果还在确认中。若已扣款，请勿重复支付',
  paid: '支付成功',
  cancelled: '你已取消支付，可重新支付',
  failed: '支付没有完成，请重试',
  expired: '订单或链接已过期，请返回原页面重新发起支付',
  taken: '此订单正由他人支付，请返回原页面重新打开',
  refused: '微信暂不支持在此完成支付，请在微信内打开商家页面支付，或换一种支付方式',
  offline: '网络不稳定，请检查网络后查询结果',
  missing: '请从商家的应用或网页打开支付',
  pay: '立即支付',
  check: '查询结果',
  backToApp: '返回 App',
  backByHand: '请手动返回 App 或浏览器',
}

const en: Record<TextKey, string> = {
  opening: 'Opening your order…',
  ready: 'Check the amount, then pay',
  creating: 'Preparing the payment…',
  invoking: 'Opening WeChat Pay…',
  confirming: 'Confirming the payment…',
  slow: 'Still confirming. If you were charged, do not pay again',
  paid: 'Paid',
  cancelled: 'Payment cancelled. You can pay again',
  failed: 'The payment was not completed. Please try again',
  expired: 'This order or link has expired. Go back and start the payment again',
  taken: 'Somebody else is paying this order. Go back and open it again',
  refused: 'WeChat does not take this payment here. Open the shop inside WeChat, or pay another way',
  offline: 'The network is unstable. Check it, then ask for the result',
  missing: "Open the payment from the shop's app or page",
  pay: 'Pay now',
  check: 'Check the result',
  backToApp: 'Back to the app',
  backByHand: 'Go back to the app or browser by hand',
}

/** @param language as WeChat spells it: zh_CN, en, … */
export function textsFor(language: string): Record<TextKey, string> {
  return language.startsWith('zh') ? zh : en
}
