import { existsSync } from 'node:fs'
import type { TestDatabase } from '../databases.ts'

/**
 * The same database with its file in memory, where the machine has such a place: thousands of small commits otherwise
 * measure the disk. For tests that are not about durability; MariaDB is left where it is.
 */
export function onRamDisk(database: TestDatabase): TestDatabase {
  if (database.name !== 'sqlite' || !existsSync('/dev/shm')) return database
  return {
    name: database.name,
    open(options) {
      const usual = process.env['TMPDIR']
      process.env['TMPDIR'] = '/dev/shm'
      try {
        // The folder is chosen before the first wait, so nobody else sees the change.
        return database.open(options)
      } finally {
        if (usual === undefined) delete process.env['TMPDIR']
        else process.env['TMPDIR'] = usual
      }
    },
  }
}
