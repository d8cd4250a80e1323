import { knexConfig } from './src/store/connect.ts'
import { migrationSource } from './src/store/migrate.ts'

/** For the knex command line: `DATABASE_URL=… NODE_OPTIONS="--import tsx" npx knex migrate:latest`. */
const url = process.env['DATABASE_URL']
if (url === undefined)
  throw new Error('DATABASE_URL names the database: sqlite:<file>, or mysql://user:password@host:port/database')

export default { ...knexConfig(url), migrations: { migrationSource: migrationSource(), tableName: 'knex_migrations' } }
