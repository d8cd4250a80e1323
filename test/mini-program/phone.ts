import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { transformSync } from 'esbuild'
import { control, type World } from '../harness.ts'

/**
 * A phone on which the sample mini-program's own page runs: its TypeScript, WXML and WXSS loaded into a headless WeChat
 * page, with a `wx` that talks to a real gateway and pays at the simulated wallet.
 */

const source = resolve(import.meta.dirname, '../../examples/mini-program/miniprogram')

type Element = { readonly dom: { readonly textContent: string | null }; dispatchEvent(name: string): void }
type Page = {
  readonly data: Readonly<Record<string, unknown>>
  readonly instance: Readonly<Record<'onLoad' | 'onShow' | 'onUnload', (query?: unknown) => void>>
  attach(parent: unknown): void
  detach(): void
  querySelector(selector: string): Element | undefined
}
type Simulate = {
  load(path: string, tagName: string, options: object): string
  render(id: string): Page
}

type Window = Readonly<
  Record<'HTMLElement' | 'Node' | 'CustomEvent' | 'MutationObserver', unknown> & { document: { body: unknown } }
>
// Neither package has types that fit a program without a DOM of its own.
type Jsdom = { readonly JSDOM: new (html: string, options: object) => { readonly window: Window } }

const require = createRequire(import.meta.url)

/** What the payer does in WeChat's sheet, and what WeChat tells the page about it. */
export type Sheet = {
  readonly pays: boolean
  readonly says: 'ok' | 'cancel' | 'fail'
  readonly errMsg?: string
  readonly errno?: number
}

export type Phone = {
  /** WeChat opens the mini-program by a link: cold the first time, warm (only onShow) while the page is there. */
  open(token: string, scene?: number): void
  /** The page comes to the front again, opened by nothing new. */
  show(): void
  leave(): void
  tap(selector: string): void
  has(selector: string): boolean
  text(selector: string): string
  state(): string
  data(): Readonly<Record<string, unknown>>
  sheet: Sheet
  offline: boolean
  language: string
  /** Openid of who holds the phone; undefined: the usual payer. */
  person: string | undefined
  readonly counts: { login: number; pay: number; request: number }
  close(): void
}

type Loaded = {
  readonly id: string
  readonly simulate: Simulate
  readonly globals: Readonly<Record<string, unknown>>
  readonly body: unknown
}

let loaded: Loaded | undefined

/** Puts values where pages expect them. @returns what puts everything back, so that other tests see Node as it is */
function lend(values: Readonly<Record<string, unknown>>): () => void {
  const before = Object.keys(values).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const)
  for (const [name, value] of Object.entries(values)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
  }
  return () => {
    for (const [name, descriptor] of before) {
      if (descriptor === undefined) Reflect.deleteProperty(globalThis, name)
      else Object.defineProperty(globalThis, name, descriptor)
    }
  }
}

/** Timers of the page run this much faster: its patience is minutes, and the test is about the order of things. */
const haste = 20

/** Loads the page once: the simulator keeps components for the life of the process. */
function load(): Loaded {
  if (loaded !== undefined) return loaded
  const { JSDOM } = require('jsdom') as Jsdom
  const { window } = new JSDOM('<!doctype html><body></body>', { pretendToBeVisual: true })
  const { document, HTMLElement, Node, CustomEvent, MutationObserver } = window
  const pageTimeout = (run: () => void, ms: number) => setTimeout(run, ms / haste)
  const globals = { window, document, HTMLElement, Node, CustomEvent, MutationObserver, pageTimeout }
  const restore = lend(globals)
  const folder = mkdtempSync(join(tmpdir(), 'mortise-mini-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  cpSync(source, folder, { recursive: true })
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  )) {
    const { code } = transformSync(readFileSync(join(folder, file), 'utf8'), {
      loader: 'ts',
      format: 'cjs',
      target: 'es2018',
      define: { setTimeout: 'globalThis.pageTimeout' },
    })
    writeFileSync(join(folder, file.replace(/\.ts$/, '.js')), code)
  }
  // It looks for a document when it is loaded, so not before there is one.
  const simulate = require('miniprogram-simulate') as Simulate
  const options = { rootPath: folder, compiler: 'simulate' }
  const id = simulate.load(join(folder, 'pages/pay/pay'), 'pay-page', options)
  restore()
  loaded = { id, simulate, globals, body: document.body }
  return loaded
}

/** @param channel whose wallet the payer pays with */
export function pickUpPhone(world: World, channel: string): Phone {
  const { id, simulate, globals, body } = load()
  let page: Page | undefined
  let entered: { scene: number; query: Record<string, string> } = { scene: 1001, query: {} }
  const counts = { login: 0, pay: 0, request: 0 }
  const phone: Phone = {
    open(token, scene = 1069) {
      entered = { scene, query: token === '' ? {} : { t: token } }
      if (page === undefined) {
        page = simulate.render(id)
        page.attach(body)
        page.instance.onLoad(entered.query)
      }
      page.instance.onShow()
    },
    show: () => page?.instance.onShow(),
    leave() {
      page?.instance.onUnload()
      page?.detach()
      page = undefined
    },
    tap(selector) {
      const element = page?.querySelector(selector)
      if (element === undefined) throw new Error(`nothing to tap at ${selector}`)
      element.dispatchEvent('tap')
    },
    has: (selector) => page?.querySelector(selector) !== undefined,
    text: (selector) => page?.querySelector(selector)?.dom.textContent ?? '',
    state: () => String(page?.data['state']),
    data: () => page?.data ?? {},
    sheet: { pays: true, says: 'ok' },
    offline: false,
    language: 'zh_CN',
    person: undefined,
    counts,
    close() {
      phone.leave()
      restore()
    },
  }
  const restore = lend({ ...globals, wx: wechat(world, channel, phone, () => entered) })
  return phone
}

type Callbacks = { success?: (value: object) => void; fail?: (error: object) => void }

function wechat(world: World, channel: string, phone: Phone, entered: () => object) {
  return {
    getAppBaseInfo: () => ({ language: phone.language }),
    getEnterOptionsSync: entered,
    login({ success, fail }: Callbacks) {
      phone.counts.login += 1
      if (phone.offline) return fail?.({ errMsg: 'login:fail' })
      const who = phone.person === undefined ? {} : { openid: phone.person }
      control<{ code: string }>(world, '/_sim/wechat-pay/code', { appid: 'wx00000000000000b1', ...who }).then(
        ({ code }) => success?.({ code }),
        () => fail?.({ errMsg: 'login:fail' }),
      )
    },
    request(asked: Callbacks & { url: string; method: string; header: Record<string, string>; data?: object }) {
      phone.counts.request += 1
      if (phone.offline) return asked.fail?.({ errMsg: 'request:fail' })
      const url = asked.url.replace('https://pay.example.com', `http://127.0.0.1:${String(world.port)}`)
      const body = asked.data === undefined ? {} : { body: JSON.stringify(asked.data) }
      fetch(url, { method: asked.method, headers: asked.header, ...body }).then(
        async (response) => asked.success?.({ statusCode: response.status, data: await response.json() }),
        () => asked.fail?.({ errMsg: 'request:fail' }),
      )
    },
    requestPayment(asked: Callbacks & Record<string, unknown>) {
      phone.counts.pay += 1
      const { pays, says, errMsg, errno } = phone.sheet
      const answer = () => {
        if (says === 'ok') return asked.success?.({ errMsg: 'requestPayment:ok' })
        const text = errMsg ?? (says === 'cancel' ? 'requestPayment:fail cancel' : 'requestPayment:fail')
        asked.fail?.({ errMsg: text, ...(errno === undefined ? {} : { errno }) })
      }
      if (!pays) {
        setTimeout(answer, 10)
        return
      }
      const fields = ['timeStamp', 'nonceStr', 'package', 'signType', 'paySign'] as const
      const parameters = Object.fromEntries(fields.map((name) => [name, String(asked[name])]))
      const paid = channel.startsWith('huifu')
        ? control(world, '/_sim/huifu/pay', { pay_package: String(asked['package']) })
        : control(world, '/_sim/wechat-pay/pay', parameters)
      paid.then(answer, (error: unknown) => asked.fail?.({ errMsg: `requestPayment:fail ${String(error)}` }))
    },
  }
}
