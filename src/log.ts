import pino from 'pino'
import type { Log, LogFields } from './core/provider.ts'

/**
 * The log: JSON lines to standard output (reliability.md 5.11). What may be written is a closed list of fields, checked
 * by the compiler and again here, because a value of a wider type can carry more than its declared fields.
 */

type FieldName = keyof LogFields

const fieldNames: Readonly<Record<FieldName, true>> = {
  channelId: true,
  merchantId: true,
  orderId: true,
  paymentId: true,
  refundId: true,
  eventId: true,
  deliveryId: true,
  endpointId: true,
  requestId: true,
  operation: true,
  outcome: true,
  reason: true,
  providerCode: true,
  providerRequestId: true,
  httpStatus: true,
  durationMs: true,
  count: true,
  method: true,
  route: true,
  chore: true,
  url: true,
  port: true,
  version: true,
  error: true,
}

const longestMessage = 300
const longestText = 500
const longestStack = 4000

/** Shapes of secrets and personal data that have no business in a log, whatever brought them there. */
const secretShapes: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]+-----[\s\S]*?(?:-----END [A-Z ]+-----|$)/g, '[key]'],
  [/\b(?:gw|whsec|whsk)_[A-Za-z0-9+/_=-]{8,}/g, '[secret]'],
  [/\b(Bearer|Basic)\s+[^\s"',]+/gi, '$1 [secret]'],
  [/\b(secret|js_code|access_token|session_key|api_?v?3?_?key|password|paySign|sign)=[^&\s"']+/gi, '$1=[secret]'],
  [/\/\/[^/\s:@]+:[^/\s@]+@/g, '//[secret]@'],
  // Openids are 28 characters that begin with "o" (wechatpay.md 5).
  [/\bo[A-Za-z0-9_-]{27}(?![A-Za-z0-9_-])/g, '[openid]'],
]

/** Takes out whatever looks like a secret or an openid. */
export function scrub(text: string): string {
  return secretShapes.reduce((left, [shape, replacement]) => left.replace(shape, replacement), text)
}

/** What the log keeps of an error: no `config`, `request`, `response` or `cause`, where HTTP clients keep keys. */
export function describeError(error: unknown): Record<string, string> {
  if (!(error instanceof Error)) return { name: 'NonError', message: scrub(String(error)).slice(0, longestMessage) }
  const frames = (error.stack ?? '').split('\n').filter((line) => line.startsWith('    at '))
  const code: unknown = 'code' in error ? error.code : undefined
  return {
    name: error.name.slice(0, 100),
    ...(typeof code === 'string' || typeof code === 'number' ? { code: scrub(String(code)).slice(0, 100) } : {}),
    message: scrub(error.message).slice(0, longestMessage),
    // Only the frames: the first lines of a stack repeat the message, which has been cut above for a reason.
    stack: frames.join('\n').slice(0, longestStack),
  }
}

/** A URL without its query, which may hold keys and codes. */
function withoutQuery(url: string): string {
  return scrub(url.replace(/[?#].*$/s, ''))
}

function clean(fields: LogFields | undefined): Record<string, unknown> {
  const kept: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(fields ?? {})) {
    if (!Object.hasOwn(fieldNames, name) || value === undefined) continue
    if (name === 'error') kept['error'] = describeError(value)
    else if (typeof value === 'string')
      kept[name] = (name === 'url' ? withoutQuery(value) : scrub(value)).slice(0, longestText)
    else if (typeof value === 'number' || typeof value === 'boolean') kept[name] = value
  }
  return kept
}

export type LogOptions = {
  /** `info` unless told otherwise. */
  readonly level?: string
  /** Standard output unless told otherwise. */
  readonly stream?: { write(line: string): void }
}

/**
 * Makes the log that every part of the gateway is given.
 * @param options level and destination
 */
export function createLog(options: LogOptions = {}): Log {
  const logger = pino(
    {
      level: options.level ?? 'info',
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: ['*.authorization', '*.config', '*.request', '*.response', '*.cause', '*.openid'],
        remove: true,
      },
    },
    options.stream ?? pino.destination(1),
  )
  return {
    info: (message, fields) => logger.info(clean(fields), scrub(message)),
    warn: (message, fields) => logger.warn(clean(fields), scrub(message)),
    error: (message, fields) => logger.error(clean(fields), scrub(message)),
  }
}
