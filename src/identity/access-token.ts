import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../core/provider.ts'
import type { Transport } from '../core/transport.ts'
import { deriveKey, openText, sealText } from '../crypto/derive-key.ts'
import { askWechat } from './wechat-answer.ts'
import type { WechatApp } from './wechat-openid.ts'

/**
 * An application's access token (wechatpay.md 5.3), fetched once for all processes: in memory, and sealed on a shelf that
 * every process reads. Whoever holds the shelf's lease fetches; the others wait for what it puts down.
 */

export type AccessTokens = {
  /** @throws NoAccessToken when WeChat gives none */
  get(appid: string): Promise<string>
  /** WeChat refused this token: the next get() fetches another, once for all processes. */
  refused(appid: string, token: string): Promise<void>
}

/** There is no token, and with it nothing that needs one. The message says why, never with which secret. */
export class NoAccessToken extends Error {
  readonly code = 'NO_ACCESS_TOKEN'
  readonly errcode: string
  constructor(errcode: string) {
    super(`WeChat gave no access token: ${errcode}`)
    this.errcode = errcode
  }
}

export type ShelvedToken = {
  readonly sealed: string | null
  readonly expiresAt: number
  readonly refreshedAt: number
}

/** Where processes share tokens; its writes are guarded, so that exactly one caller of claim() is told yes. */
export type TokenShelf = {
  read(appid: string): Promise<ShelvedToken | undefined>
  claim(appid: string, seen: number | undefined, now: number, leaseUntil: number): Promise<boolean>
  keep(
    appid: string,
    lease: number,
    token: { readonly sealed: string; readonly expiresAt: number; readonly refreshedAt: number },
  ): Promise<boolean>
  release(appid: string, lease: number): Promise<void>
  spoil(appid: string, refreshedAt: number): Promise<void>
}

export type AccessTokensOptions = {
  readonly apps: Readonly<Record<string, WechatApp>>
  readonly shelf: TokenShelf
  readonly transport: Transport
  readonly log: Log
  /** Epoch milliseconds. */
  readonly now: () => number
  /** The configured secret from which the sealing key is derived. */
  readonly secret: string
}

type Token = { readonly token: string; readonly expiresAt: number; readonly refreshedAt: number }

// Longer than the call it protects, short enough to wait for when its holder dies.
const lease_ms = 8_000
const waitStep_ms = 40
const deadline_ms = 5_000

/** A token is replaced when a tenth of its life, at most five minutes, is left: WeChat lets the old one live so long. */
function isFresh(token: Token, now: number): boolean {
  const margin = Math.min(300_000, Math.round((token.expiresAt - token.refreshedAt) / 10))
  return token.expiresAt - margin > now
}

/** Makes the tokens of all configured applications. */
export function createAccessTokens(options: AccessTokensOptions): AccessTokens {
  const { shelf, now } = options
  const remembered = new Map<string, Token>()
  const running = new Map<string, Promise<string>>()
  /** Tokens WeChat has refused: fetched once more without force, and by force if the same comes back. */
  const refusedTokens = new Map<string, string>()
  const keyOf = (appid: string) => deriveKey(options.secret, `access token ${appid}`)

  const open = (appid: string, shelved: ShelvedToken): Token | undefined => {
    const token = shelved.sealed === null ? undefined : openText(keyOf(appid), shelved.sealed)
    if (token === undefined || token === refusedTokens.get(appid)) return undefined
    return { token, expiresAt: shelved.expiresAt, refreshedAt: shelved.refreshedAt }
  }

  async function obtain(appid: string): Promise<string> {
    const giveUpAt = Date.now() + 2 * lease_ms
    for (;;) {
      const shelved = await shelf.read(appid)
      const token = shelved === undefined ? undefined : open(appid, shelved)
      if (token !== undefined && isFresh(token, now())) return remember(appid, token)
      const lease = now() + lease_ms
      if (await shelf.claim(appid, shelved?.refreshedAt, now(), lease)) return fetchUnderLease(appid, lease, token)
      // Somebody else is fetching: what is left of the old token's life is for exactly this moment.
      if (token !== undefined && token.expiresAt > now()) return token.token
      if (Date.now() > giveUpAt) throw new NoAccessToken('another process did not put one down')
      await sleep(waitStep_ms)
    }
  }

  async function fetchUnderLease(appid: string, lease: number, old: Token | undefined): Promise<string> {
    try {
      const fetched = await fetchToken(options, appid, refusedTokens.get(appid))
      const sealed = sealText(keyOf(appid), fetched.token)
      const { expiresAt, refreshedAt } = fetched
      await shelf.keep(appid, lease, { sealed, expiresAt, refreshedAt })
      return remember(appid, fetched)
    } catch (error) {
      await shelf.release(appid, lease)
      if (old !== undefined && old.expiresAt > now()) return old.token
      throw error
    }
  }

  function remember(appid: string, token: Token): string {
    remembered.set(appid, token)
    return token.token
  }

  return {
    async get(appid) {
      const known = remembered.get(appid)
      if (known !== undefined && isFresh(known, now())) return known.token
      const under = running.get(appid) ?? obtain(appid).finally(() => running.delete(appid))
      running.set(appid, under)
      return under
    },
    async refused(appid, token) {
      refusedTokens.set(appid, token)
      if (remembered.get(appid)?.token === token) remembered.delete(appid)
      const shelved = await shelf.read(appid)
      const isThatOne = shelved?.sealed != null && openText(keyOf(appid), shelved.sealed) === token
      if (isThatOne) await shelf.spoil(appid, shelved.refreshedAt)
    },
  }
}

/**
 * The stable endpoint: asking again gives the same token and spoils none, so that other programs of the merchant with the
 * same appid are not disturbed. Only when it insists on a token that WeChat has refused is a new one forced.
 */
async function fetchToken(options: AccessTokensOptions, appid: string, refused: string | undefined): Promise<Token> {
  const app = options.apps[appid]
  if (app === undefined) throw new NoAccessToken('the appid is not configured')
  for (const force of [false, true]) {
    const answer = await askWechat(options.transport, {
      url: `${app.baseUrl}/cgi-bin/stable_token`,
      body: { grant_type: 'client_credential', appid, secret: app.secret, force_refresh: force },
      deadlineMs: deadline_ms,
    })
    const token = answer.text('access_token')
    const seconds = answer.integer('expires_in')
    if (answer.errcode !== '0' || token === undefined || seconds === undefined) {
      options.log.error('WeChat gave no access token', { operation: 'access_token', providerCode: answer.errcode })
      throw new NoAccessToken(answer.errcode)
    }
    if (token === refused && !force) continue
    const refreshedAt = options.now()
    return { token, refreshedAt, expiresAt: refreshedAt + seconds * 1000 }
  }
  throw new NoAccessToken('no new token')
}
