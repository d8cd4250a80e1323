import type { KeyObject } from 'node:crypto'
import { z } from 'zod'
import { readPrivateKey, readPublicKey } from '../../crypto/rsa.ts'
import type { Variant } from './direct.ts'

/** What a WeChat Pay APIv3 channel needs from the configuration (wechatpay.md 1.5; design.md 11, 20.7). */

/** Which keys may have signed what we receive (reliability.md 3.1, T06). */
export type KeyMode = 'public_key' | 'certificate' | 'both'

export type Settings = {
  readonly mchid: string
  /** Serial of the merchant certificate: 40 upper-case hexadecimal digits. */
  readonly serial: string
  readonly privateKey: KeyObject
  /** Current APIv3 key first, then the previous one while a change is under way. */
  readonly apiV3Keys: readonly Buffer[]
  readonly keyMode: KeyMode
  /** In mode `both`: epoch milliseconds after which platform certificates are refused. */
  readonly bothUntil: number | undefined
  readonly wechatKey: { readonly id: string; readonly publicKey: KeyObject } | undefined
  readonly baseUrl: string
  readonly backupUrl: string | undefined
  readonly methods: Readonly<Partial<Record<'wechat_jsapi' | 'wechat_mini', { readonly appid: string }>>>
  /** Milliseconds for one exchange. */
  readonly deadlines: { readonly change: number; readonly query: number }
}

const appid = z.string().regex(/^wx[0-9A-Za-z]{1,30}$/, 'an appid begins with wx and has no blanks')
const method = z.strictObject({ appid })
const apiV3Key = z
  .string()
  .trim()
  .regex(/^[0-9A-Za-z]{32}$/, 'an APIv3 key is exactly 32 letters and digits; the v2 key is another one')
  .transform((text) => Buffer.from(text, 'utf8'))

/** A key is parsed once, here: parsing costs several times a signature (performance.md A). */
function keyText(read: (text: string) => KeyObject) {
  return z.string().transform((text, context): KeyObject => {
    try {
      return read(text)
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : 'not a key' })
      return z.NEVER
    }
  })
}

const shape = z.strictObject({
  mchid: z.string().regex(/^\d{8,32}$/, 'a merchant number is 8 to 32 digits'),
  serial: z
    .string()
    .regex(/^[0-9A-Fa-f]{40}$/, 'the serial of the merchant certificate has 40 hexadecimal digits, no colons')
    .transform((text) => text.toUpperCase()),
  privateKey: keyText(readPrivateKey),
  apiV3Key,
  previousApiV3Key: apiV3Key.optional(),
  keyMode: z.enum(['public_key', 'certificate', 'both']).optional(),
  bothUntil: z.iso.datetime({ offset: true, message: 'give an instant like 2026-06-30T00:00:00+08:00' }).optional(),
  wechatKey: z
    .strictObject({
      id: z.string().regex(/^PUB_KEY_ID_\d{1,50}$/, 'the id of the WeChat Pay public key begins with PUB_KEY_ID_'),
      publicKey: keyText(readPublicKey),
    })
    .optional(),
  baseUrl: z.string().optional(),
  backupUrl: z.string().optional(),
  methods: z
    .strictObject({ wechat_jsapi: method.optional(), wechat_mini: method.optional() })
    .refine(
      (methods) => methods.wechat_jsapi !== undefined || methods.wechat_mini !== undefined,
      'offer at least one method',
    ),
  deadlines: z
    .strictObject({
      change: z.int().min(100).max(60_000).default(10_000),
      query: z.int().min(100).max(60_000).default(5_000),
    })
    .default({ change: 10_000, query: 5_000 }),
})

/**
 * Checks a channel's settings.
 * @param sandbox permits a base URL of one's own, plain http only to loopback (design.md 20.7)
 * @throws Error listing every fault with its path; values never appear in it
 */
export function readSettings(input: unknown, variant: Variant, sandbox: boolean): Settings {
  const parsed = shape.superRefine(checkKeys).safeParse(input)
  const faults = parsed.success
    ? (['baseUrl', 'backupUrl'] as const).flatMap((name) => addressFaults(name, parsed.data[name], variant, sandbox))
    : parsed.error.issues.map((issue) => `${issue.path.join('.') || 'settings'}: ${issue.message}`)
  if (!parsed.success || faults.length > 0) throw new Error(`${variant.name}: ${faults.join('; ')}`)
  const raw = parsed.data
  return {
    mchid: raw.mchid,
    serial: raw.serial,
    privateKey: raw.privateKey,
    apiV3Keys: raw.previousApiV3Key === undefined ? [raw.apiV3Key] : [raw.apiV3Key, raw.previousApiV3Key],
    keyMode: modeOf(raw),
    bothUntil: raw.bothUntil === undefined ? undefined : Date.parse(raw.bothUntil),
    wechatKey: raw.wechatKey,
    baseUrl: (raw.baseUrl ?? variant.hosts[0] ?? '').replace(/\/$/, ''),
    backupUrl: raw.backupUrl?.replace(/\/$/, ''),
    methods: {
      ...(raw.methods.wechat_jsapi === undefined ? {} : { wechat_jsapi: raw.methods.wechat_jsapi }),
      ...(raw.methods.wechat_mini === undefined ? {} : { wechat_mini: raw.methods.wechat_mini }),
    },
    deadlines: raw.deadlines,
  }
}

function modeOf(raw: { readonly keyMode?: KeyMode | undefined; readonly wechatKey?: unknown }): KeyMode {
  return raw.keyMode ?? (raw.wechatKey === undefined ? 'certificate' : 'public_key')
}

/** The three modes need different things; a mode without an end would keep the old door open for ever (T06). */
function checkKeys(raw: z.output<typeof shape>, context: z.RefinementCtx): void {
  const mode = modeOf(raw)
  const fault = (path: string, message: string): void => {
    context.addIssue({ code: 'custom', path: [path], message })
  }
  if (mode !== 'certificate' && raw.wechatKey === undefined) {
    fault('wechatKey', `key mode ${mode} needs the id and text of the WeChat Pay public key`)
  }
  if (mode === 'certificate' && raw.wechatKey !== undefined) {
    fault('keyMode', 'key mode certificate does not use wechatKey: remove one of them, or choose both')
  }
  if (mode === 'both' && raw.bothUntil === undefined) {
    fault('bothUntil', 'key mode both needs the instant at which platform certificates stop being accepted')
  }
  if (mode !== 'both' && raw.bothUntil !== undefined) fault('bothUntil', 'belongs to key mode both only')
}

function addressFaults(name: string, text: string | undefined, variant: Variant, sandbox: boolean): string[] {
  if (text === undefined || variant.hosts.includes(text.replace(/\/$/, ''))) return []
  if (!sandbox) return [`${name}: must be one of ${variant.hosts.join(', ')} unless the channel is marked sandbox`]
  // A path or query behind the host would be sent but not signed.
  if (!/^https?:\/\/[^/?#@\s]+\/?$/.test(text) || !URL.canParse(text)) {
    return [`${name}: give scheme and host only, like http://127.0.0.1:9100`]
  }
  const url = new URL(text)
  const loopback = /^(?:localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])$/.test(url.hostname)
  return url.protocol === 'https:' || loopback ? [] : [`${name}: plain http is allowed to loopback only`]
}
