import { expect } from 'chai'
import {
  booksOfHuifu,
  booksOfOrders,
  booksOfWechat,
  differences,
  sumsOf,
  together,
} from '../../../src/cli/compare-books.ts'

const payment = 'pay_01M7Y0CXNYZTQ8J5X20YH6PF7T'
const refund = 'ref_01M7Y0CZ89ZQZ320SB0Z3Q0YNS'
const [paymentNumber, refundNumber] = [payment.replace('_', ''), refund.replace('_', '')]

const order = (refundStatus: string, refunded = 30) => ({
  payments: [
    { id: payment, status: 'succeeded', amount: 88 },
    { id: 'pay_01M7Y0D1WQQ3D127V2XBTTKHXK', status: 'closed', amount: 88 },
  ],
  refunds: [{ id: refund, status: refundStatus, amount: refunded }],
})

describe('comparing books', () => {
  it('counts only money that moved', () => {
    expect(sumsOf(booksOfOrders([order('processing')]))).to.deep.equal({ paid: 88, refunded: 0 })
    expect(sumsOf(booksOfOrders([order('succeeded')]))).to.deep.equal({ paid: 88, refunded: 30 })
  })

  it('knows the same money in the words of WeChat, Huifu and the gateway', () => {
    const gateway = booksOfOrders([order('succeeded')])
    const wechat = booksOfWechat({
      orders: [
        { out_trade_no: paymentNumber, trade_state: 'REFUND', amount: { total: 88 } },
        { out_trade_no: 'other', trade_state: 'CLOSED', amount: { total: 88 } },
      ],
      refunds: [
        { out_refund_no: refundNumber, status: 'SUCCESS', amount: { refund: 30 } },
        { out_refund_no: 'other', status: 'PROCESSING', amount: { refund: 1 } },
      ],
    })
    const huifu = booksOfHuifu({
      orders: [
        { reqSeqId: paymentNumber, transStat: 'S', amountFen: 88 },
        { reqSeqId: 'other', transStat: 'F', amountFen: 88 },
      ],
      // A second submission of the same refund carries two characters more.
      refunds: [
        { reqSeqId: refundNumber, transStat: 'F', amountFen: 30 },
        { reqSeqId: `${refundNumber}02`, transStat: 'S', amountFen: 30 },
      ],
    })
    expect(differences({ gateway, wechat, huifu })).to.deep.equal([])
  })

  it('names every number on which the sides differ', () => {
    const shop = booksOfOrders([order('processing')])
    const gateway = booksOfOrders([order('succeeded')])
    const provider = booksOfOrders([order('succeeded', 31)])
    expect(differences({ shop, gateway, provider })).to.deep.equal([
      `refunded ${refundNumber}: shop: nothing, gateway: 30, provider: 31`,
    ])
    expect(differences({ shop, nobody: booksOfOrders([]) })).to.deep.equal([
      `paid ${paymentNumber}: shop: 88, nobody: nothing`,
    ])
  })

  it('takes two providers as one side', () => {
    const both = together(
      booksOfHuifu({ orders: [{ reqSeqId: 'a', transStat: 'S', amountFen: 1 }] }),
      booksOfOrders([order('failed')]),
    )
    expect(sumsOf(both)).to.deep.equal({ paid: 89, refunded: 0 })
  })
})
