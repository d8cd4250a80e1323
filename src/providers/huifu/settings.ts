import type { KeyObject } from 'node:crypto'
import { z } from 'zod'
import type { Method } from '../../core/provider.ts'
import { readPrivateKey, readPublicKey } from '../../crypto/rsa.ts'

/** What a Huifu channel needs from the configuration (huifu-dougong.md 0.2, 1.1, 2.6; design.md 18.9 and 18.11). */

const documentedHosts = ['https://api.huifu.com', 'https://opps-stbmertest.testpnr.com'] as const

const identifier = z.string().regex(/^[A-Za-z0-9_-]{1,32}$/, 'give the identifier as Huifu assigned it, without blanks')
const appid = z.string().regex(/^wx[0-9A-Za-z]{1,30}$/, 'an appid begins with wx and has no blanks')

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
  /** The caller account; equals huifuId for a direct merchant. */
  sysId: identifier,
  productId: identifier,
  /** The merchant that receives the money. */
  huifuId: identifier,
  /** PKCS#8 or PKCS#1, PEM or bare base64. */
  privateKey: keyText(readPrivateKey),
  huifuPublicKey: keyText(readPublicKey),
  /** The 32-character terminal key of the console webhook; without it the console door refuses everything. */
  webhookKey: z
    .string()
    .regex(/^[\x21-\x7e]{32}$/, 'the webhook key has 32 characters')
    .optional(),
  api: z.enum(['v3', 'v4']).default('v3'),
  /** Whether a notification's success is confirmed by a query before or after it is applied (design.md 18.9). */
  confirm: z.enum(['before', 'after']).default('before'),
  baseUrl: z.url().optional(),
  /** Value of the optional header jpt-x-skill-source (huifu-dougong.md 1.3). */
  skillSource: z
    .string()
    .regex(/^[\x21-\x7e]{1,128}$/)
    .optional(),
  /** Which number of the payment a refund names; `auto` takes Huifu's own when it is known. */
  refundBy: z.enum(['auto', 'req_seq_id', 'hf_seq_id', 'party_order_id']).default('auto'),
  /** Which number a payment query names. */
  queryBy: z.enum(['req_seq_id', 'hf_seq_id']).default('req_seq_id'),
  methods: z
    .strictObject({
      wechat_jsapi: z.strictObject({ appid }).optional(),
      wechat_mini: z
        .union(
          [
            z.strictObject({ appid }),
            // Huifu's own mini-program, or one that Huifu runs for the merchant: no appid, no openid (huifu-dougong.md 11.1).
            z.strictObject({
              hosted: z.literal(true),
              seqId: z
                .string()
                .regex(/^[A-Za-z0-9_-]{1,64}$/)
                .optional(),
            }),
          ],
          'give either the appid of your mini-program, or "hosted": true for Huifu\'s',
        )
        .optional(),
    })
    .refine(
      (methods) => methods.wechat_jsapi !== undefined || methods.wechat_mini !== undefined,
      'offer at least one method',
    ),
  /** Milliseconds for a call that changes something; queries get half (reliability.md 5.3). */
  deadlineMs: z.int().min(100).max(60_000).default(10_000),
})

export type HuifuSettings = Omit<z.output<typeof shape>, 'baseUrl'> & {
  /** No trailing slash. */
  readonly baseUrl: string
}

/** Does Huifu's mini-program collect payments of this method? Known for ever by the settings an attempt was made with. */
export function isHosted(settings: HuifuSettings, method: Method): boolean {
  const mini = settings.methods.wechat_mini
  return method === 'wechat_mini' && mini !== undefined && 'hosted' in mini
}

/**
 * Checks a channel's settings, whose secrets have been resolved already.
 * @param sandbox true permits a base URL of one's own, and http to loopback (design.md 20.7)
 * @throws Error listing every fault with its path; never the value of a secret
 */
export function readSettings(settings: unknown, sandbox: boolean): HuifuSettings {
  const result = shape.safeParse(settings)
  const faults = result.success
    ? []
    : result.error.issues.map((issue) => `${issue.path.map(String).join('.') || '(settings)'}: ${issue.message}`)
  const given = givenUrl(settings)
  const baseUrl = given === undefined ? documentedHosts[0] : given.replace(/\/+$/, '')
  const fault = given === undefined ? undefined : faultOfUrl(baseUrl, sandbox)
  if (fault !== undefined) faults.push(`baseUrl: ${fault}`)
  if (!result.success || faults.length > 0) throw new Error(`huifu settings: ${faults.join('; ')}`)
  return { ...result.data, baseUrl }
}

function givenUrl(settings: unknown): string | undefined {
  if (typeof settings !== 'object' || settings === null || !('baseUrl' in settings)) return undefined
  return typeof settings.baseUrl === 'string' ? settings.baseUrl : undefined
}

function faultOfUrl(baseUrl: string, sandbox: boolean): string | undefined {
  if (documentedHosts.some((host) => host === baseUrl)) return undefined
  if (!sandbox) return `only ${documentedHosts.join(' or ')} outside a sandbox channel`
  if (!URL.canParse(baseUrl)) return 'not a URL'
  const url = new URL(baseUrl)
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    return 'only scheme, host, port and path'
  }
  const loopback = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(url.hostname)
  if (url.protocol === 'https:' || (url.protocol === 'http:' && loopback)) return undefined
  return 'https, or http to loopback'
}
