import { largestAmount, type Money } from '../core/money.ts'
import { ProviderRejected, ProviderUnknown } from '../core/provider.ts'
import { NotSent, type Transport, type WireRequest, type WireResponse } from '../core/transport.ts'

/** The trichotomy in one place: an exchange has a value, certainly did not happen, or is unknown (design.md 7). */

/**
 * What a failure of an exchange means for the operation.
 * Anything that is not proof of not having been sent counts as unknown, our own bugs included (reliability.md 5.3).
 * @param operation for the message, such as "create payment"
 */
export function outcomeOf(error: unknown, operation: string): ProviderRejected | ProviderUnknown {
  if (error instanceof ProviderRejected || error instanceof ProviderUnknown) return error
  if (error instanceof NotSent) {
    return new ProviderRejected(
      'unreachable',
      'NOT_SENT',
      `${operation}: the provider could not be reached: ${error.message}`,
      {
        cause: error,
      },
    )
  }
  const why = error instanceof Error ? error.message : 'unexpected failure'
  return new ProviderUnknown(`${operation}: ${why}`, 'NO_ANSWER', { cause: error })
}

/**
 * Sends one request. A request that was never sent is tried once more within the same deadline, which is the only
 * retry anywhere inside a call (reliability.md 5.3); everything else is left to the engine's schedules.
 * @throws ProviderRejected with reason `unreachable`, or ProviderUnknown; nothing else
 */
export async function exchange(
  transport: Transport,
  request: WireRequest,
  signal: AbortSignal,
  operation: string,
): Promise<WireResponse> {
  const started = performance.now()
  try {
    return await transport(request, signal)
  } catch (error) {
    const left = Math.floor(request.deadlineMs - (performance.now() - started))
    if (!(error instanceof NotSent) || signal.aborted || left < 100) throw outcomeOf(error, operation)
    try {
      return await transport({ ...request, deadlineMs: left }, signal)
    } catch (second) {
      throw outcomeOf(second, operation)
    }
  }
}

/**
 * The last fence before an amount leaves: whole minor units above zero (design.md 6.8, invariant 9).
 * @throws ProviderRejected `invalid_request`; then nothing was sent
 */
export function requireAmount({ amount }: Money): void {
  if (Number.isSafeInteger(amount) && amount >= 1 && amount <= largestAmount) return
  const message = `an amount is a whole number of minor units between 1 and ${String(largestAmount)}`
  throw new ProviderRejected('invalid_request', 'AMOUNT', message)
}
