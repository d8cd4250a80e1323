import type { Chaos } from '../chaos.ts'
import type { Clock } from '../clock.ts'
import type { Credentials } from '../keys.ts'
import type { Notifier } from '../notifier.ts'
import type { Ledger } from './ledger.ts'
import type { PlatformKeys } from './platform-keys.ts'
import type { Signing } from './signing.ts'

/** Everything the handlers of the WeChat Pay simulator work with. */
export type World = {
  readonly clock: Clock
  readonly chaos: Chaos
  readonly notifier: Notifier
  readonly credentials: Credentials['wechatPay']
  readonly signing: Signing
  readonly ledger: Ledger
  readonly keys: PlatformKeys
  readonly settings: {
    /** How long a refund stays PROCESSING, in provider milliseconds; undefined: until the control door settles it. */
    refundDelayMs: number | undefined
  }
  /** A notification with a wrong signature that was answered 2xx is a failed test of the receiver (wechatpay.md 9.3). */
  readonly probes: { sent: number; wronglyAccepted: number }
  /** Cancels of what is still to happen. */
  readonly timers: Set<() => void>
}

/** Chaos operations carry the provider's name. */
export const operationName = (operation: string): string => `wechat-pay.${operation}`
