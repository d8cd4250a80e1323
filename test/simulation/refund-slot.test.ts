import { expect } from 'chai'
import type { Context } from '../../src/context.ts'
import type { Provider } from '../../src/core/provider.ts'
import { checkRefund } from '../../src/flows/check-refund.ts'
import type { Payment } from '../../src/core/payment.ts'
import type { RefundSubmission } from '../../src/core/refund.ts'
import { databases } from '../databases.ts'
import { startWorld, until } from '../harness.ts'
import { checkInvariants } from '../invariants.ts'
import { askRefund, bothChannels, calm, chaos, paidOn, seedOf, untilRefund } from './acts.ts'

/**
 * Two workers hold one refund, because the lease of the slower one ran out. The slower finds that the other has sent the
 * submission again since it looked, and must give the payment's place back rather than keep it, with nobody sending, until
 * its lease ends.
 */

for (const database of databases) {
  it(`a worker that comes too late keeps no other refund waiting, on ${database.name}`, async function () {
    this.timeout(30_000)
    const seed = seedOf('refund slot')
    const world = await startWorld({ database, timeScale: 600, configure: bothChannels, simulators: { seed } })
    try {
      const order = await paidOn(world, 'wechat-main', 100)
      await world.gateway.worker.stop()
      await chaos(world, 'reset', 1, 'wechat-pay.refund')
      const refund = (await askRefund(world, order.id, `${order.merchant_order_no}-r`, 40)).body
      const spacingOver = () =>
        until('the spacing over', async () => {
          const row = await world.db<Payment>('payments').where({ order_id: order.id }).first()
          return (row?.refund_slot_at ?? Number.MAX_SAFE_INTEGER) < Date.now()
        })
      await spacingOver()
      const { context } = world.gateway
      let goOn = () => {}
      const gate = new Promise<void>((open) => (goOn = open))
      let asked = () => {}
      const question = new Promise<void>((done) => (asked = done))
      // The slower one's answer is on its way for longer than its lease lasted.
      const slow: Context = {
        ...context,
        channels: {
          ...context.channels,
          async version(id, version) {
            const channel = await context.channels.version(id, version)
            if (channel === undefined) return undefined
            const queryRefund: Provider['queryRefund'] = async (reference, signal) => {
              const fact = await channel.provider.queryRefund(reference, signal)
              asked()
              await gate
              return fact
            }
            return { ...channel, provider: { ...channel.provider, queryRefund } }
          },
        },
      }
      const slower = checkRefund(slow, refund.id, 1)
      await question
      await checkRefund(context, refund.id, 2)
      const [sent] = await world.db<RefundSubmission>('refund_submissions').where({ refund_id: refund.id })
      expect(sent?.sends, 'the faster one has sent it again').to.equal(2)
      await spacingOver()
      goOn()
      await slower
      const [submission] = await world.db<RefundSubmission>('refund_submissions').where({ refund_id: refund.id })
      expect(submission?.sends, 'the slower one has not').to.equal(2)
      const payment = await world.db<Payment>('payments').where({ order_id: order.id }).first()
      expect(payment?.refund_slot_at ?? Number.MAX_SAFE_INTEGER).to.be.at.most(Date.now() + 60_000 / world.timeScale)
      await calm(world)
      await world.db('refunds').where({ id: refund.id }).update({ next_check_at: Date.now() })
      world.gateway.worker.start()
      await untilRefund(world, refund.id, 'succeeded', 5000)
      await checkInvariants(world)
    } finally {
      await world.close()
    }
  })
}
