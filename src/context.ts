import type { Knex } from 'knex'
import type { EventType } from './core/event.ts'
import type { Log, Provider } from './core/provider.ts'
import type { Route } from './core/route.ts'

/**
 * Context: everything a flow needs, as one plain value and its first argument (design.md 2, principle 3). Doors build
 * nothing themselves; `main.ts` fills this in, tests fill in what they like.
 */
export type Context = {
  readonly db: Knex
  readonly channels: Channels
  readonly merchants: Merchants
  /** Epoch milliseconds. */
  readonly now: () => number
  /** In [0, 1); spreads retries. */
  readonly random: () => number
  readonly log: Log
  /** Where providers and payers reach the gateway: no trailing slash. */
  readonly publicUrl: string
  /** 1 in production; a sandbox divides every schedule by it (design.md 20.8). */
  readonly timeScale: number
  /** Sends one signed webhook; the address filter lives behind it. */
  readonly postWebhook: PostWebhook
  readonly openids: Openids
  readonly launches: Launches
  readonly cashier: CashierSettings
  readonly metrics: Metrics
  /** Wakes this process's worker after a commit, so that the usual latency is milliseconds and not a tick. */
  readonly poke: () => void
  /** Deadline of provider calls that change something, milliseconds; queries get half. */
  readonly providerDeadlineMs: number
  /**
   * How long a claimed row belongs to who claimed it: longer than any deadline, short enough after a crash. Absent: twice
   * the provider deadline and five seconds, see flows/lease.ts.
   */
  readonly leaseMs?: number
  /** In tests: called at named places between a provider's answer, our commit and our reply (design.md 15). */
  readonly crash?: (place: string) => void
}

/** One configured account at a provider, in one version of its settings. */
export type Channel = {
  readonly id: string
  readonly version: number
  readonly provider: Provider
  /** Where this channel's provider sends its notifications. */
  readonly notifyUrl: string
  readonly sandbox: boolean
  /** How a native app pays: through the mini-program, or with wechat_app where WeChat refuses that (experience.md 0). */
  readonly appLaunch: 'miniprogram' | 'app_pay'
}

export type Channels = {
  /** The version that new attempts use, or undefined when the configuration no longer has the channel. */
  current(channelId: string): Channel | undefined
  /** The version an attempt was made with; rebuilt from the stored settings when the file has moved on. */
  version(channelId: string, version: number): Promise<Channel | undefined>
  /** Every version worth trying for a message at a notification door, newest first; empty when id and segment do not fit. */
  atDoor(channelId: string, segment: string): Promise<readonly Channel[]>
}

export type Endpoint = {
  readonly id: string
  readonly url: string
  /** Live secrets as bytes, newest first. */
  readonly secrets: readonly Buffer[]
  readonly events: readonly (EventType | '*')[]
}

export type Scope = 'read' | 'orders:write' | 'refunds:write' | 'webhooks:write'

export type ApiKey = {
  readonly id: string
  readonly merchantId: string
  /** SHA-256 of the key, lower-case hexadecimal. */
  readonly sha256: string
  readonly scopes: readonly Scope[]
}

export type Merchant = {
  readonly id: string
  readonly name: string
  readonly endpoints: readonly Endpoint[]
  readonly routes: readonly Route[]
  readonly latePayment: 'refund' | 'accept'
  readonly surplus: 'refund' | 'hold'
  readonly sandbox: boolean
}

export type Merchants = {
  get(merchantId: string): Merchant | undefined
  /** The key with that digest; every key is looked at, whichever fits. */
  keyByDigest(sha256: string): ApiKey | undefined
  ids(): readonly string[]
}

export type WebhookAnswer =
  | { readonly kind: 'answered'; readonly status: number; readonly excerpt: string; readonly retryAfterMs?: number }
  | { readonly kind: 'failed'; readonly error: string }
  /** Nothing was sent: as many requests to this endpoint are under way as it may have at once. */
  | { readonly kind: 'busy' }

/** Never throws: whatever goes wrong on the way is an answer. */
export type PostWebhook = (
  url: string,
  headers: Readonly<Record<string, string>>,
  body: string,
  sandbox: boolean,
) => Promise<WebhookAnswer>

export type Openids = {
  /**
   * Exchanges a mini-program login code for the payer's openid (wechatpay.md 5.2).
   * @throws Problem `openid-rejected` when WeChat refuses the code, `provider-unavailable` when it does not answer
   */
  byLoginCode(appid: string, code: string): Promise<string>
  /**
   * Exchanges the code that a browser inside WeChat brought back, once (wechatpay.md 5.1).
   * @returns `snapshot`: a virtual payer of a snapshot page, who cannot pay
   * @throws Problem `openid-rejected` (its provider code is WeChat's errcode), `provider-unavailable`
   */
  byAuthorizationCode(appid: string, code: string): Promise<{ readonly openid: string; readonly snapshot: boolean }>
  /** Where a browser inside WeChat is sent to be authorised, or undefined for an appid that is not configured. */
  authorizationPage(appid: string): string | undefined
}

/** How the cashier behaves (design.md 11, experience.md 2). */
export type CashierSettings = {
  /** Whether the payment is prepared as soon as the payer is known, so that the tap invokes at once. */
  readonly precreate: boolean
  /** The language for payers whose browser asks for neither. */
  readonly defaultLanguage: 'zh-CN' | 'en'
}

/** A merchant's own mini-program, as configured. */
export type MiniProgram = {
  readonly appid: string
  /** The original id, gh_…: native apps open it by this. */
  readonly userName?: string
  /** The page that pays, without leading slash. */
  readonly path: string
  readonly envVersion: 'release' | 'trial' | 'develop'
  readonly launchMode: 'url_link' | 'scheme' | 'plain_scheme'
}

export type LaunchLink =
  | { readonly kind: 'url_link' | 'scheme' | 'plain_scheme'; readonly url: string }
  /** WeChat will not open this mini-program for anybody; `errcode` names the fault, for the operator. */
  | { readonly kind: 'refused'; readonly errcode: string }

/** Opening the payer's mini-program from outside WeChat (experience.md 4). */
export type Launches = {
  miniProgram(appid: string): MiniProgram | undefined
  /** A launch token: whoever holds it may see this order's amount and pay it until it expires. */
  issue(orderId: string, expiresAt: number): string
  /** What a token says, expired or not; undefined for anything that we did not issue. */
  read(token: string): { readonly orderId: string; readonly expiresAt: number } | undefined
  /** A link that opens the mini-program from a browser; never throws for what WeChat says. */
  link(appid: string, query: string, expiresAt: number): Promise<LaunchLink>
  /** Who has a link can pay, so it is kept sealed. */
  sealLink(url: string): string
  openLink(sealed: string): string | undefined
}

/** Counters and durations; names are those of docs/architecture.md. Labels must have few values. */
export type Metrics = {
  count(name: MetricName, labels?: Readonly<Record<string, string>>): void
  observe(
    name: 'provider_call_seconds' | 'http_request_seconds' | 'webhook_seconds',
    labels: Readonly<Record<string, string>>,
    seconds: number,
  ): void
}

export type MetricName =
  | 'notifications_total'
  | 'provider_calls_total'
  | 'deliveries_total'
  | 'discrepancies_total'
  | 'http_requests_total'
  | 'chores_total'
