import { ProviderUnknown } from '../../core/provider.ts'
import type { Answer } from './call.ts'
import type { Operation } from './codes.ts'
import { firstText } from './lossless.ts'

/**
 * An answer counts only when it is the answer to our request: the signature covers no nonce, so yesterday's genuine
 * answer about another payment verifies as well (reliability.md 5.3, "echo of our number").
 */
export type Echo = {
  /** Where the value may stand, by dialect; the first one present is compared. */
  readonly names: readonly string[]
  readonly value: string
  /** True where the answer is worthless without it. */
  readonly must: boolean
}

/** @throws ProviderUnknown where a value is another one than ours, or a required one is missing */
export function requireEcho(operation: Operation, answer: Answer, echoes: readonly Echo[]): void {
  for (const { names, value, must } of echoes) {
    const echoed = firstText(answer.data, ...names)
    if (echoed === undefined ? must : echoed !== value) {
      const name = names[0] ?? 'number'
      throw new ProviderUnknown(`huifu ${operation}: the answer is not about our request (${name})`, 'WRONG_ECHO')
    }
  }
}

/** The same echoes for an answer that refuses: Huifu need not repeat our numbers there, but must not contradict them. */
export function optional(echoes: readonly Echo[]): readonly Echo[] {
  return echoes.map((echo) => ({ ...echo, must: false }))
}
