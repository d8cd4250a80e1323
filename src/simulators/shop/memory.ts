import { appendFileSync, existsSync, mkdirSync, readFileSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { createLedger, type Ledger } from './ledger.ts'
import type { Received } from './webhook.ts'

/** One thing the shop sells; the price in fen. */
export type Product = { id: string; name: string; note: string; price: number }

/** What the shop itself knows of an order it opened. */
export type ShopOrder = {
  no: string
  product: string
  subject: string
  amount: number
  channel: string
  at: number
}

/** Something the shop did, or was told in answer. */
export type Act = {
  no: string
  at: number
  kind: 'route' | 'opened' | 'attempt' | 'paid-by-phone' | 'cashier' | 'refund' | 'close' | 'refused'
  title: string
  detail: string
  /** The gateway's id of what came of it: order, payment or refund. */
  id?: string
}

type Line = { order: ShopOrder } | { act: Act } | { webhook: Received }

export type Memory = {
  ledger: Ledger
  /** Newest first. */
  orders(): readonly ShopOrder[]
  order(no: string): ShopOrder | undefined
  acts(no: string): readonly Act[]
  webhooks(no: string): readonly Received[]
  /** Webhooks whose signature did not fit. */
  rejected: number
  addOrder(order: ShopOrder): void
  addAct(act: Act): void
  /** Enters a verified webhook. @returns false when it was a repeat */
  addWebhook(webhook: Received): boolean
}

/** A crash may have cut off the last line. It goes, and nothing is lost: the gateway sends its webhook again. */
function linesOf(path: string): Line[] {
  if (!existsSync(path)) return []
  const text = readFileSync(path, 'utf8')
  const whole = text.slice(0, text.lastIndexOf('\n') + 1)
  if (whole !== text) truncateSync(path, Buffer.byteLength(whole))
  return whole
    .split('\n')
    .slice(0, -1)
    .map((line): Line => JSON.parse(line))
}

/**
 * The shop's memory: a journal of what it did and heard, replayed on start. The ledger follows from the webhooks alone.
 * @param folder where `journal.jsonl` lies; undefined: nothing is kept
 */
export function openMemory(folder: string | undefined): Memory {
  const path = folder === undefined ? undefined : join(folder, 'journal.jsonl')
  const ledger = createLedger()
  const orders = new Map<string, ShopOrder>()
  const acts = new Map<string, Act[]>()
  const webhooks = new Map<string, Received[]>()

  const listIn = <T>(map: Map<string, T[]>, no: string): T[] => {
    const list = map.get(no) ?? []
    map.set(no, list)
    return list
  }
  const take = (line: Line): void => {
    if ('order' in line) orders.set(line.order.no, line.order)
    else if ('act' in line) listIn(acts, line.act.no).push(line.act)
    else {
      line.webhook.repeated = !ledger.enter(line.webhook.id, line.webhook.order)
      listIn(webhooks, line.webhook.order?.no ?? '').push(line.webhook)
    }
  }
  const write = (line: Line): void => {
    take(line)
    // Written before the answer, so that what was acknowledged is not forgotten.
    if (path !== undefined) appendFileSync(path, `${JSON.stringify(line)}\n`, { mode: 0o600 })
  }

  if (folder !== undefined && path !== undefined) {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    for (const line of linesOf(path)) take(line)
  }
  return {
    ledger,
    rejected: 0,
    orders: () => [...orders.values()].toReversed(),
    order: (no) => orders.get(no),
    acts: (no) => acts.get(no) ?? [],
    webhooks: (no) => webhooks.get(no) ?? [],
    addOrder: (order) => write({ order }),
    addAct: (act) => write({ act }),
    addWebhook(webhook) {
      write({ webhook })
      return !webhook.repeated
    },
  }
}
