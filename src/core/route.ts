import type { Currency } from './money.ts'
import type { Method } from './provider.ts'

/**
 * A rule choosing channels for a method and an amount (design.md 11). An ordered list, the first match wins; there is
 * no expression language on purpose: a route is read by people in a review.
 */
export type Route = {
  readonly method: Method | '*'
  readonly currency?: Currency
  /** Minor units, inclusive. */
  readonly minAmount?: number
  readonly maxAmount?: number
  /** In order of preference; the next is tried only when the one before certainly did nothing. */
  readonly channels?: readonly string[]
  /** Shares of new orders in percent, by a stable hash of the order, so that a channel can be changed gradually. */
  readonly split?: Readonly<Record<string, number>>
}

export type RouteRequest = {
  readonly method: Method
  readonly amount: number
  readonly currency: Currency
  readonly orderId: string
}

/**
 * Channels to try for a payment, best first; empty when no rule fits.
 * @param routes the merchant's rules, in order
 */
export function chooseChannels(routes: readonly Route[], request: RouteRequest): readonly string[] {
  const route = routes.find((candidate) => fits(candidate, request))
  if (route === undefined) return []
  return route.channels ?? splitChannels(route.split ?? {}, request.orderId)
}

function fits(route: Route, request: RouteRequest): boolean {
  if (route.method !== '*' && route.method !== request.method) return false
  if (route.currency !== undefined && route.currency !== request.currency) return false
  if (route.minAmount !== undefined && request.amount < route.minAmount) return false
  return route.maxAmount === undefined || request.amount <= route.maxAmount
}

function splitChannels(split: Readonly<Record<string, number>>, orderId: string): readonly string[] {
  let point = percentOf(orderId)
  for (const [channel, share] of Object.entries(split)) {
    if (point < share) return [channel]
    point -= share
  }
  return []
}

/** A stable number 0 … 99 for an order: FNV-1a over the id, whose random part spreads it evenly. */
export function percentOf(orderId: string): number {
  let hash = 0x811c9dc5
  for (const char of orderId) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193) >>> 0
  return hash % 100
}
