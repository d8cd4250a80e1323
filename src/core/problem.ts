/**
 * Problems: what a caller must hear about, as RFC 9457 problem details with stable codes (design.md 10).
 * The union and the table below it cannot drift apart: a new code without title and status does not compile.
 */

export type ProblemCode =
  | 'invalid-request'
  | 'unauthenticated'
  | 'forbidden'
  | 'not-found'
  | 'method-not-allowed'
  | 'order-conflict'
  | 'refund-conflict'
  | 'order-not-payable'
  | 'order-not-refundable'
  | 'refund-exceeds-payment'
  | 'refund-limit-reached'
  | 'request-in-progress'
  | 'idempotency-key-reuse'
  | 'method-unavailable'
  | 'provider-rejected'
  | 'provider-unavailable'
  | 'openid-rejected'
  | 'launch-unavailable'
  | 'launch-expired'
  | 'launch-taken'
  | 'launch-scene-refused'
  | 'session-expired'
  | 'payload-too-large'
  | 'unsupported-media-type'
  | 'rate-limited'
  | 'unavailable'
  | 'internal'

/** Title and HTTP status of every code. */
export const problems: Readonly<Record<ProblemCode, { readonly status: number; readonly title: string }>> = {
  'invalid-request': { status: 400, title: 'The request does not fit the rules' },
  unauthenticated: { status: 401, title: 'Missing or wrong API key' },
  forbidden: { status: 403, title: 'The API key may not do this' },
  'not-found': { status: 404, title: 'No such thing for this merchant' },
  'method-not-allowed': { status: 405, title: 'This path does not take this method' },
  'order-conflict': { status: 409, title: 'This merchant_order_no was used with other content' },
  'refund-conflict': { status: 409, title: 'This merchant_refund_no was used with other content' },
  'order-not-payable': { status: 409, title: 'The order can no longer be paid' },
  'order-not-refundable': { status: 409, title: 'The order has not been paid, or can no longer be refunded' },
  'refund-exceeds-payment': { status: 409, title: 'More than remains to be refunded' },
  'refund-limit-reached': { status: 409, title: 'The provider allows no further partial refund of this payment' },
  'request-in-progress': { status: 409, title: 'The same request is still running' },
  'idempotency-key-reuse': { status: 422, title: 'This Idempotency-Key was used for another request' },
  'method-unavailable': { status: 422, title: 'No route offers this payment method' },
  'provider-rejected': { status: 422, title: 'The payment provider refused' },
  'provider-unavailable': { status: 503, title: 'The outcome at the payment provider is not known yet' },
  'openid-rejected': { status: 422, title: 'WeChat did not accept the login code' },
  'launch-unavailable': { status: 422, title: 'This order cannot be opened in a mini-program' },
  'launch-expired': { status: 410, title: 'This launch of the mini-program is no longer good' },
  'launch-taken': { status: 409, title: 'Somebody else is paying this order' },
  'launch-scene-refused': {
    status: 422,
    title: 'WeChat does not take payments in this mini-program opened from outside',
  },
  'session-expired': { status: 401, title: "The payer's session has ended" },
  'payload-too-large': { status: 413, title: 'The body is too large' },
  'unsupported-media-type': { status: 415, title: 'The body must be application/json' },
  'rate-limited': { status: 429, title: 'Too many requests' },
  unavailable: { status: 503, title: 'The gateway cannot take this request now' },
  internal: { status: 500, title: 'Our fault' },
}

/** One fault of the request: where it is (JSON Pointer, or a parameter name), the rule it breaks, and the cure. */
export type Fault = { readonly pointer: string; readonly detail: string }

export type ProblemExtras = {
  readonly errors?: readonly Fault[]
  /** Seconds. */
  readonly retryAfter?: number
  readonly provider?: { readonly channel: string; readonly reason: string; readonly code: string }
  /** Id of the thing that is already there. */
  readonly existing?: string
}

/** Something the caller must hear about. `detail` says what happened and what to do; it never holds a secret. */
export class Problem extends Error {
  readonly code: ProblemCode
  readonly detail: string
  readonly extras: ProblemExtras
  constructor(code: ProblemCode, detail: string, extras: ProblemExtras = {}) {
    super(`${code}: ${detail}`)
    this.name = 'Problem'
    this.code = code
    this.detail = detail
    this.extras = extras
  }
}
