import { existsSync, readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import type { RequestHandler } from 'express'
import { Problem } from '../core/problem.ts'
import type { PageAssets } from './cashier-page.ts'

/** The cashier's script and style as `src/web/build.ts` bundles them before start: hashed names, served for ever. */

type Asset = { readonly type: string; readonly plain: Buffer; readonly zipped: Buffer }

export type Assets = {
  readonly cashier: PageAssets
  readonly receipt: PageAssets
  readonly files: ReadonlyMap<string, Asset>
}

/** The folder beside the compiled code, seen from the sources and from the compiled code itself. */
const folders = ['../../dist/web/', '../../web/'].map((path) => new URL(path, import.meta.url))

const types: Readonly<Record<string, string>> = {
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
}

let loaded: Assets | undefined

/**
 * Reads the bundles once.
 * @throws Problem `unavailable` when they have not been built
 */
export function assets(): Assets {
  loaded ??= load()
  return loaded
}

function load(): Assets {
  const folder = folders.find((candidate) => existsSync(new URL('manifest.json', candidate)))
  if (folder === undefined) {
    throw new Problem('unavailable', 'The pages of the cashier have not been built: run npm run build once.')
  }
  const manifest = JSON.parse(readFileSync(new URL('manifest.json', folder), 'utf8')) as Record<string, string>
  const files = new Map<string, Asset>()
  for (const name of Object.values(manifest)) {
    const plain = readFileSync(new URL(name, folder))
    const type = types[name.slice(name.lastIndexOf('.') + 1)] ?? 'application/octet-stream'
    files.set(name, { type, plain, zipped: gzipSync(plain, { level: 9 }) })
  }
  const path = (source: string) => `assets/${manifest[source] ?? ''}`
  return {
    cashier: { script: path('cashier.js'), style: path('cashier.css') },
    receipt: { script: path('receipt.js'), style: path('cashier.css') },
    files,
  }
}

/** Serves one bundle. Its name changes with its content, so that it may be kept for ever. */
export const serveAsset: RequestHandler = (req, res) => {
  res.locals['route'] = '/cashier/assets/:name'
  const name: unknown = req.params['name']
  const asset = typeof name === 'string' ? assets().files.get(name) : undefined
  if (asset === undefined) throw new Problem('not-found', 'There is no such file.')
  const zipped = acceptsGzip(req.headers['accept-encoding'])
  res.setHeader('Content-Type', asset.type)
  res.setHeader('Cache-Control', 'public, max-age=31536000, immutable')
  res.setHeader('Vary', 'Accept-Encoding')
  if (zipped) res.setHeader('Content-Encoding', 'gzip')
  res.end(zipped ? asset.zipped : asset.plain)
}

export function acceptsGzip(header: string | string[] | undefined): boolean {
  return /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?(?:,|$))/.test(String(header ?? ''))
}
