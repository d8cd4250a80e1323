import type { Chaos } from '../chaos.ts'
import type { Clock } from '../clock.ts'
import { firstAnswer, type SimHandler } from '../http.ts'
import type { Credentials } from '../keys.ts'
import type { Notifier } from '../notifier.ts'
import { createAccessTokens } from './access-tokens.ts'
import { books, createControl } from './control.ts'
import { createLedger } from './ledger.ts'
import { createLinkControl } from './link-control.ts'
import { createLinks } from './links.ts'
import { createLogin } from './login.ts'
import { createPlatformKeys } from './platform-keys.ts'
import { settleLater } from './refunds.ts'
import { createSigning } from './signing.ts'
import { createV3 } from './v3.ts'
import { createWallet } from './wallet.ts'
import type { World } from './world.ts'

export type SimulatorParts = {
  clock: Clock
  chaos: Chaos
  notifier: Notifier
  credentials: Credentials
  /** JSON file of the books; undefined: memory only. */
  books?: string
  fastCrypto?: boolean
  log?: (line: string) => void
}

export type Simulator = {
  /** The protocol: api.mch.weixin.qq.com, api.weixin.qq.com and the authorisation page in one. */
  handle: SimHandler
  /** The control door /_sim/wechat-pay/* and the wallet page /wallet/wechat. */
  control: SimHandler
  books(): unknown
  /** Where a link opened in a browser leads to: the address of the fake WeChat, known once it listens. */
  setPlayer(url: string): void
  /** One line per act of the control door. */
  usage: readonly string[]
  stop(): void
}

/** How long a refund stays PROCESSING, in provider time; the real service needs minutes to days. */
const REFUND_DELAY_MS = 2000

/** A faithful WeChat Pay for one direct merchant (wechatpay.md 9). */
export function createWechatPaySimulator(parts: SimulatorParts): Simulator {
  const { clock, chaos, notifier } = parts
  const credentials = parts.credentials.wechatPay
  const { officialAccount, miniProgram } = credentials
  const openids = { [officialAccount.openid]: officialAccount.appid, [miniProgram.openid]: miniProgram.appid }
  const world: World = {
    clock,
    chaos,
    notifier,
    credentials,
    signing: createSigning(parts.fastCrypto),
    ledger: createLedger({ clock, openids, ...(parts.books === undefined ? {} : { file: parts.books }) }),
    keys: createPlatformKeys(credentials, chaos),
    settings: { refundDelayMs: REFUND_DELAY_MS },
    probes: { sent: 0, wronglyAccepted: 0 },
    timers: new Set(),
  }
  // Refunds that were under way when the books were written come to their result after a restart.
  for (const refund of world.ledger.refunds()) if (refund.status === 'PROCESSING') settleLater(world, refund)
  const login = createLogin(world)
  const v3 = createV3(world)
  const wallet = createWallet(world)
  const tokens = createAccessTokens(world)
  const links = createLinks(world, tokens)
  const linkControl = createLinkControl(world, { tokens, links, login })
  const { control, usage } = createControl(world, login)
  return {
    handle: (request) => firstAnswer([v3, login.handle, tokens.handle, links.handle], request),
    control: (request) => firstAnswer([wallet, linkControl.control, control], request),
    setPlayer(url) {
      links.rules.playerUrl = url
    },
    books: () => books(world),
    usage: [
      ...usage,
      ...linkControl.usage,
      'GET /wallet/wechat?prepay_id&appId&timeStamp&nonceStr&package&signType&paySign[&openid][&return_url]',
    ],
    stop() {
      for (const cancel of world.timers) cancel()
      world.timers.clear()
      world.ledger.flush()
    },
  }
}
