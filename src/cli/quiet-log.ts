import { createLog } from '../log.ts'

/** The gateway's log for commands a person watches: on standard error, and only what went wrong unless asked for more. */
export function quietLog(verbose: boolean) {
  return createLog({ level: verbose ? 'info' : 'error', stream: { write: (line) => void process.stderr.write(line) } })
}
