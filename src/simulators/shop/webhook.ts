import { Webhook } from 'standardwebhooks'
import { objectOf, orderOf, textOf, wholeOf, type OrderView } from './snapshot.ts'

/** A webhook whose signature is right. */
export type Received = {
  /** Epoch milliseconds. */
  at: number
  id: string
  type: string
  sequence: number
  /** Which of the two live secrets fitted. */
  secret: 'current' | 'previous'
  order: OrderView | undefined
  /** Seen before under the same id. */
  repeated: boolean
}

export type Verifier = (body: Buffer, headers: Readonly<Record<string, string | undefined>>) => Verified | undefined

type Verified = Pick<Received, 'id' | 'type' | 'sequence' | 'secret' | 'order'>

const headerNames = ['webhook-id', 'webhook-timestamp', 'webhook-signature']

/**
 * Checks webhooks with the public `standardwebhooks` package: signature over id, timestamp and body, at most five
 * minutes old. Either of two secrets fits, so that the gateway's secret can be rotated without losing an event.
 * @param secrets `whsec_…`, the current one and, while rotating, the one before
 */
export function createVerifier(secrets: { current: string; previous?: string | undefined }): Verifier {
  const keys = [
    { name: 'current' as const, webhook: new Webhook(secrets.current) },
    ...(secrets.previous === undefined ? [] : [{ name: 'previous' as const, webhook: new Webhook(secrets.previous) }]),
  ]
  return (body, headers) => {
    const given = Object.fromEntries(headerNames.map((name) => [name, headers[name] ?? '']))
    for (const { name, webhook } of keys) {
      try {
        const event = objectOf(webhook.verify(body, given))
        return {
          id: headers['webhook-id'] ?? '',
          type: textOf(event, 'type'),
          sequence: wholeOf(event, 'sequence'),
          secret: name,
          order: orderOf(objectOf(event['data'])['order']),
        }
      } catch {
        // The other secret may fit.
      }
    }
    return undefined
  }
}
