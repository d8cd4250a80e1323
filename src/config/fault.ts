/** Something wrong with the configuration: where (a JSON pointer), what the rule is and how to keep it. */
export type Fault = { readonly pointer: string; readonly detail: string }

/** Every fault of a configuration at once. Holds paths, rules and cures; never a value, which may be a secret. */
export class ConfigError extends Error {
  readonly code = 'CONFIG_INVALID'
  readonly faults: readonly Fault[]

  constructor(faults: readonly Fault[]) {
    const lines = faults.map(({ pointer, detail }) => `  ${pointer === '' ? '(file)' : pointer}: ${detail}`)
    super(
      `the configuration has ${String(faults.length)} ${faults.length === 1 ? 'fault' : 'faults'}:\n${lines.join('\n')}`,
    )
    this.name = 'ConfigError'
    this.faults = faults
  }
}

/** Joins keys to a JSON pointer (RFC 6901). */
export function pointerTo(...path: readonly PropertyKey[]): string {
  return path.map((key) => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}
