import type { RejectionReason } from '../../core/provider.ts'

/**
 * Provider code → what it means for the operation (wechatpay.md 1.9, 6.3). Error answers are unsigned, so only the codes
 * documented as definite for the operation reject; everything else, and every code not listed here, is unknown.
 */

export type Operation = 'create' | 'query' | 'close' | 'refund' | 'query_refund'

export type Verdict =
  /** Certainly did not happen. */
  | { readonly kind: 'rejected'; readonly reason: RejectionReason; readonly code: string; readonly message: string }
  /** The number does not exist at the provider. */
  | { readonly kind: 'absent'; readonly code: string }
  /** A close that was refused because of the order's state: the order itself knows which (wechatpay.md 2.5). */
  | { readonly kind: 'ask'; readonly code: string }
  | { readonly kind: 'unknown'; readonly code: string }

type Entry = readonly [RejectionReason, string]

const openidCure =
  'the openid does not belong to the appid of this method: fetch the openid with the appid configured for the channel'

const configuration: Readonly<Record<string, Entry>> = {
  SIGN_ERROR: [
    'misconfigured',
    'WeChat Pay does not accept our signature: check that mchid, serial and privateKey belong together, that the APIv3 key is set at WeChat Pay, and that this machine has the right time',
  ],
  NO_AUTH: ['misconfigured', 'the merchant number lacks the permission for this product: apply for it at WeChat Pay'],
  APPID_MCHID_NOT_MATCH: [
    'misconfigured',
    'the appid is not bound to the merchant number: bind it at WeChat Pay, or correct appid or mchid of the channel',
  ],
  MCH_NOT_EXISTS: ['misconfigured', 'WeChat Pay does not know the merchant number: check mchid of the channel'],
}

const request: Readonly<Record<string, Entry>> = {
  PARAM_ERROR: ['invalid_request', 'WeChat Pay refuses a field of the request'],
  INVALID_REQUEST: ['invalid_request', 'the request contradicts a rule of WeChat Pay'],
}

const definite: Readonly<Record<Operation, Readonly<Record<string, Entry>>>> = {
  create: {
    ...configuration,
    ...request,
    ORDER_CLOSED: ['declined', 'this attempt has been closed: start a new payment'],
    RULE_LIMIT: ['declined', 'refused by a business or risk limit of WeChat Pay: try later or another way to pay'],
    TRADE_ERROR: ['declined', 'WeChat Pay refuses this trade: start a new payment or another way to pay'],
    ACCOUNT_ERROR: ['declined', 'the account of the payer or of the merchant does not permit this payment'],
    NOT_ENOUGH: ['declined', 'the balance does not cover this payment: pay another way'],
    OPENID_MISMATCH: ['invalid_request', openidCure],
  },
  query: { ...configuration, ...request },
  close: { ...configuration, PARAM_ERROR: request['PARAM_ERROR'] ?? ['invalid_request', ''] },
  refund: {
    ...configuration,
    ...request,
    NOT_ENOUGH: [
      'insufficient_balance',
      'the merchant balance does not cover this refund: top it up; the same refund is then sent again',
    ],
    USER_ACCOUNT_ABNORMAL: ['declined', "the payer's account is closed: pay the money back by other means"],
    RESOURCE_NOT_EXISTS: ['invalid_request', 'WeChat Pay knows no paid order under this number'],
    TRADE_OVERDUE: ['declined', 'the payment is older than a year and can no longer be refunded'],
    REFUND_FEE_MISMATCH: ['invalid_request', 'the amounts differ from the first request under this refund number'],
  },
  query_refund: { ...configuration, ...request },
}

const absent: Readonly<Record<Operation, readonly string[]>> = {
  create: [],
  query: ['ORDER_NOT_EXIST', 'ORDER_NOT_EXISTS'],
  close: ['ORDER_NOT_EXIST', 'ORDER_NOT_EXISTS'],
  refund: [],
  query_refund: ['RESOURCE_NOT_EXISTS', 'REFUND_NOT_EXIST', 'REFUND_NOT_EXISTS'],
}

const closeAsks = ['ORDER_PAID', 'ORDER_CLOSED', 'TRADE_ERROR', 'INVALID_REQUEST', 'RULE_LIMIT', 'TRADE_STATE_ERROR']

// Final although HTTP 500 (wechatpay.md 1.9); every other 5xx is unknown whatever its code says.
const definiteAt5xx = ['OPENID_MISMATCH']

/**
 * Classifies an error answer.
 * @param status 300 … 999
 * @param code the provider's code, or '' when the body had none
 * @param field JSON pointer of the field complained about, when the answer names one
 */
export function classify(operation: Operation, status: number, code: string, field = ''): Verdict {
  // Older pages spell the codes without underscores, newer ones with (wechatpay.md 1.9).
  const find = (names: readonly string[]): string | undefined => names.find((name) => plain(name) === plain(code))
  const [name, entry] = Object.entries(definite[operation]).find(([key]) => plain(key) === plain(code)) ?? []
  if (status >= 500 || status < 400) {
    return name !== undefined && entry !== undefined && status === 500 && definiteAt5xx.includes(name)
      ? { kind: 'rejected', reason: entry[0], code: name, message: entry[1] }
      : { kind: 'unknown', code }
  }
  // By status, because the code has two spellings. A refund refused for speed may be in process (wechatpay.md 1.9).
  if (status === 429) {
    return operation === 'refund'
      ? { kind: 'unknown', code }
      : { kind: 'rejected', reason: 'rate_limited', code, message: 'too many requests: the same request goes later' }
  }
  const missing = find(absent[operation])
  if (missing !== undefined) return { kind: 'absent', code: missing }
  const ask = operation === 'close' ? find(closeAsks) : undefined
  if (ask !== undefined) return { kind: 'ask', code: ask }
  if (name === undefined || entry === undefined) return { kind: 'unknown', code }
  return { kind: 'rejected', reason: entry[0], code: name, message: withField(entry[1], field) }
}

function withField(message: string, field: string): string {
  if (field.endsWith('openid')) return `${message}: ${field}: ${openidCure}`
  return field === '' ? message : `${message}: ${field}`
}

function plain(code: string): string {
  return code.replaceAll('_', '')
}
