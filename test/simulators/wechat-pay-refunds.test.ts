import { X509Certificate } from 'node:crypto'
import { expect } from 'chai'
import { expectError, MINUTE, openResource, useSimulator, type Json } from './wechat-pay-merchant.ts'

describe('WeChat Pay simulator: refunds and keys', () => {
  const world = useSimulator()

  describe('refunds (wechatpay.md 2.6)', () => {
    const settled = async (number: string): Promise<unknown> => {
      world.sim.clock.advance(2000)
      await new Promise((resolve) => setTimeout(resolve, 10))
      return (await world.merchant.refundQuery(number)).json['status']
    }

    it('accepts, processes and succeeds; the order says REFUND from the first acceptance on', async () => {
      const number = await world.merchant.paidOrder()
      const accepted = await world.merchant.refund(number, 'R|1@x', 40)
      expect([accepted.status, accepted.verified]).to.deep.equal([200, true])
      expect(accepted.json).to.include({
        status: 'PROCESSING',
        out_refund_no: 'R|1@x',
        channel: 'ORIGINAL',
        funds_account: 'AVAILABLE',
      })
      expect(accepted.json).to.not.have.property('success_time')
      expect(accepted.json['refund_id']).to.match(/^503000\d{23}$/)
      expect(await world.state(number)).to.equal('REFUND')
      expect(await settled('R|1@x')).to.equal('SUCCESS')
      const { json } = await world.merchant.refundQuery('R|1@x')
      expect(json['success_time']).to.match(/\+08:00$/)
      expect(json['amount']).to.deep.include({
        total: 100,
        refund: 40,
        payer_total: 100,
        payer_refund: 40,
        currency: 'CNY',
      })
    })

    it('returns the existing refund for the same number and refuses other content', async () => {
      const number = await world.merchant.paidOrder()
      const first = await world.merchant.refund(number, 'R1', 40)
      const again = await world.merchant.refund(number, 'R1', 40)
      expect([again.status, again.json['refund_id']]).to.deep.equal([200, first.json['refund_id']])
      expectError(await world.merchant.refund(number, 'R1', 41), 400, 'INVALID_REQUEST')
      expect((await world.merchant.control('wechat-pay/books', 'GET')).json['sums']).to.deep.equal({
        paid: 100,
        refunded: 0,
        refunding: 40,
      })
    })

    it('keeps parts a minute apart, sums below the total, and the total right', async () => {
      const number = await world.merchant.paidOrder()
      expectError(await world.merchant.refund(number, 'R0', 10, 99), 400, 'INVALID_REQUEST')
      expect((await world.merchant.refund(number, 'R1', 60)).status).to.equal(200)
      world.sim.clock.advance(59_000)
      expectError(await world.merchant.refund(number, 'R2', 40), 429, 'FREQUENCY_LIMITED')
      world.sim.clock.advance(1000)
      expectError(await world.merchant.refund(number, 'R2', 41), 400, 'INVALID_REQUEST', /超过/)
      expect((await world.merchant.refund(number, 'R2', 40)).status).to.equal(200)
      world.sim.clock.advance(60_000)
      expectError(await world.merchant.refund(number, 'R3', 1), 400, 'INVALID_REQUEST')
    })

    it('accepts fifty parts and not one more', async () => {
      const number = await world.merchant.paidOrder()
      for (let part = 1; part <= 50; part += 1) {
        expect((await world.merchant.refund(number, `P${part}`, 1)).status).to.equal(200)
        world.sim.clock.advance(60_000)
      }
      expectError(await world.merchant.refund(number, 'P51', 1), 400, 'INVALID_REQUEST', /50/)
    })

    it('shrinks the spacing with the time scale', async () => {
      await world.restart({ timeScale: 1000 })
      const number = await world.merchant.paidOrder()
      expect((await world.merchant.refund(number, 'R1', 60)).status).to.equal(200)
      await new Promise((resolve) => setTimeout(resolve, 65))
      expect((await world.merchant.refund(number, 'R2', 40)).status).to.equal(200)
    })

    it('refuses without balance and takes the same number once there is some', async () => {
      const number = await world.merchant.paidOrder()
      await world.merchant.control('wechat-pay/balance?fen=39')
      expectError(await world.merchant.refund(number, 'R1', 40), 403, 'NOT_ENOUGH')
      expect(await world.state(number)).to.equal('SUCCESS')
      await world.merchant.control('wechat-pay/balance?fen=40')
      expect((await world.merchant.refund(number, 'R1', 40)).status).to.equal(200)
    })

    it('knows no refunds of unpaid, unknown, old or mismatched orders', async () => {
      const unpaid = world.merchant.order()
      await world.merchant.create(unpaid)
      expectError(await world.merchant.refund(unpaid['out_trade_no'], 'R1', 1), 404, 'RESOURCE_NOT_EXISTS')
      expectError(await world.merchant.refund('NOBODYKNOWS', 'R1', 1), 404, 'RESOURCE_NOT_EXISTS')
      expectError(await world.merchant.refundQuery('R1'), 404, 'RESOURCE_NOT_EXISTS')
      const [one, two] = [await world.merchant.paidOrder(), await world.merchant.paidOrder()]
      const id = (await world.merchant.query(two)).json['transaction_id']
      expectError(await world.merchant.refund(one, 'R1', 1, 100, { transaction_id: id }), 400, 'PARAM_ERROR')
      expectError(
        await world.merchant.refund(one, 'R1', 1, 100, { mchid: world.merchant.wechat.mchid }),
        400,
        'PARAM_ERROR',
      )
      world.sim.clock.advance(366 * 24 * 60 * MINUTE)
      expectError(await world.merchant.refund(one, 'R1', 1), 400, 'INVALID_REQUEST')
    })

    it('fails on demand; a closed part is free again, its number is not', async () => {
      const number = await world.merchant.paidOrder()
      await world.merchant.refund(number, 'R1', 100)
      expect((await world.merchant.control('wechat-pay/refund?out_refund_no=R1&result=ABNORMAL')).json).to.include({
        status: 'ABNORMAL',
      })
      expect(await settled('R1')).to.equal('ABNORMAL')
      expect((await world.merchant.control('wechat-pay/refund?out_refund_no=R1&result=CLOSED')).json).to.include({
        status: 'CLOSED',
      })
      expect((await world.merchant.control('wechat-pay/refund?out_refund_no=R1&result=SUCCESS')).status).to.equal(409)
      world.sim.clock.advance(60_000)
      expect((await world.merchant.refund(number, 'R1', 100)).json).to.include({ status: 'CLOSED' })
      expect((await world.merchant.refund(number, 'R2', 100)).json).to.include({ status: 'PROCESSING' })
    })

    it('splits a coupon in proportion without losing a fen', async () => {
      const number = await world.merchant.paidOrder({}, '&payer_total=77')
      const shares: number[] = []
      for (const [index, fen] of [33, 33, 34].entries()) {
        const { json } = await world.merchant.refund(number, `C${index}`, fen)
        const amount: Json = { ...(json['amount'] as Json) }
        shares.push(Number(amount['payer_refund']))
        expect(Number(amount['payer_refund']) + Number(amount['discount_refund'])).to.equal(fen)
        world.sim.clock.advance(60_000)
      }
      expect(shares).to.deep.equal([25, 25, 27])
    })
  })

  describe('platform keys (wechatpay.md 1.6, 1.7)', () => {
    const list = async (): Promise<
      { serial_no: string; encrypt_certificate: { ciphertext: string; nonce: string; associated_data: string } }[]
    > =>
      (await world.merchant.call('GET', '/v3/certificates?algorithm_type=RSA')).json['data'] as Awaited<
        ReturnType<typeof list>
      >

    it('publishes certificates sealed with the APIv3 key, and the next one after rotation', async () => {
      const [first] = world.merchant.wechat.platform
      const before = await list()
      expect(before.map((one) => one.serial_no)).to.deep.equal([first.serial])
      const [sealed] = before
      const pem = sealed ? openResource(world.merchant.wechat.apiV3Key, sealed.encrypt_certificate) : ''
      expect(new X509Certificate(pem).serialNumber).to.equal(first.serial)
      await world.merchant.control('wechat-pay/rotate')
      expect((await list()).map((one) => one.serial_no)).to.deep.equal(
        world.merchant.wechat.platform.map((pair) => pair.serial),
      )
      const answer = await world.merchant.create(world.merchant.order())
      expect([answer.verified, answer.headers.get('wechatpay-serial')]).to.deep.equal([
        true,
        world.merchant.wechat.platform[1].serial,
      ])
    })

    it('has no certificates for a public-key-only merchant, and signs with the public key', async () => {
      await world.merchant.control('wechat-pay/mode?keys=public-key')
      expectError(await world.merchant.call('GET', '/v3/certificates'), 404, 'RESOURCE_NOT_EXISTS')
      const answer = await world.merchant.create(world.merchant.order())
      expect([answer.verified, answer.headers.get('wechatpay-serial')]).to.deep.equal([
        true,
        world.merchant.wechat.publicKeyId,
      ])
    })

    it('ignores the public key id for a merchant that never switched', async () => {
      await world.merchant.control('wechat-pay/mode?keys=certificate')
      const named = { headers: { 'Wechatpay-Serial': world.merchant.wechat.publicKeyId } }
      const answer = await world.merchant.call('GET', '/v3/certificates', '', named)
      expect(answer.headers.get('wechatpay-serial')).to.equal(world.merchant.wechat.platform[0].serial)
    })
  })
})
