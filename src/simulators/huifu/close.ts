import type { CloseRow, OrderRow } from './books.ts'
import { field, locateOrder, numberOf, refuse, refuseRepeated, type Call, type Outcome } from './call.ts'
import type { AnswerData } from './envelope.ts'
import { armClose, refresh } from './life.ts'
import { durations, inFuture } from './office.ts'

const BY = { date: 'org_req_date', number: 'org_req_seq_id', hfSeqId: 'org_hf_seq_id' }

/** Finds the payment a close or close query means, or the refusal that follows. */
function target(call: Call, family: string): OrderRow | Outcome {
  if (!call.fields.has(BY.number) && !call.fields.has(BY.hfSeqId)) {
    return refuse(call, '21000000', 'org_req_seq_id、org_hf_seq_id流水号不能同时为空')
  }
  const repeated = refuseRepeated(call, family)
  if (repeated !== undefined) return repeated
  const order = locateOrder(call, BY)
  return order === undefined ? refuse(call, '23000001', '原交易不存在') : refresh(call.office, order)
}

const isOrder = (found: OrderRow | Outcome): found is OrderRow => 'hfSeqId' in found

function latestClose(call: Call, order: OrderRow): CloseRow | undefined {
  return call.office.books.closes.findLast((close) => close.orderHfSeqId === order.hfSeqId)
}

/** Close (huifu-dougong.md 6.1), with the refusals in the order of 18.3. */
export function closeOrder(call: Call): Outcome {
  const found = target(call, 'close')
  if (!isOrder(found)) return found
  const { office } = call
  const now = office.clock.now()
  if (now - found.createdAt < office.clock.shrink(durations.closeGuard)) {
    return refuse(call, '20000001', '不允许关闭一分钟以内的订单')
  }
  if (/^[UD]_/.test(found.tradeType)) return refuse(call, '23000004', '该交易类型不支持关单')
  const before = latestClose(call, found)
  // A close the channel refused may be tried again with a new number (huifu-dougong.md 6.2).
  if (before !== undefined && before.transStat !== 'F') return refuse(call, '23000000', '关单状态为终态')
  if (found.transStat !== 'P') return refuse(call, '23000000', '原订单已为终态,请发起查询交易获取')
  const [huifuId, reqDate, reqSeqId] = numberOf(call)
  const close: CloseRow = { huifuId, reqDate, reqSeqId, orderHfSeqId: found.hfSeqId, createdAt: now, transStat: 'P' }
  if (office.options.autoClose) close.dueAt = inFuture(office, durations.close)
  office.books.claim('close', huifuId, reqDate, reqSeqId)
  office.books.addClose(close)
  armClose(office, close)
  office.books.touch()
  return {
    data: {
      ...answer(call, found, close),
      resp_desc: '操作成功',
      sub_resp_code: '00000100',
      sub_resp_desc: '关单处理中',
    },
  }
}

/** Close query: `org_*` is the payment, never the close (huifu-dougong.md 6.2). */
export function queryClose(call: Call): Outcome {
  const found = target(call, 'closequery')
  if (!isOrder(found)) return found
  const close = latestClose(call, found)
  if (close === undefined) return refuse(call, '23000001', '关单交易不存在')
  call.office.books.claim('closequery', ...numberOf(call))
  call.office.books.touch()
  return { data: answer(call, found, close) }
}

function answer(call: Call, order: OrderRow, close: CloseRow): AnswerData {
  return {
    huifu_id: order.huifuId,
    org_hf_seq_id: order.hfSeqId,
    org_req_date: order.reqDate,
    org_req_seq_id: order.reqSeqId,
    org_trans_stat: order.transStat,
    req_date: field(call, 'req_date'),
    req_seq_id: field(call, 'req_seq_id'),
    resp_code: '00000000',
    resp_desc: '查询成功',
    trans_stat: close.transStat,
  }
}
