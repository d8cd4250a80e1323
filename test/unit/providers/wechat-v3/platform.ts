import { createCipheriv, createPublicKey, createVerify, generateKeyPairSync, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import rs from 'jsrsasign'
import type { Log, LogFields, Provider } from '../../../../src/core/provider.ts'
import { createTransport } from '../../../../src/providers/transport.ts'
import { direct } from '../../../../src/providers/wechat-v3/direct.ts'
import { wechatV3 } from '../../../../src/providers/wechat-v3/provider.ts'

/** A WeChat Pay of the tests' own: signs with node:crypto directly and answers whatever a test wants. */

/** The test keys of wechatpay.md 7.7. */
export const keys = JSON.parse(
  readFileSync(new URL('../../../vectors/wechat-pay/keys.json', import.meta.url), 'utf8'),
) as Record<
  | 'mchid'
  | 'merchantSerial'
  | 'platformSerial'
  | 'publicKeyId'
  | 'apiV3Key'
  | 'merchantPrivateKey'
  | 'merchantCertificate'
  | 'platformPrivateKey'
  | 'platformCertificate'
  | 'platformPublicKey',
  string
>

export const appid = 'wx8888888888888888'
/** 2025-10-09T16:53:20+08:00, the instant of the vectors. */
export const epoch = 1_760_000_000_000

export type Received = {
  readonly method: string
  readonly target: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** Does the Authorization header verify with the merchant's certificate? */
  readonly authentic: boolean
}

export type SignOptions = {
  readonly privateKey?: string
  readonly serial?: string
  readonly timestamp?: string
  readonly nonce?: string
  readonly signature?: string
}

/** The headers WeChat Pay would put on these bytes. */
export function signatureHeaders(body: string, now: number, options: SignOptions = {}): Record<string, string> {
  const timestamp = options.timestamp ?? String(Math.floor(now / 1000))
  const nonce = options.nonce ?? 'c5ac7061fccab6bf3e254dcf98995b8c'
  const message = `${timestamp}\n${nonce}\n${body}\n`
  const signature = sign('sha256', Buffer.from(message), options.privateKey ?? keys.platformPrivateKey).toString(
    'base64',
  )
  return {
    'wechatpay-timestamp': timestamp,
    'wechatpay-nonce': nonce,
    'wechatpay-serial': options.serial ?? keys.publicKeyId,
    'wechatpay-signature': options.signature ?? signature,
    'wechatpay-signature-type': 'WECHATPAY2-SHA256-RSA2048',
  }
}

export function seal(plaintext: string, nonce = '0123456789ab', aad = 'transaction', key = keys.apiV3Key): string {
  const cipher = createCipheriv('aes-256-gcm', Buffer.from(key), Buffer.from(nonce))
  cipher.setAAD(Buffer.from(aad))
  return Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64')
}

function authentic(method: string, target: string, header: string, body: string): boolean {
  const part = (name: string): string => new RegExp(`[ ,]${name}="([^"]*)"`).exec(header)?.[1] ?? ''
  if (!header.startsWith('WECHATPAY2-SHA256-RSA2048 ')) return false
  if (part('mchid') !== keys.mchid || part('serial_no') !== keys.merchantSerial) return false
  const message = `${method}\n${target}\n${part('timestamp')}\n${part('nonce_str')}\n${body}\n`
  return createVerify('sha256')
    .update(message)
    .verify(createPublicKey(keys.merchantCertificate), part('signature'), 'base64')
}

export type Platform = {
  readonly url: string
  readonly received: Received[]
  /** How the next requests are answered; a list is used up one by one and its last entry stays. */
  answer(...behaviours: Behaviour[]): void
  close(): Promise<void>
}

export type Behaviour = (response: ServerResponse, request: Received) => void

export async function startPlatform(): Promise<Platform> {
  const received: Received[] = []
  let behaviours: Behaviour[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8')
      const { method = '', url: target = '', headers } = request
      const entry = {
        method,
        target,
        headers,
        body,
        authentic: authentic(method, target, headers.authorization ?? '', body),
      }
      received.push(entry)
      const behave = behaviours.length > 1 ? behaviours.shift() : behaviours[0]
      behave?.(response, entry)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening on a port')
  return {
    url: `http://127.0.0.1:${String(address.port)}`,
    received,
    answer: (...next) => {
      behaviours = next
      received.length = 0
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => {
          resolve()
        })
      }),
  }
}

/** A signed answer, as the platform gives them by default. */
export function signed(status: number, body: unknown, now: () => number, options: SignOptions = {}): Behaviour {
  const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body)
  return (response) => {
    response.writeHead(status, { ...signatureHeaders(text, now(), options), 'request-id': '08F78BB5C706' }).end(text)
  }
}

/** An unsigned answer, as every error is. */
export function unsigned(status: number, body: unknown, headers: Record<string, string> = {}): Behaviour {
  const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body)
  return (response) => {
    response.writeHead(status, { 'request-id': '08F78BB5C706-268447840', ...headers }).end(text)
  }
}

export type Fixture = {
  readonly platform: Platform
  readonly provider: Provider
  readonly clock: { now: number }
  readonly lines: { level: string; message: string; fields: LogFields | undefined }[]
  close(): Promise<void>
}

export const publicKeySettings = {
  mchid: keys.mchid,
  serial: keys.merchantSerial,
  privateKey: keys.merchantPrivateKey,
  apiV3Key: keys.apiV3Key,
  wechatKey: { id: keys.publicKeyId, publicKey: keys.platformPublicKey },
  methods: { wechat_jsapi: { appid }, wechat_mini: { appid: 'wx7777777777777777' } },
  deadlines: { change: 250, query: 250 },
}

export const certificateSettings = { ...publicKeySettings, wechatKey: undefined }

export async function start(settings: object = publicKeySettings, timeScale = 1): Promise<Fixture> {
  const platform = await startPlatform()
  const transport = createTransport()
  const clock = { now: epoch }
  const lines: Fixture['lines'] = []
  const write =
    (level: string) =>
    (message: string, fields?: LogFields): void => {
      lines.push({ level, message, fields })
    }
  const log: Log = { info: write('info'), warn: write('warn'), error: write('error') }
  const tools = { transport, now: () => clock.now, log, timeScale, sandbox: true }
  const given = Object.fromEntries(
    Object.entries({ baseUrl: platform.url, ...settings }).filter(([, v]) => v !== undefined),
  )
  const provider = wechatV3(direct)(given, tools)
  return {
    platform,
    provider,
    clock,
    lines,
    close: async () => {
      provider.close?.()
      await platform.close()
      await transport.close()
    },
  }
}

/** A platform certificate of the tests' own, with its private key. */
export function issueCertificate(
  serial: string,
  from = '240101000000Z',
  to = '431231235959Z',
): { pem: string; privateKey: string } {
  const pair = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  const certificate = new rs.KJUR.asn1.x509.Certificate({
    version: 3,
    serial: { hex: serial },
    issuer: { str: '/CN=platform' },
    subject: { str: '/CN=platform' },
    notbefore: from,
    notafter: to,
    sbjpubkey: pair.publicKey,
    ext: [{ extname: 'basicConstraints', cA: false }],
    sigalg: 'SHA256withRSA',
    cakey: pair.privateKey,
  })
  return { pem: certificate.getPEM(), privateKey: pair.privateKey }
}

/** The certificate list of wechatpay.md 1.6. */
export function certificateList(entries: readonly { serial: string; pem: string; key?: string }[]): string {
  return JSON.stringify({
    data: entries.map(({ serial, pem, key }) => ({
      serial_no: serial,
      effective_time: '2024-01-01T00:00:00+08:00',
      expire_time: '2043-12-31T00:00:00+08:00',
      encrypt_certificate: {
        algorithm: 'AEAD_AES_256_GCM',
        nonce: '61f9c719728a',
        associated_data: 'certificate',
        ciphertext: seal(pem, '61f9c719728a', 'certificate', key),
      },
    })),
  })
}

/** The error a promise rejects with. */
export async function failureOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work
  } catch (error) {
    return error
  }
  throw new Error('expected a failure')
}
