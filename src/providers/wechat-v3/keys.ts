import type { KeyObject } from 'node:crypto'
import { z } from 'zod'
import type { Log } from '../../core/provider.ts'
import type { WireResponse } from '../../core/transport.ts'
import { openGcm } from '../../crypto/aes.ts'
import { readCertificate, type Certificate } from '../../crypto/certificate.ts'
import { parseStrictBytes } from '../json.ts'
import type { Settings } from './settings.ts'
import { checkSignature, signedHeaders } from './signature.ts'

/**
 * serial → key, for everything WeChat Pay signs (wechatpay.md 1.6, 1.7). A key is chosen by the exact serial and comes
 * from the configuration or from the certificate list, never from the message it verifies (reliability.md T02, T06).
 */
export type Keys = {
  /** Value of `Wechatpay-Serial` in requests: names the key we want answers signed with; absent in certificate mode. */
  readonly requestSerial: string | undefined
  readonly keyFor: (serial: string) => Promise<KeyObject | undefined>
  readonly close: () => void
}

export type KeyTools = { readonly now: () => number; readonly log: Log }

// The list wants fetching on a timer shorter than 12 hours (wechatpay.md 1.6).
const refreshAfter_ms = 12 * 60 * 60 * 1000 - 60_000
// A flood of forged serials may cause one download in ten minutes, a failed first download one in fifteen seconds (T03).
const unknownGap_ms = 10 * 60 * 1000
const emptyGap_ms = 15_000

const listShape = z.object({
  data: z
    .array(
      z.object({
        serial_no: z.string().regex(/^[0-9A-Fa-f]{1,64}$/),
        encrypt_certificate: z.object({
          algorithm: z.literal('AEAD_AES_256_GCM'),
          nonce: z.string(),
          associated_data: z.string().nullish(),
          ciphertext: z.string(),
        }),
      }),
    )
    .min(1)
    .max(64),
})

/**
 * Makes the key map of one channel.
 * @param download fetches the certificate list; called with single flight, never in mode `public_key`
 */
export function createKeys(
  settings: Settings,
  tools: KeyTools,
  download: (signal: AbortSignal) => Promise<WireResponse>,
): Keys {
  let certificates = new Map<string, Certificate>()
  let triedAt = Number.NEGATIVE_INFINITY
  let loadedAt = Number.NEGATIVE_INFINITY
  let running: Promise<void> | undefined
  const stop = new AbortController()

  const load = async (): Promise<void> => {
    triedAt = tools.now()
    try {
      certificates = await readList(await download(stop.signal), settings.apiV3Keys, certificates, tools.now())
      loadedAt = tools.now()
      tools.log.info('platform certificates loaded', {
        operation: 'certificates',
        outcome: 'done',
        count: certificates.size,
      })
    } catch (error) {
      tools.log.warn('platform certificates not loaded', { operation: 'certificates', outcome: 'unknown', error })
    }
  }
  const refresh = (): Promise<void> => {
    running ??= load().finally(() => {
      running = undefined
    })
    return running
  }
  const valid = (serial: string): KeyObject | undefined => {
    const found = certificates.get(serial)
    const now = tools.now()
    return found !== undefined && found.notBefore <= now && now <= found.notAfter ? found.publicKey : undefined
  }

  const certificateFor = async (serial: string): Promise<KeyObject | undefined> => {
    const known = valid(serial)
    const gap = tools.now() - triedAt
    if (known !== undefined) {
      // Old but valid: renewed in the background, so that nobody waits for a list that still serves.
      if (tools.now() - loadedAt > refreshAfter_ms && gap > unknownGap_ms) void refresh()
      return known
    }
    if (running === undefined && gap < (certificates.size === 0 ? emptyGap_ms : unknownGap_ms)) return undefined
    await refresh()
    return valid(serial)
  }

  return {
    requestSerial: settings.keyMode === 'certificate' ? undefined : settings.wechatKey?.id,
    async keyFor(serial) {
      if (serial.startsWith('PUB_KEY_ID_')) {
        const own = settings.keyMode === 'certificate' ? undefined : settings.wechatKey
        return own?.id === serial ? own.publicKey : undefined
      }
      const allowed =
        settings.keyMode === 'certificate' ||
        (settings.keyMode === 'both' && settings.bothUntil !== undefined && tools.now() < settings.bothUntil)
      return allowed ? certificateFor(serial) : undefined
    },
    close() {
      stop.abort()
    },
  }
}

/**
 * Reads a downloaded list. Nothing of it is used unless every entry opens under the APIv3 key *and* the answer that
 * carried it verifies, with a certificate we know or else with one of its own (wechatpay.md 1.4; reliability.md T04).
 * @throws Error when anything does not fit
 */
async function readList(
  answer: WireResponse,
  apiV3Keys: readonly Buffer[],
  known: ReadonlyMap<string, Certificate>,
  now: number,
): Promise<Map<string, Certificate>> {
  if (answer.status !== 200) throw new Error(`certificate list answered with status ${String(answer.status)}`)
  // Unsigned lists are not worth decrypting.
  if (signedHeaders(answer.headers) === undefined) throw new Error('certificate list without signature')
  const list = listShape.safeParse(parseStrictBytes(answer.body))
  if (!list.success) throw new Error('certificate list of an unknown form')
  const fresh = new Map<string, Certificate>()
  for (const entry of list.data.data) {
    const { nonce, ciphertext, associated_data } = entry.encrypt_certificate
    const pem = openWithAny(apiV3Keys, { nonce, ciphertext, associatedData: associated_data ?? '' })
    const certificate = readCertificate(pem.toString('utf8'))
    if (certificate.serial !== entry.serial_no.toUpperCase().padStart(40, '0'))
      throw new Error('certificate under another serial')
    if (now <= certificate.notAfter) fresh.set(certificate.serial, certificate)
  }
  const signerOf = (serial: string): KeyObject | undefined => {
    const signer = known.get(serial) ?? fresh.get(serial)
    return signer !== undefined && signer.notBefore <= now && now <= signer.notAfter ? signer.publicKey : undefined
  }
  const fault = await checkSignature(answer.headers, answer.body, signerOf, now)
  if (fault !== undefined) throw new Error(`certificate list not signed by its own certificates: ${fault}`)
  return fresh
}

/** Opens a sealed text with the current APIv3 key, else with the previous one. @throws Error when none fits */
export function openWithAny(keys: readonly Buffer[], sealed: Parameters<typeof openGcm>[1]): Buffer {
  let failure: unknown = new Error('no APIv3 key')
  for (const key of keys) {
    try {
      return openGcm(key, sealed)
    } catch (error) {
      failure = error
    }
  }
  throw failure
}
