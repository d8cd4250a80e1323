import type { Act } from './memory.ts'
import type { Traffic } from './payer.ts'
import type { Received } from './webhook.ts'

/** One line of the order's life. */
export type Moment = {
  at: number
  lane: 'shop' | 'call' | 'notification' | 'webhook'
  /** Who speaks to whom. */
  who: string
  title: string
  detail: string
  tone: 'plain' | 'good' | 'bad'
  /** The same while the moment lasts, so that the page can tell new ones. */
  key: string
}

const ofAct = (act: Act, index: number): Moment => ({
  at: act.at,
  lane: 'shop',
  who: 'Shop',
  title: act.title,
  detail: act.detail,
  tone: act.kind === 'refused' ? 'bad' : 'plain',
  key: `act-${String(index)}`,
})

const statusText = (status: number): string => (status === 0 ? 'no answer' : `HTTP ${String(status)}`)

const providerNames: Readonly<Record<string, string>> = { 'wechat-pay': 'WeChat Pay', huifu: 'Huifu' }

const operations: Readonly<Record<string, string>> = {
  create: 'Create payment',
  query: 'Query payment',
  close: 'Close payment',
  closeQuery: 'Query close',
  refund: 'Refund',
  refundQuery: 'Query refund',
}

/** `payment pay01J… type 2` tells what Huifu's notification is about (huifu-dougong.md 13). */
function notificationTitle(what: string): string {
  if (what.endsWith(' type 1')) return 'Notification type 1: trade'
  if (what.endsWith(' type 2')) return 'Notification type 2: account credited'
  return `Notification: ${what.split(' ')[0] ?? ''}`
}

function ofTraffic(traffic: Traffic, index: number): Moment {
  const provider = providerNames[traffic.provider] ?? traffic.provider
  const note = traffic.note === '' ? '' : `, ${traffic.note}`
  const call = traffic.direction === 'call'
  return {
    at: traffic.at,
    lane: traffic.direction,
    who: call ? `Gateway → ${provider}` : `${provider} → gateway`,
    title: call ? (operations[traffic.what] ?? traffic.what) : notificationTitle(traffic.what),
    detail: `${statusText(traffic.status)}${note}${!call && traffic.ok ? ', accepted' : ''}`,
    tone: traffic.ok ? (call ? 'plain' : 'good') : 'bad',
    key: `${traffic.direction}-${String(index)}`,
  }
}

const ofWebhook = (webhook: Received, index: number): Moment => ({
  at: webhook.at,
  lane: 'webhook',
  who: 'Gateway → shop',
  title: `Webhook: ${webhook.type}`,
  detail: `signature verified ✓ with the ${webhook.secret} secret${webhook.repeated ? ', a repeat: ignored' : ''}`,
  tone: 'good',
  key: `webhook-${String(index)}`,
})

/** Asking the same again and again while a payer thinks is one line, not ten. */
function gathered(traffic: readonly Traffic[]): Traffic[] {
  const result: (Traffic & { times: number })[] = []
  for (const one of traffic) {
    const last = result.at(-1)
    const repeated = last?.direction === 'call' && last.what === one.what && last.status === one.status
    if (last !== undefined && repeated && one.direction === 'call' && one.what.toLowerCase().includes('query')) {
      last.times += 1
    } else result.push({ ...one, times: 1 })
  }
  return result.map((one) => ({ ...one, note: one.times > 1 ? `${String(one.times)} times` : one.note }))
}

/** Everything that happened to an order, oldest first. */
export function timelineOf(
  acts: readonly Act[],
  traffic: readonly Traffic[],
  webhooks: readonly Received[],
): readonly Moment[] {
  return [...acts.map(ofAct), ...gathered(traffic).map(ofTraffic), ...webhooks.map(ofWebhook)].toSorted(
    (a, b) => a.at - b.at,
  )
}
