import type { Fact, PaymentFact, RefundFact } from './fact.ts'
import type { Currency, Money } from './money.ts'
import type { Transport } from './transport.ts'

/**
 * The payment port: the only door between the gateway and a payment provider (design.md 7).
 *
 * Every call ends in exactly one of three ways: a value, `ProviderRejected` (it certainly did not happen) or
 * `ProviderUnknown` (it may have happened; ask again). Adapters keep no state of their own apart from cached keys,
 * decide nothing, and never read the clock to build an identifier or a date: a request repeated tomorrow must be
 * byte for byte the request of today, signature and nonce aside.
 */
export interface Provider {
  /** What this channel can do, as data: drives routing, pages and the feature table. */
  readonly methods: Readonly<Partial<Record<Method, MethodFacts>>>
  readonly rules: ProviderRules

  prepay(request: PrepayRequest, signal: AbortSignal): Promise<Prepaid>
  queryPayment(payment: PaymentRef, signal: AbortSignal): Promise<PaymentFact>
  /** Asks that the payer can no longer pay. May answer `succeeded`: the payer was faster. May answer `pending`: still closing. */
  closePayment(close: CloseRequest, signal: AbortSignal): Promise<PaymentFact>

  /** Safe to repeat with the same submission. */
  refund(request: RefundRequest, signal: AbortSignal): Promise<RefundFact>
  queryRefund(refund: RefundRef, signal: AbortSignal): Promise<RefundFact>

  /** Verifies, decrypts, translates. Throws `NotificationRejected`; nothing unverified gets past here. */
  readNotification(message: NotificationMessage): Promise<Notification>

  /** Stops background work (key refresh) when the channel's settings are replaced. */
  close?(): void
}

/** What the payer is offered. The words are ours; adapters translate them. */
export type Method =
  | 'wechat_jsapi'
  | 'wechat_mini'
  | 'wechat_app'
  | 'wechat_h5'
  | 'wechat_native'
  | 'alipay_jsapi'
  | 'alipay_native'
  | 'unionpay_jsapi'
  | 'unionpay_native'

export const methods: readonly Method[] = [
  'wechat_jsapi',
  'wechat_mini',
  'wechat_app',
  'wechat_h5',
  'wechat_native',
  'alipay_jsapi',
  'alipay_native',
  'unionpay_jsapi',
  'unionpay_native',
]

export type MethodFacts = {
  readonly currencies: readonly Currency[]
  /** The appid whose openid the payer must present. */
  readonly openidOf?: string
  /**
   * True when the provider's own mini-program collects the payment: prepay takes no openid and answers with an invocation
   * of kind `miniprogram`. Offered by launches only, never to callers who bring an openid (huifu-dougong.md 11).
   */
  readonly hosted?: boolean
}

/** Limits a provider puts on us, as data, so that the engine can keep them without knowing the provider. */
export type ProviderRules = {
  /** Whether the provider tells us about crediting; where false the account status stays `none`. */
  readonly tellsAccount: boolean
  /** `once`: one refund number for ever, repeatable any day. `per_day`: a number is valid on its day only (design.md 20.1). */
  readonly refundNumbers: 'once' | 'per_day'
  /** Milliseconds the provider wants between two refund submissions of one payment. */
  readonly refundSpacingMs: number
  /** Most partial refunds of one payment. */
  readonly refundsPerPayment: number
  /** Days after payment during which a refund is possible. */
  readonly refundDays: number
  /** Youngest age of an attempt at which the provider closes it, milliseconds. */
  readonly closeAfterMs: number
}

export type PaymentRef = {
  /** Travels, without its underscore, as out_trade_no / req_seq_id. */
  readonly paymentId: string
  /** The only source of the payment's own date, epoch milliseconds. */
  readonly createdAt: number
  readonly method: Method
  readonly amount: Money
  readonly transactionId?: string
  readonly partyOrderId?: string
}

/** A close has a number and a day of its own where the provider wants them; a retry is a new attempt. */
export type CloseRequest = PaymentRef & { readonly attempt: number; readonly requestedAt: number }

export type PrepayRequest = PaymentRef & {
  /** The merchant's own number; goes into attach / remark. */
  readonly merchantOrderNo: string
  readonly subject: string
  readonly openid?: string
  readonly clientIp: string
  readonly expiresAt: number
  readonly notifyUrl: string
  readonly returnUrl?: string
}

export type Prepaid = {
  readonly invocation: Invocation
  /** Epoch milliseconds after which the invocation is no longer offered to a payer. */
  readonly usableUntil: number
  readonly transactionId?: string
  readonly partyOrderId?: string
}

/** What the payer's device needs to start paying. Nothing in here is proof of anything. */
export type Invocation =
  | {
      readonly kind: 'jsapi'
      readonly appId: string
      readonly timeStamp: string
      readonly nonceStr: string
      readonly package: string
      readonly signType: 'RSA' | 'MD5' | 'HMAC-SHA256'
      readonly paySign: string
    }
  | {
      readonly kind: 'app'
      readonly appid: string
      readonly partnerid: string
      readonly prepayid: string
      readonly package: string
      readonly noncestr: string
      readonly timestamp: string
      readonly sign: string
    }
  | { readonly kind: 'redirect'; readonly url: string }
  | { readonly kind: 'qr'; readonly content: string }
  /** The provider's own mini-program. `scheme` opens it from a browser outside WeChat. */
  | { readonly kind: 'miniprogram'; readonly userName: string; readonly path: string; readonly scheme?: string }

export type RefundRef = {
  readonly refundId: string
  /** The number and the instant that really travelled (design.md 20.1); a date sent is the day of `sentAt`. */
  readonly submission: { readonly number: string; readonly sentAt: number }
  readonly createdAt: number
  readonly amount: Money
  readonly payment: PaymentRef
}

export type RefundRequest = RefundRef & { readonly reason: string; readonly notifyUrl: string }

export type NotificationMessage = {
  /** Huifu's console webhook has a door of its own (design.md 20.6). */
  readonly door: 'notify' | 'console'
  readonly query: Readonly<Record<string, string | undefined>>
  /** Lower-case names; a header received twice carries both values joined with ", ". */
  readonly headers: Readonly<Record<string, string | undefined>>
  /** The exact bytes received. */
  readonly body: Buffer
  readonly receivedAt: number
}

export type Notification = {
  /** The provider's own id for this message, or a digest of it. At most 80 characters. */
  readonly eventId: string
  /** A hint is stored and makes the worker ask; it moves no status. */
  readonly standing: 'evidence' | 'hint'
  /** True when evidence should be followed by a query all the same. */
  readonly confirm?: boolean
  readonly facts: readonly Fact[]
  /** Set when the message is genuine but is for another merchant, application or account than this channel's. */
  readonly mismatch?: string
  /** What this provider wants to hear when we have written it down. */
  readonly reply: Reply
}

export type Reply = { readonly status: number; readonly contentType: string; readonly body: string }

export type RejectionReason =
  | 'declined'
  | 'invalid_request'
  | 'misconfigured'
  | 'insufficient_balance'
  | 'too_early'
  | 'rate_limited'
  | 'unsupported'
  | 'unreachable'

/** The provider said, verifiably, that it did not happen; or the request never left. */
export class ProviderRejected extends Error {
  readonly code = 'PROVIDER_REJECTED'
  readonly reason: RejectionReason
  readonly providerCode: string
  /** @param message for the merchant: what is wrong and what to do about it; never a secret */
  constructor(reason: RejectionReason, providerCode: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ProviderRejected'
    this.reason = reason
    this.providerCode = providerCode
  }
}

/** Nobody knows whether it happened. Keep the number, ask again. */
export class ProviderUnknown extends Error {
  readonly code = 'PROVIDER_UNKNOWN'
  readonly providerCode: string
  constructor(message: string, providerCode = '', options?: ErrorOptions) {
    super(message, options)
    this.name = 'ProviderUnknown'
    this.providerCode = providerCode
  }
}

/** A message at a notification door that is not from the provider, or not readable. */
export class NotificationRejected extends Error {
  readonly code = 'NOTIFICATION_REJECTED'
  readonly why: 'signature' | 'stale' | 'malformed' | 'probe'
  constructor(why: 'signature' | 'stale' | 'malformed' | 'probe', message: string) {
    super(message)
    this.name = 'NotificationRejected'
    this.why = why
  }
}

/** Writes one line of log; the fields are a closed list so that a body or a key cannot slip in (reliability.md 5.11). */
export type Log = {
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}

export type LogFields = {
  readonly channelId?: string
  readonly merchantId?: string
  readonly orderId?: string
  readonly paymentId?: string
  readonly refundId?: string
  readonly eventId?: string
  readonly deliveryId?: string
  readonly endpointId?: string
  readonly requestId?: string
  readonly operation?: string
  readonly outcome?: string
  readonly reason?: string
  readonly providerCode?: string
  readonly providerRequestId?: string
  readonly httpStatus?: number
  readonly durationMs?: number
  readonly count?: number
  readonly method?: string
  readonly route?: string
  readonly chore?: string
  readonly url?: string
  readonly port?: number
  readonly version?: number
  readonly error?: unknown
}

/** What an adapter is given. Tests pass a transport that never leaves the process and a clock that obeys. */
export type ProviderTools = {
  readonly transport: Transport
  readonly now: () => number
  readonly log: Log
  /** Divides the provider's durations in a sandbox; 1 in production (design.md 20.8). */
  readonly timeScale: number
  /** True for channels marked `sandbox`: permits a base URL of one's own and http to loopback (design.md 20.7). */
  readonly sandbox: boolean
}

/** Builds an adapter from the channel's settings, whose secrets have been resolved. Throws an Error listing every fault. */
export type ProviderFactory = (settings: unknown, tools: ProviderTools) => Provider
