import { Refusal, type Started } from './gateway.ts'
import { objectOf, textOf, wholeOf, type Json } from './snapshot.ts'

/** The payer's phone and the window into the providers: everything the shop asks of the simulators' control door. */
export type Payer = {
  /** The page on which the payer presses Pay. */
  walletUrl(started: Started): string
  /** Pays as the payer's phone would: with the invocation the gateway handed out, whose signature is checked. */
  pay(started: Started): Promise<void>
  /** Calls between gateway and provider about these numbers, both directions, oldest first. */
  traffic(numbers: readonly string[]): Promise<readonly Traffic[]>
}

export type Traffic = {
  at: number
  direction: 'call' | 'notification'
  provider: string
  /** create, query, refund, … or the label of a notification. */
  what: string
  /** HTTP status; 0 when there was no answer. */
  status: number
  ok: boolean
  note: string
}

const launchFields = ['appId', 'timeStamp', 'nonceStr', 'package', 'signType', 'paySign']

const isHuifu = (channel: string): boolean => channel.startsWith('huifu')

/** What a provider sees: the id without its underscore. */
export const numberOf = (id: string): string => id.replace('_', '')

function launchOf(started: Started): URLSearchParams {
  const parameters = new URLSearchParams()
  for (const name of launchFields) {
    const value = started.invocation[name]
    if (value !== undefined) parameters.set(name, value)
  }
  return parameters
}

const about = (numbers: readonly string[], value: unknown): boolean =>
  typeof value === 'string' && numbers.some((number) => value.startsWith(number))

const rowsOf = (value: unknown): readonly Json[] => (Array.isArray(value) ? value.map(objectOf) : [])

function callOf(row: Json): Traffic {
  const status = wholeOf(row, 'status')
  const note = [textOf(row, 'code'), textOf(row, 'fault')].filter((text) => text !== '').join(', ')
  const fault = textOf(row, 'fault') !== ''
  const [provider, what] = [textOf(row, 'provider'), textOf(row, 'operation')]
  return { at: wholeOf(row, 'at'), direction: 'call', provider, what, status, ok: status < 400 && !fault, note }
}

function notificationOf(row: Json): Traffic {
  const attempt = wholeOf(row, 'attempt')
  const note = [textOf(row, 'error'), attempt > 1 ? `attempt ${String(attempt)}` : ''].filter((text) => text !== '')
  return {
    at: wholeOf(row, 'at'),
    direction: 'notification',
    provider: textOf(row, 'provider'),
    what: textOf(row, 'label'),
    status: wholeOf(row, 'status'),
    ok: row['accepted'] === true,
    note: note.join(', '),
  }
}

/** Opens the control door. */
export function createPayer(controlUrl: string): Payer {
  async function read(path: string): Promise<Json> {
    const response = await fetch(new URL(path, controlUrl), { signal: AbortSignal.timeout(5000) })
    return objectOf(await response.json())
  }
  return {
    walletUrl(started) {
      const path = isHuifu(started.channel) ? '/_sim/huifu/wallet' : '/wallet/wechat'
      const url = new URL(path, controlUrl)
      const prepay = (started.invocation['package'] ?? '').replace('prepay_id=', '')
      url.search = isHuifu(started.channel)
        ? String(new URLSearchParams({ pay_package: started.invocation['package'] ?? '' }))
        : `prepay_id=${encodeURIComponent(prepay)}&${String(launchOf(started))}`
      return url.href
    },
    async pay(started) {
      const huifu = isHuifu(started.channel)
      const parameters = huifu ? new URLSearchParams() : launchOf(started)
      if (huifu) parameters.set('pay_package', started.invocation['package'] ?? '')
      else parameters.set('out_trade_no', numberOf(started.paymentId))
      const path = huifu ? '/_sim/huifu/pay' : '/_sim/wechat-pay/pay'
      const response = await fetch(new URL(path, controlUrl), {
        method: 'POST',
        body: parameters,
        signal: AbortSignal.timeout(10_000),
      })
      const answer = objectOf(await response.json().catch(() => undefined))
      if (!response.ok) throw new Refusal(response.status, 'payer', `The wallet refused: ${textOf(answer, 'error')}`)
    },
    async traffic(numbers) {
      if (numbers.length === 0) return []
      const [calls, notifications] = await Promise.all([read('/_sim/requests'), read('/_sim/notifications')])
      const mine = rowsOf(calls['requests']).filter((row) =>
        Object.values(objectOf(row['keys'])).some((value) => about(numbers, value)),
      )
      const heard = rowsOf(notifications['attempts']).filter((row) =>
        about(numbers, textOf(row, 'label').split(' ')[1]),
      )
      return [...mine.map(callOf), ...heard.map(notificationOf)].toSorted((a, b) => a.at - b.at)
    },
  }
}
