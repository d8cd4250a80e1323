import { randomBytes } from 'node:crypto'
import { beijingStamp, parseStamp } from './beijing.ts'
import type { HostedMarks, OrderRow } from './books.ts'
import { field, newNumbers, numberOf, refuse, refuseRepeated, type Call, type Outcome } from './call.ts'
import type { AnswerData } from './envelope.ts'
import { lengthOf, objectIn, textIn } from './fields.ts'
import { sortedJson, type ObjectNode } from './json.ts'
import { feeOf, fenOf, yuanOf } from './money.ts'
import { durations } from './office.ts'

/** Huifu's own cashier mini-program; obviously no real one. */
export const HOSTED_MINI = { appid: 'wx00000000000000c1', ghId: 'gh_000000000001', path: 'pages/cashier/cashier' }

/** Which scene object each kind needs, and the members it may have with their lengths (huifu-dougong.md 11.1). */
const SCENES = {
  1: {
    name: 'hosting_data',
    required: ['project_title', 'project_id'],
    members: { project_title: 64, project_id: 32, private_info: 255, callback_url: 512, request_type: 1 },
  },
  3: {
    name: 'miniapp_data',
    required: ['need_scheme'],
    members: { need_scheme: 1, seq_id: 64, private_info: 255 },
  },
} as const

/** Ways the hosted H5 cashier can go straight to (huifu-dougong.md 11.1), as far as the simulated payer can pay. */
const TRANS_TYPES = 'T_JSAPI A_JSAPI A_NATIVE U_NATIVE U_JSAPI'.split(' ')

type Scene = { marks: Pick<HostedMarks, 'kind' | 'needScheme'>; privateInfo?: string; seqId?: string; text: string }

/** Reads the scene object of a pre-order; a text means complaint. */
function sceneOf(call: Call, kind: '1' | '3'): Scene | string {
  const { name, required, members } = SCENES[kind]
  const text = field(call, name)
  if (text === '') return `${name}不能为空`
  const scene = objectIn(text)
  if (scene === undefined) return `${name}格式错误`
  const fault = memberFault(scene, name, members) ?? required.find((key) => textIn(scene, key) === undefined)
  if (fault !== undefined) return fault.startsWith(name) ? fault : `${name}.${fault}不能为空`
  const needScheme = textIn(scene, 'need_scheme')
  if (kind === '3' && needScheme !== 'Y' && needScheme !== 'N') return `${name}.need_scheme枚举不存在`
  const requestType = textIn(scene, 'request_type')
  if (requestType !== undefined && requestType !== 'P' && requestType !== 'M') return `${name}.request_type枚举不存在`
  if (kind === '1' && call.fields.has('trans_type') && requestType === undefined) return `${name}.request_type不能为空`
  const [privateInfo, seqId] = [textIn(scene, 'private_info'), textIn(scene, 'seq_id')]
  return {
    marks: { kind, needScheme: needScheme === 'Y' },
    ...(privateInfo === undefined ? {} : { privateInfo }),
    ...(seqId === undefined ? {} : { seqId }),
    text,
  }
}

function memberFault(scene: ObjectNode, name: string, members: Readonly<Record<string, number>>): string | undefined {
  for (const [key, node] of scene.members) {
    const longest = Object.hasOwn(members, key) ? members[key] : undefined
    if (longest === undefined) return `${name}.${key}不存在`
    if (node.kind !== 'string') return `${name}.${key}格式错误`
    if (lengthOf(node.text) > longest) return `${name}.${key}长度不能超过${String(longest)}`
  }
  return undefined
}

/** `preorder` for the H5 cashier (1) and the WeChat mini-program (3); the other kinds are not opened (huifu-dougong.md 11.1). */
export function preorder(call: Call): Outcome {
  const kind = field(call, 'pre_order_type')
  if (kind === '2' || kind === '4') return refuse(call, '22000004', `暂未开通预下单类型${kind}权限`)
  if (kind !== '1' && kind !== '3') return refuse(call, '10000000', 'pre_order_type枚举不存在')
  const scene = sceneOf(call, kind)
  if (typeof scene === 'string') return refuse(call, '10000000', scene)
  const expiry = call.fields.get('time_expire')
  const expiresAt = expiry === undefined ? undefined : parseStamp(expiry)
  if (expiry !== undefined && expiresAt === undefined) return refuse(call, '10000000', 'orderExpireTime格式错误')
  const { clock } = call.office
  if (expiresAt !== undefined && expiresAt + 999 < clock.now() + clock.shrink(60_000))
    return refuse(call, '10000000', '订单已超时')
  const ways = (call.fields.get('trans_type') ?? '').split(',').filter((way) => way !== '')
  const strange = ways.find((way) => !TRANS_TYPES.includes(way))
  if (strange !== undefined) return refuse(call, '22000004', `暂未开通${strange}权限`)
  if (call.fields.get('delay_acct_flag') === 'Y') return refuse(call, '22000004', '暂未开通延迟入账权限')
  // Only the code differs from other creates: a repeated pre-order is 99010002 (huifu-dougong.md 16.1).
  const repeated = refuseRepeated(call, 'create')
  if (repeated !== undefined)
    return repeated.data.resp_code === '20000000' ? refuse(call, '99010002', '预下单请求流水重复') : repeated
  if (scene.marks.needScheme && call.office.options.schemeFails)
    return refuse(call, '90000000', '业务执行失败:生成scheme失败')
  return accept(call, scene, ways, expiresAt === undefined ? undefined : expiresAt + 1000)
}

function accept(call: Call, scene: Scene, ways: readonly string[], expiresAt: number | undefined): Outcome {
  const { office } = call
  const now = office.clock.now()
  const { serial, ...numbers } = newNumbers(office, '0029', beijingStamp(now))
  const [huifuId, reqDate, reqSeqId] = numberOf(call)
  const amountFen = fenOf(field(call, 'trans_amt')) ?? 0
  const notifyUrl = call.fields.get('notify_url')
  const order: OrderRow = {
    version: call.version,
    huifuId,
    reqDate,
    reqSeqId,
    ...numbers,
    tradeType: scene.marks.kind === '3' ? 'T_MINIAPP' : (ways[0] ?? 'T_JSAPI'),
    amountFen,
    goodsDesc: field(call, 'goods_desc'),
    ...(notifyUrl === undefined ? {} : { notifyUrl }),
    ...(scene.privateInfo === undefined ? {} : { remark: scene.privateInfo }),
    ...(scene.marks.kind === '3' ? { appId: HOSTED_MINI.appid } : {}),
    openId: `oSIM-openid_${String(serial).padStart(4, '0')}`,
    prepayId: `wx${beijingStamp(now)}${randomBytes(8).toString('hex')}`,
    createdAt: now,
    expiresAt: expiresAt ?? now + office.clock.shrink(durations.hostedExpiry),
    transStat: 'P',
    acctStat: 'I',
    bankCode: 'NOTPAY',
    bankMessage: '订单未支付',
    couponFen: 0,
    settlementFen: amountFen,
    feeFen: feeOf(amountFen, office.options.feeRate),
    held: false,
    hosted: {
      ...scene.marks,
      preOrderId: `H${beijingStamp(now)}${String(serial).padStart(12, '0')}`,
      ticket: randomBytes(8).toString('hex').toUpperCase(),
    },
  }
  office.books.claim('create', huifuId, reqDate, reqSeqId)
  office.books.addOrder(order)
  office.books.touch()
  if (office.chaos.happens('duplicateOrder', 'huifu.preorder')) return refuse(call, '99010002', '预下单请求流水重复')
  return { data: accepted(call, order, scene) }
}

function accepted(call: Call, order: OrderRow, scene: Scene): AnswerData {
  const hosted = order.hosted
  const base = {
    huifu_id: order.huifuId,
    pre_order_id: hosted?.preOrderId,
    req_date: order.reqDate,
    req_seq_id: order.reqSeqId,
    resp_code: '00000000',
    resp_desc: '操作成功',
  }
  if (hosted?.kind === '3') {
    const miniapp = {
      appid: HOSTED_MINI.appid,
      gh_id: HOSTED_MINI.ghId,
      need_scheme: hosted.needScheme ? 'Y' : 'N',
      path: HOSTED_MINI.path,
      private_info: scene.privateInfo,
      scheme_code: hosted.needScheme ? `weixin://dl/business/?t=${hosted.ticket}` : '',
      seq_id: scene.seqId,
    }
    return { ...base, miniapp_data: sortedJson(miniapp), trans_amt: yuanOf(order.amountFen) }
  }
  return {
    ...base,
    current_time: beijingStamp(order.createdAt),
    hosting_data: scene.text,
    jump_url: `${call.office.addresses.api}/hostingH5/cashier/${hosted?.preOrderId ?? ''}`,
    time_expire: beijingStamp(order.expiresAt - 1000),
    trans_type: call.fields.get('trans_type'),
  }
}
