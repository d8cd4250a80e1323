import { lookup as resolveByOs, type LookupAddress } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { Agent, request, type Dispatcher } from 'undici'
import { permitted, type AddressPolicy } from './public-address.ts'

/**
 * POST to a merchant's endpoint. The URL is the merchant's word, so the address is checked where the connection is made,
 * the answer is read no further than needed, and no redirect or proxy is followed (reliability.md 3.5, T86 to T91).
 */

/** What `Context` calls `WebhookAnswer`. */
export type EndpointAnswer =
  | { readonly kind: 'answered'; readonly status: number; readonly excerpt: string; readonly retryAfterMs?: number }
  | { readonly kind: 'failed'; readonly error: string }
  /** Nothing was sent: four are under way to this endpoint, and waiting for them would hold up other merchants' webhooks. */
  | { readonly kind: 'busy' }

export type WebhookPoster = {
  /** Never throws: whatever goes wrong on the way is an answer. */
  readonly post: (
    url: string,
    headers: Readonly<Record<string, string>>,
    body: string,
    sandbox: boolean,
  ) => Promise<EndpointAnswer>
  /** Drops every connection; posts under way end as `failed`. */
  close(): Promise<void>
}

/** Every address of a name. The operating system's resolver unless a test brings its own. */
export type Resolve = (host: string, done: (error: Error | null, addresses: readonly LookupAddress[]) => void) => void

export type WebhookPosterOptions = {
  /** Epoch milliseconds; turns a Retry-After date into a duration. */
  readonly now: () => number
  readonly resolve?: Resolve
  /** Milliseconds for connecting; 5 s. */
  readonly connectMs?: number
  /** Milliseconds for everything; 15 s. */
  readonly totalMs?: number
}

const mostBytesRead = 16 * 1024
const longestExcerpt = 1024
const longestRetryAfterMs = 24 * 60 * 60 * 1000
const inFlightPerEndpoint = 4

class RefusedAddress extends Error {
  readonly code = 'REFUSED_ADDRESS'
}

/**
 * Makes the sender of webhooks.
 * @param options clock, and what tests replace
 */
export function createWebhookPoster(options: WebhookPosterOptions): WebhookPoster {
  const agents = new Map<AddressPolicy, Agent>()
  const agentFor = (policy: AddressPolicy) => {
    const agent = agents.get(policy) ?? makeAgent(policy, options)
    agents.set(policy, agent)
    return agent
  }
  const underWay = new Map<string, number>()
  return {
    async post(url, headers, body, sandbox) {
      const target = readTarget(url, sandbox)
      if ('error' in target) return { kind: 'failed', error: target.error }
      const { origin } = target.url
      const before = underWay.get(origin) ?? 0
      if (before >= inFlightPerEndpoint) return { kind: 'busy' }
      underWay.set(origin, before + 1)
      try {
        const answer = await request(target.url, {
          method: 'POST',
          dispatcher: agentFor(target.policy),
          headers: { 'content-type': 'application/json', 'user-agent': 'Mortise', ...headers },
          body,
          signal: AbortSignal.timeout(options.totalMs ?? 15_000),
        })
        const retryAfterMs = readRetryAfter(answer.headers['retry-after'], options.now())
        const excerpt = await readExcerpt(answer.body)
        return {
          kind: 'answered',
          status: answer.statusCode,
          excerpt,
          ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
        }
      } catch (error) {
        return { kind: 'failed', error: nameFailure(error) }
      } finally {
        const left = (underWay.get(origin) ?? 1) - 1
        if (left === 0) underWay.delete(origin)
        else underWay.set(origin, left)
      }
    },
    async close() {
      await Promise.all([...agents.values()].map((agent) => agent.destroy()))
    },
  }
}

/** A pool per policy: a connection made under a milder rule is never used under a stricter one. */
function makeAgent(policy: AddressPolicy, options: WebhookPosterOptions): Agent {
  const totalMs = options.totalMs ?? 15_000
  return new Agent({
    connections: inFlightPerEndpoint,
    pipelining: 1,
    maxHeaderSize: 16 * 1024,
    headersTimeout: totalMs,
    bodyTimeout: totalMs,
    keepAliveTimeout: 4_000,
    connect: { timeout: options.connectMs ?? 5_000, lookup: filteredLookup(policy, options.resolve ?? resolveAll) },
  })
}

const resolveAll: Resolve = (host, done) => {
  resolveByOs(host, { all: true, order: 'verbatim' }, (error, addresses) => done(error, addresses ?? []))
}

/**
 * Resolves once and hands exactly the checked addresses to the connection, so that there is no second resolution to
 * answer differently. One forbidden address among several refuses the name.
 */
function filteredLookup(policy: AddressPolicy, resolve: Resolve): LookupFunction {
  return (host, lookup, callback) => {
    resolve(host, (error, addresses) => {
      const first = addresses[0]
      if (error !== null) callback(error, '', 0)
      else if (first === undefined || addresses.some(({ address }) => !permitted(address, policy))) {
        callback(new RefusedAddress('the host resolves to an address that is not permitted'), '', 0)
      } else if (lookup.all === true) callback(null, [...addresses])
      else callback(null, first.address, first.family)
    })
  }
}

type Target = { readonly url: URL; readonly policy: AddressPolicy } | { readonly error: string }

/** http reaches loopback and only in a sandbox (design.md 20.7). Literal addresses are checked here: nothing looks them up. */
function readTarget(text: string, sandbox: boolean): Target {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined) return { error: 'the URL cannot be read' }
  if (url.protocol !== 'https:' && !(sandbox && url.protocol === 'http:')) return { error: 'only https is permitted' }
  if (url.username !== '' || url.password !== '') return { error: 'user and password in the URL are not permitted' }
  const policy: AddressPolicy = url.protocol === 'http:' ? 'loopback' : sandbox ? 'either' : 'public'
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (isIP(host) !== 0 && !permitted(host, policy)) return { error: 'the address is not permitted' }
  url.hash = ''
  return { url, policy }
}

/**
 * Reads at most 16 KiB and drops the connection when there is more. An answer that breaks off is an answer still: its
 * status had arrived.
 * @returns up to one KiB of printable text (T90)
 */
async function readExcerpt(body: Dispatcher.ResponseData['body']): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      size += chunk.length
      if (size >= mostBytesRead) break
    }
  } catch {
    // What has arrived is enough.
  }
  body.destroy()
  return printable(Buffer.concat(chunks).subarray(0, mostBytesRead).toString('utf8'))
}

/** Text that is safe to store and to show: no control characters, no broken or direction-changing ones, one KiB of UTF-8. */
function printable(text: string): string {
  const safe = text
    .slice(0, longestExcerpt)
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
    .replace(/[\p{Cs}\p{Cf}\p{Co}\uFFFD]/gu, '')
    .trim()
  // Cutting bytes may split the last character; what is left of it decodes to U+FFFD and goes.
  return Buffer.from(safe)
    .subarray(0, longestExcerpt)
    .toString('utf8')
    .replace(/\uFFFD+$/, '')
}

/** Retry-After in seconds or as a date, at most 24 h (design.md 20.12). */
function readRetryAfter(header: string | string[] | undefined, now: number): number | undefined {
  if (typeof header !== 'string') return undefined
  const text = header.trim()
  if (/^\d{1,9}$/.test(text)) return Math.min(Number.parseInt(text, 10) * 1000, longestRetryAfterMs)
  const instant = /^[A-Z][a-z]{2}, /.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(instant) ? undefined : Math.min(Math.max(instant - now, 0), longestRetryAfterMs)
}

const failures: Readonly<Record<string, string>> = {
  REFUSED_ADDRESS: 'the host resolves to an address that is not permitted',
  ENOTFOUND: 'the host name does not resolve',
  EAI_AGAIN: 'the host name does not resolve at the moment',
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was reset',
  EPIPE: 'the connection was reset',
  UND_ERR_SOCKET: 'the connection broke before an answer came',
  UND_ERR_CONNECT_TIMEOUT: 'no connection in time',
  UND_ERR_HEADERS_TIMEOUT: 'no answer in time',
  UND_ERR_HEADERS_OVERFLOW: 'the headers of the answer are too large',
  UND_ERR_DESTROYED: 'the gateway is stopping',
}

/** A few words for the merchant; never an address, which would tell what our resolver sees. */
function nameFailure(error: unknown): string {
  if (!(error instanceof Error)) return 'the request failed'
  if (error.name === 'TimeoutError' || error.name === 'AbortError') return 'no answer in time'
  const inner: unknown = error instanceof AggregateError ? error.errors[0] : error
  const code = inner instanceof Error && 'code' in inner && typeof inner.code === 'string' ? inner.code : ''
  if (Object.hasOwn(failures, code)) return failures[code] ?? 'the request failed'
  if (/CERT|TLS|SSL|SELF_SIGNED|UNABLE_TO/.test(code)) return `the TLS connection failed (${code})`
  return /^[A-Z_]{1,60}$/.test(code) ? `the request failed (${code})` : 'the request failed'
}
