import { writeFileSync } from 'node:fs'
import { jsonSchema } from './schema.ts'

/** Regenerates config/gateway.schema.json; a test fails while the file is behind the code. Run with `npx tsx`. */
writeFileSync(new URL('../../config/gateway.schema.json', import.meta.url), jsonSchema())
