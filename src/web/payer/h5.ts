import { bridgeReady, invokePay, type BridgeAnswer, type JsapiParameters } from './bridge.ts'
import { settle, statusFrom, statusIn, withHint, type Ask, type Confirm, type Outcome } from './settle.ts'

/** What `payInWechat` needs. */
export type PayInWechat = {
  /** The launch parameters your server received from the gateway, or a function that fetches them. */
  parameters: JsapiParameters | (() => Promise<JsapiParameters>)
  confirm: Confirm
  /** How long to wait for WeChat's bridge, in milliseconds; 4000 when left out (experience.md 2.2). */
  bridgeTimeoutMs?: number
}

/** `no-bridge`: this is not WeChat's browser, and nothing was started. */
export type H5Outcome = Outcome | { status: 'no-bridge'; raw: string }

let running: Promise<H5Outcome> | undefined

/**
 * Pays inside WeChat's browser: shows WeChat's sheet, then asks your server. Call it from a real tap, with parameters
 * that are already there: HarmonyOS WeChat refuses a sheet no tap asked for (experience.md 1.5). A second call while one
 * is under way gets the first one's outcome, so that three fast taps open one sheet.
 *
 * @returns `paid` only when `confirm` said so. Never rejects: whatever goes wrong is an outcome
 */
export function payInWechat(options: PayInWechat): Promise<H5Outcome> {
  if (running === undefined) {
    running = pay(options)
    const free = (): void => {
      running = undefined
    }
    running.then(free, free)
  }
  return running
}

async function pay({ parameters, confirm, bridgeTimeoutMs = 4000 }: PayInWechat): Promise<H5Outcome> {
  // Without a pause when the bridge is there: the sheet must open within the tap.
  if (typeof parameters === 'function' || !bridgeIsThere()) {
    if (!(await bridgeReady(bridgeTimeoutMs))) return { status: 'no-bridge', raw: '' }
  }
  const ask = askOf(confirm)
  let fetched: JsapiParameters
  try {
    fetched = typeof parameters === 'function' ? await parameters() : parameters
  } catch (error) {
    return settle({ result: 'fail', raw: error instanceof Error ? error.message : String(error) }, ask)
  }
  return watched(invokePay(fetched), ask)
}

const bridgeIsThere = (): boolean => typeof (globalThis as { WeixinJSBridge?: unknown }).WeixinJSBridge === 'object'

/** An answer a moment old is no answer to this question. */
const fresh = { cache: 'no-store', credentials: 'same-origin' } as const

function askOf(confirm: Confirm): Ask {
  if (typeof confirm === 'function') return confirm
  return async (hint) => {
    const answer = await fetch(withHint(confirm, hint), fresh)
    if (!answer.ok) throw new Error('status ' + String(answer.status))
    return statusIn(await answer.json())
  }
}

type Watched = {
  addEventListener(type: string, listener: () => void): void
  removeEventListener(type: string, listener: () => void): void
  visibilityState?: string
}

/**
 * The sheet may stay open for minutes, and the page may come back without any answer of the bridge: so the server is
 * asked whenever the page is in front again, and its word ends the waiting (experience.md 1.5).
 */
function watched(sheet: Promise<BridgeAnswer>, ask: Ask): Promise<H5Outcome> {
  return new Promise((resolve) => {
    const page = (globalThis as { document?: unknown }).document as Watched | undefined
    const wake = (): void => {
      if (page?.visibilityState !== 'visible') return
      void statusFrom(ask, 'wake').then((status) => {
        if (status === 'paid' || status === 'closed') finish({ status, raw: 'wake' })
        return status
      })
    }
    const finish = (outcome: H5Outcome): void => {
      page?.removeEventListener('visibilitychange', wake)
      resolve(outcome)
    }
    page?.addEventListener('visibilitychange', wake)
    void sheet.then((said) => settle(said, ask)).then(finish)
  })
}
