import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { after, type Clock } from './clock.ts'

/** One notification and how to deliver it. */
export type NotificationJob = {
  provider: string
  label: string
  url: string
  /** Called for each attempt (1, 2, …): timestamp, nonce and signature are fresh each time. */
  build(attempt: number): { headers: Record<string, string>; body: Buffer }
  /** Whether the answer counts as accepted. */
  accepted(status: number, body: string): boolean
  /** Delays before attempt 2, 3, …, in provider time. */
  scheduleMs: readonly number[]
  /** Delay before the first attempt, in provider time. */
  firstDelayMs?: number
  /** How long an answer may take, in real milliseconds (5000 by default); never shrunk. */
  timeoutMs?: number
  /** A reason for not calling this address at all; such a job is not repeated. */
  refuse?(url: URL): string | undefined
}

export type NotifierAttempt = {
  provider: string
  label: string
  url: string
  attempt: number
  at: number
  status?: number
  error?: string
  accepted: boolean
}

export type Notifier = {
  send(job: NotificationJob): void
  /** Every attempt made, oldest first. */
  attempts(): readonly NotifierAttempt[]
  /** Jobs that are neither accepted nor given up. */
  pending(): number
  /** Resolves when nothing is pending; rejects after `timeoutMs` (default 10000, real time). */
  idle(timeoutMs?: number): Promise<void>
  /** Gives up every pending job. */
  stop(): void
}

/** Answers are read up to this many bytes; more is cut off. */
const ANSWER_LIMIT = 64 * 1024

/** One POST without redirects and without connection reuse, so that nothing keeps the receiver's server open. */
function post(
  url: URL,
  headers: Record<string, string>,
  body: Buffer,
  signal: AbortSignal,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest
    const req = send(
      url,
      { method: 'POST', agent: false, signal, headers: { ...headers, 'Content-Length': String(body.length) } },
      (res) => {
        const parts: Buffer[] = []
        let size = 0
        res.on('data', (part: Buffer) => {
          size += part.length
          if (size <= ANSWER_LIMIT) parts.push(part)
        })
        res.on('end', () => resolve({ status: res.statusCode ?? 0, body: Buffer.concat(parts).toString('utf8') }))
        res.on('error', reject)
      },
    )
    req.on('error', reject)
    req.end(body)
  })
}

async function tryOnce(
  job: NotificationJob,
  attempt: number,
  clock: Clock,
  stopping: AbortSignal,
): Promise<NotifierAttempt> {
  const record = { provider: job.provider, label: job.label, url: job.url, attempt, at: clock.now() }
  try {
    const url = new URL(job.url)
    const { headers, body } = job.build(attempt)
    const timeout = AbortSignal.timeout(job.timeoutMs ?? 5000)
    const answer = await post(url, headers, body, AbortSignal.any([timeout, stopping]))
    return { ...record, status: answer.status, accepted: job.accepted(answer.status, answer.body) }
  } catch (error) {
    return { ...record, error: error instanceof Error ? error.message || error.name : 'failed', accepted: false }
  }
}

function refusalOf(job: NotificationJob): string | undefined {
  if (!URL.canParse(job.url)) return 'not a URL'
  const url = new URL(job.url)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return 'neither http nor https'
  return job.refuse?.(url)
}

/** Resolves when nothing is pending; `waiting` is emptied by whoever finishes the last job. */
async function waitUntil(pending: () => number, waiting: Set<() => void>, timeoutMs: number): Promise<void> {
  if (pending() === 0) return
  await new Promise<void>((resolve, reject) => {
    const done = (): void => {
      clearTimeout(timer)
      resolve()
    }
    const timer = setTimeout(() => {
      waiting.delete(done)
      reject(new Error(`${pending()} notifications still pending after ${timeoutMs} ms`))
    }, timeoutMs)
    waiting.add(done)
  })
}

/** Sends notifications on a provider's published retry schedule, in that provider's time. */
export function createNotifier(clock: Clock): Notifier {
  const attempts: NotifierAttempt[] = []
  const cancels = new Set<() => void>()
  const waiting = new Set<() => void>()
  const stopping = new AbortController()
  let pending = 0

  const finish = (): void => {
    pending -= 1
    if (pending > 0) return
    for (const resolve of waiting) resolve()
    waiting.clear()
  }
  const later = (delayMs: number, run: () => void): void => {
    const cancel = after(clock, delayMs, () => {
      cancels.delete(cancel)
      run()
    })
    cancels.add(cancel)
  }
  const attemptJob = async (job: NotificationJob, attempt: number): Promise<void> => {
    if (stopping.signal.aborted) return
    const result = await tryOnce(job, attempt, clock, stopping.signal)
    attempts.push(result)
    if (stopping.signal.aborted) return
    const delay = job.scheduleMs[attempt - 1]
    if (result.accepted || delay === undefined) finish()
    else later(delay, () => void attemptJob(job, attempt + 1))
  }

  return {
    send(job) {
      if (stopping.signal.aborted) return
      const refusal = refusalOf(job)
      if (refusal !== undefined) {
        const { provider, label, url } = job
        attempts.push({
          provider,
          label,
          url,
          attempt: 1,
          at: clock.now(),
          error: `not sent: ${refusal}`,
          accepted: false,
        })
        return
      }
      pending += 1
      later(job.firstDelayMs ?? 0, () => void attemptJob(job, 1))
    },
    attempts: () => attempts,
    pending: () => pending,
    idle: (timeoutMs = 10_000) => waitUntil(() => pending, waiting, timeoutMs),
    stop() {
      stopping.abort()
      for (const cancel of cancels) cancel()
      cancels.clear()
      pending = 0
      for (const resolve of waiting) resolve()
      waiting.clear()
    },
  }
}
