/** Rows that fit the ledger, for tests that change one thing about them. */

export function order(number: string, change: Record<string, unknown> = {}) {
  return {
    id: `ord_${number}`,
    merchant_id: 'shop',
    merchant_order_no: number,
    amount: 100,
    currency: 'CNY',
    subject: '茶 🍵',
    status: 'open',
    expires_at: 2_000,
    content_hash: 'c',
    cashier_token: `tok_${number}`,
    created_at: 1_000,
    ...change,
  }
}

export function payment(orderId: string, id: string, change: Record<string, unknown> = {}) {
  return {
    id,
    order_id: orderId,
    merchant_id: 'shop',
    channel_id: 'main',
    settings_version: 1,
    method: 'wechat_jsapi',
    amount: 100,
    currency: 'CNY',
    client_ip: '192.0.2.1',
    status: 'created',
    created_at: 1_000,
    ...change,
  }
}

export function refund(paymentId: string, id: string, change: Record<string, unknown> = {}) {
  return {
    id,
    payment_id: paymentId,
    order_id: 'ord_a',
    merchant_id: 'shop',
    channel_id: 'main',
    initiated_by: 'merchant',
    amount: 1,
    currency: 'CNY',
    reason: 'r',
    content_hash: 'c',
    status: 'created',
    created_at: 1,
    ...change,
  }
}

export async function failure(work: Promise<unknown>): Promise<unknown> {
  try {
    await work
  } catch (error) {
    return error
  }
  throw new Error('expected a failure')
}
