import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { ConfigError, pointerTo, type Fault } from './fault.ts'
import { referencePattern } from './schema.ts'

/** Resolves `env:` and `file:` references. Values leave through the return value only: never in a message. */

export type Source = {
  /** The configuration file's folder, against which file: paths are resolved. */
  readonly baseFolder: string
  readonly env: Readonly<Record<string, string | undefined>>
}

type Resolved = { readonly value: string; readonly warning?: string } | { readonly fault: string }

export function isReference(value: unknown): value is string {
  return typeof value === 'string' && referencePattern.test(value)
}

/**
 * What a reference stands for, without the line break that editors put at the end of a file.
 * @param secret whether others must not be able to read the file
 */
export function resolveReference(reference: string, source: Source, secret: boolean): Resolved {
  if (reference.startsWith('env:')) {
    const name = reference.slice('env:'.length)
    const value = source.env[name] ?? ''
    return value === '' ? { fault: `the environment variable ${name} is not set or empty` } : { value }
  }
  const path = resolve(source.baseFolder, reference.slice('file:'.length))
  try {
    const value = readFileSync(path, 'utf8').replace(/[\r\n]+$/, '')
    if (value === '') return { fault: `the file ${path} is empty` }
    const open = secret && process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0
    return open ? { value, warning: `the file ${path} is open to other users: chmod 600 it` } : { value }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    return { fault: `the file ${path} cannot be read (${code}): create it, or correct the path` }
  }
}

/** Public keys and digests may be read by anybody. */
export function isSecretKey(key: PropertyKey | undefined): boolean {
  return !/public|sha256|cert/i.test(String(key ?? ''))
}

/**
 * Resolves every reference inside a value of any shape.
 * @param found receives the faults, and the warnings about files that others can read
 */
export function resolveInside(
  value: unknown,
  source: Source,
  found: { readonly faults: Fault[]; readonly warnings: Fault[] },
  path: readonly PropertyKey[] = [],
): unknown {
  if (isReference(value)) {
    const resolved = resolveReference(value, source, isSecretKey(path.at(-1)))
    if ('fault' in resolved) {
      found.faults.push({ pointer: pointerTo(...path), detail: resolved.fault })
      return undefined
    }
    if (resolved.warning !== undefined) found.warnings.push({ pointer: pointerTo(...path), detail: resolved.warning })
    return resolved.value
  }
  if (Array.isArray(value)) return value.map((item, index) => resolveInside(item, source, found, [...path, index]))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, resolveInside(item, source, found, [...path, key])]),
  )
}

/**
 * A channel's settings with every `env:` and `file:` string replaced by what it stands for.
 * @param settings as configured, or as kept in channel_settings for older attempts
 * @param baseFolder the configuration file's folder
 * @throws ConfigError with every reference that leads nowhere
 */
export function resolveSettings(settings: unknown, baseFolder: string, env: NodeJS.ProcessEnv = process.env): unknown {
  const found = { faults: [] as Fault[], warnings: [] as Fault[] }
  const resolved = resolveInside(settings, { baseFolder, env }, found)
  if (found.faults.length > 0) throw new ConfigError(found.faults)
  return resolved
}

/** Literals where a secret is expected, anywhere inside a channel's settings: named like one, or a private key by its looks. */
export function literalSecrets(value: unknown, path: readonly PropertyKey[]): readonly Fault[] {
  if (typeof value === 'string') {
    const named = /secret|password|private_?key|apiv\d_?key|webhook_?key/i.test(String(path.at(-1) ?? ''))
    if (isReference(value) || !(named || /PRIVATE KEY/.test(value))) return []
    return [{ pointer: pointerTo(...path), detail: 'a secret is never written here: use env:NAME or file:path' }]
  }
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, item]) => literalSecrets(item, [...path, key]))
}
