import { randomBytes } from 'node:crypto'
import { beijingStamp, parseStamp } from './beijing.ts'
import type { OrderRow } from './books.ts'
import { field, newNumbers, numberOf, refuse, refuseRepeated, type Call, type Outcome } from './call.ts'
import { lengthOf, objectIn, textIn } from './fields.ts'
import { memberOf, writeNode, type Node, type ObjectNode } from './json.ts'
import { feeOf, fenOf, yuanOf } from './money.ts'
import { firstDelivery } from './notices.ts'
import { durations } from './office.ts'
import { WECHAT_SCENE } from './rules.ts'
import { signForWallet } from './signing.ts'

/** `trade_type` values by path version (huifu-dougong.md 4.1). */
const JSPAY_TYPES = 'T_JSAPI T_MINIAPP T_APP T_NATIVE T_H5 A_JSAPI A_NATIVE U_JSAPI U_NATIVE D_NATIVE'.split(' ')
const V4_TYPES = 'T_JSAPI T_MINIAPP T_APP T_MICROPAY A_JSAPI A_NATIVE A_MICROPAY U_JSAPI U_NATIVE U_MICROPAY'.split(' ')
/** Documented, but not opened for the simulated merchant. */
const NOT_OPENED = new Set(['T_H5', 'D_NATIVE', 'T_MICROPAY', 'A_MICROPAY', 'U_MICROPAY'])

/** The payer as the scene object names them. */
type Payer = { appId?: string; openId?: string; subOpenId?: string; attach?: string }

/** Registers an order: v2 and v3 `jspay`, v4 `create` (huifu-dougong.md 4, 18.3). */
export function createOrder(call: Call): Outcome {
  const tradeType = field(call, 'trade_type')
  if (!(call.version === 'v4' ? V4_TYPES : JSPAY_TYPES).includes(tradeType)) {
    return refuse(call, '10000000', 'trade_type枚举不存在')
  }
  const expiry = call.fields.get('time_expire')
  const expiresAt = expiry === undefined ? undefined : parseStamp(expiry)
  if (expiry !== undefined && expiresAt === undefined) return refuse(call, '10000000', 'orderExpireTime格式错误')
  const payer = payerOf(call, tradeType)
  if (typeof payer === 'string') return refuse(call, '10000000', payer)
  const { clock } = call.office
  // The field has whole seconds, so its last one counts; the deadline must be a minute ahead (huifu-dougong.md 4.2).
  const tooSoon = expiresAt !== undefined && expiresAt + 999 < clock.now() + clock.shrink(60_000)
  return (
    refuseRepeated(call, 'create') ??
    (tooSoon ? refuse(call, '10000000', '订单已超时') : undefined) ??
    refuseUnopened(call, tradeType) ??
    accept(call, tradeType, payer, expiresAt === undefined ? undefined : expiresAt + 1000)
  )
}

function refuseUnopened(call: Call, tradeType: string): Outcome | undefined {
  if (NOT_OPENED.has(tradeType)) return refuse(call, '22000004', `暂未开通${tradeType}权限`)
  if (call.fields.get('delay_acct_flag') === 'Y') return refuse(call, '22000004', '暂未开通延迟入账权限')
  // Even an empty channel number is looked up, and fails (huifu-dougong.md 2.2).
  const channel = memberOf(call.data, 'channel_no')
  if (channel?.kind === 'string') return refuse(call, '22000005', '该路由下未配置可用通道')
  return refuseSplit(call)
}

/** A split may only name the trading merchant, with the whole amount (huifu-dougong.md 4.5). */
function refuseSplit(call: Call): Outcome | undefined {
  const split = objectIn(field(call, 'acct_split_bunch'))
  if (split === undefined) return undefined
  const infos = memberOf(split, 'acct_infos')
  const entries: readonly Node[] = infos?.kind === 'array' ? infos.items : []
  if (entries.length === 0) return refuse(call, '10000000', 'acct_infos不能为空')
  const parts = entries.map((entry) => fenOf(textIn(entry, 'div_amt') ?? ''))
  const sum = parts.reduce<number>((total, part) => total + (part ?? Number.NaN), 0)
  if (sum !== fenOf(field(call, 'trans_amt'))) return refuse(call, '23000003', '分账金额总和不等于交易金额')
  const strangers = entries.some((entry) => textIn(entry, 'huifu_id') !== field(call, 'huifu_id'))
  return strangers ? refuse(call, '22000004', '暂未开通分账权限') : undefined
}

/** Reads the scene object; a text means complaint. */
function payerOf(call: Call, tradeType: string): Payer | string {
  const family = tradeType.charAt(0)
  const v2Name = { T: 'wx_data', A: 'alipay_data', U: 'unionpay_data' }[family] ?? 'dc_data'
  const name = call.version === 'v4' ? 'method_expand' : v2Name
  const scene = objectIn(call.fields.get(name) ?? '{}')
  if (scene === undefined) return `${name}格式错误`
  if (tradeType === 'A_JSAPI' && !textIn(scene, 'buyer_id') && !textIn(scene, 'buyer_logon_id')) {
    return 'buyer_id、buyer_logon_id不能同时为空'
  }
  if (tradeType === 'U_JSAPI' && (!textIn(scene, 'user_id') || !textIn(scene, 'customer_ip'))) {
    return 'user_id、customer_ip不能为空'
  }
  if (family === 'A') return { openId: textIn(scene, 'buyer_id') ?? textIn(scene, 'buyer_logon_id') ?? '' }
  return family === 'T' ? wechatPayer(call, tradeType, scene, name) : {}
}

/** Either `openid` alone, or `sub_appid` with `sub_openid`; v4 knows only the pair (huifu-dougong.md 4.3, 4.4). */
function wechatPayer(call: Call, tradeType: string, scene: ObjectNode, name: string): Payer | string {
  for (const [key, node] of scene.members) {
    const longest = Object.hasOwn(WECHAT_SCENE, key) ? WECHAT_SCENE[key] : undefined
    if (longest === undefined || (call.version === 'v4' && key === 'openid')) return `${name}.${key}不存在`
    const length = lengthOf(node.kind === 'string' ? node.text : writeNode(node))
    if (length > longest) return `${name}.${key}长度不能超过${longest}`
  }
  const [appId, subOpenId, openId, attach] = ['sub_appid', 'sub_openid', 'openid', 'attach'].map((key) =>
    textIn(scene, key),
  )
  const pair = appId !== undefined && subOpenId !== undefined
  if ((tradeType === 'T_JSAPI' || tradeType === 'T_MINIAPP') && !pair && (openId === undefined || subOpenId)) {
    return `${name}.${appId === undefined ? 'sub_appid' : 'sub_openid'}不能为空`
  }
  if (tradeType === 'T_APP' && appId === undefined) return `${name}.sub_appid不能为空`
  return {
    ...(appId === undefined ? {} : { appId }),
    ...(subOpenId === undefined ? {} : { subOpenId }),
    ...(openId === undefined ? {} : { openId }),
    ...(attach === undefined ? {} : { attach }),
  }
}

function accept(call: Call, tradeType: string, payer: Payer, expiresAt: number | undefined): Outcome {
  const { office } = call
  const { books, clock, chaos } = office
  const now = clock.now()
  const { serial, ...numbers } = newNumbers(office, '0029', beijingStamp(now))
  const [huifuId, reqDate, reqSeqId] = numberOf(call)
  const amountFen = fenOf(field(call, 'trans_amt')) ?? 0
  const [notifyUrl, remark] = [call.fields.get('notify_url'), call.fields.get('remark')]
  const order: OrderRow = {
    version: call.version,
    huifuId,
    reqDate,
    reqSeqId,
    ...numbers,
    tradeType,
    amountFen,
    goodsDesc: field(call, 'goods_desc'),
    ...(notifyUrl === undefined ? {} : { notifyUrl }),
    ...(remark === undefined ? {} : { remark }),
    ...payer,
    openId: payer.openId ?? `oSIM-openid_${String(serial).padStart(4, '0')}`,
    prepayId: `wx${beijingStamp(now)}${randomBytes(8).toString('hex')}`,
    createdAt: now,
    expiresAt: expiresAt ?? now + clock.shrink(durations.defaultExpiry),
    transStat: 'P',
    acctStat: 'I',
    bankCode: 'NOTPAY',
    bankMessage: '订单未支付',
    couponFen: 0,
    settlementFen: amountFen,
    feeFen: feeOf(amountFen, office.options.feeRate),
    held: false,
  }
  books.claim('create', huifuId, reqDate, reqSeqId)
  books.addOrder(order)
  books.touch()
  // The first request counts as a repeat, as happens when a proxy in between resends it.
  if (chaos.happens('duplicateOrder', 'huifu.create')) return refuse(call, '20000000', '重复交易')
  const early = chaos.happens('notifyBeforeResponse', 'huifu.create')
  return { data: accepted(call, order), ...(early ? { before: firstDelivery(office, order.hfSeqId) } : {}) }
}

function accepted(call: Call, order: OrderRow) {
  return {
    bank_code: 'SUCCESS',
    bank_message: '成功',
    hf_seq_id: order.hfSeqId,
    huifu_id: order.huifuId,
    party_order_id: order.partyOrderId,
    pay_info: order.tradeType.endsWith('_NATIVE') ? undefined : payInfo(call, order),
    qr_code: order.tradeType.endsWith('_NATIVE') ? qrCode(order) : undefined,
    remark: order.remark,
    req_date: order.reqDate,
    req_seq_id: order.reqSeqId,
    resp_code: '00000100',
    resp_desc: '下单成功',
    trade_type: order.tradeType,
    trans_amt: yuanOf(order.amountFen),
    trans_stat: 'P',
    unconfirm_amt: yuanOf(order.amountFen),
  }
}

/** What the payer's device needs: a string with JSON inside, except UnionPay's address (huifu-dougong.md 4.8). */
function payInfo(call: Call, order: OrderRow): string {
  if (order.tradeType === 'A_JSAPI') return JSON.stringify({ tradeNO: order.outTransId })
  if (order.tradeType === 'U_JSAPI') return `https://qr.95516.com/sim/${order.prepayId}`
  const appId = order.appId ?? 'wx00000000000000ff'
  const timeStamp = String(Math.floor(call.office.clock.now() / 1000))
  const nonceStr = randomBytes(16).toString('hex').toUpperCase()
  const prepay = `prepay_id=${order.prepayId}`
  const paySign = signForWallet(`${appId}\n${timeStamp}\n${nonceStr}\n${prepay}\n`)
  return JSON.stringify({ appId, timeStamp, nonceStr, package: prepay, signType: 'RSA', paySign })
}

function qrCode(order: OrderRow): string {
  const hosts: Record<string, string> = {
    A: 'https://qr.alipay.com/bax',
    T: 'weixin://wxpay/bizpayurl?pr=',
    U: 'https://qr.95516.com/sim/',
  }
  return `${hosts[order.tradeType.charAt(0)] ?? ''}${order.prepayId}`
}
