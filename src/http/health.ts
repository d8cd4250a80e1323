import { Router } from 'express'
import type { Context } from '../context.ts'
import { proveWritable } from '../store/idempotency-keys.ts'
import { onlyMethods } from './respond.ts'

/** Health and metrics, on the private listener only (reliability.md 5.12). */

/** One thing that must hold for the gateway to take requests, in words for the person who reads the page. */
export type Check = { readonly name: string; readonly ok: boolean; readonly detail?: string }

export type HealthOptions = {
  /** What `main.ts` knows: started and not stopping, migrations equal, the worker's last sign of life. */
  readonly checks: () => Promise<readonly Check[]> | readonly Check[]
  readonly metrics: { text(): Promise<string>; readonly contentType: string }
}

const patienceMs = 2_000

/** The router of /healthz, /readyz and /metrics. A provider's outage changes none of them: notifications still arrive. */
export function healthPages(ctx: Context, options: HealthOptions): Router {
  const router = Router()
  router
    .route('/healthz')
    .get((_req, res) => void res.json({ ok: true }))
    .all(onlyMethods('GET', 'HEAD'))
  router
    .route('/readyz')
    .get(async (_req, res) => {
      const checks = [await databaseCheck(ctx), ...(await ownChecks(options))]
      const ok = checks.every((check) => check.ok)
      res.status(ok ? 200 : 503).json({ ok, checks })
    })
    .all(onlyMethods('GET', 'HEAD'))
  router
    .route('/metrics')
    .get(async (_req, res) => {
      const text = await options.metrics.text()
      res.setHeader('Content-Type', options.metrics.contentType)
      res.end(text)
    })
    .all(onlyMethods('GET', 'HEAD'))
  return router
}

async function databaseCheck(ctx: Context): Promise<Check> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${String(patienceMs)} ms`)), patienceMs)
  })
  try {
    await Promise.race([proveWritable(ctx.db), late])
    return { name: 'database', ok: true }
  } catch (error) {
    ctx.log.warn('the database is not writable', { operation: 'readyz', error })
    return { name: 'database', ok: false, detail: 'not writable' }
  } finally {
    clearTimeout(timer)
  }
}

async function ownChecks(options: HealthOptions): Promise<readonly Check[]> {
  try {
    return await options.checks()
  } catch {
    return [{ name: 'checks', ok: false, detail: 'could not be made' }]
  }
}
