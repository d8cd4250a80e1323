import { jsonResponse, type SimHandler, type SimRequest, type SimResponse } from '../http.ts'
import type { OrderRow, RefundRow } from './books.ts'
import { expire, fail, hold, pay, post, settleClose, settleRefund, unfreeze } from './life.ts'
import { rateOf } from './money.ts'
import type { Office, Options } from './office.ts'
import { accountOf, findOrder } from './report.ts'
import { isMutation, resend } from './resend.ts'
import { noSuchOrderPage, walletPage } from './wallet.ts'

/** Wishes of the control door, from the query, a JSON object or a form; the body wins. */
type Wishes = ReadonlyMap<string, string>

type Act = (office: Office, wishes: Wishes) => SimResponse

const PREFIX = '/_sim/huifu/'

/**
 * The control door (huifu-dougong.md 18.3, design.md 14): `POST /_sim/huifu/<act>?req_seq_id=…`, `GET books`,
 * `GET wallet`. Nothing here can be reached through the payment API.
 */
export function createControl(office: Office): SimHandler {
  return (request) => {
    if (!request.path.startsWith(PREFIX)) return undefined
    const verb = request.path.slice(PREFIX.length)
    const wishes = wishesOf(request)
    if (wishes === undefined) return complain(400, 'the body is neither a form nor a flat JSON object')
    if (request.method === 'GET' && verb === 'books') return jsonResponse(200, accountOf(office))
    if (request.method === 'GET' && verb === 'wallet') return wallet(office, wishes)
    if (request.method === 'GET' && verb === 'order') return show(office, wishes)
    const act = Object.hasOwn(acts, verb) ? acts[verb] : undefined
    if (act === undefined) return complain(404, 'no such act')
    return request.method === 'POST' ? act(office, wishes) : complain(405, 'acts are POST requests')
  }
}

const complain = (status: number, error: string): SimResponse => jsonResponse(status, { error })

function wishesOf(request: SimRequest): Wishes | undefined {
  const wishes = new Map(new URLSearchParams(request.query))
  const text = request.body.toString('utf8')
  if (text.trim() === '') return wishes
  if (!/^\s*[{[]/.test(text)) return new Map([...wishes, ...new URLSearchParams(text)])
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  for (const [name, wish] of Object.entries(value)) {
    if (typeof wish !== 'string' && typeof wish !== 'number' && typeof wish !== 'boolean') return undefined
    wishes.set(name, String(wish))
  }
  return wishes
}

function orderOf(office: Office, wishes: Wishes): OrderRow | undefined {
  const [reqSeqId, reqDate] = [wishes.get('req_seq_id'), wishes.get('req_date')]
  const [hfSeqId, payPackage] = [wishes.get('hf_seq_id'), wishes.get('pay_package') ?? wishes.get('prepay_id')]
  const preOrder = wishes.get('pre_order_id') ?? wishes.get('t')
  return findOrder(office, {
    ...(preOrder === undefined ? {} : { preOrder }),
    ...(reqSeqId === undefined ? {} : { reqSeqId }),
    ...(reqDate === undefined ? {} : { reqDate }),
    ...(hfSeqId === undefined ? {} : { hfSeqId }),
    ...(payPackage === undefined ? {} : { payPackage }),
  })
}

/** What a wallet or a hosted cashier shows before the payer decides. */
function show(office: Office, wishes: Wishes): SimResponse {
  const order = orderOf(office, wishes)
  if (order === undefined) return complain(404, 'no such order')
  const state = order.transStat
  return jsonResponse(200, { amount: order.amountFen, description: order.goodsDesc, state, reqSeqId: order.reqSeqId })
}

function refundOf(office: Office, wishes: Wishes): RefundRow | undefined {
  const [number, date, hfSeqId] = [wishes.get('req_seq_id'), wishes.get('req_date'), wishes.get('hf_seq_id')]
  if (hfSeqId !== undefined) return office.books.refunds.get(hfSeqId)
  return [...office.books.refunds.values()].findLast(
    (refund) => refund.reqSeqId === number && (date === undefined || refund.reqDate === date),
  )
}

/** An act on one order: found, done, told. The wallet's forms ask to see the wallet again. */
function onOrder(run: (office: Office, order: OrderRow, wishes: Wishes) => string | undefined): Act {
  return (office, wishes) => {
    const order = orderOf(office, wishes)
    if (order === undefined) return complain(404, 'no such order')
    const complaint = run(office, order, wishes)
    if (wishes.get('return') === 'wallet') {
      const target = `${PREFIX}wallet?hf_seq_id=${encodeURIComponent(order.hfSeqId)}`
      return { status: 303, headers: { Location: target }, body: '' }
    }
    return complaint === undefined ? jsonResponse(200, { order }) : complain(409, complaint)
  }
}

/** `S` or `F` of what a person writes: `ok`, `S`, `fail`, `F`; undefined for anything else. */
function resultOf(wishes: Wishes): 'S' | 'F' | undefined {
  const text = (wishes.get('result') ?? 'S').toUpperCase()
  if (text === 'S' || text === 'OK') return 'S'
  return text === 'F' || text === 'FAIL' ? 'F' : undefined
}

const wholeNumber = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,13}$/.test(text) ? Number.parseInt(text, 10) : undefined

const WRONG_RESULT = 'result is ok, fail, S or F'

const acts: Readonly<Record<string, Act>> = {
  pay: onOrder((office, order, wishes) => {
    const couponFen = wishes.has('coupon') ? wholeNumber(wishes.get('coupon')) : 0
    if (couponFen === undefined) return 'coupon is a whole number of fen'
    // An order names who pays it; WeChat refuses anybody else (huifu-dougong.md 4.3).
    const payer = wishes.get('openid')
    if (payer !== undefined && order.subOpenId !== undefined && payer !== order.subOpenId) {
      return '下单账号与支付账号不一致'
    }
    return pay(office, order, { couponFen, late: isOn(wishes.get('late')) })
  }),
  fail: onOrder((office, order, wishes) => fail(office, order, wishes.get('message'))),
  expire: onOrder((office, order) => expire(office, order)),
  hold: onOrder((office, order) => hold(office, order)),
  unfreeze: onOrder((office, order) => unfreeze(office, order)),
  post: onOrder((office, order, wishes) => {
    const result = resultOf(wishes)
    return result === undefined ? WRONG_RESULT : post(office, order, result)
  }),
  close: onOrder((office, order, wishes) => {
    const result = resultOf(wishes)
    const close = office.books.closes.findLast((row) => row.orderHfSeqId === order.hfSeqId)
    if (close === undefined) return 'nobody asked to close this order'
    return result === undefined ? WRONG_RESULT : settleClose(office, close, result)
  }),
  refund(office, wishes) {
    const refund = refundOf(office, wishes)
    const result = resultOf(wishes)
    if (refund === undefined) return complain(404, 'no such refund')
    if (result === undefined) return complain(409, WRONG_RESULT)
    const complaint = settleRefund(office, refund, result)
    return complaint === undefined ? jsonResponse(200, { refund }) : complain(409, complaint)
  },
  balance(office, wishes) {
    const fen = wholeNumber(wishes.get('fen'))
    if (fen === undefined) return complain(400, 'fen is a whole number')
    office.books.balanceFen = fen
    office.books.touch()
    return jsonResponse(200, { balanceFen: fen })
  },
  webhook(office, wishes) {
    const url = wishes.get('url')
    if (url === undefined || !URL.canParse(url)) return complain(400, 'url is needed')
    if (isOn(wishes.get('remove'))) office.webhookUrls.delete(url)
    else office.webhookUrls.add(url)
    return jsonResponse(200, { webhookUrls: [...office.webhookUrls] })
  },
  notify,
  options: setOptions,
  'scan-options': setOptions,
}

/** A refund is named by its own number, or by its payment's together with type=refund. */
function notify(office: Office, wishes: Wishes): SimResponse {
  const kind = wishes.get('type') ?? '1'
  if (kind !== '1' && kind !== '2' && kind !== '3' && kind !== 'refund' && kind !== 'webhook') {
    return complain(400, 'type is 1, 2, 3, refund or webhook')
  }
  const own = kind === 'refund' || kind === 'webhook' ? refundOf(office, wishes) : undefined
  const order = own === undefined ? orderOf(office, wishes) : office.books.orders.get(own.orderHfSeqId)
  if (order === undefined) return complain(404, 'no such order')
  const refund = own ?? (kind === 'refund' ? office.books.refundsOf(order).at(-1) : undefined)
  const times = wishes.has('times') ? wholeNumber(wishes.get('times')) : 1
  if (times === undefined || times < 1 || times > 1000) return complain(400, 'times is between 1 and 1000')
  const mutation = wishes.get('mutate') ?? ''
  if (mutation !== '' && !isMutation(mutation)) return complain(400, 'no such mutation')
  const url = wishes.get('url')
  const wish = {
    kind,
    times,
    ...(url === undefined ? {} : { url }),
    ...(isMutation(mutation) ? { mutation } : {}),
  } as const
  const complaint = resend(office, wish, order, refund)
  return complaint === undefined ? jsonResponse(200, { sent: times }) : complain(409, complaint)
}

/** Switches by the names the control door uses. */
const SWITCHES: Readonly<Record<string, Exclude<keyof Options, 'feeRate'>>> = {
  auto_account: 'autoAccount',
  auto_refund: 'autoRefund',
  auto_close: 'autoClose',
  strict_ports: 'strictPorts',
  strict_headers: 'strictHeaders',
  allow_nested: 'allowNested',
  soft_signature_error: 'softSignatureError',
  unsorted_answers: 'unsortedAnswers',
  scheme_fails: 'schemeFails',
}

const isOn = (text: string | undefined): boolean => text !== undefined && /^(?:on|true|1|yes)$/i.test(text)

function setOptions(office: Office, wishes: Wishes): SimResponse {
  for (const [name, text] of wishes) {
    const key = Object.hasOwn(SWITCHES, name) ? SWITCHES[name] : undefined
    const rate = name === 'fee_rate' ? rateOf(text) : undefined
    if (key !== undefined) office.options[key] = isOn(text)
    else if (rate !== undefined) office.options.feeRate = rate
    else return complain(400, `no such option, or a value it cannot take: ${name}`)
  }
  return jsonResponse(200, { options: office.options })
}

function wallet(office: Office, wishes: Wishes): SimResponse {
  const order = orderOf(office, wishes)
  return {
    status: order === undefined ? 404 : 200,
    headers: { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-store' },
    body: order === undefined ? noSuchOrderPage() : walletPage(order),
  }
}
