import type { ProviderFactory } from '../core/provider.ts'
import { huifu } from './huifu/provider.ts'
import { direct } from './wechat-v3/direct.ts'
import { wechatV3 } from './wechat-v3/provider.ts'

/** Name in the configuration → factory. The one line per adapter (design.md 13). */
export const registry: Readonly<Record<string, ProviderFactory>> = {
  'wechat-v3-direct': wechatV3(direct),
  huifu,
}
