/** How adapters reach the network. Tests pass a transport that never leaves the process. */

export type WireRequest = {
  readonly method: 'GET' | 'POST'
  /** Absolute URL; the bytes after the host are sent exactly as written here, because they are what was signed. */
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  /** Milliseconds until the whole exchange is given up. */
  readonly deadlineMs: number
  /** Largest acceptable answer, bytes. */
  readonly maxBytes?: number
}

export type WireResponse = {
  readonly status: number
  /** Lower-case names. A header that came more than once is joined with ", " as HTTP allows. */
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Buffer
}

/**
 * Sends one request, without retry, redirect or proxy.
 * @throws NotSent when no byte of the request can have reached the provider
 * @throws LostAnswer when it may have
 */
export type Transport = (request: WireRequest, signal: AbortSignal) => Promise<WireResponse>

/** Name resolution, connection or TLS failed: certainly nothing happened (reliability.md 5.3, class "not sent"). */
export class NotSent extends Error {
  readonly code = 'NOT_SENT'
}

/** Deadline, reset, or an answer that broke off: the request may have had its effect (reliability.md 5.3, "unknown"). */
export class LostAnswer extends Error {
  readonly code = 'LOST_ANSWER'
}
