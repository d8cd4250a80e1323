import type { Language } from './cashier-entry.ts'

/** Every word of the cashier, in both languages; the compiler finds what one of them lacks. `{…}` is filled in. */

export type MessageKey =
  | 'payTo'
  | 'item'
  | 'orderNo'
  | 'paidAt'
  | 'reference'
  | 'pay'
  | 'payAgain'
  | 'payBusy'
  | 'check'
  | 'back'
  | 'creating'
  | 'invoking'
  | 'confirming'
  | 'slowTitle'
  | 'slow'
  | 'paidTitle'
  | 'paid'
  | 'returning'
  | 'cancelledTitle'
  | 'cancelled'
  | 'failedTitle'
  | 'failed'
  | 'failedBridge'
  | 'failedRefused'
  | 'failedBusy'
  | 'failedUnavailable'
  | 'expiredTitle'
  | 'expired'
  | 'offlineTitle'
  | 'offline'
  | 'otherTitle'
  | 'other'
  | 'desktopTitle'
  | 'desktop'
  | 'wecomTitle'
  | 'wecom'
  | 'phoneTitle'
  | 'phone'
  | 'phoneMini'
  | 'miniTitle'
  | 'mini'
  | 'openMini'
  | 'openMiniHelp'
  | 'qrAlt'
  | 'linkLabel'
  | 'copy'
  | 'copied'
  | 'noScript'
  | 'sandbox'
  | 'otherLanguage'
  | 'notFoundTitle'
  | 'notFound'
  | 'snapshotTitle'
  | 'snapshot'
  | 'rejectedTitle'
  | 'rejected'
  | 'refusedTitle'
  | 'refused'
  | 'tooManyTitle'
  | 'tooMany'
  | 'brokenTitle'
  | 'broken'
  | 'continue'
  | 'receiptTitle'
  | 'receiptBack'

const chinese: Readonly<Record<MessageKey, string>> = {
  payTo: '向 {merchant} 付款',
  item: '商品',
  orderNo: '订单号',
  paidAt: '支付时间',
  reference: '参考号',
  pay: '立即支付',
  payAgain: '重新支付',
  payBusy: '请稍候…',
  check: '查询结果',
  back: '返回商家',
  creating: '正在下单…',
  invoking: '正在调起微信支付…',
  confirming: '正在确认支付结果…',
  slowTitle: '结果确认中',
  slow: '结果还在确认中。若已扣款，请勿重复支付。',
  paidTitle: '支付成功',
  paid: '款项已支付。',
  returning: '款项已支付，正在返回商家…',
  cancelledTitle: '支付已取消',
  cancelled: '你已取消支付，可重新支付。',
  failedTitle: '支付未完成',
  failed: '这次支付没有完成，没有收到款项。请重试。',
  failedBridge: '没有调起微信支付。请确认页面在微信中打开，然后重试。',
  failedRefused: '支付渠道没有接受这笔支付。请重试，或联系商家并告知参考号。',
  failedBusy: '支付渠道暂时没有回应。请稍后重试。',
  failedUnavailable: '商家暂时不能在微信内收款。请联系商家并告知参考号。',
  expiredTitle: '订单已过期',
  expired: '订单已过期，请返回商家重新下单。',
  offlineTitle: '网络不稳定',
  offline: '网络不稳定，暂时查不到结果。请点“查询结果”，不要重复支付。',
  otherTitle: '他人正在支付',
  other: '另一位付款人正在支付这笔订单，请勿重复支付。对方没有付款时，本页会自动恢复。',
  desktopTitle: '微信扫码支付',
  desktop: '请用手机微信“扫一扫”打开付款页，完成后本页会自动更新。',
  wecomTitle: '请在微信中支付',
  wecom: '企业微信不能付款。请复制链接到微信中打开，或用微信“扫一扫”。',
  phoneTitle: '请在微信中支付',
  phone: '当前浏览器不能调起微信支付。请复制链接到微信中打开，完成后回到本页查看结果。',
  phoneMini: '点下面的按钮打开微信完成支付，完成后回到本页查看结果。',
  miniTitle: '请在小程序中支付',
  mini: '正在打开小程序的支付页。',
  openMini: '打开微信支付',
  openMiniHelp: '没有打开微信？请复制链接到微信中打开：',
  qrAlt: '付款页的二维码',
  linkLabel: '付款链接',
  copy: '复制链接',
  copied: '已复制',
  noScript: '支付需要启用 JavaScript。启用后请刷新本页；订单信息仍然有效。',
  sandbox: '沙箱环境 · 不会真实扣款',
  otherLanguage: 'English',
  notFoundTitle: '找不到订单',
  notFound: '这个付款链接不存在或不完整。请返回商家重新打开。',
  snapshotTitle: '请使用完整服务',
  snapshot: '当前是微信的预览页面，不能付款。请点页面下方的“使用完整服务”，再继续支付。',
  rejectedTitle: '没有完成授权',
  rejected: '微信没有完成授权，还不能支付。请重试。',
  refusedTitle: '请从付款链接重新打开',
  refused: '这次授权不属于当前浏览器，或已经失效。请从商家给你的付款链接重新打开。',
  tooManyTitle: '操作太频繁',
  tooMany: '请稍等片刻再刷新本页。',
  brokenTitle: '页面暂时不可用',
  broken: '我们这边出了问题，请稍后再试。若已扣款，请勿重复支付，订单会自动确认。',
  continue: '继续支付',
  receiptTitle: '支付成功',
  receiptBack: '返回商家',
}

const english: Readonly<Record<MessageKey, string>> = {
  payTo: 'Pay {merchant}',
  item: 'Item',
  orderNo: 'Order',
  paidAt: 'Paid at',
  reference: 'Reference',
  pay: 'Pay now',
  payAgain: 'Pay again',
  payBusy: 'Please wait…',
  check: 'Check the result',
  back: 'Back to the shop',
  creating: 'Preparing your payment…',
  invoking: 'Opening WeChat Pay…',
  confirming: 'Confirming the result…',
  slowTitle: 'Still confirming',
  slow: 'The result is still being confirmed. If you were charged, do not pay again.',
  paidTitle: 'Payment successful',
  paid: 'Your payment has been received.',
  returning: 'Your payment has been received. Taking you back to the shop…',
  cancelledTitle: 'Payment cancelled',
  cancelled: 'You cancelled the payment. You can pay again.',
  failedTitle: 'Payment not completed',
  failed: 'This payment was not completed and nothing was received. Please try again.',
  failedBridge: 'WeChat Pay did not open. Make sure this page is open in WeChat, then try again.',
  failedRefused: 'The payment channel did not accept this payment. Try again, or tell the shop the reference.',
  failedBusy: 'The payment channel did not answer. Please try again in a moment.',
  failedUnavailable: 'The shop cannot take payments inside WeChat right now. Please tell the shop the reference.',
  expiredTitle: 'Order expired',
  expired: 'This order has expired. Please go back to the shop and order again.',
  offlineTitle: 'Unstable network',
  offline: 'The network is unstable and the result is not known yet. Tap “Check the result”; do not pay again.',
  otherTitle: 'Being paid by someone else',
  other:
    'Another person is paying this order right now; do not pay it twice. If they do not, this page recovers by itself.',
  desktopTitle: 'Scan to pay with WeChat',
  desktop: 'Open the payment page with “Scan” in WeChat on your phone. This page updates by itself.',
  wecomTitle: 'Please pay in WeChat',
  wecom: 'WeCom cannot pay. Copy the link into WeChat, or use “Scan” in WeChat.',
  phoneTitle: 'Please pay in WeChat',
  phone: 'This browser cannot open WeChat Pay. Copy the link into WeChat, then come back here to see the result.',
  phoneMini: 'Tap the button to pay in WeChat, then come back here to see the result.',
  miniTitle: 'Please pay in the mini-program',
  mini: 'Opening the payment page of the mini-program.',
  openMini: 'Pay in WeChat',
  openMiniHelp: 'WeChat did not open? Copy the link into WeChat:',
  qrAlt: 'QR code of the payment page',
  linkLabel: 'Payment link',
  copy: 'Copy the link',
  copied: 'Copied',
  noScript: 'Paying needs JavaScript. Enable it and reload this page; your order is still valid.',
  sandbox: 'Sandbox · no real money',
  otherLanguage: '中文',
  notFoundTitle: 'No such order',
  notFound: 'This payment link does not exist or is incomplete. Please open it again from the shop.',
  snapshotTitle: 'Use the full service',
  snapshot:
    'This is a WeChat preview, which cannot pay. Tap “使用完整服务” (use full service) at the bottom of the page, then continue.',
  rejectedTitle: 'Authorisation not completed',
  rejected: 'WeChat did not complete the authorisation, so you cannot pay yet. Please try again.',
  refusedTitle: 'Open the payment link again',
  refused:
    'This authorisation does not belong to this browser, or is no longer valid. Open the payment link the shop gave you.',
  tooManyTitle: 'Too many requests',
  tooMany: 'Please wait a moment, then reload this page.',
  brokenTitle: 'Temporarily unavailable',
  broken:
    'Something went wrong on our side. Please try again later. If you have been charged, do not pay again: the order will be confirmed by itself.',
  continue: 'Continue to payment',
  receiptTitle: 'Payment successful',
  receiptBack: 'Back to the shop',
}

const copies: Readonly<Record<Language, Readonly<Record<MessageKey, string>>>> = { 'zh-CN': chinese, en: english }

/** The words of one language; `fill` puts values into their places. */
export function copyOf(language: Language): (key: MessageKey, fill?: Readonly<Record<string, string>>) => string {
  const words = copies[language]
  return (key, fill = {}) => words[key].replace(/\{(\w+)\}/g, (place, name: string) => fill[name] ?? place)
}
