import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The project's own files as text, for tests that read the code instead of running it. */

export const root = fileURLToPath(new URL('../../', import.meta.url))

export type Source = {
  /** From the root, with forward slashes. */
  readonly path: string
  readonly text: string
}

/** Every file below the folder whose name ends so, in a stable order; a folder that is not there has none. */
export function sourcesIn(folder: string, endings: readonly string[]): readonly Source[] {
  return filesIn(folder)
    .filter((path) => endings.some((ending) => path.endsWith(ending)))
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))
}

/** Files of the root folder itself, without its folders. */
export function topLevel(endings: readonly string[]): readonly Source[] {
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isFile() && endings.some((ending) => entry.name.endsWith(ending)))
    .map(({ name }) => ({ path: name, text: readFileSync(join(root, name), 'utf8') }))
}

/** Paths of every file below the folder, or the file itself. */
export function filesIn(folder: string): readonly string[] {
  const entries = (() => {
    try {
      return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    } catch {
      return []
    }
  })()
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .toSorted()
}

/**
 * The same text with comments blanked out, and with the contents of strings blanked out as well where asked. Line breaks
 * stay, so that line numbers are right.
 */
export function withoutComments(text: string, alsoStrings = false): string {
  let out = ''
  let at = 0
  /** Depth of braces at which each open `${` began. */
  const templates: number[] = []
  let depth = 0
  const blank = (part: string) => part.replaceAll(/[^\n]/g, ' ')
  const take = (length: number, visible: boolean) => {
    const part = text.slice(at, at + length)
    out += visible ? part : blank(part)
    at += length
  }
  const template = () => {
    const rest = /^(?:[^\\`$]|\\[^]|\$(?!\{))*/.exec(text.slice(at))?.[0] ?? ''
    take(rest.length, !alsoStrings)
    if (text.startsWith('${', at)) {
      templates.push(depth)
      take(2, true)
    } else take(1, true)
  }
  while (at < text.length) {
    const rest = text.slice(at, at + 2)
    const char = rest[0] ?? ''
    if (rest === '//') take((/^[^\n]*/.exec(text.slice(at))?.[0] ?? '').length, false)
    else if (rest === '/*')
      take(text.indexOf('*/', at) === -1 ? text.length - at : text.indexOf('*/', at) + 2 - at, false)
    else if (char === "'" || char === '"') {
      const string = new RegExp(`^${char}(?:[^\\\\${char}\\n]|\\\\[^])*${char}?`).exec(text.slice(at))?.[0] ?? char
      take(1, true)
      take(string.length - 1, !alsoStrings)
    } else if (char === '`') {
      take(1, true)
      template()
    } else if (char === '/' && beginsPattern(out)) {
      const pattern = /^\/(?:[^\\/[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\//.exec(text.slice(at))?.[0] ?? '/'
      take(pattern.length, !alsoStrings || pattern === '/')
    } else if (char === '}' && templates.at(-1) === depth) {
      templates.pop()
      take(1, true)
      template()
    } else {
      if (char === '{') depth += 1
      if (char === '}') depth -= 1
      take(1, true)
    }
  }
  return out
}

/** A slash begins a regular expression where a value may begin, and divides everywhere else. */
function beginsPattern(before: string): boolean {
  const code = before.trimEnd()
  return /(?:^|[(,=:[!&|?{};+\-*%^~<>])$/.test(code) || /\b(?:return|typeof|case|in|of|void|await)$/.test(code)
}

export type Import = { readonly from: string; readonly typesOnly: boolean; readonly names: readonly string[] }

/** Every module a file names: static and dynamic imports, re-exports and require. */
export function importsOf(text: string): readonly Import[] {
  const code = withoutComments(text)
  const found: Import[] = []
  for (const [, keyword, clause = '', from = ''] of code.matchAll(
    /^[ \t]*(import|export)\b([^'"`;=()]*?)\bfrom\s*['"]([^'"]+)['"]/gm,
  )) {
    const named = /\{([^}]*)\}/.exec(clause)?.[1] ?? ''
    const parts = named
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '')
    const everyNameIsType = parts.length > 0 && parts.every((part) => part.startsWith('type ')) && /^\s*\{/.test(clause)
    found.push({
      from,
      typesOnly: /^\s*type\b/.test(clause) || everyNameIsType,
      names:
        keyword === 'import' ? parts.map((part) => part.replace(/^type\s+/, '').replace(/\s+as\s+.*$/, '')) : ['*'],
    })
  }
  for (const [, from = ''] of code.matchAll(/^[ \t]*import\s*['"]([^'"]+)['"]/gm))
    found.push({ from, typesOnly: false, names: [] })
  for (const [, from = ''] of code.matchAll(/\b(?:import|require)\s*\(\s*['"`]([^'"`]+)['"`]/g))
    found.push({ from, typesOnly: false, names: ['*'] })
  return found
}
