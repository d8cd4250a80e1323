import type { Chaos } from '../chaos.ts'
import type { Credentials } from '../keys.ts'

/** Which half of the platform signs (wechatpay.md 1.7). */
export type KeyMode = 'certificate' | 'switching' | 'public-key'
export type SigningKey = { serial: string; privateKey: string }

export const isKeyMode = (text: string): text is KeyMode => ['certificate', 'switching', 'public-key'].includes(text)

export type PlatformKeys = ReturnType<typeof createPlatformKeys>

/**
 * The platform's keys for this merchant. It starts as a merchant that has pressed "start switching" and is through with
 * it: notifications are signed with the public key, answers with the key the request names, certificates can be fetched.
 */
export function createPlatformKeys(credentials: Credentials['wechatPay'], chaos: Chaos) {
  let mode: KeyMode = 'switching'
  let share = 1
  let newest = 0
  const certificateKey = (): SigningKey => {
    const pair = credentials.platform[newest === 0 ? 0 : 1]
    return { serial: pair.serial, privateKey: pair.key }
  }
  const publicKey: SigningKey = { serial: credentials.publicKeyId, privateKey: credentials.publicKeyPrivate }
  return {
    mode: () => ({ keys: mode, share, newestSerial: certificateKey().serial }),
    setMode(next: KeyMode, nextShare = 1): void {
      mode = next
      share = nextShare
    },
    /** The next certificate takes over; false when there is none. It is published and signs from this moment on. */
    rotate(): boolean {
      if (newest === 1) return false
      newest = 1
      return true
    },
    /** Back to the first certificate, for the next test. */
    rewind(): void {
      newest = 0
    },
    /** Every certificate currently published; a public-key-only merchant has none (wechatpay.md 1.6). */
    certificates: () => (mode === 'public-key' ? [] : credentials.platform.slice(0, newest + 1)),
    certificateKey,
    publicKey,
    /** The key that signs an answer (wechatpay.md 9.2, end). */
    answerKey(requestSerial: string | undefined): SigningKey {
      if (mode === 'public-key') return publicKey
      return mode === 'switching' && requestSerial === publicKey.serial ? publicKey : certificateKey()
    },
    /** The key that signs a notification: while switching, a share goes to the public key. */
    notificationKey(): SigningKey {
      if (mode === 'public-key') return publicKey
      return mode === 'switching' && chaos.random() < share ? publicKey : certificateKey()
    },
  }
}
