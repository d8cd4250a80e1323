import { collectDefaultMetrics, Counter, Histogram, Registry } from 'prom-client'
import type { MetricName, Metrics } from './context.ts'

/** Counters and durations as Prometheus text, in a registry of their own so that two gateways in a process do not meet. */

const counters: Readonly<Record<MetricName, string>> = {
  notifications_total: 'Messages at the notification doors, by outcome',
  provider_calls_total: 'Calls to payment providers, by channel, operation and outcome',
  deliveries_total: 'Attempts at delivering a webhook, by outcome',
  discrepancies_total: 'Disagreements raised for a person, by kind',
  http_requests_total: 'Requests at the public listener, by route template and status',
  chores_total: 'Runs of the worker, by chore and outcome',
}

const durations = {
  provider_call_seconds: 'Duration of calls to payment providers',
  http_request_seconds: 'Duration of requests at the public listener',
  webhook_seconds: 'Duration of attempts at delivering a webhook',
} as const

/** Every label there is. One that is not in this list is dropped: a metric must not stop a payment. */
const labelNames = [
  'channel',
  'chore',
  'door',
  'kind',
  'method',
  'operation',
  'outcome',
  'provider',
  'reason',
  'route',
  'status',
]

const buckets = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15]

function known(labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).filter(([name]) => labelNames.includes(name)))
}

export type MetricsPage = { text(): Promise<string>; readonly contentType: string }

/** Makes the counters, and the page that shows them at `/metrics` of the private listener. */
export function createMetrics(): Metrics & MetricsPage {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const counter = (name: MetricName) => new Counter({ name, help: counters[name], labelNames, registers })
  const histogram = (name: keyof typeof durations) =>
    new Histogram({ name, help: durations[name], labelNames, buckets, registers })
  const counts: Readonly<Record<MetricName, Counter>> = {
    notifications_total: counter('notifications_total'),
    provider_calls_total: counter('provider_calls_total'),
    deliveries_total: counter('deliveries_total'),
    discrepancies_total: counter('discrepancies_total'),
    http_requests_total: counter('http_requests_total'),
    chores_total: counter('chores_total'),
  }
  const times = {
    provider_call_seconds: histogram('provider_call_seconds'),
    http_request_seconds: histogram('http_request_seconds'),
    webhook_seconds: histogram('webhook_seconds'),
  }
  return {
    count: (name, labels = {}) => counts[name].inc(known(labels)),
    observe: (name, labels, seconds) => times[name].observe(known(labels), seconds),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  }
}
