import {
  ProviderRejected,
  ProviderUnknown,
  type LogFields,
  type ProviderTools,
  type RejectionReason,
} from '../../core/provider.ts'
import { exchange } from '../outcome.ts'
import { isProcessed, readCode, readGatewayCode, readStatus, type Operation, type Reading } from './codes.ts'
import { open, seal, type Data, type Opened } from './envelope.ts'
import { textOf, type JsonObject } from './lossless.ts'
import type { HuifuSettings } from './settings.ts'
import { plainWords, words } from './wording.ts'

/** The only place that talks to Huifu: sign, send, verify, classify (design.md 7; huifu-dougong.md 1 and 16.2). */

/** A verified answer. `data` is what Huifu signed; nothing else of the answer is worth reading. */
export type Answer = { readonly code: string; readonly data: JsonObject }

/**
 * Sends one signed request.
 * @returns the verified answer, processed or not
 * @throws ProviderRejected where the request was not sent or a gateway refused it (16.2); ProviderUnknown for anything else
 */
export type Call = (
  operation: Operation,
  path: string,
  data: Data & { readonly huifu_id: string },
  signal: AbortSignal,
  about: Pick<LogFields, 'paymentId' | 'refundId'>,
) => Promise<Answer>

const maxBytes = 1_048_576

/** Makes the call function of one channel. */
export function caller(settings: HuifuSettings, tools: ProviderTools): Call {
  return async (operation, path, data, signal, about) => {
    const started = tools.now()
    let httpStatus: number | undefined
    const done = (outcome: string, fields: LogFields): void => {
      const status = httpStatus === undefined ? {} : { httpStatus }
      const line = { ...about, operation, outcome, durationMs: tools.now() - started, ...status, ...fields }
      if (outcome === 'answered') tools.log.info('huifu call', line)
      else tools.log.warn('huifu call', line)
    }
    try {
      const body = await seal(settings, settings.privateKey, data)
      const request = {
        method: 'POST',
        url: settings.baseUrl + path,
        headers: headersOf(settings, data.huifu_id),
        body,
        deadlineMs: deadlineOf(operation, settings.deadlineMs),
        maxBytes,
      } as const
      const response = await exchange(tools.transport, request, signal, `huifu ${operation}`)
      httpStatus = response.status
      const answer = answerOf(operation, response.status, open(response.body, settings.huifuPublicKey))
      done('answered', { providerCode: answer.code })
      return answer
    } catch (error) {
      if (error instanceof ProviderRejected) {
        done('rejected', { reason: error.reason, providerCode: error.providerCode })
        throw error
      }
      const unknown =
        error instanceof ProviderUnknown
          ? error
          : new ProviderUnknown(`huifu ${operation}: unexpected failure`, 'INTERNAL', { cause: error })
      done('unknown', { providerCode: unknown.providerCode })
      throw unknown
    }
  }
}

/** Queries change nothing and can be asked again, so they wait half as long (reliability.md 5.3). */
function deadlineOf(operation: Operation, deadlineMs: number): number {
  return operation === 'prepay' || operation === 'refund' || operation === 'close'
    ? deadlineMs
    : Math.ceil(deadlineMs / 2)
}

function headersOf(settings: HuifuSettings, huifuId: string): Record<string, string> {
  const plain = { 'Content-Type': 'application/json;charset=UTF-8' }
  if (settings.skillSource === undefined) return plain
  return { ...plain, 'jpt-x-skill-source': settings.skillSource, 'jpt-x-skill-huifu_id': huifuId }
}

function answerOf(operation: Operation, status: number, opened: Opened): Answer {
  const atGateway = readStatus(status)
  if (atGateway.verdict !== 'unknown') throw refusal(operation, `HTTP_${String(status)}`, atGateway, '')
  if (status >= 500) throw new ProviderUnknown(`huifu ${operation}: HTTP ${String(status)}`, `HTTP_${String(status)}`)
  if (opened.state === 'unsigned') throw unsignedRefusal(operation, status, opened.data, opened.outer)
  if (opened.state === 'forged') {
    throw new ProviderUnknown(`huifu ${operation}: the answer's signature does not verify`, 'BAD_SIGNATURE')
  }
  if (opened.state === 'unreadable') {
    throw new ProviderUnknown(`huifu ${operation}: the answer is not readable`, `UNREADABLE_HTTP_${String(status)}`)
  }
  const code = textOf(opened.data, 'resp_code')
  if (status !== 200 || code === undefined) {
    throw new ProviderUnknown(`huifu ${operation}: an answer without a result`, `HTTP_${String(status)}`)
  }
  return { code, data: opened.data }
}

/** An unsigned body proves nothing except the few gateway refusals that Huifu documents (huifu-dougong.md 1.5, 1.6, 16.2). */
function unsignedRefusal(
  operation: Operation,
  status: number,
  data: JsonObject | undefined,
  outer: JsonObject,
): ProviderRejected | ProviderUnknown {
  const code = (data === undefined ? undefined : textOf(data, 'resp_code')) ?? textOf(outer, 'resp_code')
  const reading = code === undefined ? undefined : readGatewayCode(code)
  if (code === undefined || reading === undefined || reading.verdict === 'unknown') {
    return new ProviderUnknown(`huifu ${operation}: unsigned answer, HTTP ${String(status)}`, code ?? 'UNSIGNED')
  }
  const said = (data === undefined ? undefined : textOf(data, 'resp_desc')) ?? textOf(outer, 'resp_desc') ?? ''
  return refusal(operation, code, reading, said)
}

/**
 * What a verified answer that was not processed, or whose object failed, means; to be thrown.
 * @param operation decides which cause a code has
 */
export function refusalOf(operation: Operation, answer: Answer): ProviderRejected | ProviderUnknown {
  return refusal(operation, answer.code, readCode(operation, answer.code, words(answer.data)), plainWords(answer.data))
}

function refusal(
  operation: Operation,
  code: string,
  reading: Reading,
  theirWords: string,
): ProviderRejected | ProviderUnknown {
  const { verdict } = reading
  if (verdict === 'unknown' || verdict === 'absent' || verdict === 'final' || verdict === 'repeated') {
    return new ProviderUnknown(`huifu ${operation} answered ${code}${theirWords === '' ? '' : `: ${theirWords}`}`, code)
  }
  return rejected(operation, verdict, code, reading.cure, theirWords)
}

/** A definite refusal whose message gives the cure first and then the provider's own words (huifu-dougong.md 16.4). */
export function rejected(
  operation: Operation,
  reason: RejectionReason,
  code: string,
  cure: string | undefined,
  theirWords: string,
): ProviderRejected {
  const parts = [cure, theirWords === '' ? undefined : `Huifu said: ${theirWords}`].filter((part) => part !== undefined)
  const message = parts.length === 0 ? `huifu ${operation} was refused` : parts.join('. ')
  return new ProviderRejected(reason, code, message)
}

/** True when the call was processed; its `trans_stat` then decides (huifu-dougong.md 1.6). */
export function processed(answer: Answer): boolean {
  return isProcessed(answer.code)
}
