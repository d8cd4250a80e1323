import { isFault, knobs, type Chaos } from './chaos.ts'
import type { Clock } from './clock.ts'
import { firstAnswer, jsonResponse, type SimHandler, type SimRequest, type SimResponse } from './http.ts'
import type { Notifier } from './notifier.ts'
import { parametersOf, wholeNumber } from './parameters.ts'
import type { RequestLog } from './request-log.ts'

export type ControlParts = {
  clock: Clock
  chaos: Chaos
  notifier: Notifier
  requests: RequestLog
  /** What a stranger may know; asked for at each call, since addresses are known late. */
  credentials(): object
  /** Control doors of the providers, and a line of usage for each of their acts. */
  doors: readonly SimHandler[]
  usage: readonly string[]
}

type Act = (parts: ControlParts, parameters: Record<string, string>) => SimResponse

const no = (error: string): SimResponse => jsonResponse(400, { error })

function setChaos({ chaos }: ControlParts, parameters: Record<string, string>): SimResponse {
  const fault = parameters['fault'] ?? ''
  const { operation, rate } = parameters
  const times = wholeNumber(parameters['times'])
  if (!isFault(fault)) return jsonResponse(400, { error: 'unknown fault', knobs })
  if ((times === undefined) === (rate === undefined)) return no('either rate or times')
  if (times !== undefined) {
    if (Number.isNaN(times)) return no('times is a whole number')
    chaos.script(fault, operation ?? '*', times)
    return jsonResponse(200, { scripted: { fault, operation: operation ?? '*', times } })
  }
  if (!/^(0(\.\d+)?|1(\.0+)?)$/.test(rate ?? '')) return no('rate is between 0 and 1')
  chaos.setRate(fault, Number.parseFloat(rate ?? ''), operation)
  return jsonResponse(200, { seed: chaos.seed, rates: chaos.rates() })
}

function moveClock({ clock }: ControlParts, parameters: Record<string, string>): SimResponse {
  const ms = wholeNumber(parameters['advance_ms'])
  if (ms === undefined || Number.isNaN(ms)) return no('advance_ms is a whole number of milliseconds')
  clock.advance(ms)
  return jsonResponse(200, { now: clock.now(), scale: clock.scale })
}

const showChaos: Act = ({ chaos }) => jsonResponse(200, { seed: chaos.seed, rates: chaos.rates(), knobs })

const acts: Readonly<Record<string, { usage: string; run: Act }>> = {
  'POST /_sim/chaos': { usage: 'fault&rate=0…1|times[&operation=create|wechat-pay.create|*]', run: setChaos },
  'GET /_sim/chaos': { usage: '', run: showChaos },
  'POST /_sim/chaos/reset': {
    usage: '',
    run(parts, parameters) {
      parts.chaos.reset()
      return showChaos(parts, parameters)
    },
  },
  'POST /_sim/clock': { usage: 'advance_ms', run: moveClock },
  'GET /_sim/clock': { usage: '', run: ({ clock }) => jsonResponse(200, { now: clock.now(), scale: clock.scale }) },
  'GET /_sim/notifications': {
    usage: '',
    run: ({ notifier }) => jsonResponse(200, { pending: notifier.pending(), attempts: notifier.attempts() }),
  },
  'GET /_sim/requests': { usage: '', run: ({ requests }) => jsonResponse(200, { requests: requests.entries() }) },
  'GET /_sim/credentials': { usage: '', run: (parts) => jsonResponse(200, parts.credentials()) },
}

const listOf = (parts: ControlParts): string[] => [
  'POST /_sim/pay?payment',
  ...Object.entries(acts).map(([name, act]) => `${name}${act.usage && '?'}${act.usage}`),
  ...parts.usage,
]

const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`)

function index(parts: ControlParts, request: SimRequest): SimResponse {
  const list = listOf(parts)
  if (!(request.headers['accept'] ?? '').includes('text/html')) return jsonResponse(200, { acts: list })
  const item = (line: string): string => {
    const link = /^GET (\/\S*?)(\?|$)/.exec(line)
    return `<li><code>${link?.[1] ? `<a href="${escape(link[1])}">${escape(line)}</a>` : escape(line)}</code></li>`
  }
  return {
    status: 200,
    headers: { 'Content-Type': 'text/html; charset=utf-8' },
    body: `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>Simulators</title><style>:root{color-scheme:light dark}body{font:15px/1.6 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
li{margin:.3rem 0;overflow-wrap:anywhere}</style></head><body><h1>Simulators: control door</h1>
<p>No real money. Parameters may come in the query string, as a form or as a JSON object.</p><ul>${list.map(item).join('')}</ul></body></html>`,
  }
}

/**
 * Pays whoever's payment it is: the number is known to one provider only. A merchant's id with its underscore is taken
 * as well, so that a person can paste what the gateway answered.
 */
async function payAnywhere(parts: ControlParts, request: SimRequest): Promise<SimResponse> {
  const number = (parametersOf(request)['payment'] ?? '').replace('_', '')
  if (!/^[A-Za-z0-9-]{1,64}$/.test(number))
    return no('payment is the number that the provider was given, or the id of the payment')
  for (const [path, name] of [
    ['/_sim/wechat-pay/pay', 'out_trade_no'],
    ['/_sim/huifu/pay', 'req_seq_id'],
  ] as const) {
    const query = `${name}=${number}`
    const answer = await firstAnswer(parts.doors, {
      ...request,
      path,
      query,
      target: `${path}?${query}`,
      body: Buffer.alloc(0),
    })
    if (answer !== undefined && answer.status !== 404) return answer
  }
  return jsonResponse(404, { error: `no simulated provider knows a payment ${number}` })
}

/** /_sim on a port of its own (design.md 14): never mixed with the protocol. */
export function createControlDoor(parts: ControlParts): SimHandler {
  return async (request) => {
    try {
      if (request.method === 'GET' && /^\/(_sim\/?)?$/.test(request.path)) return index(parts, request)
      const name = `${request.method} ${request.path}`
      if (name === 'POST /_sim/pay') return await payAnywhere(parts, request)
      const act = Object.hasOwn(acts, name) ? acts[name] : undefined
      if (act) return act.run(parts, parametersOf(request))
      const answer = await firstAnswer(parts.doors, request)
      return answer ?? jsonResponse(404, { error: 'no such path', acts: listOf(parts) })
    } catch (error) {
      if (error instanceof SyntaxError) return no('the body is not JSON')
      throw error
    }
  }
}
