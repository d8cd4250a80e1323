import type { RejectionReason } from '../../core/provider.ts'

/**
 * What Huifu's result codes mean, by (operation, code, text): the same number covers several causes, so a number alone
 * is never enough, and whatever is not listed is unknown (huifu-dougong.md 16.1; cures from 16.4).
 */

export type Operation = 'prepay' | 'query' | 'close' | 'close_query' | 'refund' | 'refund_query'

/**
 * A reason: it certainly did not happen. `unknown`: ask. `absent`: no such number. `final`: the payment has ended, look
 * at it. `repeated`: this very number was taken before.
 */
export type Verdict = RejectionReason | 'unknown' | 'absent' | 'final' | 'repeated'

export type Reading = { readonly verdict: Verdict; readonly cure?: string }

type Rule = {
  readonly on?: readonly Operation[]
  readonly code?: RegExp
  readonly text?: RegExp
  readonly verdict: Verdict
  readonly cure?: string
}

/** True for the codes that say only that the call was processed; `trans_stat` decides about money (huifu-dougong.md 1.6). */
export function isProcessed(code: string): boolean {
  return code === '00000000' || code === '00000100'
}

const anyQuery: readonly Operation[] = ['query', 'close_query', 'refund_query']

/** First: answers that decide nothing, whatever their text says (huifu-dougong.md 16.1, class QUERY). */
const undecided: readonly Rule[] = [
  { on: ['close', 'close_query'], code: /^20000000$/, verdict: 'repeated' },
  // "Duplicate" means that an earlier request with this number was taken: never a failure (4.7).
  { code: /^(?:20000000|99010002)$/, verdict: 'unknown' },
  { code: /^(?:91111119|98888888|99999999)$/, verdict: 'unknown' },
  // A number of another day may have been taken on its own day: query the old one first (design.md 20.1).
  { code: /^10000000$/, text: /请求日期必须是当前日期/, verdict: 'unknown' },
]

/** Faults of configuration that Huifu or the channel behind it names in its text, with the cure (huifu-dougong.md 16.4). */
const namedFaults: readonly Rule[] = [
  {
    text: /sub_mch_id\s*与\s*sub_appid\s*不匹配/,
    verdict: 'misconfigured',
    cure: 'the appid is not bound to this merchant: bind it in the WeChat merchant configuration and look for stray blanks',
  },
  {
    text: /sub_appid\s*与\s*sub_openid\s*不匹配/,
    verdict: 'misconfigured',
    cure: 'the openid was obtained under another appid: obtain it under the appid of this method',
  },
  {
    text: /补齐相关资料/,
    verdict: 'misconfigured',
    cure: 'the WeChat real-name verification of the merchant is not finished: complete it and wait for WeChat',
  },
  {
    text: /redirect_uri\s*域名与后台配置不一致/,
    verdict: 'misconfigured',
    cure: 'configure the web authorisation domain in the official account',
  },
  {
    text: /数据权限认证失败/,
    verdict: 'misconfigured',
    cure: 'sys_id, product_id and huifu_id do not belong together: check the three',
  },
  {
    text: /接口权限认证失败/,
    verdict: 'misconfigured',
    cure: 'the interface is switched off for this sys_id: allow it in the console under key management',
  },
  {
    text: /该路由下未配置可用通道/,
    verdict: 'misconfigured',
    cure: 'no usable channel on this route: check the opened scene and the fee type of the merchant',
  },
  {
    text: /产品权限已被冻结/,
    verdict: 'misconfigured',
    cure: 'WeChat has frozen this product for the sub-merchant: ask Huifu',
  },
  { text: /orderExpireTime/, verdict: 'invalid_request', cure: 'the expiry must be fourteen digits of Beijing time' },
]

const ofClose: readonly Rule[] = [
  { on: ['close'], code: /^10000015$/, verdict: 'too_early', cure: 'Huifu closes no order in its first minute' },
  {
    on: ['close'],
    code: /^20000001$/,
    text: /[一1]\s*分钟/,
    verdict: 'too_early',
    cure: 'Huifu closes no order in its first minute',
  },
  { on: ['close'], code: /^(?:23000000|10000016|23000001|20000004)$/, verdict: 'final' },
  // Hosted closes: ended or asked for before, and not found (11.2); the order's own query knows which.
  { on: ['close'], code: /^(?:30000001|99010003)$/, verdict: 'final' },
  { on: ['close'], code: /^23000004$/, verdict: 'unsupported', cure: 'Huifu closes WeChat and Alipay orders only' },
  { on: ['close'], code: /^10000018$/, verdict: 'unknown' },
]

const ofRefund: readonly Rule[] = [
  {
    on: ['refund'],
    code: /^23000000$/,
    text: /未入账/,
    verdict: 'too_early',
    cure: 'the payment has not been credited yet: wait for the account notification',
  },
  { on: ['refund'], code: /^10000001$/, verdict: 'too_early', cure: 'the payment is not finished at Huifu yet' },
  { on: ['refund'], code: /^23000001$/, verdict: 'too_early', cure: 'Huifu does not find the payment yet' },
  {
    on: ['refund'],
    code: /^(?:23000003|90000000)$/,
    text: /余额不足/,
    verdict: 'insufficient_balance',
    cure: 'the merchant balance at Huifu is too low: top it up and the refund goes on',
  },
  { on: ['refund'], code: /^10000002$/, verdict: 'invalid_request', cure: 'the refund is larger than what remains' },
  { on: ['refund'], code: /^23000003$/, verdict: 'invalid_request', cure: 'the refund is larger than what remains' },
  {
    on: ['refund'],
    code: /^(?:10000009|23000004)$/,
    verdict: 'unsupported',
    cure: 'this payment cannot be refunded in this way',
  },
  {
    on: ['refund'],
    code: /^(?:23000002|20000003)$/,
    verdict: 'misconfigured',
    cure: 'check account state and fee bearer at Huifu',
  },
]

const ofOthers: readonly Rule[] = [
  {
    on: ['prepay'],
    code: /^90000000$/,
    text: /scheme/i,
    verdict: 'misconfigured',
    cure: 'WeChat gives no scheme for the hosted mini-program, which was changed or banned: ask Huifu',
  },
  { on: anyQuery, code: /^(?:23000001|20000004)$/, verdict: 'absent' },
  {
    on: ['prepay'],
    code: /^10000000$/,
    text: /订单已超时/,
    verdict: 'invalid_request',
    cure: 'the order had expired already',
  },
  { on: ['prepay'], code: /^23000003$/, verdict: 'invalid_request', cure: 'Huifu does not accept this amount' },
  { on: ['prepay'], code: /^23000004$/, verdict: 'unsupported', cure: 'this merchant cannot use this method' },
  { code: /^20000001$/, verdict: 'rate_limited', cure: 'Huifu asks to repeat this in a minute' },
  {
    code: /^(?:10000000|21000000|00000001)$/,
    verdict: 'invalid_request',
    cure: 'Huifu refused a field of the request',
  },
  {
    code: /^(?:22000000|22000002|22000003|22000004|22000005|20000005|20000006|00000103|00000106)$/,
    verdict: 'misconfigured',
    cure: 'product, merchant, account or permission is missing or wrong at Huifu: check the channel',
  },
  {
    code: /^(?:40002|20001|20003)$/,
    verdict: 'misconfigured',
    cure: 'the gateway refused the caller: check keys, sys_id and interface permission in the console',
  },
]

const rules: readonly Rule[] = [...undecided, ...namedFaults, ...ofClose, ...ofRefund, ...ofOthers]

/**
 * Reads a verified answer that was not processed.
 * @param code `resp_code`
 * @param text everything the answer says in words: resp_desc, bank_message and the like
 */
export function readCode(operation: Operation, code: string, text: string): Reading {
  for (const rule of rules) {
    if (rule.on !== undefined && !rule.on.includes(operation)) continue
    if (rule.code !== undefined && !rule.code.test(code)) continue
    if (rule.text !== undefined && !rule.text.test(text)) continue
    return rule.cure === undefined ? { verdict: rule.verdict } : { verdict: rule.verdict, cure: rule.cure }
  }
  return { verdict: 'unknown' }
}

/** What a channel's text says about a payment or refund that Huifu calls failed (F); `declined` where it names no cause of ours. */
export function readFailure(text: string): { readonly reason: RejectionReason; readonly cure?: string } {
  for (const rule of namedFaults) {
    if (rule.text?.test(text) !== true) continue
    if (rule.verdict === 'misconfigured' || rule.verdict === 'invalid_request') {
      return rule.cure === undefined ? { reason: rule.verdict } : { reason: rule.verdict, cure: rule.cure }
    }
  }
  return { reason: 'declined' }
}

/** Gateway codes in an unsigned body that mean that nothing was created (huifu-dougong.md 16.2). */
export function readGatewayCode(code: string): Reading {
  return /^(?:40002|20001|20003)$/.test(code) ? readCode('query', code, '') : { verdict: 'unknown' }
}

/** HTTP statuses of Huifu's gateway, the non-standard nine hundreds among them (huifu-dougong.md 1.6 and 16.2). */
export function readStatus(status: number): Reading {
  switch (status) {
    case 911:
    case 914:
      return { verdict: 'rate_limited', cure: 'Huifu limits the rate of calls: the same number is sent again later' }
    case 912:
      return { verdict: 'misconfigured', cure: 'Huifu has blocked the caller for security: ask Huifu' }
    case 921:
      return { verdict: 'misconfigured', cure: 'gateway authentication failed: check sys_id and product_id' }
    case 922:
      return { verdict: 'misconfigured', cure: 'Huifu rejected our signature: check the private key of the channel' }
    default:
      return { verdict: 'unknown' }
  }
}
