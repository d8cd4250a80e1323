import { styleText } from 'node:util'

type Style = 'bold' | 'dim' | 'green' | 'red' | 'cyan'

/** Colours only for people: a terminal, and nobody who said no (no-color.org). */
const coloured = (): boolean => process.stderr.isTTY && (process.env['NO_COLOR'] ?? '') === ''

/** Text in a style, where styles are welcome. */
export function styled(style: Style, text: string): string {
  return coloured() ? styleText(style, text) : text
}

/** Progress and explanations go to standard error, so that standard output stays data. */
export function say(line = ''): void {
  process.stderr.write(`${line}\n`)
}

/** One result, as one line of JSON on standard output. */
export function result(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}

/** Resolves at the first Ctrl-C, hang-up or polite kill; the second one ends the process at once. */
export function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let asked = false
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        if (asked) process.exit(130)
        asked = true
        resolve(signal)
      })
    }
  })
}
