import type { Clock } from './clock.ts'
import type { SimHandler, SimRequest, SimResponse } from './http.ts'

/** One received call, without anything secret or personal. */
export type RequestEntry = {
  at: number
  provider: string
  operation: string
  method: string
  path: string
  /** The numbers that identify the call, such as out_trade_no or req_seq_id. */
  keys: Record<string, string>
  status: number
  /** The provider's code in the answer, if it has one. */
  code?: string
  fault?: string
  /** How many calls of the same operation with the same numbers came before. */
  duplicates: number
}

export type RequestLog = {
  record(handler: SimHandler, provider: string): SimHandler
  entries(): readonly RequestEntry[]
}

const KEPT = 10_000
const KEY_NAMES = [
  'out_trade_no',
  'out_refund_no',
  'transaction_id',
  'huifu_id',
  'req_date',
  'req_seq_id',
  'org_req_date',
  'org_req_seq_id',
  'org_hf_seq_id',
]

/** Path pattern → the word both simulators use for the operation. */
const OPERATIONS: readonly (readonly [RegExp, string])[] = [
  [/\/transactions\/jsapi$|\/payment\/(create|jspay)$/, 'create'],
  [/\/close$/, 'close'],
  [/\/closequery$/, 'closeQuery'],
  [/\/transactions\/(out-trade-no|id)\/[^/]+$|\/scanpay\/query$/, 'query'],
  [/\/domestic\/refunds$|\/scanpay\/refund$/, 'refund'],
  [/\/domestic\/refunds\/[^/]+$|\/refundquery$/, 'refundQuery'],
  [/^\/v3\/certificates$/, 'certificates'],
  [/^\/sns\/|^\/connect\//, 'login'],
  [/^\/cgi-bin\/(token|stable_token)$/, 'accessToken'],
  [/^\/wxa\/generate/, 'link'],
  [/^\/wxa\/query/, 'linkQuery'],
  [/\/hosting\/payment\/preorder$/, 'preorder'],
  [/\/hosting\/payment\/queryorderinfo$/, 'query'],
  [/\/hosting\/payment\/htRefund$/, 'refund'],
  [/\/hosting\/payment\/queryRefundInfo$/, 'refundQuery'],
]

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function parse(body: Buffer | string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'))
    return isRecord(value) ? value : {}
  } catch {
    return {}
  }
}

/** Numbers in the body (WeChat: at the top; Huifu: under data) or in the path. */
function keysOf(request: SimRequest): Record<string, string> {
  const body = parse(request.body)
  const source = isRecord(body['data']) ? body['data'] : body
  const keys: Record<string, string> = {}
  for (const name of KEY_NAMES) {
    const value = source[name]
    if (typeof value === 'string') keys[name] = value.slice(0, 64)
  }
  const inPath = /\/(out-trade-no|transactions\/id|refunds)\/([^/]+)/.exec(request.path)
  const name =
    inPath &&
    { 'out-trade-no': 'out_trade_no', 'transactions/id': 'transaction_id', refunds: 'out_refund_no' }[inPath[1] ?? '']
  if (name && inPath[2] !== undefined) keys[name] = inPath[2].slice(0, 96)
  return keys
}

function codeOf(answer: SimResponse): string | undefined {
  const body = parse(answer.body)
  const code = body['code'] ?? body['errcode'] ?? (isRecord(body['data']) ? body['data']['resp_code'] : undefined)
  return typeof code === 'string' || typeof code === 'number' ? String(code) : undefined
}

/** Remembers every provider call, so that a test can prove what was sent, and how often. */
export function createRequestLog(clock: Clock): RequestLog {
  const entries: RequestEntry[] = []
  const seen = new Map<string, number>()
  return {
    entries: () => entries,
    record: (handler, provider) => async (request) => {
      const at = clock.now()
      const answer = await handler(request)
      if (!answer) return undefined
      const operation = OPERATIONS.find(([pattern]) => pattern.test(request.path))?.[1] ?? 'other'
      const keys = keysOf(request)
      const call = `${provider} ${operation} ${JSON.stringify(keys)}`
      const duplicates = seen.get(call) ?? 0
      seen.set(call, duplicates + 1)
      const code = codeOf(answer)
      const { method, path } = request
      entries.push({
        at,
        provider,
        operation,
        method,
        path,
        keys,
        status: answer.status,
        ...(code === undefined ? {} : { code }),
        ...(answer.fault === undefined ? {} : { fault: answer.fault }),
        duplicates,
      })
      if (entries.length > KEPT) entries.shift()
      return answer
    },
  }
}
