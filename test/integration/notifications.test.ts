import { generateKeyPairSync } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import type { DiscrepancyRow, NotificationRow } from '../../src/store/rows.ts'
import { endless, evidence, generator, knock, money, mutate, snapshot, type Sent } from '../contract/knocking.ts'
import { huifuNotice, huifuWebhook, wechatNotice, type Parcel, type WechatNotice } from '../contract/notices.ts'
import { databases } from '../databases.ts'
import {
  call,
  control,
  open,
  pay,
  readOrder,
  start,
  startWorld,
  until,
  type StartedPayment,
  type World,
} from '../harness.ts'

/**
 * Everything that may arrive at the notification doors of a running gateway, from strangers and from lying or confused
 * providers (reliability.md 3.1, T01 to T27). What is not provably the provider's leaves no trace at all; what is genuine
 * and does not fit is kept, acknowledged and put before a person, and moves nothing (reliability.md 5.5).
 */

const stranger = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
}).privateKey

for (const database of databases) {
  describe(`what may arrive at the notification doors, on ${database.name}`, function () {
    this.timeout(60_000)
    let world: World
    /** Milliseconds at which the gateway's clock stands still; undefined: it runs. */
    let frozen: number | undefined
    let doors: { wechat: string; huifu: string; huifu3: string }
    /** Unpaid attempts that every lie is about. */
    let wechat: StartedPayment
    let huifu: StartedPayment
    const orders: string[] = []

    before(async () => {
      // Nothing but the doors may change a row here, so nobody works in the background.
      world = await startWorld({
        database,
        gateway: { worker: false, now: () => frozen ?? Date.now() },
        configure(config) {
          const channels = Object.values(config.merchants)[0]?.routes ?? []
          for (const line of channels) line.channels = [line.method === 'wechat_mini' ? 'huifu-main' : 'wechat-main']
          const after = config.channels['huifu-v3']
          if (after !== undefined) after.settings['confirm'] = 'after'
        },
      })
      const door = (channel: string) => world.gateway.context.channels.current(channel)?.notifyUrl ?? ''
      doors = { wechat: door('wechat-main'), huifu: door('huifu-main'), huifu3: door('huifu-v3') }
      wechat = await attempt('wechat_jsapi')
      huifu = await attempt('wechat_mini')
    })
    after(() => world.close())

    async function attempt(method: string): Promise<StartedPayment> {
      const order = await open(world, 1000)
      orders.push(order.id)
      return start(world, order.id, method)
    }

    const keys = () => world.simulators.credentials
    const numberOf = (started: StartedPayment) => started.payment.id.replace('_', '')
    const transaction = (change: object = {}) => ({
      mchid: keys().wechatPay.mchid,
      appid: keys().wechatPay.officialAccount.appid,
      out_trade_no: numberOf(wechat),
      transaction_id: '4200009999202603010000000001',
      trade_state: 'SUCCESS',
      success_time: '2026-03-01T10:00:00+08:00',
      amount: { total: 1000, payer_total: 1000, currency: 'CNY', payer_currency: 'CNY' },
      ...change,
    })
    const notice = (change: Partial<WechatNotice> = {}) => wechatNotice(keys(), { resource: transaction(), ...change })
    const huifuData = (change: object = {}) => ({
      huifu_id: keys().huifu.huifuId,
      notify_type: 1,
      req_seq_id: numberOf(huifu),
      req_date: '20260301',
      trans_stat: 'S',
      acct_stat: 'I',
      trans_amt: '10.00',
      ...change,
    })

    /** Refused: the status, the one answer, and not a single row anywhere. */
    async function refused(what: string, url: string, sent: Sent, status = 401): Promise<void> {
      const was = await snapshot(world, [...money, ...evidence])
      const answer = await knock(url, sent)
      expect(answer.status, what).to.equal(status)
      if (status === 401) expect(answer.body, what).to.equal('{"code":"FAIL","message":"The message was not accepted"}')
      expect(await snapshot(world, [...money, ...evidence]), what).to.deep.equal(was)
    }

    /** Waits until what the worker started has been answered, notified and written down. */
    async function quiet(): Promise<void> {
      let was = ''
      await until('quiet', async () => {
        await sleep(150)
        const is = JSON.stringify([await snapshot(world, [...money, ...evidence]), world.simulators.notifier.pending()])
        const still = is === was
        was = is
        return still
      })
    }

    type Kept = {
      readonly outcome: NotificationRow['outcome']
      readonly kind?: DiscrepancyRow['kind']
      readonly subject?: string
    }

    /** Genuine: acknowledged and stored word for word, with the discrepancy it deserves, and no money row changed. */
    async function kept(what: string, url: string, sent: Sent, expected: Kept): Promise<NotificationRow> {
      const was = await snapshot(world, money)
      const known = new Set((await world.db<NotificationRow>('notifications').select('id')).map(({ id }) => id))
      const told = new Set((await world.db<DiscrepancyRow>('discrepancies').select('id')).map(({ id }) => id))
      const answer = await knock(url, sent)
      expect(answer.status, `${what}: ${answer.body}`).to.be.oneOf([200, 204])
      expect(await snapshot(world, money), what).to.deep.equal(was)
      const stored = (await world.db<NotificationRow>('notifications')).filter(({ id }) => !known.has(id))
      expect(
        stored.map(({ outcome }) => outcome),
        what,
      ).to.deep.equal([expected.outcome])
      const [row] = stored
      if (row === undefined) throw new Error('nothing was stored')
      expect(row.body, what).to.equal(sent.body.toString('utf8'))
      const raised = (await world.db<DiscrepancyRow>('discrepancies')).filter(({ id }) => !told.has(id))
      expect(
        raised.map(({ kind }) => kind),
        what,
      ).to.deep.equal(expected.kind === undefined ? [] : [expected.kind])
      if (expected.subject !== undefined) expect(raised[0]?.subject_id, what).to.equal(expected.subject)
      return row
    }

    describe('WeChat Pay', () => {
      it('refuses what is unsigned, forged, or signed with another key or serial', async () => {
        const genuine = notice()
        const bare = { 'Content-Type': 'application/json' }
        await refused('unsigned', doors.wechat, { ...genuine, headers: bare })
        await refused('a stranger’s key', doors.wechat, notice({ key: stranger }))
        await refused(
          'a platform certificate in public-key mode',
          doors.wechat,
          notice({ key: keys().wechatPay.platform[0].key, serial: keys().wechatPay.platform[0].serial }),
        )
        for (const serial of [
          'F'.repeat(40),
          'PUB_KEY_ID_0000000000000000000000000000000001',
          keys().wechatPay.publicKeyId.toLowerCase(),
        ]) {
          await refused(`serial ${serial}`, doors.wechat, notice({ serial }))
        }
        await refused('changed after signing', doors.wechat, {
          ...genuine,
          body: Buffer.concat([genuine.body, Buffer.from(' ')]),
        })
        await refused('a byte order mark', doors.wechat, {
          ...genuine,
          body: Buffer.concat([Buffer.from('\ufeff'), genuine.body]),
        })
        await refused('no body', doors.wechat, { ...genuine, body: Buffer.alloc(0) })
        await refused('a v2 message', doors.wechat, {
          headers: { 'Content-Type': 'text/xml' },
          body: Buffer.from('<xml><return_code>SUCCESS</return_code></xml>'),
        })
      })

      it('refuses probes of the simulator, and the simulator agrees with every refusal', async () => {
        const was = await snapshot(world, [...money, ...evidence])
        for (const mutate of ['forged', 'tampered', 'stale', 'unknown-serial', 'probe', 'unsigned', 'bad-ciphertext']) {
          const { attempts } = await control<{ attempts: { status: number; accepted: boolean }[] }>(
            world,
            '/_sim/wechat-pay/notify',
            { out_trade_no: numberOf(wechat), mutate },
          )
          expect(
            attempts.map(({ status, accepted }) => [status, accepted]),
            mutate,
          ).to.deep.equal([[401, false]])
        }
        const { attempts } = await control<{ attempts: { status: number; accepted: boolean }[] }>(
          world,
          '/_sim/wechat-pay/notify',
          { out_trade_no: numberOf(wechat), mutate: 'oversized' },
        )
        // The door shuts while the two megabytes are still on their way, so the sender may see no status at all.
        expect(attempts[0]?.accepted).to.equal(false)
        expect(await snapshot(world, [...money, ...evidence])).to.deep.equal(was)
      })

      it('refuses headers that are missing, empty, doubled or strange', async () => {
        const genuine = notice()
        for (const name of ['Wechatpay-Timestamp', 'Wechatpay-Nonce', 'Wechatpay-Signature', 'Wechatpay-Serial']) {
          const value = String(genuine.headers[name])
          const { [name]: _, ...missing } = genuine.headers
          await refused(`${name} missing`, doors.wechat, { ...genuine, headers: missing })
          for (const [what, change] of [
            ['empty', ''],
            ['doubled', [value, value]],
            ['doubled with another', [value, 'x']],
            ['with a comma', `${value},${value}`],
            ['long', 'A'.repeat(4096)],
          ] as const) {
            await refused(`${name} ${what}`, doors.wechat, {
              ...genuine,
              headers: { ...genuine.headers, [name]: change },
            })
          }
        }
        for (const type of [
          'WECHATPAY2-SM2-WITH-SM3',
          'none',
          '',
          'wechatpay2-sha256-rsa2048',
          'WECHATPAY2-RSA-2048-SHA256',
        ]) {
          await refused(`type ${type}`, doors.wechat, {
            ...genuine,
            headers: { ...genuine.headers, 'Wechatpay-Signature-Type': type },
          })
        }
        for (const timestamp of [
          '1e9',
          '-1',
          '9'.repeat(20),
          '0x10',
          '1772000000.5',
          ' ',
          Buffer.from('١٢٣').toString('latin1'),
        ]) {
          const headers = { ...notice({ timestamp: 1 }).headers, 'Wechatpay-Timestamp': timestamp }
          await refused(`timestamp ${timestamp}`, doors.wechat, { ...genuine, headers })
        }
      })

      it('believes a signature for 300 seconds and not for 301, on both sides', async () => {
        frozen = Math.floor(Date.now() / 1000) * 1000
        const second = frozen / 1000
        for (const skew of [-301, 301, -86_400, 86_400])
          await refused(`skew ${String(skew)}`, doors.wechat, notice({ timestamp: second + skew }))
        for (const skew of [-300, 300]) {
          await kept(
            `skew ${String(skew)}`,
            doors.wechat,
            notice({ timestamp: second + skew, eventType: 'SOMETHING.ELSE' }),
            { outcome: 'ignored' },
          )
        }
        frozen = undefined
      })

      it('refuses what is signed and yet cannot be read one way only', async () => {
        for (const [what, change] of Object.entries({
          'a key twice': { spell: (body: string) => body.replace('{"id":', '{"id":"another","id":') },
          'not JSON': { spell: () => 'resource=1' },
          'not UTF-8': {
            spell: (body: string) =>
              Buffer.concat([Buffer.from(body.slice(0, 20)), Buffer.from([0xff]), Buffer.from(body.slice(21))]),
          },
          'another APIv3 key': { apiV3Key: 'k'.repeat(32) },
          'another algorithm': { resourceChange: { algorithm: 'AEAD_SM4_GCM' } },
          'a nonce of 13': { resourceChange: { nonce: '0123456789abc' } },
          'long associated data': { resourceChange: { associated_data: 'x'.repeat(17) } },
          'a ciphertext of 16 bytes': { resourceChange: { ciphertext: Buffer.alloc(16).toString('base64') } },
          'a key twice inside': {
            resource: JSON.stringify(transaction()).replace('{"mchid"', '{"trade_state":"CLOSED","mchid"'),
          },
          'an unknown state': { resource: transaction({ trade_state: 'SOMETHING' }) },
          'no amount': { resource: transaction({ amount: undefined }) },
          'no transaction_id': { resource: transaction({ transaction_id: '' }) },
        } satisfies Record<string, Partial<WechatNotice>>)) {
          await refused(what, doors.wechat, notice(change))
        }
        for (const total of [
          '1000.0',
          '1e3',
          '"1000"',
          '0',
          '-1000',
          '1000.5',
          '99999999999999999999',
          'null',
          'true',
        ]) {
          const resource = JSON.stringify(transaction()).replace('"total":1000', `"total":${total}`)
          await refused(`total ${total}`, doors.wechat, notice({ resource }))
        }
      })

      it('keeps a genuine notice that does not fit, and moves nothing', async () => {
        const subject = wechat.payment.id
        const forged = (change: object) => notice({ resource: transaction(change) })
        await kept('another merchant', doors.wechat, forged({ mchid: '1900000999' }), {
          outcome: 'mismatch',
          kind: 'merchant_mismatch',
        })
        await kept('another application', doors.wechat, forged({ appid: 'wx00000000000000ff' }), {
          outcome: 'mismatch',
          kind: 'merchant_mismatch',
        })
        await kept('one fen more', doors.wechat, forged({ amount: { total: 1001, currency: 'CNY' } }), {
          outcome: 'mismatch',
          kind: 'amount_mismatch',
          subject,
        })
        // One discrepancy of a kind for one subject: the later ones are counted, not written again.
        for (const amount of [
          { total: 1, currency: 'CNY' },
          { total: 999, currency: 'CNY' },
          { total: 1000, currency: 'USD' },
        ]) {
          await kept(JSON.stringify(amount), doors.wechat, forged({ amount }), { outcome: 'mismatch' })
        }
        await kept('an event of another product', doors.wechat, notice({ eventType: 'COUPON.USE' }), {
          outcome: 'ignored',
        })
        const foreign = await attempt('wechat_mini')
        await kept('a payment of another channel', doors.wechat, forged({ out_trade_no: numberOf(foreign) }), {
          outcome: 'mismatch',
          kind: 'channel_mismatch',
          subject: foreign.payment.id,
        })
      })

      it('a currency alone is enough to refuse the money', async () => {
        const other = await attempt('wechat_jsapi')
        const resource = transaction({ out_trade_no: numberOf(other), amount: { total: 1000, currency: 'USD' } })
        await kept('dollars', doors.wechat, notice({ resource }), {
          outcome: 'mismatch',
          kind: 'amount_mismatch',
          subject: other.payment.id,
        })
      })

      it('a transaction that paid one order pays no other', async () => {
        const [first, second] = [await attempt('wechat_jsapi'), await attempt('wechat_jsapi')]
        const transaction_id = '4200009999202603010000000077'
        const paid = notice({ resource: transaction({ out_trade_no: numberOf(first), transaction_id }) })
        expect((await knock(doors.wechat, paid)).status).to.equal(204)
        expect((await readOrder(world, orders.at(-2) ?? '')).status).to.equal('paid')
        const again = notice({ resource: transaction({ out_trade_no: numberOf(second), transaction_id }) })
        await kept('the same transaction', doors.wechat, again, {
          outcome: 'mismatch',
          kind: 'transaction_mismatch',
          subject: second.payment.id,
        })
        const swapped = notice({
          resource: transaction({ out_trade_no: numberOf(first), transaction_id: '4200009999202603010000000078' }),
        })
        await kept('another transaction of a paid order', doors.wechat, swapped, {
          outcome: 'mismatch',
          kind: 'transaction_mismatch',
          subject: first.payment.id,
        })
      })

      it('a replay is acknowledged, counted, and does nothing', async () => {
        const sent = notice({ resource: transaction({ out_trade_no: 'NOBODYKNOWSTHIS' }), id: 'replayed-notice' })
        await kept('the first', doors.wechat, sent, { outcome: 'unmatched', kind: 'unmatched_notification' })
        const was = await snapshot(world, [...money, 'discrepancies'])
        const answers = await Promise.all(Array.from({ length: 10 }, () => knock(doors.wechat, sent)))
        expect(new Set(answers.map(({ status }) => status))).to.deep.equal(new Set([204]))
        expect(await snapshot(world, [...money, 'discrepancies'])).to.deep.equal(was)
        const rows = await world.db<NotificationRow>('notifications').where({ provider_event_id: 'replayed-notice' })
        expect(rows.map(({ seen_count }) => seen_count)).to.deep.equal([11])
      })
    })

    describe('refund notices of WeChat Pay', () => {
      let paid: StartedPayment
      const refunds: { id: string; number: string }[] = []
      const refundOf = (change: object = {}) => ({
        mchid: keys().wechatPay.mchid,
        out_trade_no: numberOf(paid),
        transaction_id: '4200009999202603010000000088',
        out_refund_no: refunds[0]?.number,
        refund_id: '50300009992026030100000000001',
        refund_status: 'SUCCESS',
        amount: { total: 1000, refund: 300, payer_total: 1000, payer_refund: 300 },
        ...change,
      })
      const refundNotice = (change: object = {}) => notice({ eventType: 'REFUND.SUCCESS', resource: refundOf(change) })

      before(async () => {
        paid = await attempt('wechat_jsapi')
        const orderId = orders.at(-1) ?? ''
        await pay(world, paid)
        await until('paid', async () => (await readOrder(world, orderId)).status === 'paid')
        // Refunds stay in process until somebody says otherwise.
        await control(world, '/_sim/wechat-pay/refund-delay', { ms: 'never' })
        for (const number of ['a', 'b']) {
          const { body } = await call<{ id: string }>(world, 'POST', `/v1/orders/${orderId}/refunds`, {
            merchant_refund_no: `${orderId}-${number}`,
            amount: 300,
            reason: 'x',
          })
          refunds.push({ id: body.id, number: body.id.replace('_', '') })
        }
        await control(world, '/_sim/wechat-pay/refund-delay', { ms: '2000' })
      })

      it('a refund nobody asked for is put before a person', async () => {
        await kept('foreign', doors.wechat, refundNotice({ out_refund_no: 'CONSOLE-1' }), {
          outcome: 'unmatched',
          kind: 'foreign_refund',
        })
      })

      it('another amount or another payment moves nothing', async () => {
        const subject = refunds[0]?.id ?? ''
        const amount = { total: 1000, refund: 301 }
        await kept('amount', doors.wechat, refundNotice({ amount }), {
          outcome: 'mismatch',
          kind: 'amount_mismatch',
          subject,
        })
        await kept('payment', doors.wechat, refundNotice({ out_trade_no: numberOf(wechat) }), {
          outcome: 'mismatch',
          kind: 'transaction_mismatch',
          subject,
        })
      })

      it('one refund of the provider is not two of ours', async () => {
        expect((await knock(doors.wechat, refundNotice())).status).to.equal(204)
        const [first, second] = refunds
        expect((await world.db('refunds').where({ id: first?.id }).first<{ status: string }>())?.status).to.equal(
          'succeeded',
        )
        const again = refundNotice({ out_refund_no: second?.number })
        await kept('the same refund_id', doors.wechat, again, {
          outcome: 'mismatch',
          kind: 'transaction_mismatch',
          subject: second?.id ?? '',
        })
      })
    })

    describe('Huifu', () => {
      it('refuses what is unsigned, forged, doubled or not one JSON text', async () => {
        const data = huifuData()
        const text = JSON.stringify(data)
        const sign = 'sign'
        await refused('unsigned', doors.huifu, huifuNotice(keys(), data, { sign: '' }))
        await refused('a stranger’s key', doors.huifu, huifuNotice(keys(), data, { key: stranger }))
        await refused('our own key', doors.huifu, huifuNotice(keys(), data, { key: keys().wechatPay.publicKeyPrivate }))
        await refused('not a signature', doors.huifu, huifuNotice(keys(), data, { sign: 'A'.repeat(344) }))
        await refused('resp_data twice', doors.huifu, huifuNotice(keys(), data, { more: [['resp_data', text]] }))
        await refused('sign twice', doors.huifu, huifuNotice(keys(), data, { more: [[sign, 'x']] }))
        await refused('a key twice', doors.huifu, huifuNotice(keys(), text.replace('{', '{"trans_amt":"10.00",')))
        await refused('a list', doors.huifu, huifuNotice(keys(), [data]))
        await refused('no number', doors.huifu, huifuNotice(keys(), huifuData({ req_seq_id: '' })))
        await refused('a number that is a path', doors.huifu, huifuNotice(keys(), huifuData({ req_seq_id: '../../x' })))
        await refused('nothing', doors.huifu, { headers: {}, body: Buffer.alloc(0) })
        const was = await snapshot(world, [...money, ...evidence])
        for (const mutate of ['forged', 'unsigned', 'tampered', 'not_json']) {
          const before = world.simulators.notifier.attempts().length
          await control(world, '/_sim/huifu/notify', { req_seq_id: numberOf(huifu), mutate })
          const mine = () =>
            world.simulators.notifier
              .attempts()
              .slice(before)
              .filter(({ label }) => label.includes(mutate) && label.includes('resent'))
          await until(mutate, () => mine().length > 0)
          expect(mine()[0], mutate).to.include({ status: 401, accepted: false })
        }
        world.simulators.notifier.attempts()
        expect(await snapshot(world, [...money, ...evidence])).to.deep.equal(was)
      })

      it('keeps a genuine notice that does not fit, and moves nothing', async () => {
        const subject = huifu.payment.id
        const send = (change: object) => huifuNotice(keys(), huifuData(change))
        await kept('another merchant', doors.huifu, send({ huifu_id: '6666000199999999' }), {
          outcome: 'mismatch',
          kind: 'merchant_mismatch',
        })
        await kept('another product', doors.huifu, send({ product_id: 'OTHER' }), {
          outcome: 'mismatch',
          kind: 'merchant_mismatch',
        })
        await kept('another amount', doors.huifu, send({ trans_amt: '10.01' }), {
          outcome: 'mismatch',
          kind: 'amount_mismatch',
          subject,
        })
        for (const trans_amt of ['0.00', '1000.00', '10', '10.0', '1e1', '-10.00', '10.00 ', '']) {
          await kept(`amount ${trans_amt}`, doors.huifu, send({ trans_amt }), { outcome: 'mismatch' })
        }
        await kept('another hf_seq_id', doors.huifu, send({ hf_seq_id: '0029X' }), {
          outcome: 'mismatch',
          kind: 'transaction_mismatch',
          subject,
        })
        await kept('an unknown state', doors.huifu, send({ trans_stat: 'X' }), { outcome: 'ignored' })
        await kept('a payment of another channel', doors.huifu3, send({}), {
          outcome: 'mismatch',
          kind: 'channel_mismatch',
          subject,
        })
        await kept('a number nobody knows', doors.huifu, send({ req_seq_id: 'NOBODYKNOWSTHIS1' }), {
          outcome: 'unmatched',
          kind: 'unmatched_notification',
        })
      })

      it('unfreezing is kept and moves nothing', async () => {
        const row = await kept(
          'type 3',
          doors.huifu,
          huifuNotice(keys(), huifuData({ notify_type: 3, fund_freeze_stat: 'UNFREEZE', unfreeze_amt: '10.00' })),
          { outcome: 'ignored' },
        )
        expect(row.facts).to.equal('[]')
      })

      it('each door has its own verifier, and nothing crosses', async () => {
        const event = {
          event_define_no: 'pay.wx_pub',
          huifu_id: keys().huifu.huifuId,
          req_seq_id: numberOf(huifu),
          trans_stat: 'S',
        }
        const webhook = huifuWebhook(keys(), event)
        await refused('MD5 at the RSA door', `${doors.huifu}${webhook.query}`, webhook)
        await refused('RSA at the MD5 door', `${doors.huifu}/console`, huifuNotice(keys(), huifuData()))
        const forged = huifuWebhook(keys(), event, 'k'.repeat(32))
        await refused('MD5 with another key', `${doors.huifu}/console${forged.query}`, forged)
        await refused('MD5 without a digest', `${doors.huifu}/console`, webhook)
        await refused('a digest twice', `${doors.huifu}/console${webhook.query}&${webhook.query.slice(1)}`, webhook)
        await refused('MD5 changed', `${doors.huifu}/console${webhook.query}`, {
          ...webhook,
          body: Buffer.concat([webhook.body, Buffer.from(' ')]),
        })
        await refused('WeChat at Huifu’s door', doors.huifu, notice())
        await refused('Huifu at WeChat’s door', doors.wechat, huifuNotice(keys(), huifuData()))
        await refused('a webhook at WeChat’s console door', `${doors.wechat}/console${webhook.query}`, webhook)
        const other = huifuWebhook(keys(), { ...event, huifu_id: '6666000199999999' })
        await kept('a webhook for another merchant', `${doors.huifu}/console${other.query}`, other, {
          outcome: 'mismatch',
          kind: 'merchant_mismatch',
        })
      })

      it('a genuine webhook asks and never answers', async () => {
        const event = {
          event_define_no: 'pay.wx_pub',
          huifu_id: keys().huifu.huifuId,
          req_seq_id: numberOf(huifu),
          trans_stat: 'S',
          trans_amt: '10.00',
        }
        const webhook = huifuWebhook(keys(), event)
        const was = await snapshot(world, ['orders', 'refunds', 'events', 'deliveries'])
        const { status: before } = await world
          .db('payments')
          .where({ id: huifu.payment.id })
          .first<{ status: string }>()
        expect((await knock(`${doors.huifu}/console${webhook.query}`, webhook)).status).to.equal(200)
        expect(await snapshot(world, ['orders', 'refunds', 'events', 'deliveries'])).to.deep.equal(was)
        const row = await world
          .db('payments')
          .where({ id: huifu.payment.id })
          .first<{ status: string; confirm_step: number | null }>()
        expect([row.status, row.confirm_step]).to.deep.equal([before, 1])
        // The provider, asked, says that nobody has paid.
        await world.gateway.worker.runOnce()
        await quiet()
        expect(
          (await world.db('payments').where({ id: huifu.payment.id }).first<{ status: string }>()).status,
        ).to.equal(before)
      })
    })

    describe('the doors themselves', () => {
      it('a wrong segment, channel or method is answered like a bad signature', async () => {
        const genuine = notice()
        const [base, segment] = [
          doors.wechat.slice(0, doors.wechat.lastIndexOf('/')),
          doors.wechat.slice(doors.wechat.lastIndexOf('/') + 1),
        ]
        const changed = `${segment.slice(0, -1)}${segment.endsWith('A') ? 'B' : 'A'}`
        for (const url of [
          `${base}/${changed}`,
          `${base}/x`,
          `${base}/${segment.toLowerCase()}x`,
          `${base.replace('wechat-main', 'huifu-main')}/${segment}`,
          `${base.replace('wechat-main', 'nobody')}/${segment}`,
        ]) {
          await refused(url, url, genuine)
        }
      })

      it('compressed bodies and bodies above 64 KiB are not read', async () => {
        const genuine = notice()
        for (const encoding of ['gzip', 'br', 'deflate', 'gzip, identity']) {
          await refused(
            encoding,
            doors.wechat,
            { ...genuine, headers: { ...genuine.headers, 'Content-Encoding': encoding } },
            415,
          )
        }
        const plain = notice({ eventType: 'COUPON.USE' }).body.length - 'paid'.length
        const sized = (size: number) => notice({ eventType: 'COUPON.USE', summary: 'x'.repeat(size - plain) })
        for (const size of [65_535, 65_536]) {
          const parcel = sized(size)
          expect(parcel.body.length).to.equal(size)
          await kept(`${String(size)} bytes`, doors.wechat, parcel, { outcome: 'ignored' })
        }
        expect(sized(65_537).body.length).to.equal(65_537)
        await refused('65 537 bytes', doors.wechat, sized(65_537), 413)
      })

      it('a body in chunks without end is cut off at 64 KiB', async () => {
        const was = await snapshot(world, [...money, ...evidence])
        const url = new URL(doors.wechat)
        const { sent, received } = await endless(Number.parseInt(url.port, 10), url.pathname)
        expect(received).to.match(/^HTTP\/1\.1 413 /)
        expect(sent, 'bytes taken before the door shut').to.be.below(8 * 1024 * 1024)
        expect(await snapshot(world, [...money, ...evidence])).to.deep.equal(was)
      })
    })

    describe('in the end', () => {
      it('refuses every single-byte change of genuine notices, header or body', async () => {
        const seed = Number.parseInt(process.env['MORTISE_SEED'] ?? '', 10) || Math.floor(Math.random() * 2 ** 31)
        const random = generator(seed)
        const genuine: readonly (readonly [string, Parcel])[] = [
          ...Array.from({ length: 3 }, () => [doors.wechat, notice()] as const),
          ...Array.from({ length: 3 }, () => [doors.huifu, huifuNotice(keys(), huifuData())] as const),
        ]
        const was = await snapshot(world, [...money, ...evidence])
        const accepted: string[] = []
        for (let count = 0; count < 300; count += 1) {
          const [url, parcel] = genuine[count % genuine.length] ?? [doors.wechat, notice()]
          const mutant = mutate(parcel, random)
          const { status } = await knock(url, mutant.parcel)
          if (status !== 401) accepted.push(`${String(status)} ${mutant.what}`)
        }
        expect(accepted, `seed ${String(seed)}`).to.deep.equal([])
        expect(await snapshot(world, [...money, ...evidence])).to.deep.equal(was)
      })

      it('after all this genuine payments are still taken, and a notice that came early is matched when its row appears', async () => {
        for (const [index, started] of [wechat, huifu].entries()) {
          await pay(world, started)
          await until('paid', async () => {
            await world.gateway.worker.runOnce()
            return (await readOrder(world, orders[index] ?? '')).status === 'paid'
          })
        }
        const early = await attempt('wechat_jsapi')
        const id = orders.at(-1) ?? ''
        const row = await world.db('payments').where({ id: early.payment.id }).first<Record<string, unknown>>()
        const order = await world.db('orders').where({ id }).first<Record<string, unknown>>()
        // As if the row were not committed yet when the notice comes (reliability.md T24).
        await world.db('payments').where({ id: early.payment.id }).delete()
        await pay(world, early)
        const found = await until('stored', () =>
          world
            .db<NotificationRow>('notifications')
            .where({ subject_id: early.payment.id })
            .whereNot('outcome', 'received')
            .first(),
        )
        expect(found.outcome).to.equal('unmatched')
        expect((await discrepancyOf(world, found.id))?.status).to.equal('open')
        await world.db('payments').insert(row)
        await world.db('orders').where({ id }).update({ current_payment_id: order['current_payment_id'] })
        await until('matched and paid', async () => {
          await world.gateway.worker.runOnce()
          return (await readOrder(world, id)).status === 'paid'
        })
        await until('resolved', async () => {
          await world.gateway.worker.runOnce()
          return (await discrepancyOf(world, found.id))?.status === 'resolved'
        })
      })
    })
  })
}

function discrepancyOf(world: World, subject_id: string): Promise<DiscrepancyRow | undefined> {
  return world.db<DiscrepancyRow>('discrepancies').where({ subject_id, kind: 'unmatched_notification' }).first()
}
