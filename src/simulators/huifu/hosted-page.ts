import type { SimHandler } from '../http.ts'
import type { Office } from './office.ts'
import { noSuchOrderPage } from './wallet.ts'

const PREFIX = '/hostingH5/cashier/'

/** What `jump_url` shows: the hosted cashier has only the simulated wallet, at the control door (huifu-dougong.md 11.1). */
export function createHostedPage(office: Office): SimHandler {
  return (request) => {
    if (request.method !== 'GET' || !request.path.startsWith(PREFIX)) return undefined
    const id = request.path.slice(PREFIX.length)
    const order = [...office.books.orders.values()].find((row) => row.hosted?.preOrderId === id)
    if (order === undefined) {
      return { status: 404, headers: { 'Content-Type': 'text/html; charset=utf-8' }, body: noSuchOrderPage() }
    }
    const wallet = `${office.addresses.control}/_sim/huifu/wallet?hf_seq_id=${encodeURIComponent(order.hfSeqId)}`
    return { status: 302, headers: { Location: wallet, 'Cache-Control': 'no-store' }, body: '' }
  }
}
