import type { OrderRow, RefundRow } from './books.ts'
import { sortedJson } from './json.ts'
import { deliver, formBody } from './notices.ts'
import type { Office } from './office.ts'
import { paymentRespData, refundRespData, type RespData } from './resp-data.ts'
import { paymentEvent, refundEvent, sendWebhook } from './webhook.ts'

/**
 * Notifications on demand, genuine or spoiled. `forged`, `unsigned`, `tampered` and `not_json` must fail at the
 * receiver's verification or parsing; the `wrong_…` ones are genuinely signed and must fail at its comparison
 * (huifu-dougong.md 13.6).
 */
export const MUTATIONS = [
  'forged',
  'unsigned',
  'tampered',
  'not_json',
  'wrong_amount',
  'wrong_huifu_id',
  'wrong_sys_id',
  'wrong_product_id',
  'wrong_req_seq_id',
  'wrong_req_date',
  'wrong_hf_seq_id',
  'status_p',
  'status_f',
] as const
export type Mutation = (typeof MUTATIONS)[number]

export const isMutation = (text: string): text is Mutation => (MUTATIONS as readonly string[]).includes(text)

const CHANGES: Readonly<Record<string, RespData>> = {
  wrong_huifu_id: { huifu_id: '6666000199999999' },
  wrong_sys_id: { sys_id: '6666000199999990' },
  wrong_product_id: { product_id: 'OTHER' },
  wrong_req_seq_id: { req_seq_id: 'NOBODYKNOWSTHIS01', mer_ord_id: 'NOBODYKNOWSTHIS01' },
  wrong_req_date: { req_date: '20200101' },
  wrong_hf_seq_id: { hf_seq_id: '002900TOP1A200101000000P999ac13fffffffff' },
  status_p: { trans_stat: 'P' },
  status_f: { trans_stat: 'F', resp_code: '90000000', resp_desc: '交易失败', sub_resp_code: '90000000' },
}

const amountNames = ['trans_amt', 'ord_amt', 'pay_amt', 'settlement_amt', 'actual_ref_amt']

function mutate(data: RespData, mutation: Mutation | undefined): RespData {
  if (mutation === undefined) return data
  const amounts = mutation === 'wrong_amount' ? amountNames.filter((name) => data[name] !== undefined) : []
  return { ...data, ...CHANGES[mutation], ...Object.fromEntries(amounts.map((name) => [name, '99999.99'])) }
}

/** The complete form body where the lie is in the envelope; undefined where the ordinary body will do. */
function spoiledBody(office: Office, respData: string, mutation: Mutation | undefined): string | undefined {
  switch (mutation) {
    case 'unsigned':
      return formBody(respData, undefined)
    case 'forged':
      // A signature of the right size made by nobody: reversing the real one keeps the alphabet.
      return formBody(respData, `${Array.from(office.signing.sign(respData).slice(0, 342)).toReversed().join('')}==`)
    case 'tampered':
      return formBody(respData.replace('"trans_stat":"', '"trans_stat": "'), office.signing.sign(respData))
    case 'not_json':
      return formBody('{"req_seq_id":', office.signing.sign('{"req_seq_id":'))
    case undefined:
    default:
      return undefined
  }
}

export type Resend = {
  kind: '1' | '2' | '3' | 'refund' | 'webhook'
  times: number
  mutation?: Mutation
  url?: string
}

/** Delivers one notification `times` times as it is, without chaos. Returns a complaint or undefined. */
export function resend(
  office: Office,
  wish: Resend,
  order: OrderRow,
  refund: RefundRow | undefined,
): string | undefined {
  if (wish.kind === 'webhook') return resendWebhook(office, wish, order, refund)
  if (wish.kind === 'refund' && refund === undefined) return 'no such refund'
  const genuine =
    refund !== undefined && wish.kind === 'refund'
      ? refundRespData(office, refund, order)
      : paymentRespData(office, order, wish.kind === '2' ? 2 : wish.kind === '3' ? 3 : 1)
  const url = wish.url ?? (wish.kind === 'refund' ? refund?.notifyUrl : order.notifyUrl)
  if (url === undefined) return 'the request named no notify_url'
  const data = mutate(genuine, wish.mutation)
  const respData = sortedJson(data)
  const number = typeof data['req_seq_id'] === 'string' ? data['req_seq_id'] : ''
  const body = spoiledBody(office, respData, wish.mutation)
  for (let count = 0; count < wish.times; count += 1) {
    deliver(office, {
      url,
      label: `resent ${wish.kind} ${number}${wish.mutation === undefined ? '' : ` ${wish.mutation}`}`,
      respData,
      ackNumber: number,
      hfSeqId: refund?.hfSeqId ?? order.hfSeqId,
      ...(body === undefined ? {} : { body }),
    })
  }
  return undefined
}

function resendWebhook(
  office: Office,
  wish: Resend,
  order: OrderRow,
  refund: RefundRow | undefined,
): string | undefined {
  if (office.webhookUrls.size === 0) return 'no webhook is registered'
  const body = refund === undefined ? paymentEvent(office, order) : refundEvent(office, refund, order)
  const sign = wish.mutation === undefined ? undefined : '0'.repeat(32)
  for (let count = 0; count < wish.times; count += 1) sendWebhook(office, `resent ${order.reqSeqId}`, body, sign)
  return undefined
}
