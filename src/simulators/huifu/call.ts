import { beijingDate } from './beijing.ts'
import type { OrderRow, Version } from './books.ts'
import { refusal, type AnswerData } from './envelope.ts'
import type { Fields } from './fields.ts'
import type { ObjectNode } from './json.ts'
import type { Office } from './office.ts'

/** One checked request on its way through an operation. */
export type Call = {
  readonly office: Office
  readonly version: Version
  readonly data: ObjectNode
  readonly fields: Fields
  /** Asked through the hosted paths, which know hosted orders only, as the others know only theirs. */
  readonly hosted: boolean
}

/** An answer, and what must have happened before it is let out. */
export type Outcome = { readonly data: AnswerData; readonly before?: Promise<void> }

export const refuse = (call: Call, code: string, text: string): Outcome => ({ data: refusal(call.data, code, text) })

/** A field the rules made mandatory; an empty text cannot occur after the checks. */
export const field = (call: Call, name: string): string => call.fields.get(name) ?? ''

/**
 * Steps 7 and 8 of huifu-dougong.md 18.1: the request's own date is today's in Beijing, and its number is new within
 * the family. Returns a refusal or undefined. The number is claimed only when the request is accepted.
 */
export function refuseRepeated(call: Call, family: string): Outcome | undefined {
  const { office } = call
  if (field(call, 'req_date') !== beijingDate(office.clock.now())) {
    return refuse(call, '10000000', '请求日期必须是当前日期')
  }
  return office.books.isClaimed(family, ...numberOf(call)) ? refuse(call, '20000000', '重复交易') : undefined
}

/** `huifu_id`, `req_date`, `req_seq_id`: what identifies a request (huifu-dougong.md 3). */
export const numberOf = (call: Call): [string, string, string] => [
  field(call, 'huifu_id'),
  field(call, 'req_date'),
  field(call, 'req_seq_id'),
]

/** `hf_seq_id` and the channel's numbers for a new row (huifu-dougong.md 3, 18.3). */
export function newNumbers(
  office: Office,
  prefix: '0029' | '0031',
  stamp: string,
): { hfSeqId: string; partyOrderId: string; outTransId: string; serial: number } {
  const serial = office.books.nextSerial()
  const hex = serial.toString(16).padStart(9, '0')
  const digits = String(serial)
  return {
    hfSeqId: `${prefix}00TOP1A${stamp.slice(2)}P${digits.slice(-3).padStart(3, '0')}ac13${hex}`,
    partyOrderId: `0324${stamp.slice(2, 8)}${digits.padStart(13, '0')}`,
    outTransId: `4200000000${stamp.slice(0, 8)}${digits.padStart(10, '0')}`,
    serial,
  }
}

/** Where a request tells which payment it means. Several locators must agree; none fits means undefined. */
export function locateOrder(
  call: Call,
  by: { date: string; number: string; hfSeqId: string; outOrder?: string; partyOrder?: string },
): OrderRow | undefined {
  const { books } = call.office
  const huifuId = field(call, 'huifu_id')
  const wanted = (name: string | undefined): string | undefined =>
    name === undefined ? undefined : call.fields.get(name)
  const [date, number, hfSeqId] = [wanted(by.date), wanted(by.number), wanted(by.hfSeqId)]
  const [outOrder, partyOrder] = [wanted(by.outOrder), wanted(by.partyOrder)]
  const fits = (row: OrderRow): boolean =>
    (row.hosted !== undefined) === call.hosted &&
    (huifuId === '' || row.huifuId === huifuId) &&
    (date === undefined || row.reqDate === date) &&
    (number === undefined || row.reqSeqId === number) &&
    (hfSeqId === undefined || row.hfSeqId === hfSeqId) &&
    (outOrder === undefined || row.outTransId === outOrder) &&
    (partyOrder === undefined || row.partyOrderId === partyOrder)
  if (hfSeqId !== undefined) {
    const row = books.orders.get(hfSeqId)
    return row !== undefined && fits(row) ? row : undefined
  }
  if (number !== undefined && date !== undefined) {
    const row = books.orderByNumber(huifuId, date, number)
    return row !== undefined && fits(row) ? row : undefined
  }
  return [...books.orders.values()].find(fits)
}
