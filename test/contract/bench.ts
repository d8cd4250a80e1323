import http from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { ulid } from 'ulid'
import { idOf, submissionNumber } from '../../src/core/ids.ts'
import type {
  Invocation,
  Log,
  NotificationMessage,
  Prepaid,
  PrepayRequest,
  Provider,
  RefundRequest,
} from '../../src/core/provider.ts'
import type { Transport, WireRequest } from '../../src/core/transport.ts'
import { registry } from '../../src/providers/registry.ts'
import { createTransport } from '../../src/providers/transport.ts'
import { startSimulators, type Simulators } from '../../src/simulators/start.ts'

/** One adapter, the simulator of its provider, and a receiver of notifications: everything on real sockets. */

export type Operation = 'prepay' | 'query' | 'close' | 'refund' | 'queryRefund'

/** What differs between providers, so that the contract itself can be written once. */
export type Kind = {
  /** Name in the registry. */
  readonly provider: string
  /** The simulator's own names of the five operations, for its chaos door. */
  readonly names: Readonly<Record<Operation, string>>
  settings(simulators: Simulators): Record<string, unknown>
  /** What must never be seen outside: keys and the payer. */
  secrets(simulators: Simulators): readonly string[]
  /** The payer pays what the launch fields name. @returns the control door's status */
  pay(bench: Bench, request: PrepayRequest, invocation: Invocation, payerTotal?: number): Promise<number>
  /** An answer as the provider would give it, with a code that no document lists. */
  unknownCode(simulators: Simulators): { status: number; headers: Record<string, string>; body: Buffer }
  /** Faults of an answer after which the adapter repeats an idempotent call by itself (wechatpay.md 1.4). */
  readonly repeats: readonly string[]
  /** The refunds the simulator believes in. */
  sums(bench: Bench): Promise<{ refunded: number; refunds: number }>
}

export type Received = { readonly message: NotificationMessage; status: number }

export type BuildOptions = {
  readonly settings?: Readonly<Record<string, unknown>>
  readonly now?: () => number
  readonly transport?: Transport
}

export type Bench = {
  readonly kind: Kind
  readonly simulators: Simulators
  readonly provider: Provider
  readonly settings: Readonly<Record<string, unknown>>
  /** Requests that went out through the bench's own transport. */
  readonly wire: readonly WireRequest[]
  /** Everything that any adapter of this bench has logged, errors and their stacks included. */
  readonly logs: readonly string[]
  readonly received: readonly Received[]
  readonly notifyUrl: string
  build(options?: BuildOptions): Provider
  request(change?: Partial<PrepayRequest>): PrepayRequest
  /** Opens an order at the simulator and has it paid and, where the provider tells, credited. */
  paid(amount?: number): Promise<{ request: PrepayRequest; prepaid: Prepaid }>
  refundOf(request: PrepayRequest, amount: number): RefundRequest
  control(path: string, fields?: Record<string, string>, method?: 'GET' | 'POST'): Promise<Response>
  chaos(fault: string, operation: Operation | 'notify' | 'closeQuery' | '*', times?: number): Promise<void>
  close(): Promise<void>
}

/** How much faster durations pass here; deadlines and signature times do not. */
export const scale = 600

export const never = new AbortController().signal

const hung_ms = 300

/** Deadlines short enough that a call that hangs does not hold the suite up. */
export const impatient = {
  'wechat-v3-direct': { deadlines: { change: hung_ms, query: hung_ms } },
  huifu: { deadlineMs: hung_ms },
} as Readonly<Record<string, Record<string, unknown>>>

export async function startBench(kind: Kind, settings: Readonly<Record<string, unknown>> = {}): Promise<Bench> {
  const simulators = await startSimulators({ timeScale: scale, seed: 7 })
  const transport = createTransport()
  const wire: WireRequest[] = []
  const logs: string[] = []
  const received: Received[] = []
  const recording: Transport = (request, signal) => {
    wire.push(request)
    return transport(request, signal)
  }
  const base = { ...kind.settings(simulators), baseUrl: simulators.apiUrl, ...settings }
  const built: Provider[] = []
  const build = (options: BuildOptions = {}): Provider => {
    const factory = registry[kind.provider]
    if (factory === undefined) throw new Error(`no such provider: ${kind.provider}`)
    const provider = factory(
      { ...base, ...options.settings },
      {
        transport: options.transport ?? recording,
        now: options.now ?? Date.now,
        log: recorder(logs),
        timeScale: scale,
        sandbox: true,
      },
    )
    built.push(provider)
    return provider
  }
  const provider = build()
  const receiver = await startReceiver(provider, received)
  const control = (path: string, fields: Record<string, string> = {}, method: 'GET' | 'POST' = 'POST') =>
    fetch(`${simulators.controlUrl}${path}?${new URLSearchParams(fields).toString()}`, { method })
  // The receiver listens where it can, not where Huifu could reach it.
  await control('/_sim/huifu/options', { strict_ports: 'off' })
  const bench: Bench = {
    kind,
    simulators,
    provider,
    settings: base,
    wire,
    logs,
    received,
    notifyUrl: receiver.url,
    build,
    request: (change = {}) => prepayRequest(receiver.url, simulators, change),
    async paid(amount = 1000) {
      const request = prepayRequest(receiver.url, simulators, { amount: { amount, currency: 'CNY' } })
      const prepaid = await provider.prepay(request, never)
      const status = await kind.pay(bench, request, prepaid.invocation)
      if (status !== 200) throw new Error(`the wallet did not pay: ${String(status)}`)
      await until('credited', async () => {
        const fact = await provider.queryPayment(request, never)
        return fact.seen === 'succeeded' && (fact.account === undefined || fact.account === 'credited')
      })
      return { request, prepaid }
    },
    refundOf(request, amount) {
      const refundId = idOf('refund', ulid())
      const now = Date.now()
      return {
        refundId,
        submission: { number: submissionNumber(refundId, 1), sentAt: now },
        createdAt: now,
        amount: { amount, currency: 'CNY' },
        payment: request,
        reason: 'broken cup',
        notifyUrl: receiver.url,
      }
    },
    control,
    async chaos(fault, operation, times = 1) {
      const name = operation in kind.names ? kind.names[operation as Operation] : operation
      const answer = await control('/_sim/chaos', { fault, operation: name, times: String(times) })
      if (!answer.ok) throw new Error(await answer.text())
    },
    async close() {
      for (const one of built) one.close?.()
      await simulators.close()
      await receiver.close()
      await transport.close()
    },
  }
  return bench
}

function prepayRequest(notifyUrl: string, simulators: Simulators, change: Partial<PrepayRequest>): PrepayRequest {
  const now = Date.now()
  return {
    paymentId: idOf('payment', ulid()),
    createdAt: now,
    method: 'wechat_jsapi',
    amount: { amount: 1000, currency: 'CNY' },
    merchantOrderNo: 'A-1',
    subject: '乌龙茶 Oolong',
    openid: simulators.credentials.wechatPay.officialAccount.openid,
    clientIp: '203.0.113.9',
    expiresAt: now + 30 * 60_000,
    notifyUrl,
    ...change,
  }
}

/** Writes down everything, errors included, without taking anything out: what is hidden here was never written. */
function recorder(logs: string[]): Log {
  const write = (message: string, fields: { readonly error?: unknown } = {}): void => {
    const { error } = fields
    const told = error instanceof Error ? [error.message, error.stack, String(error.cause)] : [error]
    logs.push(JSON.stringify([message, fields, ...told]))
  }
  return { info: write, warn: write, error: write }
}

async function answer(provider: Provider, entry: Received, response: http.ServerResponse): Promise<void> {
  try {
    const { reply } = await provider.readNotification(entry.message)
    entry.status = reply.status
    response.writeHead(reply.status, { 'Content-Type': reply.contentType }).end(reply.body)
  } catch {
    entry.status = 401
    response.writeHead(401).end()
  }
}

/** A receiver that does what the gateway's door does: raw bytes to the adapter, its reply back, 401 for the rest. */
async function startReceiver(provider: Provider, received: Received[]) {
  const server = http.createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const message: NotificationMessage = {
        door: 'notify',
        query: {},
        headers: Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)])),
        body: Buffer.concat(chunks),
        receivedAt: Date.now(),
      }
      const entry: Received = { message, status: 0 }
      received.push(entry)
      void answer(provider, entry, response)
    })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    url: `http://127.0.0.1:${String(address.port)}/notify/main/segment`,
    close: () =>
      new Promise<void>((done) => {
        server.close(() => done())
        server.closeAllConnections()
      }),
  }
}

export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const end = Date.now() + 8000
  for (;;) {
    const value = await probe()
    if (value !== undefined && value !== false) return value
    if (Date.now() > end) throw new Error(`never came: ${what}`)
    await sleep(10)
  }
}

/** What an operation ended in, as one comparable text: a value's state, or the kind of error. */
export async function ending(work: Promise<unknown>): Promise<string> {
  try {
    const value = await work
    return typeof value === 'object' && value !== null && 'seen' in value ? String(value.seen) : 'value'
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) return `escaped: ${String(error)}`
    return 'reason' in error ? `${String(error.code)} ${String(error.reason)}` : String(error.code)
  }
}

/** The error an operation ended in. */
export async function failure(work: Promise<unknown>): Promise<Error & { reason?: string; why?: string }> {
  try {
    await work
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error('expected a failure')
}
