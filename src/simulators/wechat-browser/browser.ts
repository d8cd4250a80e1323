import { existsSync, readFileSync } from 'node:fs'
import { jsonResponse, serve, type SimHandler, type SimRequest, type SimResponse, type SimServer } from '../http.ts'
import type { Credentials } from '../keys.ts'
import { parametersOf } from '../parameters.ts'
import { appPage, homePage, miniPage, pageHeaders } from './pages.ts'
import { PERSON_COOKIE, peopleOf, personOf, type Person } from './people.ts'
import { forward } from './proxy.ts'
import { createWallet, type Wallet, type WalletAct } from './wallet.ts'

export type WechatBrowserOptions = {
  /** Address and port to listen on; 127.0.0.1 and any free port by default. */
  host?: string
  port?: number
  /** The gateway's public address, whose pages are shown. */
  gatewayUrl: string
  /** The simulators' control door: the payer's phone. */
  controlUrl: string
  credentials: Credentials['wechatPay']
  log?: (line: string) => void
}

export type WechatBrowser = {
  url: string
  /** The same page of the gateway, inside this browser. */
  inside(gatewayPage: string): string
  close(): Promise<void>
}

const ASSETS: Readonly<Record<string, string>> = {
  'bridge.js': 'text/javascript',
  'app.js': 'text/javascript',
  'mini.js': 'text/javascript',
  'bridge.css': 'text/css',
  'player.css': 'text/css',
}

/** Assets lie beside the sources, also when the compiled code runs. */
function asset(name: string): Buffer {
  const places = [`./assets/${name}`, `../../../../src/simulators/wechat-browser/assets/${name}`]
  const place = places.map((path) => new URL(path, import.meta.url)).find((url) => existsSync(url))
  if (place === undefined) throw new Error(`the fake WeChat's ${name} is missing`)
  return readFileSync(place)
}

const served = (name: string): SimResponse => ({
  status: 200,
  headers: {
    'Content-Type': `${ASSETS[name] ?? 'text/plain'}; charset=utf-8`,
    'Cache-Control': 'no-cache',
    'X-Content-Type-Options': 'nosniff',
  },
  body: asset(name),
})

const isAct = (text: string): text is WalletAct => text === 'pay' || text === 'cancel' || text === 'fail'

/** The mini-program's network: WeChat sends its requests with this referrer (wechatpay.md 5.4). */
const miniAgent = (appid: string): Record<string, string> => ({
  referer: `https://servicewechat.com/${appid}/1/page-frame.html`,
})

/** Only this browser's own pages press its buttons. */
const isForeign = (request: SimRequest, browserUrl: string): boolean => {
  const { origin } = request.headers
  return origin !== undefined && origin !== new URL(browserUrl).origin
}

type Desk = { wallet: Wallet; people: readonly [Person, Person]; miniAppid: string; browserUrl: string }

const chosenPerson = (desk: Desk, request: SimRequest): Person => personOf(desk.people, request.headers['cookie'])

async function walletDesk(desk: Desk, request: SimRequest): Promise<SimResponse> {
  const { kind = 'jsapi', act = '', ...parameters } = parametersOf(request)
  const person = chosenPerson(desk, request)
  const openid = kind === 'hosted' ? undefined : kind === 'mini' ? person.miniProgram : person.officialAccount
  if (act === '') {
    const asked = await desk.wallet.ask(parameters)
    return typeof asked === 'string' ? jsonResponse(400, { problem: asked }) : jsonResponse(200, asked)
  }
  if (!isAct(act)) return jsonResponse(400, { problem: 'act is pay, cancel or fail' })
  const problem = await desk.wallet.act(act, parameters, openid)
  return problem === undefined ? jsonResponse(200, { done: act }) : jsonResponse(409, { problem })
}

async function desks(desk: Desk, request: SimRequest): Promise<SimResponse | undefined> {
  const name = request.path.slice('/__wechat/'.length)
  if (request.method === 'GET') return Object.hasOwn(ASSETS, name) ? served(name) : undefined
  if (request.method !== 'POST') return undefined
  if (isForeign(request, desk.browserUrl)) return { status: 403, headers: {}, body: '' }
  if (name === 'wallet') return walletDesk(desk, request)
  const person = chosenPerson(desk, request)
  if (name === 'login')
    return jsonResponse(200, { code: await desk.wallet.loginCode(desk.miniAppid, person.miniProgram) })
  if (name !== 'person') return undefined
  const next = parametersOf(request)['id'] === 'b' ? 'b' : 'a'
  const cookie = `${PERSON_COOKIE}=${next}; Path=/; SameSite=Lax`
  // Another person has another phone: nothing of the gateway's sessions goes along.
  return { ...jsonResponse(200, { person: next }), cookies: [cookie, ...forgotten(request)] }
}

const forgotten = (request: SimRequest): string[] =>
  (request.headers['cookie'] ?? '')
    .split(/;\s*/)
    .map((pair) => pair.split('=')[0] ?? '')
    .filter((name) => name !== '' && name !== PERSON_COOKIE)
    .flatMap((name) => ['/', '/cashier', '/cashier/'].map((path) => `${name}=; Path=${path}; Max-Age=0`))

const shown = (page: string): SimResponse => ({ status: 200, headers: pageHeaders, body: page })

/**
 * A fake WeChat a person can use in an ordinary desktop browser: the gateway's pages as WeChat on a phone would get them,
 * with its bridge and a wallet; and a player of the app and the mini-program, at /__app and /__mini.
 * @throws the error of listen when the port is taken
 */
export async function startWechatBrowser(options: WechatBrowserOptions): Promise<WechatBrowser> {
  const { log = () => undefined, host = '127.0.0.1', gatewayUrl, credentials } = options
  const desk: Desk = {
    wallet: createWallet(options.controlUrl),
    people: peopleOf(credentials),
    miniAppid: credentials.miniProgram.appid,
    browserUrl: '',
  }
  const handler: SimHandler = async (request) => {
    const person = chosenPerson(desk, request)
    if (request.path.startsWith('/__wechat/')) return desks(desk, request)
    if (request.path === '/') return shown(homePage(person))
    if (request.path === '/__app') return shown(appPage(person))
    if (request.path === '/__mini') return shown(miniPage(person))
    const parts = { gatewayUrl, browserUrl: desk.browserUrl, person }
    const mini = request.path.startsWith('/mp/v1/')
    const asked = mini ? { ...request, headers: { ...request.headers, ...miniAgent(desk.miniAppid) } } : request
    return forward(asked, parts).catch((error: unknown) => {
      log(`fake WeChat: ${error instanceof Error ? error.message : 'the gateway does not answer'}`)
      return { status: 502, headers: { 'Content-Type': 'text/plain' }, body: 'The gateway does not answer.' }
    })
  }
  const server: SimServer = await serve([handler], { host, port: options.port ?? 0, log })
  desk.browserUrl = server.url
  return {
    url: server.url,
    inside: (page) => server.url + new URL(page).pathname + new URL(page).search,
    close: () => server.close(),
  }
}
