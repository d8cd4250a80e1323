import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { genuine, identity, paid, pause, staged, types, until, world, type Seen } from './huifu-world.ts'

/** Notifications and the console webhook of the Huifu simulator (huifu-dougong.md 13, 14). */
describe('huifu simulator: payment notifications (13)', () => {
  it('sends type 1 and then type 2 with the same numbers, in the form of real ones, until acknowledged', () =>
    staged(async (here, shop) => {
      const order = await paid(here, shop)
      await until(() => shop.seen.length === 2)
      await here.notifier.idle()
      expect(types(shop.seen)).to.deep.equal([1, 2])
      for (const one of shop.seen) {
        expect(genuine(one)).to.equal(true)
        expect(one.type).to.equal('application/x-www-form-urlencoded')
        expect([...one.form.keys()]).to.deep.equal(['resp_desc', 'resp_code', 'sign', 'resp_data'])
        expect(one.body).to.include('a%2Bb+%26+c')
        expect(one.data).to.include({
          trans_stat: 'S',
          trans_amt: '100.00',
          remark: 'a+b & c',
          fee_amount: '0.38',
          fee_flag: 2,
        })
        for (const name of ['hf_seq_id', 'req_seq_id', 'req_date', 'huifu_id', 'party_order_id']) {
          expect(one.data[name], name).to.equal(order[name])
        }
      }
      const [first, second] = shop.seen
      expect(first?.data).to.include({ acct_stat: 'I', debit_type: '0' })
      expect(first?.data).to.not.have.any.keys('acct_date', 'debit_flag')
      expect(second?.data).to.include({ acct_stat: 'S', acct_date: order['req_date'], debit_flag: '2' })
      expect(here.notifier.attempts().every((attempt) => attempt.accepted)).to.equal(true)
    }))

  it('sends only type 1 when the payment fails, and nothing for closed or expired orders', () =>
    staged(async (here, shop) => {
      const order = await here.create({ notify_url: shop.url })
      await here.act(`fail?req_seq_id=${order['req_seq_id']}&message=${encodeURIComponent('余额不足')}`)
      const expired = await here.create({ notify_url: shop.url })
      await here.act(`expire?req_seq_id=${expired['req_seq_id']}`)
      await until(() => shop.seen.length === 1)
      await pause(100)
      expect(shop.seen).to.have.length(1)
      expect(shop.seen[0]?.data).to.include({
        notify_type: 1,
        trans_stat: 'F',
        resp_code: '90000000',
        bank_message: '余额不足',
      })
    }))

  it('repeats three times for a wrong number in the ack, and gives up', () =>
    staged(
      async (here, shop) => {
        const order = await here.create({ notify_url: shop.url })
        await here.act(`hold?req_seq_id=${order['req_seq_id']}`)
        await here.act(`pay?req_seq_id=${order['req_seq_id']}`)
        await here.notifier.idle()
        expect(types(shop.seen)).to.deep.equal([1, 1, 1, 1])
        expect(new Set(shop.seen.map((one) => one.body)).size).to.equal(1)
        expect(
          here.notifier.attempts().map(({ attempt, accepted, status }) => [attempt, accepted, status]),
        ).to.deep.equal([1, 2, 3, 4].map((attempt) => [attempt, false, 200]))
      },
      () => ({ status: 200, body: 'RECV_ORD_ID_x' }),
    ))

  it('repeats after 500, quotes and line ends, and stops at the exact text', () => {
    const replies: ((ack: string) => { status: number; body: string })[] = [
      (ack) => ({ status: 500, body: ack }),
      (ack) => ({ status: 200, body: `"${ack}"` }),
      (ack) => ({ status: 200, body: `${ack}\n` }),
      (ack) => ({ status: 200, body: ack }),
    ]
    return staged(
      async (here, shop) => {
        const order = await here.create({ notify_url: shop.url })
        await here.act(`hold?req_seq_id=${order['req_seq_id']}`)
        await here.act(`pay?req_seq_id=${order['req_seq_id']}`)
        await here.notifier.idle()
        expect(here.notifier.attempts().map((attempt) => attempt.accepted)).to.deep.equal([false, false, false, true])
      },
      (one, index) => (replies[index] ?? replies[0])?.(`RECV_ORD_ID_${String(one.data['req_seq_id'])}`) ?? 'silence',
    )
  })

  it('calls no address with a query string or an unreachable port, and records that', async () => {
    const here = world()
    const urls = ['http://127.0.0.1:8300/n?token=1', 'http://127.0.0.1:7999/n', 'http://127.0.0.1:9006/n']
    for (const notify_url of urls) {
      const order = await here.create({ notify_url })
      expect(order['resp_code']).to.equal('00000100')
      await here.act(`hold?req_seq_id=${order['req_seq_id']}`)
      await here.act(`pay?req_seq_id=${order['req_seq_id']}`)
    }
    const attempts = here.notifier.attempts()
    expect(attempts.map((attempt) => attempt.url)).to.deep.equal(urls)
    for (const attempt of attempts) expect(attempt.error).to.match(/^not sent: /)
    here.stop()
  })

  it('sends type 3 on demand without moving any state', () =>
    staged(async (here, shop) => {
      const order = await paid(here, shop)
      await until(() => shop.seen.length === 2)
      await here.act(`unfreeze?req_seq_id=${order['req_seq_id']}`)
      await until(() => shop.seen.length === 3)
      expect(shop.seen[2]?.data).to.include({
        notify_type: 3,
        fund_freeze_stat: 'UNFREEZE',
        unfreeze_amt: '100.00',
        acct_stat: 'S',
      })
    }))

  it('resends genuine and spoiled notifications', () =>
    staged(async (here, shop) => {
      const order = await paid(here, shop)
      await until(() => shop.seen.length === 2)
      const send = async (wishes: string): Promise<Seen | undefined> => {
        const before = shop.seen.length
        const answer = await here.act(`notify?req_seq_id=${order['req_seq_id']}&${wishes}`)
        expect(answer['status'], JSON.stringify(answer)).to.equal(200)
        await until(() => shop.seen.length > before)
        return shop.seen.at(-1)
      }
      expect((await send('type=2'))?.data['notify_type']).to.equal(2)
      for (const mutate of ['forged', 'unsigned', 'tampered']) {
        const one = await send(`type=1&mutate=${mutate}`)
        expect(genuine(one), mutate).to.equal(false)
        expect(one?.data['req_seq_id'], mutate).to.equal(order['req_seq_id'])
      }
      const lies: [string, string, unknown][] = [
        ['wrong_amount', 'trans_amt', '99999.99'],
        ['wrong_huifu_id', 'huifu_id', '6666000199999999'],
        ['wrong_req_seq_id', 'req_seq_id', 'NOBODYKNOWSTHIS01'],
        ['wrong_hf_seq_id', 'hf_seq_id', '002900TOP1A200101000000P999ac13fffffffff'],
        ['status_f', 'trans_stat', 'F'],
      ]
      for (const [mutate, name, value] of lies) {
        const one = await send(`mutate=${mutate}`)
        expect([genuine(one), one?.data[name]], mutate).to.deep.equal([true, value])
      }
      await here.act(`notify?req_seq_id=${order['req_seq_id']}&type=1&times=5`)
      await here.notifier.idle()
      expect((await here.act('notify?req_seq_id=NOBODY'))['status']).to.equal(404)
      expect((await here.act(`notify?req_seq_id=${order['req_seq_id']}&mutate=nonsense`))['status']).to.equal(400)
    }))
})

describe('huifu simulator: refund notifications and the console webhook (13.4, 14)', () => {
  it('tells the end of a refund under the refund’s own number, with running totals', () =>
    staged(async (here, shop) => {
      const order = await here.posted()
      const url = { notify_url: shop.url }
      const first = await here.post('/v3/trade/payment/scanpay/refund', here.refundData(order, '30.00', url))
      await until(() => shop.seen.length === 1)
      await pause(650)
      await here.act('options?auto_refund=off')
      const second = await here.post('/v4/trade/payment/scanpay/refund', here.refundData(order, '20.00', url))
      expect(second['resp_code']).to.equal('00000100')
      await here.act(`refund?req_seq_id=${second['req_seq_id']}&result=F`)
      await until(() => shop.seen.length === 2)
      await here.notifier.idle()
      expect(shop.seen.map(genuine)).to.deep.equal([true, true])
      expect(shop.seen[0]?.data).to.include({
        trans_type: 'TRANS_REFUND',
        trans_stat: 'S',
        req_seq_id: first['req_seq_id'],
        hf_seq_id: first['hf_seq_id'],
        org_req_seq_id: order['req_seq_id'],
        ord_amt: '30.00',
        actual_ref_amt: '30.00',
        total_ref_amt: '30.00',
        ref_cut: '1',
        org_ord_amt: '100.00',
        org_fee_amt: '0.38',
        product_id: identity.productId,
      })
      expect(shop.seen[0]?.data).to.not.have.property('notify_type')
      expect(shop.seen[1]?.data).to.include({
        trans_stat: 'F',
        req_seq_id: second['req_seq_id'],
        total_ref_amt: '30.00',
        bank_message: '退款失败',
      })
      expect(here.notifier.attempts().every((attempt) => attempt.accepted)).to.equal(true)
    }))

  it('posts JSON with an MD5 over raw body and key in the query, for payment, refund and close', () =>
    staged(
      async (here, shop) => {
        await here.act(`webhook?url=${encodeURIComponent(shop.url)}`)
        const order = await here.posted()
        await here.post('/v3/trade/payment/scanpay/refund', here.refundData(order, '1.00'))
        const open = await here.create({ trade_type: 'T_JSAPI' })
        await pause(650)
        await here.post('/v2/trade/payment/scanpay/close', here.closeData(open))
        await until(() => shop.seen.length === 3)
        expect(shop.seen.map((one) => one.data['event_define_no'])).to.have.members([
          'pay.wx_lite',
          'refund.standard',
          'trans.close',
        ])
        for (const one of shop.seen) {
          const expected = createHash('md5')
            .update(one.body + identity.webhookKey)
            .digest('hex')
            .toUpperCase()
          expect(one.url).to.equal(`/notify?sign=${expected}`)
          expect([one.type, one.data['namespace']]).to.deep.equal(['application/json', 'opps-webhook'])
        }
        const close = shop.seen.find((one) => one.data['event_define_no'] === 'trans.close')
        expect(close?.data).to.include({ trans_stat: 'S', org_trans_stat: 'F', org_req_seq_id: open['req_seq_id'] })
      },
      () => ({ status: 204, body: '' }),
    ))

  it('repeats a webhook quickly three times and then hourly', () =>
    staged(
      async (here, shop) => {
        await here.act(`webhook?url=${encodeURIComponent(shop.url)}`)
        await here.posted()
        await until(() => shop.seen.length === 3)
        await pause(150)
        expect(shop.seen).to.have.length(3)
        here.clock.advance(36_000)
        await until(() => shop.seen.length === 4)
      },
      () => ({ status: 500, body: '' }),
    ))
})
