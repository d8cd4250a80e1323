/** What the process tells whoever started it; also printed by `mortise --help`. */
export const exitCodes = {
  /** Done. */
  ok: 0,
  /** Something failed. */
  failure: 1,
  /** The command line itself was wrong. */
  usage: 2,
  /** Finished, and found that things do not agree. */
  differences: 3,
  /** Stopped by Ctrl-C before it was finished. */
  interrupted: 130,
} as const

/** A failure a person can do something about: its message is printed without a stack. */
export class CommandFailure extends Error {
  readonly exitCode: number
  constructor(message: string, exitCode: number = exitCodes.failure) {
    super(message)
    this.name = 'CommandFailure'
    this.exitCode = exitCode
  }
}

/** What to print for an error: its message, and its stack only when asked for. */
export function explain(error: unknown, verbose: boolean): string {
  if (!(error instanceof Error)) return 'failed for an unknown reason'
  return verbose ? (error.stack ?? error.message) : error.message
}
