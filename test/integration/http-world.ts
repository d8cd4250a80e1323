import { randomBytes } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import type { ApiKey, Channel, Context, Merchant, Scope } from '../../src/context.ts'
import { NotificationRejected, type Notification, type Provider } from '../../src/core/provider.ts'
import { Problem } from '../../src/core/problem.ts'
import { sameSecret, sha256 } from '../../src/crypto/digest.ts'
import { createGatewayServer, type GatewayServerOptions } from '../../src/http/server.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import type { TestDatabase } from '../databases.ts'

/** A gateway with two merchants and one obedient provider, listening on loopback. */

const scopes: readonly Scope[] = ['read', 'orders:write', 'refunds:write', 'webhooks:write']

/** A provider that says yes, and accepts notifications whose header `x-good` is "yes". */
function obedientProvider(onNotification: () => Promise<void>): Provider {
  return {
    methods: { wechat_native: { currencies: ['CNY'] }, wechat_jsapi: { currencies: ['CNY'], openidOf: 'wx1' } },
    rules: {
      tellsAccount: false,
      refundNumbers: 'once',
      refundSpacingMs: 0,
      refundsPerPayment: 50,
      refundDays: 365,
      closeAfterMs: 0,
    },
    prepay: (request) =>
      Promise.resolve({
        invocation: { kind: 'qr', content: `weixin://pay/${request.paymentId}` },
        usableUntil: request.expiresAt,
      }),
    queryPayment: ({ paymentId }) => Promise.resolve({ about: 'payment', paymentId, seen: 'pending' }),
    closePayment: ({ paymentId }) => Promise.resolve({ about: 'payment', paymentId, seen: 'closed' }),
    refund: ({ refundId, amount }) => Promise.resolve({ about: 'refund', refundId, seen: 'processing', amount }),
    queryRefund: ({ refundId, amount }) => Promise.resolve({ about: 'refund', refundId, seen: 'processing', amount }),
    async readNotification(message): Promise<Notification> {
      await onNotification()
      if (message.headers['x-good'] !== 'yes') throw new NotificationRejected('signature', 'the signature is wrong')
      const { paymentId, amount } = JSON.parse(message.body.toString()) as { paymentId: string; amount: number }
      return {
        eventId: sha256(message.body),
        standing: 'evidence',
        facts: [
          {
            about: 'payment',
            paymentId,
            seen: 'succeeded',
            amount: { amount, currency: 'CNY' },
            transactionId: `t${paymentId}`,
          },
        ],
        reply: { status: 200, contentType: 'text/plain', body: 'RECV_OK' },
      }
    },
  }
}

/** For tests that are about something else than limits. */
export const generous = {
  limits: {
    perKey: { rate: 10_000, burst: 10_000 },
    refunds: { rate: 1000, burst: 1000 },
    lists: { rate: 1000, burst: 1000 },
    wrongKeysPerMinute: 1000,
  },
}

export type World = Awaited<ReturnType<typeof startWorld>>

export async function startWorld(database: TestDatabase, options: Partial<GatewayServerOptions> = {}) {
  const opened = await database.open()
  const { db } = opened
  const lines: string[] = []
  const metrics = createMetrics()
  const clock = { now: Date.parse('2026-03-01T00:00:00Z') }
  const hooks = { onNotification: () => Promise.resolve() }
  const channel: Channel = {
    id: 'main',
    version: 1,
    provider: obedientProvider(() => hooks.onNotification()),
    notifyUrl: 'https://pay.example/notify/main/segment',
    sandbox: true,
    appLaunch: 'miniprogram',
  }
  const merchants: Merchant[] = ['acme', 'other'].map((id) => ({
    id,
    name: id,
    endpoints: [],
    routes: [{ method: '*', channels: ['main'] }],
    latePayment: 'refund',
    surplus: 'refund',
    sandbox: false,
  }))
  const keys: Record<string, string> = {}
  const apiKeys: ApiKey[] = []
  const addKey = (name: string, merchantId: string, granted: readonly Scope[]) => {
    const key = `gw_test_${randomBytes(24).toString('hex')}`
    keys[name] = key
    apiKeys.push({ id: name, merchantId, sha256: sha256(key), scopes: granted })
  }
  addKey('acme', 'acme', scopes)
  addKey('other', 'other', scopes)
  addKey('reader', 'acme', ['read'])
  addKey('orphan', 'nobody', scopes)
  const ctx: Context = {
    db,
    channels: {
      current: (id) => (id === 'main' ? channel : undefined),
      version: (id) => Promise.resolve(id === 'main' ? channel : undefined),
      atDoor: (id, segment) => Promise.resolve(id === 'main' && sameSecret(segment, 'segment') ? [channel] : []),
    },
    merchants: {
      get: (id) => merchants.find((merchant) => merchant.id === id),
      keyByDigest: (digest) => apiKeys.find((key) => sameSecret(key.sha256, digest)),
      ids: () => merchants.map(({ id }) => id),
    },
    now: () => clock.now,
    random: () => 0.5,
    log: createLog({ stream: { write: (line) => void lines.push(line) } }),
    publicUrl: 'https://pay.example',
    timeScale: 1,
    postWebhook: () => Promise.resolve({ kind: 'answered', status: 204, excerpt: '' }),
    openids: {
      byLoginCode(_appid, code) {
        if (code === 'good') return Promise.resolve('oUpF8uMuAJO')
        const isOurs = code === 'broken'
        return Promise.reject(
          isOurs ? new Error('inner CANARY detail') : new Problem('openid-rejected', 'Call wx.login() again.'),
        )
      },
      byAuthorizationCode: () => Promise.reject(new Problem('openid-rejected', 'Not in this world.')),
      authorizationPage: () => undefined,
    },
    cashier: { precreate: true, defaultLanguage: 'zh-CN' },
    launches: {
      miniProgram: () => undefined,
      issue: () => '',
      read: () => undefined,
      link: () => Promise.resolve({ kind: 'refused', errcode: 'none' }),
      sealLink: () => '',
      openLink: () => undefined,
    },
    metrics,
    poke: () => {},
    providerDeadlineMs: 5000,
  }
  const server = createGatewayServer(ctx, {
    trustProxy: 0,
    version: '1.2.3',
    health: { checks: () => [], metrics },
    ...options,
  })
  const ports = await Promise.all(
    [server.public, server.private].map(async (one) => {
      await new Promise<void>((resolve) => void one.listen(0, '127.0.0.1', resolve))
      return (one.address() as AddressInfo).port
    }),
  )
  const origin = `http://127.0.0.1:${String(ports[0])}`
  return {
    ctx,
    db,
    clock,
    hooks,
    keys,
    lines,
    metrics,
    origin,
    port: ports[0] ?? 0,
    privateOrigin: `http://127.0.0.1:${String(ports[1])}`,
    async call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}, key = 'acme') {
      const response = await fetch(origin + path, {
        method,
        headers: {
          ...(key === '' ? {} : { authorization: `Bearer ${keys[key] ?? key}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        redirect: 'manual',
        ...(body === undefined
          ? {}
          : { body: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body) }),
      })
      const text = await response.text()
      const json = text.startsWith('{') ? JSON.parse(text) : {}
      return { status: response.status, headers: response.headers, text, json }
    },
    async stop() {
      server.stop()
      for (const one of [server.public, server.private]) {
        one.closeAllConnections()
        await new Promise((resolve) => one.close(resolve))
      }
      await opened.close()
    },
  }
}
