import type { Context, WebhookAnswer } from '../context.ts'
import { delayMs, webhook } from '../core/schedule.ts'
import { signWebhook } from '../crypto/webhook-signature.ts'
import { deliveryById, insertDeliveryAttempt, postponeDelivery, settleDelivery } from '../store/deliveries.ts'
import { eventById } from '../store/events.ts'
import type { DeliveryRow } from '../store/rows.ts'

const busyPause_ms = 500
const retryAfterMax_ms = 24 * 60 * 60 * 1000

/**
 * One signed attempt at one delivery (design.md 8.3, reliability.md 5.7 and 5.8): same id and same bytes every time, the
 * timestamp and the signatures are of this attempt.
 * @param lease the worker's hold on the row
 */
export async function deliverWebhook(ctx: Context, deliveryId: string, lease: number): Promise<void> {
  const delivery = await deliveryById(ctx.db, deliveryId)
  if (delivery?.status !== 'pending') return
  const event = await eventById(ctx.db, delivery.event_id)
  const merchant = ctx.merchants.get(delivery.merchant_id)
  const endpoint = merchant?.endpoints.find((candidate) => candidate.id === delivery.endpoint_id)
  if (event === undefined || merchant === undefined || endpoint === undefined) {
    ctx.log.warn('the endpoint of a delivery is not in the configuration', {
      deliveryId,
      endpointId: delivery.endpoint_id,
    })
    // This process may be behind, or the endpoint may come back: a failed attempt like any other, on the schedule.
    return settle(ctx, delivery, lease, { kind: 'failed', error: 'the endpoint is not in the configuration' })
  }
  const startedAt = ctx.now()
  const timestamp = Math.floor(startedAt / 1000)
  const headers = {
    'content-type': 'application/json',
    'user-agent': 'Mortise-Webhooks/1',
    'webhook-id': event.id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': signWebhook(endpoint.secrets, event.id, timestamp, event.payload),
  }
  const answer = await ctx.postWebhook(endpoint.url, headers, event.payload, merchant.sandbox)
  // Slow endpoints of one merchant must not keep the webhooks of the others waiting (reliability.md T91).
  if (answer.kind === 'busy') return postponeDelivery(ctx.db, deliveryId, lease, ctx.now() + busyPause_ms)
  ctx.crash?.('webhook-answered')
  await insertDeliveryAttempt(ctx.db, {
    delivery_id: delivery.id,
    attempted_at: startedAt,
    duration_ms: ctx.now() - startedAt,
    http_status: answer.kind === 'answered' ? answer.status : null,
    error: answer.kind === 'failed' ? answer.error.slice(0, 200) : null,
    response_excerpt: answer.kind === 'answered' ? answer.excerpt : null,
  })
  await settle(ctx, delivery, lease, answer)
}

async function settle(ctx: Context, delivery: DeliveryRow, lease: number, answer: WebhookAnswer): Promise<void> {
  const now = ctx.now()
  if (answer.kind === 'answered' && answer.status >= 200 && answer.status < 300) {
    ctx.metrics.count('deliveries_total', { outcome: 'delivered' })
    return settleDelivery(ctx.db, delivery.id, lease, { status: 'delivered', next_attempt_at: null, delivered_at: now })
  }
  const gone = answer.kind === 'answered' && answer.status === 410
  const scheduled = gone ? undefined : delayMs(webhook, delivery.attempts - 1, ctx.random(), ctx.timeScale)
  if (scheduled === undefined) {
    ctx.metrics.count('deliveries_total', { outcome: 'exhausted' })
    ctx.log.error('webhook given up', {
      deliveryId: delivery.id,
      eventId: delivery.event_id,
      endpointId: delivery.endpoint_id,
    })
    return settleDelivery(ctx.db, delivery.id, lease, {
      status: 'exhausted',
      next_attempt_at: null,
      delivered_at: null,
    })
  }
  ctx.metrics.count('deliveries_total', { outcome: 'failed' })
  const asked =
    answer.kind === 'answered' && (answer.status === 429 || answer.status === 503) ? (answer.retryAfterMs ?? 0) : 0
  const delay = Math.max(scheduled, Math.min(asked, retryAfterMax_ms))
  await settleDelivery(ctx.db, delivery.id, lease, {
    status: 'pending',
    next_attempt_at: now + delay,
    delivered_at: null,
  })
}
