import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CommandFailure } from './exit-codes.ts'

function isAlive(pid: number): boolean {
  try {
    // Signal 0 asks only whether the process is there.
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/**
 * Keeps two sandboxes out of one folder: they would overwrite each other's settings and books.
 * @returns gives the folder back
 * @throws CommandFailure when a living process has it
 */
export function lockFolder(folder: string): () => void {
  const path = join(folder, 'sandbox.pid')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  try {
    writeFileSync(path, String(process.pid), { flag: 'wx' })
  } catch {
    const pid = Number.parseInt(readFileSync(path, 'utf8'), 10)
    if (pid > 0 && isAlive(pid)) {
      throw new CommandFailure(
        `a sandbox already uses ${folder} (process ${String(pid)}): stop it, choose another folder with --folder, or delete ${path} if that process is none`,
      )
    }
    // Whoever wrote it is gone without giving the folder back.
    writeFileSync(path, String(process.pid))
  }
  return () => rmSync(path, { force: true })
}
