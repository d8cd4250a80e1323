import { randomBytes } from 'node:crypto'
import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Refusal, type Gateway, type Launch, type Started } from './gateway.ts'
import type { Act, Memory, Product, ShopOrder } from './memory.ts'
import { yuan } from './money.ts'
import { numberOf, type Payer } from './payer.ts'
import { changeRouteInFile } from './route-line.ts'

/** What people can do at the counter. Every step is told as an act, so that the page shows it as it happens. */
export type Counter = {
  /** Takes the order and does the rest in the background. @returns the order's number */
  buy(product: Product, channel: string): string
  /** A fresh invocation, or the one in use. */
  attempt(order: ShopOrder): Promise<Started | undefined>
  /** The gateway's page for this order's payer, as an act; undefined while there is none. */
  cashier(order: ShopOrder): Promise<string | undefined>
  /** What the shop's app opens the mini-program with. */
  launch(order: ShopOrder): Promise<Launch | undefined>
  pay(order: ShopOrder): Promise<void>
  refund(order: ShopOrder, amount: number): Promise<void>
  close(order: ShopOrder): Promise<void>
  /** The gateway's id of the order, once it has one. */
  idOf(order: ShopOrder): string | undefined
  /** Resolves when nothing runs in the background. */
  idle(): Promise<void>
}

export type CounterParts = {
  memory: Memory
  gateway: Gateway
  payer: Payer
  /** The gateway's configuration file, whose route the shop edits; undefined: routes stay as they are. */
  gatewayConfig: string | undefined
  method: string
  /** The shop's page of an order: payers come back to it. */
  pageOf: (order: ShopOrder) => string
  now: () => number
  log: (line: string) => void
}

/** The gateway looks at its file a few times a second. */
const reloadPauseMs = 350
const reloadTries = 12

const newNumber = (prefix: string): string => `${prefix}-${randomBytes(5).toString('hex')}`

/** What the ways to pay need of the counter. */
type Desk = {
  guarded: (order: ShopOrder, what: string, run: () => Promise<void>) => Promise<void>
  tell: (order: ShopOrder, kind: Act['kind'], title: string, detail: string) => void
  requireId: (order: ShopOrder) => string
  turnRoute: (order: ShopOrder, method?: string) => boolean
}

/** Sending the payer somewhere: to the cashier, or from an app to the mini-program. */
function waysToPay(
  parts: CounterParts,
  { guarded, tell, requireId, turnRoute }: Desk,
): Pick<Counter, 'cashier' | 'launch'> {
  return {
    async cashier(order) {
      let url: string | undefined
      await guarded(order, 'Paying in WeChat', async () => {
        const { cashierUrl } = await parts.gateway.readOrder(requireId(order))
        if (cashierUrl === '') throw new Refusal(0, 'no-cashier', 'The gateway gave no page for the payer.')
        tell(order, 'cashier', 'Payer sent to the cashier', 'cashier_url of the order, inside WeChat')
        url = cashierUrl
      })
      return url
    },
    async launch(order) {
      let launch: Launch | undefined
      await guarded(order, 'Opening the mini-program', async () => {
        const id = requireId(order)
        if (turnRoute(order, 'wechat_mini')) await sleep(reloadPauseMs * 2)
        launch = await parts.gateway.launch(id)
        tell(order, 'cashier', 'App opens the mini-program', `${launch.userName}, until ${launch.expiresAt}`)
      })
      return launch
    },
  }
}

/** Opens the counter. */
export function createCounter(parts: CounterParts): Counter {
  const { memory, gateway, payer, now } = parts
  const running = new Set<Promise<void>>()
  const started = new Map<string, Started>()
  const tell = (order: ShopOrder, kind: Act['kind'], title: string, detail: string, id?: string): void =>
    memory.addAct({ no: order.no, at: now(), kind, title, detail, ...(id === undefined ? {} : { id }) })

  async function guarded(order: ShopOrder, what: string, run: () => Promise<void>): Promise<void> {
    try {
      await run()
    } catch (error) {
      if (!(error instanceof Refusal)) parts.log(`shop: ${error instanceof Error ? error.message : 'failed'}`)
      const code = error instanceof Refusal && error.status > 0 ? ` (${String(error.status)} ${error.code})` : ''
      tell(order, 'refused', `${what}: refused${code}`, error instanceof Error ? error.message : 'failed')
    }
  }

  function turnRoute(order: ShopOrder, method = parts.method): boolean {
    if (parts.gatewayConfig === undefined) return false
    const change = changeRouteInFile(parts.gatewayConfig, method, order.channel)
    const place = `${basename(parts.gatewayConfig)}, line ${String(change.line)}`
    if (change.changed) tell(order, 'route', `One line changed: ${place}`, `- ${change.before}\n+ ${change.after}`)
    else tell(order, 'route', `Route already set: ${place}`, `  ${change.after}`)
    return change.changed
  }

  const idOf = (order: ShopOrder): string | undefined => memory.acts(order.no).find((act) => act.kind === 'opened')?.id
  /** Asks again until the attempt is on the wanted channel: the gateway takes a moment to read its file. */
  async function startOn(order: ShopOrder, orderId: string): Promise<Started> {
    for (let tries = 1; ; tries += 1) {
      const attempt = await gateway.startPayment(orderId)
      const asWanted = attempt.channel === order.channel || parts.gatewayConfig === undefined
      if (asWanted || tries >= reloadTries) {
        if (started.get(order.no)?.paymentId !== attempt.paymentId) {
          const detail = `channel ${attempt.channel}, the provider knows it as ${numberOf(attempt.paymentId)}`
          tell(order, 'attempt', 'Attempt to pay, ready for the payer', detail, attempt.paymentId)
        }
        started.set(order.no, attempt)
        return attempt
      }
      await sleep(reloadPauseMs)
    }
  }

  async function open(order: ShopOrder): Promise<void> {
    const changed = turnRoute(order)
    const opened = await gateway.openOrder(order.no, order.amount, order.subject, parts.pageOf(order))
    tell(order, 'opened', `Order opened: ${yuan(order.amount)}`, opened.id, opened.id)
    if (changed) await sleep(reloadPauseMs)
    await startOn(order, opened.id)
  }

  const requireId = (order: ShopOrder): string => {
    const id = idOf(order)
    if (id === undefined) throw new Refusal(0, 'no-order', 'The gateway has not opened this order.')
    return id
  }

  return {
    idOf,
    buy(product, channel) {
      const { id, name, price } = product
      const order: ShopOrder = { no: newNumber('shop'), product: id, subject: name, amount: price, channel, at: now() }
      memory.addOrder(order)
      const work = guarded(order, 'Opening the order', () => open(order)).finally(() => running.delete(work))
      running.add(work)
      return order.no
    },
    async attempt(order) {
      let attempt: Started | undefined
      await guarded(order, 'Attempt to pay', async () => {
        attempt = await startOn(order, requireId(order))
      })
      return attempt
    },
    ...waysToPay(parts, { guarded, tell, requireId, turnRoute }),
    pay: (order) =>
      guarded(order, 'Paying', async () => {
        const attempt = await startOn(order, requireId(order))
        tell(order, 'paid-by-phone', 'Payer pressed Pay', 'in the simulated wallet, with the signed invocation')
        await payer.pay(attempt)
      }),
    refund: (order, amount) =>
      guarded(order, `Refund of ${yuan(amount)}`, async () => {
        const no = newNumber('back')
        const id = await gateway.refund(requireId(order), no, amount)
        tell(order, 'refund', `Refund of ${yuan(amount)} accepted`, `${no}, ${id}`, id)
      }),
    close: (order) =>
      guarded(order, 'Closing the order', async () => {
        const closed = await gateway.closeOrder(requireId(order))
        tell(order, 'close', 'Asked to close the order', `status now: ${closed.status}`)
      }),
    async idle() {
      await Promise.all(running)
    },
  }
}
