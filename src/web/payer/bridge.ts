/*
 * The one place that talks to WeChat's page bridge. It has no dependency and names no DOM type, so the cashier, the
 * payer kit and a test outside any browser compile the same file. What the bridge says is a hint that starts a
 * question to the server and never an outcome (wechatpay.md 3.5, experience.md 1.5).
 */

/** The launch parameters of `getBrandWCPayRequest`, exactly as a channel signed them (wechatpay.md 3.5). */
export type JsapiParameters = {
  appId: string
  timeStamp: string
  nonceStr: string
  package: string
  signType: string
  paySign: string
}

/** What the bridge answered: `raw` is its own text, cut to 200 characters, for a log and not for a decision. */
export type BridgeAnswer = { result: 'ok' | 'cancel' | 'fail'; raw: string }

type Bridge = {
  invoke(name: string, parameters: object, callback: (answer: unknown) => void): void
}

type Page = {
  WeixinJSBridge?: unknown
  document?: unknown
}

type EventSource = {
  addEventListener(type: string, listener: () => void, capture?: boolean): void
  removeEventListener(type: string, listener: () => void, capture?: boolean): void
}

const LONGEST_RAW = 200
const READY_EVENT = 'WeixinJSBridgeReady'

/**
 * Whether WeChat's bridge is on the page: at once when it is there, and otherwise as soon as WeChat announces it with
 * `WeixinJSBridgeReady`. Old versions inject it late, so a page that looks only once misses it (wechatpay.md 3.5).
 *
 * @param timeoutMs how long to wait for a late bridge, in milliseconds
 * @returns false when no bridge came in that time; never rejects
 */
export function bridgeReady(timeoutMs: number): Promise<boolean> {
  if (currentBridge() !== undefined) return Promise.resolve(true)
  const events = eventSource()
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer)
      if (events !== undefined) events.removeEventListener(READY_EVENT, finish, false)
      resolve(currentBridge() !== undefined)
    }
    const timer = setTimeout(finish, timeoutMs)
    if (events !== undefined) events.addEventListener(READY_EVENT, finish, false)
  })
}

/**
 * Shows WeChat's payment sheet. The call reaches the bridge synchronously, so it still counts as part of the payer's
 * tap (HarmonyOS refuses other calls, experience.md 1.5). It stays pending while the sheet is open: a wrong password
 * gives no answer at all, so no timer ends it; wake on `visibilitychange` and ask the server instead.
 *
 * @param parameters the launch parameters of one payment; they are passed on unchanged
 * @returns the hint, matched by the end of `err_msg`; every other answer, and a missing bridge, is `fail`. Never rejects
 */
export function invokePay(parameters: JsapiParameters): Promise<BridgeAnswer> {
  const bridge = currentBridge()
  if (bridge === undefined) return Promise.resolve({ result: 'fail', raw: 'no bridge' })
  return new Promise((resolve) => {
    try {
      bridge.invoke('getBrandWCPayRequest', parameters, (answer) => resolve(readAnswer(answer)))
    } catch (error) {
      resolve({ result: 'fail', raw: cut(error instanceof Error ? error.message : String(error)) })
    }
  })
}

/** Reads a bridge answer of any shape: only the ends `:ok` and `:cancel` mean something. */
export function readAnswer(answer: unknown): BridgeAnswer {
  const message = textOf(answer, 'err_msg') || textOf(answer, 'errMsg')
  const description = textOf(answer, 'err_desc')
  const raw = cut(description === '' ? message : message + ' ' + description)
  if (/:ok$/.test(message)) return { result: 'ok', raw }
  if (/:cancel$/.test(message)) return { result: 'cancel', raw }
  return { result: 'fail', raw }
}

function textOf(answer: unknown, key: string): string {
  if (typeof answer !== 'object' || answer === null) return ''
  const value: unknown = (answer as Record<string, unknown>)[key]
  return typeof value === 'string' ? value : ''
}

function cut(text: string): string {
  return text.slice(0, LONGEST_RAW)
}

function page(): Page {
  return globalThis as Page
}

function currentBridge(): Bridge | undefined {
  const bridge = page().WeixinJSBridge
  if (typeof bridge !== 'object' || bridge === null) return undefined
  return typeof (bridge as Bridge).invoke === 'function' ? (bridge as Bridge) : undefined
}

function eventSource(): EventSource | undefined {
  const document = page().document
  if (typeof document !== 'object' || document === null) return undefined
  return typeof (document as EventSource).addEventListener === 'function' ? (document as EventSource) : undefined
}
