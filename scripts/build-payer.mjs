/*
 * Builds the payer kit into dist/payer: one ES module without dependencies, and its types. Run before packing or testing,
 * never while installing.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const entry = join(root, 'src/web/payer/index.ts')
const folder = process.argv[2] ?? join(root, 'dist/payer')

rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
await build({
  entryPoints: [entry],
  outfile: join(folder, 'index.js'),
  bundle: true,
  format: 'esm',
  target: 'es2018',
  charset: 'utf8',
  logLevel: 'warning',
})

const compiler = join(root, 'node_modules/typescript/bin/tsc')
const flags = '--ignoreConfig --declaration --emitDeclarationOnly --allowImportingTsExtensions --strict'.split(' ')
const dialect = '--module nodenext --target es2018 --lib es2018 --types node'.split(' ')
execFileSync(process.execPath, [compiler, entry, ...flags, ...dialect, '--outDir', folder], { cwd: root, stdio: 'inherit' })
for (const name of readdirSync(folder).filter((file) => file.endsWith('.d.ts'))) {
  const path = join(folder, name)
  // Whoever reads these has no sources beside them.
  writeFileSync(path, readFileSync(path, 'utf8').replaceAll(/(from '\.\/[\w-]+)\.ts'/g, "$1.js'"))
}
