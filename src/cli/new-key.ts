import { randomToken, sha256 } from '../crypto/digest.ts'
import { result, say } from './terminal.ts'

export type NewKey = { readonly key: string; readonly sha256: string }

/** A new API key, 256 random bits, and the digest that is all the gateway ever keeps of it (design.md 20.10). */
export function makeKey(): NewKey {
  const key = `gw_${randomToken(32)}`
  return { key, sha256: sha256(key) }
}

/** Prints a new key once; it cannot be printed again. */
export function newKey(options: { id: string; json: boolean }): void {
  const made = makeKey()
  if (options.json) {
    result({ id: options.id, ...made })
    return
  }
  process.stdout.write(`${made.key}\n`)
  say('\nThis is the only time the key is shown. In the merchant’s apiKeys of the configuration:\n')
  say(`  { "id": "${options.id}", "sha256": "${made.sha256}" }`)
}
