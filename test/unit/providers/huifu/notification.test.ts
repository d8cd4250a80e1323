import { expect } from 'chai'
import fc from 'fast-check'
import { createHash } from 'node:crypto'
import type { Notification, NotificationMessage } from '../../../../src/core/provider.ts'
import { notificationReader } from '../../../../src/providers/huifu/notification.ts'
import { readSettings } from '../../../../src/providers/huifu/settings.ts'
import {
  huifuId,
  number,
  paymentId,
  refundId,
  settingsFor,
  signedByHuifu,
  sorted,
  vector,
  webhookKey,
} from './fake-huifu.ts'

type Body = { readonly type?: string; readonly text: string | Buffer }

function at(
  more: Readonly<Record<string, unknown>> = {},
): (body: Body, over?: Partial<NotificationMessage>) => Promise<Notification> {
  const read = notificationReader(readSettings(settingsFor('https://api.huifu.com', more), false))
  return ({ type, text }, over = {}) =>
    read({
      door: 'notify',
      query: {},
      headers: { 'content-type': type ?? 'application/x-www-form-urlencoded; charset=UTF-8' },
      body: Buffer.isBuffer(text) ? text : Buffer.from(text),
      receivedAt: 0,
      ...over,
    })
}
const read = at()
const readAfter = at({ confirm: 'after' })

/** Form encoding as Java's URLEncoder does it: space is a plus, the star stays. */
const java = (text: string): string => encodeURIComponent(text).replaceAll('%20', '+').replaceAll('%2A', '*')
const form = (respData: string, sign = signedByHuifu(respData)): Body => ({
  text: `resp_desc=${java('交易成功[000]')}&resp_code=00000000&sign=${java(sign)}&resp_data=${java(respData)}`,
})
const notice = (members: Readonly<Record<string, unknown>>): Body => form(sorted(members))

async function refusal(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).to.have.property('code', 'NOTIFICATION_REJECTED')
  return (error as { why: string }).why
}

const trade = {
  huifu_id: huifuId,
  req_date: '20260105',
  req_seq_id: number,
  notify_type: 1,
  trans_stat: 'S',
  acct_stat: 'I',
  trans_amt: '0.10',
  fee_amt: '0.00',
  product_id: 'YYZY',
  resp_desc: '交易 成功*',
  need_big_object: false,
  trans_order_info: { rate: 0.02 },
}
const refund = {
  actual_ref_amt: '0.04',
  bank_message: '退款成功',
  hf_seq_id: '003100X',
  huifu_id: huifuId,
  ord_amt: '0.04',
  org_req_date: '20260105',
  org_req_seq_id: number,
  product_id: 'YYZY',
  req_date: '20260106',
  req_seq_id: `${refundId.replace('_', '')}02`,
  resp_code: '00000000',
  trans_finish_time: '20260106090030',
  trans_stat: 'S',
  trans_type: 'TRANS_REFUND',
}

describe('huifu notification', () => {
  it('before: a genuine success is a hint; after: evidence that wants confirming', async () => {
    const before = await read(notice(trade))
    expect(before).to.include({ standing: 'hint' }).and.not.have.property('confirm')
    expect(await readAfter(notice(trade))).to.include({ standing: 'evidence', confirm: true })
    expect(before.facts).to.deep.equal([
      {
        about: 'payment',
        paymentId,
        seen: 'succeeded',
        account: 'pending',
        amount: { amount: 10, currency: 'CNY' },
        fee: { amount: 0, currency: 'CNY' },
        detail: '交易 成功*',
      },
    ])
    expect(before.reply).to.deep.equal({
      status: 200,
      contentType: 'text/plain; charset=utf-8',
      body: `RECV_ORD_ID_${number}`,
    })
  })

  const axes: readonly [Record<string, unknown>, Record<string, unknown>][] = [
    [
      { notify_type: 2, acct_stat: 'S' },
      { seen: 'succeeded', account: 'credited' },
    ],
    [
      { notify_type: '2', acct_stat: 'F' },
      { seen: 'succeeded', account: 'failed' },
    ],
    [
      { notify_type: 1, acct_stat: '' },
      { seen: 'succeeded', account: 'pending' },
    ],
    [{ notify_type: 1, trans_stat: 'F' }, { seen: 'closed' }],
    [{ notify_type: 1, trans_stat: 'P' }, { seen: 'pending' }],
    [{ req_seq_id: 'T20260105A0000001' }, { paymentId: 'T20260105A0000001' }],
  ]
  for (const [change, expected] of axes) {
    it(`${JSON.stringify(change)} says ${JSON.stringify(expected)}`, async () => {
      const [fact] = (await readAfter(notice({ ...trade, ...change }))).facts
      expect(fact).to.include(expected)
    })
  }

  it('type 1 and type 2 of one payment are two messages, a repetition is one', async () => {
    const [first, again, second] = await Promise.all([
      read(notice(trade)),
      read(notice(trade)),
      read(notice({ ...trade, notify_type: 2 })),
    ])
    expect(first.eventId).to.equal(again.eventId).and.not.equal(second.eventId)
  })

  it('a refund is matched through any of its submissions', async () => {
    const notification = await readAfter(notice(refund))
    expect(notification.facts).to.deep.equal([
      {
        about: 'refund',
        refundId,
        paymentId,
        seen: 'succeeded',
        submissionNumber: `${refundId.replace('_', '')}02`,
        amount: { amount: 4, currency: 'CNY' },
        providerRefundId: '003100X',
        occurredAt: Date.parse('2026-01-06T09:00:30+08:00'),
        detail: '退款成功',
      },
    ])
    expect(notification).to.include({ standing: 'evidence', confirm: true })
    expect((await read(notice(refund))).standing).to.equal('hint')
    expect(notification.reply.body).to.equal(`RECV_ORD_ID_${refundId.replace('_', '')}02`)
    const foreign = await readAfter(
      notice({ ...refund, req_seq_id: 'CONSOLE-1', org_req_seq_id: 'X', trans_stat: 'F' }),
    )
    expect(foreign.facts[0]).to.include({ refundId: 'CONSOLE-1', seen: 'failed' }).and.not.have.property('paymentId')
  })

  it('unfreezing, splits and whatever else are kept and move nothing', async () => {
    for (const change of [
      { notify_type: 3, fund_freeze_stat: 'UNFREEZE' },
      { notify_type: 9 },
      { notify_type: null },
      { trans_stat: 'X' },
    ]) {
      const notification = await read(notice({ ...trade, ...change }))
      expect(notification).to.deep.include({ standing: 'evidence', facts: [] })
      expect(notification).to.not.have.property('mismatch')
    }
  })

  it('a hosted close without a number of its own is acknowledged by the order’s', async () => {
    const body = notice({ huifu_id: huifuId, org_req_seq_id: number, close_stat: 'S' })
    expect((await read(body)).reply.body).to.equal(`RECV_ORD_ID_${number}`)
  })

  it('a genuine message for another merchant or product states no facts', async () => {
    for (const change of [{ huifu_id: '6666000100000002' }, { huifu_id: null }, { product_id: 'MYPAY' }]) {
      const notification = await readAfter(notice({ ...trade, ...change }))
      expect(notification.facts).to.deep.equal([])
      expect(notification.mismatch).to.be.a('string')
      expect(notification.reply.status).to.equal(200)
    }
  })

  it('only safe numbers are acknowledged', async () => {
    for (const req_seq_id of ['a b', 'a\nb', '<b>', 'x'.repeat(129), '', '订单']) {
      expect(await refusal(read(notice({ ...trade, req_seq_id })))).to.equal('malformed')
    }
    expect((await read(notice({ ...trade, req_seq_id: 'x'.repeat(128) }))).reply.body).to.have.length(140)
  })

  it('verifies the exact text: numbers, escapes and blanks as received', async () => {
    const odd = `{ "huifu_id":"${huifuId}", "req_seq_id":"${number}","notify_type":1,"trans_stat":"S","trans_amt":"0.10","rate":0.00,"u":"https:\\/\\/a" }`
    expect((await read(form(odd))).facts[0]).to.deep.include({ amount: { amount: 10, currency: 'CNY' } })
    expect(await refusal(read(form(odd, signedByHuifu(JSON.stringify(JSON.parse(odd))))))).to.equal('signature')
  })

  it('takes JSON with resp_data as text, and not as an object', async () => {
    const respData = sorted(trade)
    const sign = signedByHuifu(respData)
    const type = 'application/json; charset=utf-8'
    expect((await read({ type, text: JSON.stringify({ resp_data: respData, sign }) })).facts).to.have.length(1)
    const bare = { headers: {} }
    expect((await read({ text: JSON.stringify({ resp_data: respData, sign }) }, bare)).facts).to.have.length(1)
    expect((await read(form(respData), bare)).facts).to.have.length(1)
    expect(await refusal(read({ type, text: `{"resp_data":${respData},"sign":"${sign}"}` }))).to.equal('malformed')
    expect(await refusal(read({ type, text: `{"resp_data":"x","sign":"${sign}","sign":"${sign}"}` }))).to.equal(
      'malformed',
    )
    expect(await refusal(read({ type, text: JSON.stringify({ resp_data: respData, sign: 'AAAA' }) }))).to.equal(
      'signature',
    )
  })

  const good = form(sorted(trade)).text.toString()
  const malformed: readonly [string, string | Buffer][] = [
    ['nothing', ''],
    ['no sign', good.replace('sign=', 'sig=')],
    ['an empty sign', good.replace(/sign=[^&]*/, 'sign=')],
    ['two signs', `${good}&sign=x`],
    ['two resp_data', `resp_data=%7B%7D&${good}`],
    ['the second resp_data spelled otherwise', `${good}&%72esp_data=%7B%7D`],
    ['a stray percent sign', `${good}&x=%`],
    ['bytes that are not UTF-8', Buffer.concat([Buffer.from(`${good}&x=`), Buffer.from([0xff])])],
    ['JSON under a form’s name', JSON.stringify({ resp_data: sorted(trade), sign: signedByHuifu(sorted(trade)) })],
    ['far too much', `${good}&x=${'x'.repeat(300_000)}`],
  ]
  for (const [name, text] of malformed) {
    it(`refuses ${name}`, async () => {
      expect(await refusal(read({ text }))).to.equal('malformed')
    })
  }

  it('refuses genuine text that is not one JSON object', async () => {
    for (const text of ['[]', 'x', '{"req_seq_id":"a","req_seq_id":"b"}', `${sorted(trade)} `.repeat(2)]) {
      expect(await refusal(read(form(text)))).to.equal('malformed')
    }
  })

  it('refuses any signature but Huifu’s over this text', async () => {
    const respData = sorted(trade)
    const others = [
      signedByHuifu(`${respData} `),
      createHash('md5')
        .update(respData + webhookKey)
        .digest('hex')
        .toUpperCase(),
      'A'.repeat(344),
      signedByHuifu(respData).slice(0, -6),
      `${signedByHuifu(respData)}AAAA`,
    ]
    for (const sign of others) expect(await refusal(read(form(respData, sign)))).to.equal('signature')
  })

  it('no bytes make it throw anything but a refusal', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.constantFrom('notify', 'console'), async (bytes, door) => {
        const why = await refusal(
          read({ text: Buffer.from(bytes) }, { door: door as 'notify' | 'console', query: { sign: 'x' } }),
        )
        expect(why).to.be.oneOf(['malformed', 'signature'])
      }),
    )
  })
})

describe('huifu console webhook', () => {
  const digest = (body: string, key = webhookKey): string =>
    createHash('md5')
      .update(body + key)
      .digest('hex')
      .toUpperCase()
  const webhook = (body: string, query: Record<string, string> = { sign: digest(body) }, readIt = read) =>
    readIt({ type: 'application/json', text: body }, { door: 'console', query })

  const shapes: readonly [string, Record<string, unknown>, Record<string, unknown> | undefined][] = [
    [
      'a payment',
      { event_define_no: 'pay.wx_pub', mer_ord_id: number, trans_stat: 'S', trans_amt: 0.1 },
      { about: 'payment', paymentId, seen: 'pending' },
    ],
    [
      'the dispatcher’s shape',
      { eventDefineNo: 'pay.wx_lite', data: { req_seq_id: number } },
      { about: 'payment', paymentId, seen: 'pending' },
    ],
    [
      'a close',
      { event_define_no: 'trans.close', org_req_seq_id: number, org_trans_stat: 'F', trans_stat: 'S' },
      { about: 'payment', paymentId, seen: 'pending' },
    ],
    [
      'posting',
      { event_define_no: 'hosting.accounted', req_seq_id: number, acct_stat: 'S' },
      { about: 'payment', paymentId, seen: 'pending' },
    ],
    [
      'a refund',
      { event_define_no: 'refund.standard', req_seq_id: refundId.replace('_', ''), trans_stat: 'S' },
      { about: 'refund', refundId, seen: 'processing', submissionNumber: refundId.replace('_', '') },
    ],
    ['a complaint', { event_define_no: 'wechat.complaint', req_seq_id: number }, undefined],
    ['an unsafe number', { event_define_no: 'pay.wx_pub', mer_ord_id: 'a b' }, undefined],
  ]
  for (const [name, members, fact] of shapes) {
    it(`${name} is a hint that claims nothing`, async () => {
      for (const readIt of [read, readAfter]) {
        const body = JSON.stringify({ namespace: 'opps-webhook', huifu_id: huifuId, ...members })
        const notification = await webhook(body, undefined, readIt)
        expect(notification.standing).to.equal('hint')
        expect(notification.facts).to.deep.equal(fact === undefined ? [] : [fact])
        expect(notification.reply.status).to.equal(200)
      }
    })
  }

  it('takes the digest in either case, and from the header', async () => {
    const { sign, body } = vector<{ sign: string; body: string }>('v5')
    expect((await webhook(body, { sign: sign.toLowerCase() })).standing).to.equal('hint')
    const inHeader = read({ text: body }, { door: 'console', headers: { sign } })
    expect((await inHeader).standing).to.equal('hint')
  })

  it('refuses a wrong, missing or odd digest, another key and a changed body', async () => {
    const body = JSON.stringify({ huifu_id: huifuId, event_define_no: 'pay.wx_pub' })
    expect(await refusal(webhook(body, {}))).to.equal('signature')
    expect(await refusal(webhook(body, { sign: '' }))).to.equal('signature')
    expect(await refusal(webhook(body, { sign: `${digest(body)}0` }))).to.equal('signature')
    expect(await refusal(webhook(body, { sign: digest(body, webhookKey.toLowerCase()) }))).to.equal('signature')
    expect(await refusal(webhook(`${body} `, { sign: digest(body) }))).to.equal('signature')
    expect(await refusal(webhook(body, { sign: digest(body) }, at({ webhookKey: undefined })))).to.equal('signature')
  })

  it('refuses a genuine digest over what is not one JSON object', async () => {
    for (const body of ['', '[]', '{"a":1,"a":2}', 'x']) expect(await refusal(webhook(body))).to.equal('malformed')
  })

  it('another merchant’s message is a mismatch', async () => {
    const body = JSON.stringify({ huifu_id: '6666000100000002', event_define_no: 'pay.wx_pub', mer_ord_id: number })
    expect(await webhook(body))
      .to.deep.include({ standing: 'hint', facts: [] })
      .and.to.have.property('mismatch')
  })

  it('each message is refused at the other’s door', async () => {
    const rsa = notice(trade)
    expect(await refusal(read(rsa, { door: 'console' }))).to.equal('signature')
    const respData = sorted(trade)
    const sign = signedByHuifu(respData)
    expect(await refusal(read(rsa, { door: 'console', query: { sign } }))).to.equal('signature')
    const { sign: md5, body } = vector<{ sign: string; body: string }>('v5')
    const asJson = read({ type: 'application/json', text: body }, { query: { sign: md5 } })
    expect(await refusal(asJson)).to.equal('malformed')
    const dressed = form(body, md5)
    expect(await refusal(read(dressed, { query: { sign: md5 } }))).to.equal('signature')
  })
})
