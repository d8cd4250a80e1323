import { configPath } from './places.ts'
import { say, stopSignal } from './terminal.ts'

/** Runs the gateway until it is told to stop; what is in work is finished first (reliability.md 5.12). */
export async function serve(options: { config?: string; worker: boolean; listen: boolean }): Promise<void> {
  const { startGateway } = await import('../main.ts')
  const stopped = stopSignal()
  const { worker, listen } = options
  const gateway = await startGateway({ configPath: configPath(options.config), worker, listen })
  if (listen) say(`gateway at ${gateway.url}, health and metrics at ${gateway.privateUrl}`)
  await stopped
  await gateway.close()
}
