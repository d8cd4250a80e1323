import type { Request } from 'express'
import type { ApiKey, Merchant, Merchants, Scope } from '../context.ts'
import { Problem } from '../core/problem.ts'
import { sha256 } from '../crypto/digest.ts'
import { buckets, penalties, type Bucket, type Limits } from './rate-limits.ts'

/** Who asks, and how often (reliability.md 5.9, 5.12; T63, T64). */

export type LimitClass = 'refunds' | 'lists'

export type Gate = {
  /**
   * Lets a request in.
   * @param scope what the key must be allowed to do
   * @throws Problem `unauthenticated`, `forbidden`, `rate-limited`
   */
  enter(req: Request, scope: Scope, limit: LimitClass | undefined): Promise<Merchant>
  stop(): void
}

const longestHeader = 256

/** Makes the gate of the merchant API. */
export function createGate(merchants: Merchants, limits: Limits): Gate {
  const wrongKeys = penalties(limits.wrongKeysPerMinute)
  const perKey = buckets(limits.perKey)
  const special: Readonly<Record<LimitClass, Bucket>> = {
    refunds: buckets(limits.refunds),
    lists: buckets(limits.lists),
  }
  return {
    async enter(req, scope, limit) {
      const key = findKey(merchants, req.headers.authorization)
      const merchant = key === undefined ? undefined : merchants.get(key.merchantId)
      if (key === undefined || merchant === undefined) {
        // Only wrong keys are held up: a right one passes whatever its neighbours behind the same address do.
        const seconds = await wrongKeys.count(req.ip)
        if (seconds > 0) throw tooMany(seconds, 'Too many wrong API keys from this address.')
        throw new Problem('unauthenticated', 'Send a valid API key as Authorization: Bearer gw_….')
      }
      // Key ids are the merchants' own words and may be alike; the digest is not, so nobody uses up another's allowance.
      const wait = Math.max(perKey(key.sha256), limit === undefined ? 0 : special[limit](key.sha256))
      if (wait > 0) throw tooMany(wait, 'Too many requests with this API key.')
      if (!key.scopes.includes(scope)) {
        throw new Problem('forbidden', `The API key lacks the scope ${scope}. Use a key that has it.`)
      }
      return merchant
    },
    stop: () => wrongKeys.stop(),
  }
}

/** Whatever was sent is hashed and looked up, so that a missing, misshapen and unknown key take the same path. */
function findKey(merchants: Merchants, header: string | undefined): ApiKey | undefined {
  const text = (header ?? '').slice(0, longestHeader)
  const match = /^Bearer (gw_[A-Za-z0-9_-]{8,200})$/i.exec(text)
  const key = merchants.keyByDigest(sha256(match?.[1] ?? text))
  return match === null ? undefined : key
}

function tooMany(seconds: number, what: string): Problem {
  return new Problem('rate-limited', `${what} Wait ${String(seconds)} s.`, { retryAfter: seconds })
}
