import { z } from 'zod'
import { ProviderRejected, ProviderUnknown, type LogFields, type ProviderTools } from '../../core/provider.ts'
import type { WireRequest, WireResponse } from '../../core/transport.ts'
import { randomNonce } from '../../crypto/digest.ts'
import { parseStrictBytes } from '../json.ts'
import { exchange, outcomeOf } from '../outcome.ts'
import { classify, type Operation } from './codes.ts'
import type { Keys } from './keys.ts'
import type { Settings } from './settings.ts'
import { authorization, checkSignature, type Fault, type Signable } from './signature.ts'

/** The only place that talks to WeChat Pay: sign, send, verify, classify. */

export type CallRequest = Signable & { readonly operation: Operation }

export type Answer =
  /** Verified 2xx; `json` is undefined for an empty body. */
  | { readonly kind: 'done'; readonly json: unknown }
  | { readonly kind: 'absent'; readonly code: string }
  | { readonly kind: 'ask'; readonly code: string }

export type Call = (request: CallRequest, signal: AbortSignal) => Promise<Answer>

/**
 * Makes the calling function of one channel. Every operation it carries is idempotent by its number (wechatpay.md 1.10),
 * so an answer with a probe or a wrong signature is answered by one repeat with a fresh signature (wechatpay.md 1.4).
 * The function throws ProviderRejected or ProviderUnknown and nothing else.
 */
export function createCall(settings: Settings, tools: ProviderTools, keys: Keys): Call {
  return async (request, signal) => {
    const started = performance.now()
    const report = (fields: LogFields): void => {
      const line = { operation: request.operation, durationMs: Math.round(performance.now() - started), ...fields }
      if (fields.outcome === 'unknown') tools.log.warn('wechat pay call', line)
      else tools.log.info('wechat pay call', line)
    }
    try {
      const first = await once(settings, tools, keys, request, signal)
      if (first.kind !== 'unverified') {
        report(first.fields)
        return settle(first, request)
      }
      report(first.fields)
      const repeatable = first.fault === 'probe' || first.fault === 'signature'
      if (!repeatable) return settle(first, request)
      const second = await repeat(settings, tools, keys, request, signal)
      report(second.fields)
      return settle(second, request)
    } catch (error) {
      const outcome = outcomeOf(error, request.operation)
      if (outcome !== error || outcome.providerCode === 'NOT_SENT' || outcome.providerCode === 'NO_ANSWER') {
        report({
          outcome: outcome instanceof ProviderRejected ? 'rejected' : 'unknown',
          providerCode: outcome.providerCode,
        })
      }
      throw outcome
    }
  }
}

type Observed = { readonly fields: LogFields } & (
  | Answer
  | { readonly kind: 'refused'; readonly error: ProviderRejected | ProviderUnknown }
  | { readonly kind: 'unverified'; readonly fault: Fault }
)

function settle(observed: Observed, request: CallRequest): Answer {
  if (observed.kind === 'refused') throw observed.error
  if (observed.kind === 'unverified') {
    throw new ProviderUnknown(
      `${request.operation}: the answer's signature is not acceptable (${observed.fault})`,
      'UNVERIFIED',
    )
  }
  return observed
}

/**
 * The one repeat after an answer that could not be verified. That answer may have been the truth, so a refusal of the
 * repeat, or a repeat that never left, proves nothing about the first (reliability.md 0.1, point 3).
 */
async function repeat(
  settings: Settings,
  tools: ProviderTools,
  keys: Keys,
  request: CallRequest,
  signal: AbortSignal,
): Promise<Observed> {
  const doubt = (error: ProviderRejected | ProviderUnknown): ProviderUnknown =>
    new ProviderUnknown(`${request.operation}: the first answer could not be verified`, error.providerCode, {
      cause: error,
    })
  try {
    const second = await once(settings, tools, keys, request, signal)
    return second.kind === 'refused' ? { ...second, error: doubt(second.error) } : second
  } catch (error) {
    throw doubt(outcomeOf(error, request.operation))
  }
}

async function once(
  settings: Settings,
  tools: ProviderTools,
  keys: Keys,
  request: CallRequest,
  signal: AbortSignal,
): Promise<Observed> {
  const response = await send(settings, tools, request, keys.requestSerial, signal)
  const requestId = /^[\w.-]{1,80}$/.exec(response.headers['request-id'] ?? '')?.[0]
  const fields: LogFields = {
    httpStatus: response.status,
    ...(requestId === undefined ? {} : { providerRequestId: requestId }),
  }
  if (response.status < 200 || response.status > 299) return refusal(request, response, fields)

  const fault = await checkSignature(response.headers, response.body, keys.keyFor, tools.now())
  if (fault !== undefined) {
    return {
      kind: 'unverified',
      fault,
      fields: { ...fields, outcome: fault === 'probe' ? 'probe' : 'unknown', reason: fault },
    }
  }
  // 202 says accepted but not finished (wechatpay.md 1.9); 2xx beyond 204 is documented nowhere.
  const understood = response.status === 200 || (response.status === 204 && request.operation === 'close')
  if (!understood) {
    const error = new ProviderUnknown(`${request.operation}: status ${String(response.status)} says nothing final`)
    return { kind: 'refused', error, fields: { ...fields, outcome: 'unknown' } }
  }
  const json = response.body.length === 0 ? undefined : parseStrictBytes(response.body)
  return { kind: 'done', json, fields: { ...fields, outcome: 'done' } }
}

const errorShape = z.object({
  code: z.string().regex(/^[A-Z0-9_]{1,64}$/),
  detail: z
    .object({ field: z.string().regex(/^[\w#/.-]{1,128}$/) })
    .optional()
    .catch(undefined),
})

/** Error answers carry no signature and are mapped by status and code alone, never by their message (wechatpay.md 1.4, 1.9). */
function refusal(request: CallRequest, response: WireResponse, fields: LogFields): Observed {
  const body = errorShape.safeParse(readLeniently(response.body))
  const code = body.success ? body.data.code : ''
  const verdict = classify(request.operation, response.status, code, body.data?.detail?.field)
  const line = { ...fields, providerCode: verdict.code, outcome: verdict.kind }
  if (verdict.kind === 'absent' || verdict.kind === 'ask') return { ...verdict, fields: line }
  const what = `${request.operation}: status ${String(response.status)}${verdict.code === '' ? '' : ` ${verdict.code}`}`
  const error =
    verdict.kind === 'rejected'
      ? new ProviderRejected(verdict.reason, verdict.code, verdict.message)
      : new ProviderUnknown(`${what} does not say whether it happened`, verdict.code)
  return { kind: 'refused', error, fields: line }
}

function readLeniently(body: Buffer): unknown {
  try {
    return parseStrictBytes(body)
  } catch {
    return undefined
  }
}

/**
 * Signs and sends. When the primary host certainly received nothing and a backup host is configured, the same request
 * goes there under a fresh signature (wechatpay.md 1.1); what makes that safe is the unchanged number.
 */
export async function send(
  settings: Settings,
  tools: ProviderTools,
  request: Signable & { readonly operation: string },
  serial: string | undefined,
  signal: AbortSignal,
): Promise<WireResponse> {
  const changes = request.operation === 'create' || request.operation === 'refund' || request.operation === 'close'
  const deadlineMs = changes ? settings.deadlines.change : settings.deadlines.query
  const attempt = async (base: string): Promise<WireResponse> => {
    const timestamp = Math.floor(tools.now() / 1000)
    const wire: WireRequest = {
      method: request.method,
      url: base + request.target,
      headers: {
        Authorization: await authorization(settings, request, timestamp, randomNonce()),
        Accept: 'application/json',
        'User-Agent': 'Mortise/0.1',
        ...(request.body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...(serial === undefined ? {} : { 'Wechatpay-Serial': serial }),
      },
      ...(request.body === undefined ? {} : { body: request.body }),
      deadlineMs,
    }
    return exchange(tools.transport, wire, signal, request.operation)
  }
  try {
    return await attempt(settings.baseUrl)
  } catch (error) {
    const neverSent = error instanceof ProviderRejected && error.reason === 'unreachable'
    if (!neverSent || settings.backupUrl === undefined || signal.aborted) throw error
    return attempt(settings.backupUrl)
  }
}
