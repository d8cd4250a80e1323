import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { compactDay } from '../../src/core/business-day.ts'
import { ProviderRejected, type RefundRequest } from '../../src/core/provider.ts'
import { LostAnswer } from '../../src/core/transport.ts'
import { ending, failure, never, scale, startBench, until, type Bench } from './bench.ts'
import { huifuV3, huifuV4 } from './kinds.ts'

/** What only Huifu asks for: dates, three names for one payment, and money that must be posted before it can go back. */

const dataOf = (body: string | undefined) => (JSON.parse(body ?? '{}') as { data: Record<string, string> }).data

for (const kind of [huifuV3, huifuV4]) {
  describe(`Huifu's own rules, ${kind === huifuV3 ? 'v3' : 'v4'}`, function () {
    this.timeout(30_000)
    let bench: Bench
    before(async () => {
      bench = await startBench(kind)
    })
    after(() => bench.close())

    it('refunds by each of the three numbers of the payment, and by exactly one', async () => {
      const names = {
        req_seq_id: 'org_req_seq_id',
        hf_seq_id: 'org_hf_seq_id',
        party_order_id: 'org_party_order_id',
      } as const
      const { request, prepaid } = await bench.paid(900)
      expect(prepaid.transactionId, 'Huifu gives its number at once').to.be.a('string')
      const fact = await bench.provider.queryPayment(request, never)
      const known = { ...request, transactionId: fact.transactionId ?? '', partyOrderId: fact.partyOrderId ?? '' }
      const numbers: Record<string, string> = {
        org_req_seq_id: request.paymentId.replace('_', ''),
        org_hf_seq_id: known.transactionId,
        org_party_order_id: known.partyOrderId,
      }
      for (const [refundBy, member] of Object.entries(names)) {
        const provider = bench.build({ settings: { refundBy } })
        const refund = bench.refundOf(known, 300)
        expect(await ending(provider.refund(refund, never)), refundBy).to.be.oneOf(['processing', 'succeeded'])
        const data = dataOf(bench.wire.at(-1)?.body)
        const named = Object.keys(data).filter((name) => Object.hasOwn(numbers, name))
        expect([named, data[member]]).to.deep.equal([[member], numbers[member]])
        await until(refundBy, async () => (await provider.queryRefund(refund, never)).seen === 'succeeded')
        await sleep(60_000 / scale + 20)
      }
    })

    it('a payment that has not been posted cannot be refunded yet, and then it can', async () => {
      const request = bench.request()
      const number = request.paymentId.replace('_', '')
      const { invocation } = await bench.provider.prepay(request, never)
      await bench.control('/_sim/huifu/hold', { req_seq_id: number })
      expect(await bench.kind.pay(bench, request, invocation)).to.equal(200)
      const paid = await bench.provider.queryPayment(request, never)
      expect([paid.seen, paid.account]).to.deep.equal(['succeeded', 'pending'])
      const refund = bench.refundOf(request, 400)
      const error = await failure(bench.provider.refund(refund, never))
      expect(error).to.be.instanceOf(ProviderRejected)
      expect(error.reason).to.equal('too_early')
      expect(error.message).to.match(/wait for the account notification/)
      await bench.control('/_sim/huifu/post', { req_seq_id: number })
      expect((await bench.provider.queryPayment(request, never)).account).to.equal('credited')
      expect(await ending(bench.provider.refund(refund, never)), 'the same number goes').to.be.oneOf([
        'processing',
        'succeeded',
      ])
    })

    it('an order of the first minute is not closed yet', async () => {
      const slow = await startBench(kind)
      try {
        const request = slow.request()
        await slow.provider.prepay(request, never)
        const error = await failure(
          slow.provider.closePayment({ ...request, attempt: 1, requestedAt: Date.now() }, never),
        )
        expect([error instanceof ProviderRejected, error.reason]).to.deep.equal([true, 'too_early'])
      } finally {
        await slow.close()
      }
    })

    it('every date sent is the Beijing day of what was recorded, whatever the day is now', async () => {
      const bodies: string[] = []
      const provider = bench.build({
        now: () => Date.parse('2026-09-09T12:00:00+08:00'),
        transport: ({ body }) => {
          bodies.push(body ?? '')
          return Promise.reject(new LostAnswer('kept'))
        },
      })
      // Half past midnight in Beijing is still the day before in UTC (huifu-dougong.md 18.4).
      const [created, requested, submitted] = ['2026-03-02T00:30:00', '2026-03-04T00:10:00', '2026-03-06T23:59:59'].map(
        (time) => Date.parse(`${time}+08:00`),
      )
      const request = bench.request({ createdAt: created ?? 0 })
      const refund: RefundRequest = {
        ...bench.refundOf(request, 400),
        submission: { number: 'ref01K6Y9ZQ8V0000000000000002', sentAt: submitted ?? 0 },
      }
      await ending(provider.prepay(request, never))
      await ending(provider.queryPayment(request, never))
      await ending(provider.closePayment({ ...request, attempt: 1, requestedAt: requested ?? 0 }, never))
      await ending(provider.refund(refund, never))
      await ending(provider.queryRefund(refund, never))
      const days = bodies.map((body) => {
        const data = dataOf(body)
        return [data['req_date'], data['org_req_date']]
      })
      const query = kind === huifuV3 ? [undefined, '20260302'] : ['20260302', undefined]
      expect(days).to.deep.equal([
        ['20260302', undefined],
        query,
        ['20260304', '20260302'],
        ['20260306', '20260302'],
        [undefined, '20260306'],
      ])
      expect(compactDay(created ?? 0)).to.equal('20260302')
    })
  })
}
