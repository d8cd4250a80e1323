import { expect } from 'chai'
import { refundChain, type RefundStatus } from '../../../src/core/chain.ts'
import type { RefundFact } from '../../../src/core/fact.ts'
import type { RejectionReason } from '../../../src/core/provider.ts'
import { endsRefund, movesRefundFrom, refundStatus } from '../../../src/core/refund.ts'

describe('core/refund', () => {
  /** design.md 6.6, as rows of the table there: what a refund becomes when it is told something. */
  const table: Readonly<Record<RefundStatus, Readonly<Record<RefundFact['seen'], RefundStatus>>>> = {
    created: {
      absent: 'created',
      processing: 'processing',
      abnormal: 'abnormal',
      failed: 'failed',
      succeeded: 'succeeded',
    },
    processing: {
      absent: 'processing',
      processing: 'processing',
      abnormal: 'abnormal',
      failed: 'failed',
      succeeded: 'succeeded',
    },
    abnormal: {
      absent: 'abnormal',
      processing: 'abnormal',
      abnormal: 'abnormal',
      failed: 'failed',
      succeeded: 'succeeded',
    },
    failed: { absent: 'failed', processing: 'failed', abnormal: 'failed', failed: 'failed', succeeded: 'succeeded' },
    succeeded: {
      absent: 'succeeded',
      processing: 'succeeded',
      abnormal: 'succeeded',
      failed: 'succeeded',
      succeeded: 'succeeded',
    },
  }
  for (const from of refundChain) {
    for (const seen of ['absent', 'processing', 'abnormal', 'failed', 'succeeded'] as const) {
      it(`${from}, told ${seen}, is ${table[from][seen]}`, () => {
        const moves = movesRefundFrom({ about: 'refund', refundId: 'ref_x', seen }).includes(from)
        expect(moves).to.equal(table[from][seen] !== from)
        if (moves) expect(table[from][seen]).to.equal(seen)
      })
    }
  }

  const ending: Readonly<Record<RejectionReason, boolean>> = {
    declined: true,
    invalid_request: true,
    unsupported: true,
    misconfigured: false,
    insufficient_balance: false,
    too_early: false,
    rate_limited: false,
    unreachable: false,
  }
  for (const [reason, ends] of Object.entries(ending) as [RejectionReason, boolean][]) {
    it(`${reason} ${ends ? 'ends a refund' : 'only postpones it'}`, () => expect(endsRefund(reason)).to.equal(ends))
  }

  it('names how much has gone back', () => {
    expect(refundStatus(0, 100)).to.equal('none')
    expect(refundStatus(1, 100)).to.equal('partial')
    expect(refundStatus(99, 100)).to.equal('partial')
    expect(refundStatus(100, 100)).to.equal('full')
    expect(refundStatus(101, 100)).to.equal('full')
  })
})
