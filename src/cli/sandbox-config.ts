import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { packageFile } from './places.ts'

export type SandboxPorts = {
  readonly gateway: number
  readonly private: number
  readonly simulators: number
  readonly shop: number
}

/** The ports written in config/gateway.sandbox.json. */
export const usualPorts: SandboxPorts = { gateway: 8080, private: 8081, simulators: 8100, shop: 8102 }

/**
 * The sandbox configuration for other ports, another time scale and another place, changed as text so that every line,
 * and above all the one with the route, keeps its form.
 * @param text config/gateway.sandbox.json
 * @param schema where the JSON schema lies, seen from the new place
 */
export function adaptConfig(
  text: string,
  { ports, timeScale, schema }: { ports: SandboxPorts; timeScale?: number; schema: string },
): string {
  const moved = new Map(Object.entries(usualPorts).map(([name, port]) => [String(port), String(portOf(ports, name))]))
  // One pass, so that a port that became another's old one is not moved again.
  const withPorts = text.replaceAll(/(?<=127\.0\.0\.1:|ort": )\d+/g, (port) => moved.get(port) ?? port)
  const scaled = timeScale === undefined ? withPorts : withPorts.replace(/("timeScale": )\d+/, `$1${String(timeScale)}`)
  return scaled.replaceAll('../var/sandbox/', './sandbox/').replace('./gateway.schema.json', schema)
}

function portOf(ports: SandboxPorts, name: string): number {
  return Object.entries(ports).find(([key]) => key === name)?.[1] ?? 0
}

/**
 * Writes `gateway.json` into the folder; its keys lie in `sandbox/` beside it.
 * @returns the path of the file, and the time scale it states
 */
export function writeSandboxConfig(options: { folder: string; ports: SandboxPorts; timeScale?: number }) {
  const template = packageFile('config/gateway.sandbox.json')
  const schema = relative(options.folder, join(dirname(template), 'gateway.schema.json'))
  const text = adaptConfig(readFileSync(template, 'utf8'), {
    ports: options.ports,
    schema: schema.startsWith('.') ? schema : `./${schema}`,
    ...(options.timeScale === undefined ? {} : { timeScale: options.timeScale }),
  })
  mkdirSync(options.folder, { recursive: true, mode: 0o700 })
  const path = join(options.folder, 'gateway.json')
  writeFileSync(`${path}.new`, text, { mode: 0o600 })
  renameSync(`${path}.new`, path)
  const { timeScale = 1 } = JSON.parse(text) as { timeScale?: number }
  return { path, timeScale }
}
