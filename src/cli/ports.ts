import { once } from 'node:events'
import { createServer } from 'node:net'
import { CommandFailure } from './exit-codes.ts'

/** Says whether somebody could listen there now. */
async function isFree(port: number, host: string): Promise<boolean> {
  const server = createServer()
  try {
    server.listen(port, host)
    await once(server, 'listening')
    return true
  } catch {
    return false
  } finally {
    server.close()
  }
}

/**
 * A free port below those that the system gives to outgoing connections: one of those may be taken by anybody between
 * the moment it is found free and the moment it is used.
 * @throws Error when none is free
 */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  const [first, count] = [20_000, 10_000]
  const start = Math.floor(Math.random() * count)
  for (let step = 0; step < count; step += 1) {
    const port = first + ((start + step) % count)
    if (!given.has(port) && (await isFree(port, host))) {
      given.add(port)
      return port
    }
  }
  throw new Error('no free port between 20000 and 29999')
}

/** Ports found free by this process and perhaps not listened on yet. */
const given = new Set<number>()

/**
 * A free port among those Huifu is willing to call, 8000 to 9005 (huifu-dougong.md 13.1). Searched from a random place,
 * so that demos started at the same moment seldom meet.
 * @throws Error when all are taken
 */
export async function freeHuifuPort(host = '127.0.0.1'): Promise<number> {
  const [first, count] = [8200, 800]
  const start = Math.floor(Math.random() * count)
  for (let step = 0; step < count; step += 1) {
    const port = first + ((start + step) % count)
    if (await isFree(port, host)) return port
  }
  throw new Error('no free port between 8200 and 8999')
}

const inUse = (port: number, option: string): string =>
  `port ${String(port)} is in use: stop the other program, or choose another port with ${option}`

/**
 * Says which port is taken before anything is written or started.
 * @param options option → port
 * @throws CommandFailure naming the first option whose port is taken
 */
export async function assertPortsFree(options: Readonly<Record<string, number>>, host = '127.0.0.1'): Promise<void> {
  for (const [option, port] of Object.entries(options)) {
    if (!(await isFree(port, host))) throw new CommandFailure(inUse(port, option))
  }
}

/** A person's words for a port that is taken, or undefined when the error is about something else. */
export function portInUse(error: unknown, options: Readonly<Record<number, string>>): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || error.code !== 'EADDRINUSE') return undefined
  const port = 'port' in error && typeof error.port === 'number' ? error.port : 0
  return inUse(port, options[port] ?? '--port')
}
