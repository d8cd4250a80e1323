import { isId } from '../core/ids.ts'
import { Problem } from '../core/problem.ts'
import { redeliverEvent } from '../flows/redeliver-event.ts'
import { CommandFailure, exitCodes } from './exit-codes.ts'
import { configPath } from './places.ts'
import { quietLog } from './quiet-log.ts'
import { result, say } from './terminal.ts'

/**
 * Sends an event again to every endpoint it was for. The running gateway's worker delivers it; this command only makes
 * it due.
 * @throws CommandFailure when no merchant has the event
 */
export async function redeliver(eventId: string, options: { config?: string; json: boolean }): Promise<void> {
  if (!isId('event', eventId)) throw new CommandFailure('an event id looks like evt_01J9ZQ…', exitCodes.usage)
  const { startGateway } = await import('../main.ts')
  const configured = configPath(options.config)
  const gateway = await startGateway({ configPath: configured, listen: false, worker: false, log: quietLog(false) })
  try {
    for (const merchantId of gateway.context.merchants.ids()) {
      const event = await redeliverEvent(gateway.context, merchantId, eventId).catch((error: unknown) => {
        if (error instanceof Problem && error.code === 'not-found') return undefined
        throw error
      })
      if (event === undefined) continue
      if (options.json) result({ id: event.id, type: event.type, merchant: merchantId })
      say(`${event.type} ${event.id} is due again at the endpoints of ${merchantId}`)
      return
    }
    throw new CommandFailure(`no event ${eventId}`)
  } finally {
    await gateway.close()
  }
}
