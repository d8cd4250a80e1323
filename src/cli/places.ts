import { existsSync } from 'node:fs'
import { extname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CommandFailure } from './exit-codes.ts'

/** A file of this package, found from the sources and from the compiled code, which lies one folder deeper. */
export function packageFile(path: string): string {
  const places = ['../../', '../../../'].map((up) => fileURLToPath(new URL(up + path, import.meta.url)))
  const place = places.find((candidate) => existsSync(candidate))
  if (place === undefined) throw new CommandFailure(`${path} is missing from this installation`)
  return place
}

/** The program's own entry, for starting it again as a child: TypeScript in development, JavaScript when compiled. */
export function ownEntry(): string {
  const own = fileURLToPath(import.meta.url)
  return fileURLToPath(new URL(`./main${extname(own)}`, import.meta.url))
}

/** The configuration file to use: the option, else GATEWAY_CONFIG, else config/gateway.json (design.md 11). */
export function configPath(option: string | undefined): string {
  const named = process.env['GATEWAY_CONFIG'] ?? ''
  return resolve(option ?? (named === '' ? 'config/gateway.json' : named))
}
