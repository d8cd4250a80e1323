import { readdir } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { join } from 'node:path'
import type { Knex } from 'knex'

/**
 * Migrations are recorded without file extension, so that the same database can be migrated from source in development
 * and from compiled code in production; knex itself would call the directory corrupt (design.md 17).
 */

type Step = { readonly name: string; readonly file: string }

/** Next to `src` in the source and next to `src` in the compiled code. */
const ownFolder = fileURLToPath(new URL('../../migrations', import.meta.url))

const lockWaitMs = 30_000

/** Where knex finds the migrations; shared with knexfile.ts. */
export function migrationSource(folder: string = ownFolder): Knex.MigrationSource<Step> {
  return {
    async getMigrations() {
      const files = await readdir(folder)
      return files
        .filter((file) => /^\d{4}_[a-z0-9_]+\.[jt]s$/.test(file))
        .map((file) => ({ name: file.replace(/\.[jt]s$/, ''), file: join(folder, file) }))
        .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    },
    getMigrationName: (step) => step.name,
    async getMigration(step) {
      return (await import(pathToFileURL(step.file).href)) as Knex.Migration
    },
  }
}

function settings(): Knex.MigratorConfig {
  return { migrationSource: migrationSource(), tableName: 'knex_migrations' }
}

/**
 * Brings the schema up to date. Several processes may start at once: those that find the lock taken wait for it.
 * @returns the names of the migrations applied by this call, oldest first
 */
export async function migrate(db: Knex): Promise<readonly string[]> {
  const deadline = Date.now() + lockWaitMs
  for (;;) {
    try {
      const [, applied] = (await db.migrate.latest(settings())) as [number, string[]]
      return applied
    } catch (error) {
      if (!isRace(error) || Date.now() > deadline) throw error
      await pause(100)
    }
  }
}

/** Somebody else is migrating, or has just created the table that knex was about to create. */
function isRace(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const errno = 'errno' in error ? error.errno : undefined
  return error.name === 'MigrationLocked' || errno === 1050 || /table .* already exists/i.test(error.message)
}

/** Names of the migrations that have not been applied, oldest first. */
export async function pending(db: Knex): Promise<readonly string[]> {
  const [, waiting] = (await db.migrate.list(settings())) as [unknown, readonly Step[]]
  return waiting.map((step) => step.name)
}

/**
 * Refuses to run behind the schema.
 * @throws Error naming what is missing and the command that applies it
 */
export async function assertMigrated(db: Knex): Promise<void> {
  const missing = await pending(db)
  if (missing.length > 0) throw new Error(`the database lacks ${missing.join(', ')}: run \`mortise migrate\` first`)
}
