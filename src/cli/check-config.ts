import { ConfigError, loadConfig } from '../config/load.ts'
import { exitCodes } from './exit-codes.ts'
import { configPath } from './places.ts'
import { result, say, styled } from './terminal.ts'

/**
 * Reads the configuration as the gateway would, starting nothing, and tells every fault with its place.
 * @returns the exit code: 1 when the gateway would not start with it
 */
export async function checkConfig(options: { config?: string; json: boolean }): Promise<number> {
  const path = configPath(options.config)
  try {
    const config = await loadConfig(path)
    const { warnings } = config
    if (options.json) result({ path, ok: true, faults: [], warnings })
    for (const { pointer, detail } of warnings) say(`! ${pointer} ${detail}`)
    const counts = `${counted(config.channels, 'channel')}, ${counted(config.merchants, 'merchant')}`
    say(`${styled('green', '✓')} ${path}: ${counts}${config.sandbox ? ', sandbox' : ''}`)
    return exitCodes.ok
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    if (options.json) result({ path, ok: false, faults: error.faults, warnings: [] })
    for (const { pointer, detail } of error.faults) say(`${styled('red', '✗')} ${pointer || path} ${detail}`)
    return exitCodes.failure
  }
}

function counted(things: Readonly<Record<string, unknown>>, name: string): string {
  const count = Object.keys(things).length
  return `${String(count)} ${name}${count === 1 ? '' : 's'}`
}
