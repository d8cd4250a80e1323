import type { Chaos } from '../chaos.ts'
import { after, type Clock } from '../clock.ts'
import type { Notifier } from '../notifier.ts'
import type { Books } from './books.ts'
import { DEFAULT_RATE, type FeeRate } from './money.ts'
import type { Signing } from './signing.ts'

/** What the simulator needs of the sandbox credentials; keys are bare base64 (huifu-dougong.md 2.6). */
export type HuifuCredentials = {
  readonly sysId: string
  readonly productId: string
  readonly huifuId: string
  readonly merchantPublicKey: string
  readonly huifuPrivateKey: string
  readonly webhookKey: string
}

/** Knobs of the control door; the first word of each is what a stranger would expect of the real service. */
export type Options = {
  /** Posting to the merchant's account follows a payment by itself. */
  autoAccount: boolean
  /** Refunds and closes finish by themselves. */
  autoRefund: boolean
  autoClose: boolean
  /** Only ports 80, 443 and 8000–9005 can be reached (huifu-dougong.md 13.1). */
  strictPorts: boolean
  /** `jpt-x-skill-*` headers must be present and right (huifu-dougong.md 1.3). */
  strictHeaders: boolean
  /** Objects at the first level of `data` are let through, as JAVA can send them (huifu-dougong.md 18.1). */
  allowNested: boolean
  /** A wrong signature is answered with HTTP 200 and an unsigned 40002 instead of HTTP 922. */
  softSignatureError: boolean
  /** Answers leave with their keys reversed although the sorted text is signed (huifu-dougong.md 18.3, faults). */
  unsortedAnswers: boolean
  /** WeChat gives Huifu's mini-program no scheme: pre-orders that need one fail with 90000000 (huifu-dougong.md 11.1). */
  schemeFails: boolean
  feeRate: FeeRate
}

export const defaultOptions = (): Options => ({
  autoAccount: true,
  autoRefund: true,
  autoClose: true,
  strictPorts: true,
  strictHeaders: false,
  allowNested: false,
  softSignatureError: false,
  unsortedAnswers: false,
  schemeFails: false,
  feeRate: DEFAULT_RATE,
})

/** Everything one simulated Huifu consists of; the first argument of whatever happens in it. */
export type Office = {
  readonly clock: Clock
  readonly chaos: Chaos
  readonly notifier: Notifier
  readonly identity: HuifuCredentials
  readonly signing: Signing
  readonly books: Books
  readonly options: Options
  /** Addresses registered in the console (huifu-dougong.md 14). */
  readonly webhookUrls: Set<string>
  /** Those who wait for the first delivery of a notification, by `hf_seq_id`. */
  readonly listeners: Map<string, Set<() => void>>
  readonly timers: Set<() => void>
  /** Where the simulators listen, known once they do. */
  readonly addresses: { api: string; control: string }
  readonly log: (line: string) => void
}

/** Provider durations in milliseconds; the clock shrinks them. */
export const durations = {
  /** Posting follows the payment (type 2 follows type 1). */
  posting: 3000,
  refund: 2000,
  close: 1000,
  /** No close within the first minute of an order (huifu-dougong.md 6.1). */
  closeGuard: 60_000,
  /** "Retry in one minute" between refunds of one payment. */
  refundSpacing: 60_000,
  /** WeChat closes an order without `time_expire` after about two hours (huifu-dougong.md 4.2). */
  defaultExpiry: 2 * 3_600_000,
  /** A pre-order without `time_expire` can be paid for ten minutes (huifu-dougong.md 11.1). */
  hostedExpiry: 10 * 60_000,
  refundWindow: 360 * 86_400_000,
} as const

/** Runs something when `dueAt` (epoch milliseconds of the simulator's clock) has come, unless the simulator stops before. */
export function runAt(office: Office, dueAt: number, run: () => void): void {
  const left = Math.max(0, dueAt - office.clock.now())
  const cancel = after(office.clock, left * office.clock.scale, () => {
    office.timers.delete(cancel)
    run()
  })
  office.timers.add(cancel)
}

/** The simulator's instant after a provider duration. */
export const inFuture = (office: Office, providerMs: number): number =>
  office.clock.now() + office.clock.shrink(providerMs)
