import type { MerchantConfig } from './config/load.ts'
import type { ApiKey, Merchant, Merchants } from './context.ts'
import { readWebhookSecret } from './crypto/webhook-signature.ts'

export type LiveMerchants = Merchants & {
  /** Takes over a new set of merchants at once. */
  apply(configured: Readonly<Record<string, MerchantConfig>>): void
}

/** Merchants as the configuration has them now. */
export function createMerchants(): LiveMerchants {
  let merchants: ReadonlyMap<string, Merchant> = new Map()
  let keys: ReadonlyMap<string, ApiKey> = new Map()
  return {
    get: (merchantId) => merchants.get(merchantId),
    // The map is keyed by digest: finding an entry tells an attacker nothing about the key it is the digest of.
    keyByDigest: (sha256) => keys.get(sha256),
    ids: () => [...merchants.keys()],
    apply(configured) {
      const all = Object.values(configured)
      merchants = new Map(all.map((merchant) => [merchant.id, merchantOf(merchant)]))
      keys = new Map(all.flatMap((merchant) => merchant.apiKeys.map((key) => [key.sha256, key])))
    },
  }
}

function merchantOf(configured: MerchantConfig): Merchant {
  return {
    id: configured.id,
    name: configured.name,
    endpoints: configured.endpoints.map((endpoint) => ({
      ...endpoint,
      secrets: endpoint.secrets.map(readWebhookSecret),
    })),
    routes: configured.routes,
    latePayment: configured.latePayment,
    surplus: configured.surplus,
    sandbox: configured.sandbox,
  }
}
