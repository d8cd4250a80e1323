import { statSync } from 'node:fs'
import { ConfigError } from './fault.ts'
import { loadConfig, type GatewayConfig } from './load.ts'

const pollMs = 300

/** What changes when a file is edited, replaced or swapped behind a symbolic link. */
export function configStamp(path: string): string {
  try {
    const { mtimeMs, size, ino } = statSync(path)
    return `${String(mtimeMs)} ${String(size)} ${String(ino)}`
  } catch {
    return 'absent'
  }
}

/**
 * Reads the configuration again when its file changes and on SIGHUP. Polls, because change notifications are lost on
 * network file systems and mounted volumes. A new configuration is handed over whole or, with any fault, not at all.
 * @param onFault gets the faults of a file that was not taken over
 * @param env where `env:` references look, as for the first reading
 * @param known the stamp of the file that has been read already
 * @returns stops watching
 */
export function watchConfig(
  path: string,
  onChange: (config: GatewayConfig) => void,
  onFault: (error: ConfigError) => void,
  env: NodeJS.ProcessEnv = process.env,
  known: string = configStamp(path),
): () => void {
  let seen = known
  let wanted = false
  let reading = false
  let stopped = false
  const reload = async (): Promise<void> => {
    wanted = true
    if (reading) return
    reading = true
    while (wanted && !stopped) {
      wanted = false
      const outcome = await loadConfig(path, env).catch((error: unknown) =>
        error instanceof ConfigError ? error : new ConfigError([{ pointer: '', detail: String(error) }]),
      )
      if (stopped) break
      if (outcome instanceof ConfigError) onFault(outcome)
      else onChange(outcome)
    }
    reading = false
  }
  const timer = setInterval(() => {
    const now = configStamp(path)
    if (now === seen) return
    seen = now
    void reload()
  }, pollMs)
  timer.unref()
  const onHangup = () => void reload()
  process.on('SIGHUP', onHangup)
  return () => {
    stopped = true
    clearInterval(timer)
    process.off('SIGHUP', onHangup)
  }
}
