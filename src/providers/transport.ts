import { AxiosHeaders, create as createAxios } from 'axios'
import { Pool, type Dispatcher } from 'undici'
import { LostAnswer, NotSent, type Transport, type WireRequest, type WireResponse } from '../core/transport.ts'

/**
 * The network behind `core/transport.ts`: axios for its interface, an undici pool per origin for the wire
 * (design.md 18.12, performance.md F). No retry, no redirect, no proxy variables, no decompression.
 */

export type TransportOptions = {
  /** Most connections per origin; 64 unless told. */
  readonly connections?: number
  /** Which plain-http addresses may be called; loopback only unless told (design.md 20.7). */
  readonly allowHttp?: (url: URL) => boolean
}

// WeChat Pay drops idle connections after about 8 s (wechatpay.md 1.1); reusing one in that second loses an answer.
const idle_ms = 7_000
const connect_ms = 5_000
const defaultMaxBytes = 1_048_576

/**
 * Makes a transport with connection pools of its own.
 *
 * Whether a failure is `NotSent` or `LostAnswer` is decided by the one thing that decides it: whether undici had begun
 * to write the request. Name resolution, refused connections, connect timeouts and TLS failures all come before.
 * The errors carry a code and no configuration, so that no header or body can reach a log through them.
 */
export function createTransport(options: TransportOptions = {}): Transport & { close(): Promise<void> } {
  const allowHttp = options.allowHttp ?? isLoopback
  const pools = new Map<string, Pool>()

  const poolFor = (origin: string): Pool => {
    let pool = pools.get(origin)
    if (pool === undefined) {
      pool = new Pool(origin, {
        connections: options.connections ?? 64,
        pipelining: 1,
        keepAliveTimeout: idle_ms,
        keepAliveMaxTimeout: idle_ms,
        connect: { timeout: connect_ms },
        allowH2: false,
      })
      pools.set(origin, pool)
    }
    return pool
  }

  // axios adds headers of its own and would re-serialise the body; what was signed must be what is sent.
  const client = createAxios({ transformRequest: [(data) => data], transformResponse: [(data) => data] })

  const transport: Transport = async (request, signal) => {
    const { origin, target } = addressOf(request.url, allowHttp)
    const response = await client.request<WireResponse>({
      method: request.method,
      url: request.url,
      validateStatus: () => true,
      // The whole answer travels as `data`: axios would otherwise rewrite the headers. The configuration that axios
      // shows to everyone who holds a response is an empty one.
      adapter: async () => ({
        data: await send(poolFor(origin), target, request, signal),
        status: 200,
        statusText: '',
        headers: {},
        config: { headers: new AxiosHeaders() },
      }),
    })
    return response.data
  }

  return Object.assign(transport, {
    close: async () => {
      const open = [...pools.values()]
      pools.clear()
      await Promise.all(open.map((pool) => pool.close()))
    },
  })
}

/** One exchange on one pool. Rejects with NotSent or LostAnswer and nothing else. */
function send(pool: Pool, target: string, request: WireRequest, signal: AbortSignal): Promise<WireResponse> {
  const answer = collector(request.maxBytes ?? defaultMaxBytes)
  return new Promise<WireResponse>((resolve, reject) => {
    let begun = false
    let done = false
    let controller: Dispatcher.DispatchController | undefined

    const finish = (): boolean => {
      if (done) return false
      done = true
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      return true
    }
    const fail = (what: string, cause?: unknown): void => {
      if (!finish()) return
      reject(begun ? new LostAnswer(`${what} after the request was sent`) : new NotSent(`${what}${codeOf(cause)}`))
      controller?.abort(new Error(what))
    }
    const onAbort = (): void => {
      fail('cancelled')
    }
    const timer = setTimeout(() => {
      fail(`no answer within ${String(request.deadlineMs)} ms`)
    }, request.deadlineMs)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) {
      onAbort()
      return
    }

    const handler: Dispatcher.DispatchHandler = {
      onRequestStart(started) {
        controller = started
        // A request given up while it waited for a connection must not be written after all.
        if (done) started.abort(new Error('given up'))
        else begun = true
      },
      onResponseStart(_controller, code, received) {
        if (code >= 200) answer.begin(code, joined(received))
      },
      onResponseData(_controller, chunk) {
        if (!answer.add(chunk)) fail('answer larger than allowed')
      },
      onResponseEnd() {
        if (finish()) resolve(answer.whole())
      },
      onResponseError(_controller, error) {
        fail(`connection failed${begun ? codeOf(error) : ''}`, error)
      },
    }
    try {
      pool.dispatch(dispatchOptions(target, request), handler)
    } catch (error) {
      // undici refuses malformed headers and paths before it does anything.
      fail('request refused before sending', error)
    }
  })
}

/** Gathers one answer; `add` says false when it grows beyond the cap. */
function collector(maxBytes: number) {
  let status = 0
  let headers: WireResponse['headers'] = {}
  let size = 0
  const chunks: Buffer[] = []
  return {
    begin(code: number, received: WireResponse['headers']): void {
      status = code
      headers = received
    },
    add(chunk: Buffer): boolean {
      size += chunk.length
      if (size <= maxBytes) chunks.push(chunk)
      return size <= maxBytes
    },
    whole: (): WireResponse => ({ status, headers, body: Buffer.concat(chunks) }),
  }
}

function dispatchOptions(target: string, request: WireRequest): Dispatcher.DispatchOptions {
  return {
    path: target,
    method: request.method,
    headers: headersOf(request),
    body: request.body ?? null,
    // The one deadline above covers the whole exchange.
    headersTimeout: 0,
    bodyTimeout: 0,
  }
}

/**
 * Splits a URL into origin and raw request target. The target is cut out of the text, never taken from the parsed URL:
 * the parser normalises, and normalised bytes are not the signed bytes (wechatpay.md 1.3).
 */
function addressOf(text: string, allowHttp: (url: URL) => boolean): { origin: string; target: string } {
  const match = /^https?:\/\/[^/?#@\s]+(\/[^#\s]*)$/.exec(text)
  if (match?.[1] === undefined || !URL.canParse(text)) throw new NotSent('not an absolute http or https address')
  const url = new URL(text)
  if (url.protocol !== 'https:' && !allowHttp(url)) throw new NotSent('plain http is allowed to loopback only')
  return { origin: url.origin, target: match[1] }
}

/** True for 127.0.0.0/8, ::1 and localhost. */
export function isLoopback(url: URL): boolean {
  return /^(?:localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])$/.test(url.hostname)
}

function headersOf(request: WireRequest): Record<string, string> {
  const asked = Object.keys(request.headers).some((name) => name.toLowerCase() === 'accept-encoding')
  // Signatures cover the uncompressed text; not asking for compression spares decoding and its bombs.
  return asked ? { ...request.headers } : { ...request.headers, 'Accept-Encoding': 'identity' }
}

function joined(received: Readonly<Record<string, string | string[] | undefined>>): WireResponse['headers'] {
  const entries = Object.entries(received).map(
    ([name, value]) => [name.toLowerCase(), Array.isArray(value) ? value.join(', ') : value] as const,
  )
  return Object.fromEntries(entries)
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return ''
  return ` (${error.code})`
}
