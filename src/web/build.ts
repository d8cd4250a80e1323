import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

/**
 * Bundles the payer's pages before start, never while installing (design.md 20.14): one script and one style, their names
 * made of their content so that a browser may keep them for ever.
 */

const here = fileURLToPath(new URL('.', import.meta.url))
const target = fileURLToPath(new URL('../../dist/web/', import.meta.url))

/** @returns the bundles by the name the pages know them under */
export async function buildWeb(folder: string = target): Promise<Readonly<Record<string, string>>> {
  mkdirSync(folder, { recursive: true })
  const result = await build({
    entryPoints: ['cashier.ts', 'receipt.ts', 'cashier.css'].map((name) => join(here, 'cashier', name)),
    outdir: folder,
    entryNames: '[name]-[hash]',
    bundle: true,
    minify: true,
    // Android's WeChat runs an old Chromium, iOS's the system's WebKit (experience.md 1.5).
    target: 'es2018',
    format: 'iife',
    charset: 'utf8',
    legalComments: 'none',
    write: false,
    logLevel: 'warning',
  })
  const manifest: Record<string, string> = {}
  for (const { path, contents } of result.outputFiles) {
    const name = basename(path)
    manifest[name.replace(/-[A-Z0-9]+(?=\.\w+$)/, '')] = name
    if (!existsSync(path)) replace(path, contents)
  }
  replace(join(folder, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  const current = [...Object.values(manifest), 'manifest.json']
  for (const name of readdirSync(folder))
    if (/\.(?:js|css)$/.test(name) && !current.includes(name)) rmSync(join(folder, name))
  return manifest
}

/** Whole or not at all: another process may be reading the folder at this moment. */
function replace(path: string, contents: string | Uint8Array): void {
  const draft = `${path}.${String(process.pid)}`
  writeFileSync(draft, contents)
  renameSync(draft, path)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildWeb()
