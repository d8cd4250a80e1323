import type { Log } from '../core/provider.ts'
import { createLog } from '../log.ts'

/** The gateway's log for commands a person watches: on standard error, and only what went wrong unless asked for more. */
export function quietLog(verbose: boolean) {
  return createLog({ level: verbose ? 'info' : 'error', stream: { write: (line) => void process.stderr.write(line) } })
}

/** The same for the sandbox, whose person edits the configuration and wants to know in a line what became of it. */
export function sandboxLog(verbose: boolean): Log {
  const log = quietLog(verbose)
  const say = (line: string) => void process.stderr.write(`${line}\n`)
  return {
    ...log,
    info(message, fields) {
      if (fields?.operation === 'reload') say('✓ configuration taken over')
      log.info(message, fields)
    },
    error(message, fields) {
      if (fields?.operation !== 'reload') return log.error(message, fields)
      const why = fields.error instanceof Error ? fields.error.message : ''
      say(
        `✗ the changed configuration was not taken over; the one before stays in force\n${why.replaceAll(/^/gm, '  ')}`,
      )
    },
  }
}
