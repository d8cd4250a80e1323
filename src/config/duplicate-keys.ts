import { pointerTo } from './fault.ts'

type Level = { readonly keys: Set<string> | undefined; at: string | number; expectsKey: boolean }

/**
 * Pointers of keys that stand twice in one object. JSON.parse keeps the last one silently, so a route pasted twice
 * would be half ignored (reliability.md 2).
 * @param text valid JSON
 */
export function duplicateKeys(text: string): readonly string[] {
  const found: string[] = []
  const levels: Level[] = []
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],]/g)) {
    const level = levels.at(-1)
    if (token === '{') levels.push({ keys: new Set(), at: '', expectsKey: true })
    else if (token === '[') levels.push({ keys: undefined, at: 0, expectsKey: false })
    else if (token === '}' || token === ']') levels.pop()
    else if (token === ',' && level !== undefined) next(level)
    else if (level?.keys !== undefined && level.expectsKey) {
      const key = JSON.parse(token) as string
      level.at = key
      level.expectsKey = false
      if (level.keys.has(key)) found.push(pointerTo(...levels.map(({ at }) => at)))
      level.keys.add(key)
    }
  }
  return found
}

function next(level: Level): void {
  if (level.keys !== undefined) level.expectsKey = true
  else if (typeof level.at === 'number') level.at += 1
}
