/*
 * The cashier's script: the state machine with a page around it. The server decides what has been paid; the bridge and
 * this file only make it look (experience.md 2). No framework, no third party.
 */
import { bridgeReady, invokePay, type JsapiParameters } from '../payer/bridge.ts'
import { mayPay, next, plans, type Cause, type Happening, type State } from './machine.ts'

type Words = { title: string; note: string }
type Setup = {
  state: State
  payments: string
  status: string
  prepare: boolean
  back: string | null
  words: Record<State, Words>
  labels: Record<'pay' | 'again' | 'busy' | 'copied' | 'returning', string>
  reasons: Record<'bridge' | 'refused' | 'busy' | 'unavailable', string>
  launch?: string
}
type Reason = keyof Setup['reasons']
type Status = { state: 'ready' | 'paid' | 'expired'; paid_at: string | null; other_payer: boolean }
type Payment =
  | { state: 'ready'; invocation: JsapiParameters; usable_ms: number }
  | { state: 'paid' | 'expired' | 'other_payer' | 'signed_out' | 'unavailable' }
  | { state: 'failed'; reason: 'busy' | 'refused' }

const setup = JSON.parse(document.getElementById('cashier')?.textContent ?? '{}') as Setup
const entry = document.body.dataset['entry']
const pays = entry === 'wechat' || entry === 'wechat-desktop'

const patience = { bridge: 4000, request: 15000, poll: 3000, back: 1200 }

let state: State = setup.state
let reason: Reason | undefined
/** The bridge once said ok: money may have moved, so an unpaid order never brings the pay button back by itself. */
let saidOk = false
/** Numbers the rounds of questions; a newer one silences the older. */
let round = 0
let prepared: { parameters: JsapiParameters; until: number } | undefined
let preparing: Promise<Payment | undefined> | undefined

const element = (id: string): HTMLElement | null => document.getElementById(id)
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

function show(before: State): void {
  document.body.dataset['state'] = state
  const words = setup.words[state]
  const title = element('title')
  const note = element('note')
  if (title !== null) title.textContent = words.title
  document.title = words.title
  const text = state === 'failed' && reason !== undefined ? setup.reasons[reason] : words.note
  if (note !== null && note.textContent !== text) note.textContent = text
  const pay = element('pay')
  if (pay !== null) {
    const ready = mayPay(state)
    pay.setAttribute('aria-disabled', ready ? 'false' : 'true')
    const busy = state === 'creating' || state === 'invoking' || state === 'confirming'
    pay.textContent = busy ? setup.labels.busy : state === 'ready' ? setup.labels.pay : setup.labels.again
  }
  // Where the page has come to an end, the heading is what a screen reader should be at.
  if (state !== before && /^(paid|expired|slow|other)$/.test(state)) title?.focus()
}

function go(happening: Happening, cause: Cause = 'look'): boolean {
  const before = state
  state = next(state, happening, cause)
  if (state === before && happening !== 'refused') return false
  show(before)
  if (state === 'paid' && before !== 'paid') leave()
  return state !== before
}

function leave(): void {
  round += 1
  const { back } = setup
  if (back === null) return
  const note = element('note')
  if (note !== null) note.textContent = setup.labels.returning
  setTimeout(() => window.location.replace(back), patience.back)
}

async function fetchJson<T>(url: string, init?: RequestInit): Promise<T> {
  const abort = new AbortController()
  const timer = setTimeout(() => abort.abort(), patience.request)
  try {
    const response = await fetch(url, { credentials: 'same-origin', cache: 'no-store', signal: abort.signal, ...init })
    if (response.status === 429 || response.status >= 500) {
      const seconds = Number.parseInt(response.headers.get('retry-after') ?? '1', 10)
      await wait(Math.min(seconds || 1, 10) * 1000)
      throw new Error('later')
    }
    return (await response.json()) as T
  } finally {
    clearTimeout(timer)
  }
}

/** Asks our server; a hint lets it ask the provider. @returns undefined when it could not be reached */
async function look(hint?: Cause): Promise<Status | undefined> {
  try {
    return await fetchJson<Status>(setup.status + (hint === undefined ? '' : `&hint=${hint}`))
  } catch {
    return undefined
  }
}

/** Takes over what the server says. @returns whether the order has come to an end */
function take(status: Status): boolean {
  if (status.state === 'ready') return false
  const when = element('when')
  if (when !== null && status.paid_at !== null) when.textContent = status.paid_at
  if (status.state === 'paid') go('paid')
  else go('expired')
  return true
}

/** Confirms: as many questions as the cause deserves, then an unpaid order turns into what the table says. */
async function confirm(cause: Cause): Promise<void> {
  round += 1
  const mine = round
  const meaning: Cause = saidOk && cause !== 'cancel' && cause !== 'fail' ? 'ok' : cause
  for (const delay of plans[cause]) {
    await wait(delay)
    if (mine !== round) return
    const status = await look(cause)
    if (mine !== round) return
    if (status === undefined) return void go('lost')
    if (take(status)) return
    if (status.other_payer) return void go('taken')
  }
  go('unpaid', meaning)
}

/** Looks without being noticed: for a page that was away, and for one that waits for another device. */
async function peek(): Promise<void> {
  const status = await look()
  if (status === undefined || take(status)) return
  if (state === 'other' && !status.other_payer && go('woken')) void confirm('look')
}

function requestPayment(intent: 'prepare' | 'pay'): Promise<Payment> {
  return fetchJson<Payment>(setup.payments, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-mortise-cashier': '1' },
    body: JSON.stringify({ intent }),
  })
}

function keep(payment: Payment | undefined): void {
  if (payment?.state !== 'ready') return
  prepared = { parameters: payment.invocation, until: Date.now() + payment.usable_ms }
}

/** Before the tap, so that the tap can open the sheet at once: HarmonyOS refuses what is not part of a gesture. */
function prepare(): void {
  preparing = requestPayment('prepare').then(
    (payment) => {
      keep(payment)
      return payment
    },
    () => undefined,
  )
}

const usable = () => (prepared !== undefined && prepared.until > Date.now() ? prepared.parameters : undefined)

function tap(): void {
  if (!mayPay(state) || !go('tap')) return
  reason = undefined
  round += 1
  const parameters = usable()
  if (parameters !== undefined && 'WeixinJSBridge' in window) return invoke(parameters)
  void create()
}

async function create(): Promise<void> {
  const bridge = bridgeReady(patience.bridge)
  await preparing
  let parameters = usable()
  if (parameters === undefined) {
    const payment = await requestPayment('pay').catch(() => undefined)
    if (payment === undefined) return void go('lost')
    keep(payment)
    if (payment.state !== 'ready') return refuse(payment)
    parameters = payment.invocation
  }
  if (!(await bridge)) {
    document.body.dataset['bridge'] = 'none'
    return refuse({ state: 'failed', reason: 'bridge' })
  }
  invoke(parameters)
}

function refuse(payment: Exclude<Payment, { state: 'ready' }> | { state: 'failed'; reason: 'bridge' }): void {
  if (payment.state === 'signed_out') return window.location.reload()
  if (payment.state === 'paid') {
    go('paid')
    return void peek()
  }
  if (payment.state === 'expired') return void go('expired')
  if (payment.state === 'other_payer') return void go('taken')
  reason = payment.state === 'failed' ? payment.reason : 'unavailable'
  go('refused')
}

function invoke(parameters: JsapiParameters): void {
  if (!go('prepared')) return
  // Called before anything is awaited, so that the sheet still belongs to the tap.
  void heed(invokePay(parameters))
}

async function heed(answer: ReturnType<typeof invokePay>): Promise<void> {
  const { result } = await answer
  if (result === 'ok') saidOk = true
  // A sheet that failed is not worth opening again with the same parameters.
  if (result === 'fail') prepared = preparing = undefined
  if (go('answered') || state === 'confirming') await confirm(result)
}

function wake(): void {
  if (document.visibilityState !== 'visible') return
  if (state === 'invoking') {
    if (go('woken')) void confirm('wake')
  } else if (state === 'slow' || state === 'offline') {
    if (go('woken')) void confirm('look')
  } else void peek()
}

function check(): void {
  if (state === 'slow' || state === 'offline' || state === 'other') {
    if (go('woken')) void confirm(saidOk ? 'wake' : 'look')
  } else void peek()
}

async function copyLink(): Promise<void> {
  const link = element('link') as HTMLInputElement | null
  if (link === null) return
  link.focus()
  link.select()
  link.setSelectionRange(0, link.value.length)
  const clipboard: Clipboard | undefined = navigator.clipboard
  try {
    // Older webviews, and pages without https, have no clipboard but can copy a selection.
    if (clipboard === undefined) document.execCommand('copy')
    else await clipboard.writeText(link.value)
  } catch {
    return
  }
  const note = element('note')
  if (note !== null) note.textContent = setup.labels.copied
}

async function watchBridge(): Promise<void> {
  if (!(await bridgeReady(patience.bridge))) document.body.dataset['bridge'] = 'none'
}

/** The mini-program's own page pays there: JSAPI does not work in its web-view (experience.md 1.5). */
async function handOver(path: string): Promise<void> {
  if (!(await bridgeReady(patience.bridge))) return
  const { WeixinJSBridge: bridge } = window as {
    WeixinJSBridge?: { invoke(name: string, value: object, done: () => void): void }
  }
  bridge?.invoke('invokeMiniProgramAPI', { name: 'navigateTo', arg: { url: path } }, () => undefined)
}

function begin(): void {
  element('pay')?.addEventListener('click', tap)
  element('check')?.addEventListener('click', check)
  element('copy')?.addEventListener('click', () => void copyLink())
  document.addEventListener('visibilitychange', wake)
  window.addEventListener('pageshow', (event) => {
    if (event.persisted) wake()
  })
  window.addEventListener('online', () => {
    if (state === 'offline') check()
  })
  setInterval(() => {
    const elsewhere = entry === 'wechat-desktop' && document.body.dataset['bridge'] === 'none'
    const waiting = elsewhere || state === 'outside' || state === 'other'
    if (waiting && document.visibilityState === 'visible') void peek()
  }, patience.poll)
  if (mayPay(state)) element('pay')?.setAttribute('aria-disabled', 'false')
  if (state === 'ready' && pays) {
    if (setup.prepare) prepare()
    if (entry === 'wechat-desktop') void watchBridge()
  }
  if (setup.launch !== undefined && entry === 'mini-program') void handOver(setup.launch)
}

begin()
