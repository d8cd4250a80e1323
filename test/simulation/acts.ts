import type { OrderResource } from '../../src/core/event.ts'
import type { Invocation } from '../../src/core/provider.ts'
import {
  call,
  control,
  open,
  pay,
  payer,
  readOrder,
  until,
  type ApiAnswer,
  type ConfigJson,
  type ProblemBody,
  type StartedPayment,
  type World,
} from '../harness.ts'

/** What merchants, payers and time do in the simulations. Both channels live in one world, told apart by the method. */

export type ChannelName = 'wechat-main' | 'huifu-main'
export const channels: readonly ChannelName[] = ['wechat-main', 'huifu-main']

const methods: Readonly<Record<ChannelName, string>> = { 'wechat-main': 'wechat_jsapi', 'huifu-main': 'wechat_mini' }
const providers: Readonly<Record<ChannelName, string>> = { 'wechat-main': 'wechat-pay', 'huifu-main': 'huifu' }

/** The simulator's name of the channel's provider, as chaos and request log spell it. */
export const providerOf = (channel: ChannelName): string => providers[channel]

/** Routes one method to each channel; for `startWorld({ configure })`. */
export function bothChannels(config: ConfigJson): void {
  for (const merchant of Object.values(config.merchants)) {
    for (const line of merchant.routes) line.channels = [line.method === 'wechat_mini' ? 'huifu-main' : 'wechat-main']
  }
}

/** What every answer of the merchant API may carry, so that a test can look before it decides. */
export type Answer = ApiAnswer<
  ProblemBody & {
    id: string
    status: string
    payment: StartedPayment['payment']
    invocation: Extract<Invocation, { kind: 'jsapi' }>
  }
>

export function askToPay(world: World, orderId: string, channel: ChannelName): Promise<Answer> {
  const body = { method: methods[channel], openid: payer, client_ip: '203.0.113.9' }
  return call(world, 'POST', `/v1/orders/${orderId}/payments`, body)
}

/** Starts a payment, and repeats the request as the gateway asks for it: short deadlines run out on a busy machine. */
export async function startOn(world: World, channel: ChannelName, orderId: string): Promise<StartedPayment> {
  return until(`payment started on ${channel}`, async () => {
    const answer = await askToPay(world, orderId, channel)
    if (answer.status === 201 || answer.status === 200) return answer.body
    if (answer.status !== 503) throw new Error(`payment not started: ${JSON.stringify(answer.body)}`)
    return undefined
  })
}

/** Opens an order, has it paid and, where the channel tells, credited. */
export async function paidOn(world: World, channel: ChannelName, amount: number): Promise<OrderResource> {
  const order = await open(world, amount)
  await pay(world, await startOn(world, channel, order.id))
  return until(`order paid on ${channel}`, async () => {
    const now = await readOrder(world, order.id)
    const credited =
      channel === 'wechat-main' || now.payments.some(({ account_status }) => account_status === 'credited')
    return now.status === 'paid' && credited ? now : undefined
  })
}

export function askRefund(world: World, orderId: string, number: string, amount: number): Promise<Answer> {
  return call(world, 'POST', `/v1/orders/${orderId}/refunds`, {
    merchant_refund_no: number,
    amount,
    reason: 'broken cup',
  })
}

export function askClose(world: World, orderId: string): Promise<Answer> {
  return call(world, 'POST', `/v1/orders/${orderId}/close`, {})
}

export async function untilRefund(world: World, refundId: string, status: string, withinMs = 15_000): Promise<void> {
  await until(
    `refund ${status}`,
    async () => (await call<{ status: string }>(world, 'GET', `/v1/refunds/${refundId}`)).body.status === status,
    withinMs,
  )
}

/** Until nothing is on its way any more: every payment credited where that is told, every event delivered. */
export async function untilQuiet(world: World): Promise<void> {
  await until('everything credited and delivered', async () => {
    const uncredited = world
      .db('payments')
      .where({ channel_id: 'huifu-main', status: 'succeeded' })
      .whereNot({ account_status: 'credited' })
    if ((await uncredited).length > 0) return false
    return (await world.db('deliveries').where({ status: 'pending' })).length === 0
  })
}

type Fault = 'failAfterAccept' | 'hang' | 'reset' | 'notifyNever' | 'rateLimit' | 'slow'

/** Every matching call suffers the fault at this rate, until `calm`. */
export async function chaos(world: World, fault: Fault, rate: number, operation: string): Promise<void> {
  await control(world, '/_sim/chaos', { fault, rate: String(rate), operation })
}

export async function calm(world: World): Promise<void> {
  await control(world, '/_sim/chaos/reset')
}

export type SimRequest = {
  provider: string
  operation: string
  keys: Record<string, string>
  fault?: string
  status: number
}

/** Everything the simulators were asked, oldest first. */
export async function requestsOf(world: World): Promise<readonly SimRequest[]> {
  return (await control<{ requests: SimRequest[] }>(world, '/_sim/requests', {}, 'GET')).requests
}

/** Runs the work over the items, so many at once. */
export async function each<T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) {
      const item = items[index]
      if (item !== undefined) await work(item, index)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
}

/** The seed of a run, printed so that a failure can be repeated with MORTISE_SEED. */
export function seedOf(title: string): number {
  const given = process.env['MORTISE_SEED']
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number.parseInt(given, 10)
  console.log(`      ${title}: seed ${String(seed)}`)
  return seed
}
