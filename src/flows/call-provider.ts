import type { Channel, Context } from '../context.ts'
import { ProviderRejected, ProviderUnknown, type LogFields } from '../core/provider.ts'

export type Operation = 'prepay' | 'query' | 'close' | 'refund' | 'refund_query'

/**
 * Calls the provider with a deadline and ends in exactly one of three ways: a value, ProviderRejected, ProviderUnknown
 * (design.md 7). Whatever else an adapter throws may have happened after the request left, so it is unknown too.
 */
export async function callProvider<T>(
  ctx: Context,
  channel: Channel,
  operation: Operation,
  subject: LogFields,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const started = ctx.now()
  const asking = operation === 'query' || operation === 'refund_query'
  const signal = AbortSignal.timeout(asking ? ctx.providerDeadlineMs / 2 : ctx.providerDeadlineMs)
  const record = (outcome: string) => {
    ctx.metrics.count('provider_calls_total', { channel: channel.id, operation, outcome })
    ctx.metrics.observe('provider_call_seconds', { channel: channel.id, operation }, (ctx.now() - started) / 1000)
  }
  try {
    const value = await call(signal)
    record('value')
    return value
  } catch (error) {
    const known = error instanceof ProviderRejected || error instanceof ProviderUnknown
    const outcome = known
      ? error
      : new ProviderUnknown('the adapter failed while talking to the provider', '', { cause: error })
    record(outcome instanceof ProviderRejected ? `rejected_${outcome.reason}` : 'unknown')
    ctx.log.warn('provider call did not succeed', {
      ...subject,
      channelId: channel.id,
      operation,
      outcome: outcome.code,
      providerCode: outcome.providerCode,
      ...(outcome instanceof ProviderRejected ? { reason: outcome.reason } : {}),
      ...(known ? {} : { error }),
    })
    throw outcome
  }
}
