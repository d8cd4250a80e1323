import { expect } from 'chai'
import { compactDay } from '../../src/core/business-day.ts'
import type { Payment } from '../../src/core/payment.ts'
import type { Refund, RefundSubmission } from '../../src/core/refund.ts'
import { databases } from '../databases.ts'
import { open, pay, readOrder, startWorld, until, type World } from '../harness.ts'
import { checkInvariants, readBooks } from '../invariants.ts'
import {
  askRefund,
  askToPay,
  bothChannels,
  calm,
  channels,
  chaos,
  paidOn,
  providerOf,
  requestsOf,
  seedOf,
  startOn,
  untilRefund,
  type ChannelName,
} from './acts.ts'

/**
 * Huifu knows a request by its day as well as its number, and takes only today's (design.md 20.1): what was sent a moment
 * before midnight in Beijing, and its answer lost, is another request a moment after. Gateway and simulators share a clock
 * that the test moves; it never stands still, because deadlines are real.
 */

/** Five seconds to midnight in Beijing. */
const lateEvening = Date.parse('2026-03-04T23:59:55+08:00')
const midnight = Date.parse('2026-03-05T00:00:00+08:00')
const [today, tomorrow] = ['20260304', '20260305']

for (const database of databases) {
  describe(`midnight in Beijing on ${database.name}`, function () {
    this.timeout(60_000)
    let world: World
    /** What is added to the real clock; the simulators may be a little ahead. */
    const offset = { both: 0, providers: 0 }
    const now = () => Date.now() + offset.both

    before(async () => {
      const seed = seedOf('midnight')
      offset.both = lateEvening - 60_000 - Date.now()
      world = await startWorld({
        database,
        timeScale: 60,
        configure: bothChannels,
        simulators: { seed, now: () => now() + offset.providers },
        gateway: { now, providerDeadlineMs: 1500, leaseMs: 4000 },
      })
    })
    after(() => world.close())
    afterEach(async () => {
      await calm(world)
      offset.providers = 0
    })

    function itIs(instant: number): void {
      offset.both = instant - Date.now()
    }

    /** Until the sleeping worker is awake again, only requests move anything. */
    async function workerSleeps(): Promise<void> {
      await world.gateway.worker.stop()
    }

    async function submissionsOf(refundId: string): Promise<readonly RefundSubmission[]> {
      return world.db<RefundSubmission>('refund_submissions').where({ refund_id: refundId }).orderBy('attempt')
    }

    /** A paid order whose refund is sent at the given instant while the worker sleeps, and the refund as it then is. */
    async function refundSentAt(
      channel: ChannelName,
      instant: number,
      fault?: 'failAfterAccept' | 'reset',
    ): Promise<Refund> {
      itIs(instant - 30_000)
      const order = await paidOn(world, channel, 900)
      await workerSleeps()
      itIs(instant)
      if (fault !== undefined) await chaos(world, fault, 1, `${providerOf(channel)}.refund`)
      await chaos(world, 'notifyNever', 1, `${providerOf(channel)}.notify`)
      const answer = await askRefund(world, order.id, `${order.merchant_order_no}-r`, 350)
      expect(answer.status, JSON.stringify(answer.body)).to.equal(201)
      const refund = await world.db<Refund>('refunds').where({ id: answer.body.id }).first()
      if (refund === undefined) throw new Error('the refund was not recorded')
      const [first] = await submissionsOf(refund.id)
      expect(first?.outcome, 'nobody knows yet').to.equal('unknown')
      expect(first?.day).to.equal(channel === 'huifu-main' ? today : '')
      await chaos(world, fault ?? 'reset', 0, `${providerOf(channel)}.refund`)
      return refund
    }

    async function bookedFor(refund: Refund) {
      const number = refund.payment_id.replace('_', '')
      return (await readBooks(world)).refunds.filter(({ payment }) => payment === number)
    }

    for (const channel of channels) {
      it(`finds a refund of yesterday whose answer was lost, through ${channel}`, async () => {
        const refund = await refundSentAt(channel, midnight - 1200, 'failAfterAccept')
        itIs(midnight + 3000)
        world.gateway.worker.start()
        await untilRefund(world, refund.id, 'succeeded')
        expect((await submissionsOf(refund.id)).length, 'no second submission').to.equal(1)
        expect((await bookedFor(refund)).length).to.equal(1)
        const sent = (await requestsOf(world)).filter(
          ({ operation, keys }) => operation === 'refund' && Object.values(keys).includes(refund.id.replace('_', '')),
        )
        expect(sent.length, 'sent once, asked about after').to.equal(1)
        await checkInvariants(world, { quiet: true, webhooks: false })
      })

      it(`sends a refund again that was lost before midnight on its way, through ${channel}`, async () => {
        const refund = await refundSentAt(channel, midnight - 1200, 'reset')
        expect((await bookedFor(refund)).length, 'nothing had happened').to.equal(0)
        itIs(midnight + 3000)
        world.gateway.worker.start()
        await untilRefund(world, refund.id, 'succeeded')
        const submissions = await submissionsOf(refund.id)
        if (channel === 'huifu-main') {
          expect(submissions.map(({ day, outcome }) => `${day} ${outcome}`)).to.deep.equal([
            `${today} rejected`,
            `${tomorrow} accepted`,
          ])
          const [first, second] = submissions
          // Absence counts when said twice, half a minute apart, a minute after the send (reliability.md 5.3).
          expect((second?.sent_at ?? 0) - (first?.last_sent_at ?? 0)).to.be.at.least(60_000 / world.timeScale)
          expect((second?.sent_at ?? 0) - (first?.absent_at ?? Number.MAX_SAFE_INTEGER)).to.be.at.least(
            30_000 / world.timeScale,
          )
        } else {
          expect(
            submissions.map(({ attempt, sends }) => [attempt, sends]),
            'WeChat numbers are for ever',
          ).to.deep.equal([[1, 2]])
        }
        expect((await bookedFor(refund)).map(({ state }) => state)).to.deep.equal(['done'])
        await checkInvariants(world, { quiet: true, webhooks: false })
      })
    }

    it('sends the same number again where the day has not changed', async () => {
      const refund = await refundSentAt('huifu-main', midnight - 30_000, 'reset')
      world.gateway.worker.start()
      await untilRefund(world, refund.id, 'succeeded')
      expect((await submissionsOf(refund.id)).map(({ attempt, day }) => `${String(attempt)} ${day}`)).to.deep.equal([
        `1 ${today}`,
      ])
      await checkInvariants(world, { quiet: true, webhooks: false })
    })

    it('survives a refund that leaves before midnight and arrives after it', async () => {
      offset.providers = 2000
      const refund = await refundSentAt('huifu-main', midnight - 1000)
      expect((await bookedFor(refund)).length, 'refused for its date').to.equal(0)
      itIs(midnight + 3000)
      world.gateway.worker.start()
      await untilRefund(world, refund.id, 'succeeded')
      expect((await submissionsOf(refund.id)).map(({ day, outcome }) => `${day} ${outcome}`)).to.deep.equal([
        `${today} rejected`,
        `${tomorrow} accepted`,
      ])
      expect((await bookedFor(refund)).map(({ state }) => state)).to.deep.equal(['done'])
      await checkInvariants(world, { quiet: true, webhooks: false })
    })

    it('asks about and refunds a payment of yesterday under the day it was made', async () => {
      itIs(midnight - 4000)
      const order = await open(world, 700)
      const started = await startOn(world, 'huifu-main', order.id)
      await chaos(world, 'notifyNever', 1, 'huifu.notify')
      await pay(world, started)
      await workerSleeps()
      itIs(midnight + 60_000)
      world.gateway.worker.start()
      const paid = await until('found paid by asking', async () => {
        const read = await readOrder(world, order.id)
        return read.status === 'paid' && read.payments.some(({ account_status }) => account_status === 'credited')
          ? read
          : undefined
      })
      const payment = await world.db<Payment>('payments').where({ id: started.payment.id }).first()
      expect(compactDay(payment?.created_at ?? 0)).to.equal(today)
      const answer = await askRefund(world, paid.id, `${paid.merchant_order_no}-r`, 700)
      await untilRefund(world, answer.body.id, 'succeeded')
      expect((await submissionsOf(answer.body.id)).map(({ day }) => day)).to.deep.equal([tomorrow])
      await checkInvariants(world, { quiet: true, webhooks: false })
    })

    it('gives the payer a new attempt when the first left before midnight and arrived after it', async () => {
      itIs(midnight - 1000)
      offset.providers = 2000
      const order = await open(world, 800)
      const first = await askToPay(world, order.id, 'huifu-main')
      expect(
        [first.status, first.body.code],
        'unknown, because a number of another day may have been taken on its day',
      ).to.deep.equal([503, 'provider-unavailable'])
      itIs(midnight + 2000)
      await pay(world, await startOn(world, 'huifu-main', order.id))
      await until('paid by the second attempt', async () => (await readOrder(world, order.id)).status === 'paid')
      await until('the first attempt closed', async () => {
        const attempts = await world.db<Payment>('payments').where({ order_id: order.id }).orderBy('id')
        return attempts.length === 2 && attempts[0]?.status === 'closed'
      })
      await checkInvariants(world, { quiet: true, webhooks: false })
    })
  })
}
