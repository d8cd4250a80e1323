import { isDeepStrictEqual } from 'node:util'
import type { Json, Order } from './ledger.ts'
import { notify, paymentEvent } from './notifications.ts'
import type { SigningKey } from './platform-keys.ts'
import { bodyProblem, urlProblem, WechatProblem } from './problem.ts'
import { checkBody, closeRules, createRules } from './rules.ts'
import { orderView } from './views.ts'
import { operationName, type World } from './world.ts'

const MINUTE_MS = 60_000
/** Larger values of time_expire are clamped (wechatpay.md 2.2, JSAPI page). */
const LONGEST_EXPIRY_MS = 15 * 24 * 60 * MINUTE_MS

const orderMissing = (): WechatProblem =>
  new WechatProblem(404, 'ORDER_NOT_EXIST', '订单不存在', { internal: 268512771 })
/** The HTTP status of ORDER_PAID is not established (wechatpay.md 11.2); 400 like its neighbours. */
const orderPaid = (): WechatProblem => new WechatProblem(400, 'ORDER_PAID', '该订单已支付', { internal: 268449538 })

/** The number in the body or the query must be the caller's (wechatpay.md 1.3). */
export function checkCaller(world: World, mchid: unknown): void {
  if (typeof mchid === 'string' && mchid !== world.credentials.mchid) {
    throw new WechatProblem(400, 'PARAM_ERROR', 'http header中的mchid与post payload中的mchid不匹配')
  }
}

function checkAppid(world: World, appid: unknown): void {
  const bound = [world.credentials.officialAccount.appid, world.credentials.miniProgram.appid]
  if (typeof appid === 'string' && !bound.includes(appid)) {
    throw new WechatProblem(400, 'APPID_MCHID_NOT_MATCH', '商户号mchid与appid不匹配', { internal: 268445527 })
  }
}

/** An openid belongs to one appid; a well-formed unknown one is taken for a new payer of this appid. */
function checkOpenid(world: World, openid: string, appid: string): void {
  // The virtual openid of snapshot mode cannot pay (wechatpay.md 5.1).
  if (!/^o[A-Za-z0-9_-]{15,127}$/.test(openid) || openid.startsWith('oSIM-snapshot-'))
    throw bodyProblem('/payer/openid', openid, '无效的openid', '无效的openid')
  const owner = world.ledger.openidOwner(openid)
  if (owner === undefined) world.ledger.bindOpenid(openid, appid)
  else if (owner !== appid) throw bodyProblem('/payer/openid', openid, 'appid和openid不匹配', 'appid和openid不匹配')
}

type CreateBody = {
  appid: string
  description: string
  out_trade_no: string
  time_expire?: string
  attach?: string
  notify_url: string
  amount: { total: number }
  payer: { openid: string }
}

function checkedCreate(world: World, body: Json): CreateBody {
  checkCaller(world, body['mchid'])
  checkAppid(world, body['appid'])
  checkBody(body, createRules)
  const checked: CreateBody = JSON.parse(JSON.stringify(body))
  checkOpenid(world, checked.payer.openid, checked.appid)
  return checked
}

/** Under a minute ahead is raised to a minute, over fifteen days is clamped (wechatpay.md 2.2). */
function expiryOf(world: World, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const now = world.clock.now()
  const earliest = now + world.clock.shrink(MINUTE_MS)
  return Math.min(Math.max(Date.parse(text), earliest), now + world.clock.shrink(LONGEST_EXPIRY_MS))
}

/** Repeating a number (wechatpay.md 1.10): all parameters are compared with the first request. */
function checkRepeat(world: World, order: Order, body: Json): void {
  const used = (): WechatProblem =>
    new WechatProblem(403, 'OUT_TRADE_NO_USED', '商户订单号重复', { internal: 268498688 })
  if (!isDeepStrictEqual(order.request, body)) throw used()
  if (order.state === 'CLOSED') throw new WechatProblem(400, 'ORDER_CLOSED', '该订单已关闭')
  if (order.state !== 'NOTPAY') throw orderPaid()
  if (isExpired(world, order)) throw new WechatProblem(400, 'INVALID_REQUEST', '订单已过期', { internal: 268447914 })
  if (world.chaos.happens('duplicateOrder', operationName('create'))) throw used()
}

export const isExpired = (world: World, order: Order): boolean =>
  order.expiresAt !== undefined && world.clock.now() >= order.expiresAt

/** POST /v3/pay/transactions/jsapi */
export function createOrder(world: World, body: Json): Json {
  const checked = checkedCreate(world, body)
  const known = world.ledger.order(checked.out_trade_no)
  if (known) {
    checkRepeat(world, known, body)
    return { prepay_id: world.ledger.newHandle(known) }
  }
  const order: Order = {
    outTradeNo: checked.out_trade_no,
    request: body,
    appid: checked.appid,
    openid: checked.payer.openid,
    description: checked.description,
    total: checked.amount.total,
    attach: checked.attach,
    notifyUrl: checked.notify_url,
    createdAt: world.clock.now(),
    expiresAt: expiryOf(world, checked.time_expire),
    handles: [],
    state: 'NOTPAY',
    failedAttempts: 0,
  }
  world.ledger.addOrder(order)
  return { prepay_id: world.ledger.newHandle(order) }
}

/** The merchant number is in the query string of a query (wechatpay.md 2.5), and nothing else is. */
function checkQuery(world: World, query: URLSearchParams): void {
  for (const name of query.keys()) {
    if (name !== 'mchid') throw urlProblem(name, query.get(name), '未定义的参数', 'query')
  }
  const values = query.getAll('mchid')
  if (values.length !== 1) throw urlProblem('mchid', values[0] ?? null, '必填参数缺失或重复', 'query')
  checkCaller(world, values[0])
}

/** GET /v3/pay/transactions/out-trade-no/{out_trade_no} */
export function queryByNumber(world: World, outTradeNo: string, query: URLSearchParams): Json {
  checkQuery(world, query)
  const order = world.ledger.order(outTradeNo)
  if (!order) throw orderMissing()
  return orderView(world, order)
}

/** GET /v3/pay/transactions/id/{transaction_id}: only a paid order has one. */
export function queryByTransaction(world: World, transactionId: string, query: URLSearchParams): Json {
  checkQuery(world, query)
  if (!/^\d{28}$/.test(transactionId)) throw new WechatProblem(500, 'INVALID_TRANSACTIONID', '订单号非法')
  const order = world.ledger.orderByTransaction(transactionId)
  if (!order) throw orderMissing()
  return orderView(world, order)
}

/** POST …/close: only unpaid orders; closing a closed one is 204 again (wechatpay.md 2.5). */
export function closeOrder(world: World, outTradeNo: string, body: Json): void {
  checkCaller(world, body['mchid'])
  checkBody(body, closeRules)
  const order = world.ledger.order(outTradeNo)
  if (!order) throw orderMissing()
  if (order.state === 'SUCCESS' || order.state === 'REFUND') throw orderPaid()
  order.state = 'CLOSED'
  world.ledger.changed()
}

export type PayOptions = { openid?: string; payerTotal?: number; bankType?: string; signedBy?: SigningKey }

/**
 * The payer pays (control door and wallet).
 * @returns a reason why not, or undefined when the money moved
 */
export function payOrder(world: World, order: Order, options: PayOptions): string | undefined {
  const payerTotal = options.payerTotal ?? order.total
  if (order.state === 'CLOSED') return '订单已关闭'
  if (order.state !== 'NOTPAY') return '该订单已支付'
  if (isExpired(world, order)) return '订单已过期'
  if (options.openid !== undefined && options.openid !== order.openid) return '下单账号与支付账号不一致'
  if (!Number.isSafeInteger(payerTotal) || payerTotal < 0 || payerTotal > order.total)
    return 'payer_total 应为不超过订单金额的整数（分）'
  order.state = 'SUCCESS'
  order.payment = {
    transactionId: world.ledger.newTransactionId(),
    paidAt: world.clock.now(),
    payerTotal,
    bankType: options.bankType ?? 'OTHERS',
  }
  world.ledger.changed()
  notify(world, paymentEvent(world, order), options.signedBy)
  return undefined
}
