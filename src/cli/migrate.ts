import { loadConfig } from '../config/load.ts'
import { connect } from '../store/connect.ts'
import { migrate, pending } from '../store/migrate.ts'
import { configPath } from './places.ts'
import { result, say } from './terminal.ts'

/** Brings the schema up to date, or says with `dryRun` what that would apply. */
export async function migrateCommand(options: { config?: string; dryRun: boolean; json: boolean }): Promise<void> {
  const config = await loadConfig(configPath(options.config))
  const db = connect(config.database)
  try {
    const names = options.dryRun ? await pending(db) : await migrate(db)
    if (options.json) result({ applied: !options.dryRun, migrations: names })
    for (const name of names) say(`${options.dryRun ? 'would apply' : 'applied'} ${name}`)
    if (names.length === 0) say('the schema is up to date')
  } finally {
    await db.destroy()
  }
}
