import { createCipheriv, createHash, createPrivateKey, randomBytes, sign, type KeyLike } from 'node:crypto'
import type { Credentials } from '../../src/simulators/keys.ts'

/** Notices made by hand with the providers' own keys, so that a test can lie about anything and still sign it. */

export type Parcel = { readonly headers: Readonly<Record<string, string | readonly string[]>>; readonly body: Buffer }

const rsa = (key: KeyLike, message: string | Buffer) => sign('RSA-SHA256', Buffer.from(message), key).toString('base64')

export type WechatNotice = {
  readonly resource: object | string
  readonly eventType?: string
  readonly id?: string
  /** Unix seconds, or any text in its place. */
  readonly timestamp?: number | string
  readonly key?: string
  readonly serial?: string
  /** Seals with another APIv3 key. */
  readonly apiV3Key?: string
  readonly resourceChange?: Readonly<Record<string, unknown>>
  readonly summary?: string
  /** Changes the body before it is signed. */
  readonly spell?: (body: string) => string | Buffer
}

/** A notification of APIv3: sealed, then signed (wechatpay.md 1.4, 1.8, 4.1). */
export function wechatNotice({ wechatPay }: Credentials, notice: WechatNotice): Parcel {
  const nonce = randomBytes(6).toString('hex')
  const cipher = createCipheriv('aes-256-gcm', notice.apiV3Key ?? wechatPay.apiV3Key, nonce, { authTagLength: 16 })
  cipher.setAAD(Buffer.from('transaction'))
  const plain = typeof notice.resource === 'string' ? notice.resource : JSON.stringify(notice.resource)
  const sealed = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()])
  const text = JSON.stringify({
    id: notice.id ?? randomBytes(16).toString('hex'),
    create_time: '2026-03-01T10:00:00+08:00',
    resource_type: 'encrypt-resource',
    event_type: notice.eventType ?? 'TRANSACTION.SUCCESS',
    summary: notice.summary ?? 'paid',
    resource: {
      original_type: 'transaction',
      algorithm: 'AEAD_AES_256_GCM',
      ciphertext: sealed.toString('base64'),
      associated_data: 'transaction',
      nonce,
      ...notice.resourceChange,
    },
  })
  const body = Buffer.from(notice.spell?.(text) ?? text)
  const timestamp = String(notice.timestamp ?? Math.floor(Date.now() / 1000))
  const signedNonce = randomBytes(16).toString('hex')
  const message = Buffer.concat([Buffer.from(`${timestamp}\n${signedNonce}\n`), body, Buffer.from('\n')])
  return {
    headers: {
      'Content-Type': 'application/json',
      'Wechatpay-Timestamp': timestamp,
      'Wechatpay-Nonce': signedNonce,
      'Wechatpay-Signature': rsa(notice.key ?? wechatPay.publicKeyPrivate, message),
      'Wechatpay-Serial': notice.serial ?? wechatPay.publicKeyId,
      'Wechatpay-Signature-Type': 'WECHATPAY2-SHA256-RSA2048',
    },
    body,
  }
}

export function huifuKey({ huifu }: Credentials) {
  return createPrivateKey({ key: Buffer.from(huifu.huifuPrivateKey, 'base64'), format: 'der', type: 'pkcs8' })
}

const form = (fields: readonly (readonly [string, string])[]): Parcel => ({
  headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
  body: Buffer.from(new URLSearchParams(fields.map(([name, value]): [string, string] => [name, value])).toString()),
})

/** A notice at the RSA door (huifu-dougong.md 13.1). `sign` replaces the signature; undefined leaves it out. */
export function huifuNotice(
  credentials: Credentials,
  respData: object | string,
  change: {
    readonly key?: KeyLike
    readonly sign?: string
    readonly more?: readonly (readonly [string, string])[]
  } = {},
): Parcel {
  const text = typeof respData === 'string' ? respData : JSON.stringify(respData)
  const signature = change.sign ?? rsa(change.key ?? huifuKey(credentials), text)
  return form([
    ['resp_desc', '交易成功[000]'],
    ['resp_code', '00000000'],
    ...(signature === '' ? [] : [['sign', signature] as const]),
    ['resp_data', text],
    ...(change.more ?? []),
  ])
}

/** A webhook of Huifu's console: MD5 over body and key, in the query (huifu-dougong.md 2.5, 14). */
export function huifuWebhook(
  { huifu }: Credentials,
  event: object,
  key = huifu.webhookKey,
): Parcel & { readonly query: string } {
  const body = Buffer.from(JSON.stringify(event))
  const digest = createHash('md5').update(body).update(key).digest('hex').toUpperCase()
  return { headers: { 'Content-Type': 'application/json' }, body, query: `?sign=${digest}` }
}
