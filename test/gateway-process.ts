import { startGateway, type Gateway } from '../src/main.ts'
import { openLimits, quietLog } from './harness.ts'

/**
 * A gateway in a process of its own, so that a test can kill it for real: `node --import tsx test/gateway-process.ts`
 * with an IPC channel. Environment: CONFIG, DATABASE_URL, DEADLINE_MS, LEASE_MS, CRASH_AT.
 *
 * Messages in: `{ start: true }` starts it (everything is loaded by then, so a standby starts fast), `{ crashAt: place }`
 * arms a crash place, after which the process kills itself there with SIGKILL: nothing is flushed, closed or said.
 * Messages out: `loaded`, then `{ url }` when it answers requests. SIGTERM ends it in order.
 */

export type ToGateway = { readonly start: true } | { readonly crashAt: string | null }
export type FromGateway = 'loaded' | { readonly url: string } | { readonly failed: string }

let crashAt: string | null = process.env['CRASH_AT'] ?? null
let gateway: Gateway | undefined

function say(message: FromGateway): void {
  process.send?.(message)
}

const milliseconds = (name: string): number | undefined => {
  const text = process.env[name]
  return text === undefined ? undefined : Number.parseInt(text, 10)
}

async function start(): Promise<void> {
  const [providerDeadlineMs, leaseMs] = [milliseconds('DEADLINE_MS'), milliseconds('LEASE_MS')]
  try {
    gateway = await startGateway({
      configPath: process.env['CONFIG'] ?? '',
      log: quietLog,
      limits: openLimits,
      ...(providerDeadlineMs === undefined ? {} : { providerDeadlineMs }),
      ...(leaseMs === undefined ? {} : { leaseMs }),
      crash(place) {
        if (place === crashAt) process.kill(process.pid, 'SIGKILL')
      },
    })
    process.stdout.write(`${gateway.url}\n`)
    say({ url: gateway.url })
  } catch (error) {
    say({ failed: error instanceof Error ? (error.stack ?? error.message) : String(error) })
    process.exitCode = 1
    process.disconnect()
  }
}

process.on('message', (message: ToGateway) => {
  if ('start' in message) void start()
  else crashAt = message.crashAt
})
// Without the test that started it nobody would ever end it.
process.on('disconnect', () => void gateway?.close())
process.once('SIGTERM', () => {
  void (async () => {
    await gateway?.close()
    // The process then ends by itself: whatever the gateway left running would show as a process that does not.
    if (process.connected) process.disconnect()
  })()
})
say('loaded')
