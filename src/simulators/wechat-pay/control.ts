import { jsonResponse, type SimHandler, type SimResponse } from '../http.ts'
import { parametersOf, wholeNumber } from '../parameters.ts'
import { deliver, eventOf, isMutation, mutations } from './deliveries.ts'
import { checkLaunch, LAUNCH_FIELDS } from './launch.ts'
import type { Order, Refund } from './ledger.ts'
import type { Login } from './login.ts'
import { payOrder, type PayOptions } from './orders.ts'
import { isKeyMode, type SigningKey } from './platform-keys.ts'
import { settleRefund } from './refunds.ts'
import { orderView, refundView } from './views.ts'
import type { World } from './world.ts'

const PREFIX = '/_sim/wechat-pay/'

type Parameters = Record<string, string>
type Act = { usage: string; run(parameters: Parameters): SimResponse | Promise<SimResponse> }

const no = (status: number, error: string): SimResponse => jsonResponse(status, { error })
const yes = (value: object): SimResponse => jsonResponse(200, value)

function signer(world: World, text: string | undefined): SigningKey | undefined {
  if (text === 'pubkey') return world.keys.publicKey
  return text === 'cert' ? world.keys.certificateKey() : undefined
}

/** Sums in fen over everything the simulator believes. */
export function books(world: World): object {
  const orders = world.ledger.orders()
  const refunds = world.ledger.refunds()
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
  const refunded = (statuses: readonly string[]): number =>
    sum(refunds.filter((refund) => statuses.includes(refund.status)).map((refund) => refund.refund))
  return {
    orders: orders.map((order) => ({
      ...orderView(world, order),
      openid: order.openid,
      prepay_ids: order.handles.map((handle) => handle.prepayId),
      failed_attempts: order.failedAttempts,
    })),
    refunds: refunds.flatMap((refund) => {
      const order = world.ledger.order(refund.outTradeNo)
      return order ? [refundView(order, refund)] : []
    }),
    sums: {
      paid: sum(orders.filter((order) => order.payment).map((order) => order.total)),
      refunded: refunded(['SUCCESS']),
      refunding: refunded(['PROCESSING', 'ABNORMAL']),
    },
    balance: world.ledger.balance(),
    keys: world.keys.mode(),
    probes: world.probes,
  }
}

/** An order by its number, or by the handle in launch parameters: a wallet knows nothing else. */
function launched(world: World, parameters: Parameters): Order | undefined {
  const number = parameters['out_trade_no']
  if (number !== undefined) return world.ledger.order(number)
  return world.ledger.orderByPrepay((parameters['package'] ?? '').replace(/^prepay_id=/, ''))
}

/** What a wallet shows before the payer decides; launch parameters that would not open it are refused. */
function launch(world: World, parameters: Parameters): SimResponse {
  const order = launched(world, parameters)
  if (!order) return no(404, 'no such prepay_id')
  const checked = checkLaunch(world, parameters)
  if ('problem' in checked) return no(400, checked.problem)
  return yes({ amount: order.total, description: order.description, state: order.state })
}

function pay(world: World, parameters: Parameters): SimResponse {
  const order = launched(world, parameters)
  if (!order) return no(404, 'no such out_trade_no')
  if ([...LAUNCH_FIELDS, 'appId'].some((name) => parameters[name] !== undefined)) {
    const checked = checkLaunch(world, parameters)
    if ('problem' in checked) return no(400, checked.problem)
    if (checked.order !== order) return no(400, 'the launch parameters belong to another order')
  }
  if (parameters['outcome'] === 'cancel') return yes(orderView(world, order))
  if (parameters['outcome'] === 'fail') {
    order.failedAttempts += 1
    world.ledger.changed()
    return yes(orderView(world, order))
  }
  const key = signer(world, parameters['signed_by'])
  if (parameters['signed_by'] !== undefined && !key) return no(400, 'signed_by is pubkey or cert')
  const payerTotal = wholeNumber(parameters['payer_total'])
  const options: PayOptions = {
    ...(parameters['openid'] === undefined ? {} : { openid: parameters['openid'] }),
    ...(parameters['bank_type'] === undefined ? {} : { bankType: parameters['bank_type'] }),
    ...(payerTotal === undefined ? {} : { payerTotal }),
    ...(key ? { signedBy: key } : {}),
  }
  const problem = payOrder(world, order, options)
  return problem === undefined ? yes(orderView(world, order)) : no(409, problem)
}

function settle(world: World, parameters: Parameters): SimResponse {
  const found: Refund | undefined = world.ledger.refund(parameters['out_refund_no'] ?? '')
  const order = found && world.ledger.order(found.outTradeNo)
  if (!found || !order) return no(404, 'no such out_refund_no')
  const result = parameters['result'] ?? 'SUCCESS'
  if (result !== 'SUCCESS' && result !== 'ABNORMAL' && result !== 'CLOSED')
    return no(400, 'result is SUCCESS, ABNORMAL or CLOSED')
  if (!settleRefund(world, found, result)) return no(409, `a refund that is ${found.status} does not become ${result}`)
  return yes(refundView(order, found))
}

function expire(world: World, parameters: Parameters): SimResponse {
  const order = world.ledger.order(parameters['out_trade_no'] ?? '')
  if (!order) return no(404, 'no such out_trade_no')
  // Past time_expire an order refuses payment but stays NOTPAY (wechatpay.md 9.3).
  order.expiresAt = world.clock.now()
  world.ledger.changed()
  return yes(orderView(world, order))
}

function balance(world: World, parameters: Parameters): SimResponse {
  const fen = wholeNumber(parameters['fen'])
  if (fen === undefined || Number.isNaN(fen)) return no(400, 'fen is a whole number')
  world.ledger.setBalance(fen)
  return yes({ balance: fen })
}

function mode(world: World, parameters: Parameters): SimResponse {
  const keys = parameters['keys'] ?? ''
  const share = parameters['share'] ?? '1'
  if (!isKeyMode(keys)) return no(400, 'keys is certificate, switching or public-key')
  if (!/^(0(\.\d+)?|1(\.0+)?)$/.test(share)) return no(400, 'share is between 0 and 1')
  world.keys.setMode(keys, Number.parseFloat(share))
  return yes(world.keys.mode())
}

function rotate(world: World, parameters: Parameters): SimResponse {
  if (parameters['to'] === 'first') world.keys.rewind()
  else if (!world.keys.rotate()) return no(409, 'there is no further certificate; rotate?to=first starts again')
  return yes(world.keys.mode())
}

async function notifyAgain(world: World, parameters: Parameters): Promise<SimResponse> {
  const outRefundNo = parameters['out_refund_no']
  const number = parameters['out_trade_no'] ?? world.ledger.refund(outRefundNo ?? '')?.outTradeNo
  const order: Order | undefined = world.ledger.order(number ?? '')
  const mutate = parameters['mutate'] ?? 'none'
  const times = wholeNumber(parameters['times']) ?? 1
  if (!order) return no(404, 'no such order')
  if (!isMutation(mutate)) return jsonResponse(400, { error: 'unknown mutate', mutations })
  if (!(times >= 1 && times <= 100)) return no(400, 'times is between 1 and 100')
  if (mutate === 'none' && !order.payment) return no(409, 'nobody paid this order; a lie needs a mutate')
  const event = eventOf(world, order, outRefundNo)
  if (!event) return no(404, 'no such refund, or it has no notify_url')
  const key = signer(world, parameters['signed_by']) ?? world.keys.notificationKey()
  return yes({ attempts: await deliver(world, event, { mutate, times, key }) })
}

function code(login: Login, parameters: Parameters): SimResponse {
  const snapshot = parameters['snapshot'] === '1' || parameters['snapshot'] === 'true'
  const minted = login.mint(parameters['appid'] ?? '', parameters['openid'], snapshot)
  return minted ? yes(minted) : no(404, 'no such appid')
}

function refundDelay(world: World, parameters: Parameters): SimResponse {
  const ms = parameters['ms'] === 'never' ? undefined : wholeNumber(parameters['ms'])
  if (Number.isNaN(ms) || (ms === undefined && parameters['ms'] !== 'never'))
    return no(400, 'ms is a whole number or never')
  world.settings.refundDelayMs = ms
  return yes({ refundDelayMs: ms ?? 'never' })
}

const actsOf = (world: World, login: Login): Record<string, Act> => ({
  pay: {
    usage:
      'out_trade_no|package[&openid][&payer_total][&bank_type][&signed_by=pubkey|cert][&outcome=pay|cancel|fail][&launch parameters]',
    run: (parameters) => pay(world, parameters),
  },
  launch: { usage: 'launch parameters', run: (parameters) => launch(world, parameters) },
  refund: { usage: 'out_refund_no&result=SUCCESS|ABNORMAL|CLOSED', run: (parameters) => settle(world, parameters) },
  'refund-delay': {
    usage: 'ms=2000|never (provider time until a refund settles by itself)',
    run: (parameters) => refundDelay(world, parameters),
  },
  expire: { usage: 'out_trade_no', run: (parameters) => expire(world, parameters) },
  balance: { usage: 'fen', run: (parameters) => balance(world, parameters) },
  mode: { usage: 'keys=certificate|switching|public-key[&share=0…1]', run: (parameters) => mode(world, parameters) },
  rotate: { usage: '[to=first]', run: (parameters) => rotate(world, parameters) },
  notify: {
    usage: `out_trade_no|out_refund_no[&times][&signed_by][&mutate=${Object.keys(mutations).join('|')}]`,
    run: (parameters) => notifyAgain(world, parameters),
  },
  code: { usage: 'appid[&openid][&snapshot=1]', run: (parameters) => code(login, parameters) },
})

/** The control door of this simulator: /_sim/wechat-pay/* */
export function createControl(world: World, login: Login): { control: SimHandler; usage: string[] } {
  const acts = actsOf(world, login)
  const usage = [
    ...Object.entries(acts).map(([name, act]) => `POST ${PREFIX}${name}?${act.usage}`),
    `GET ${PREFIX}books`,
  ]
  const control: SimHandler = (request) => {
    if (!request.path.startsWith(PREFIX)) return undefined
    const name = request.path.slice(PREFIX.length)
    if (name === 'books' && request.method === 'GET') return yes(books(world))
    const act = Object.hasOwn(acts, name) ? acts[name] : undefined
    if (!act) return jsonResponse(404, { error: 'no such act', acts: usage })
    if (request.method !== 'POST') return jsonResponse(405, { error: 'use POST', acts: usage })
    return act.run(parametersOf(request))
  }
  return { control, usage }
}
