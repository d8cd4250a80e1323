import { expect } from 'chai'
import type { Knex } from 'knex'
import { connect, dialectOf, isCheckViolation, isDuplicate, preflight } from '../../src/store/connect.ts'
import { databases, type OpenDatabase } from '../databases.ts'
import { failure, order, payment, refund } from './ledger-rows.ts'

for (const database of databases) {
  describe(`store on ${database.name}`, () => {
    let open: OpenDatabase
    let db: Knex

    before(async function () {
      this.timeout(60_000)
      open = await database.open()
      db = open.db
    })
    after(() => open?.close())
    beforeEach(async () => {
      for (const table of ['refunds', 'payments', 'orders', 'audit']) await db(table).delete()
    })

    describe('schema', () => {
      it('keeps identifiers apart that differ in case or in trailing spaces', async () => {
        for (const number of ['Ord1', 'ORD1', 'Ord1 ']) await db('orders').insert(order(number))
        for (const number of ['Ord1', 'ORD1', 'Ord1 ']) {
          expect(await db('orders').where({ merchant_order_no: number }).pluck('merchant_order_no')).to.deep.equal([
            number,
          ])
        }
        expect(
          isDuplicate(await failure(db('orders').insert(order('Ord1', { id: 'ord_x', cashier_token: 'tok_x' })))),
        ).to.equal(true)
        expect(isDuplicate(await failure(db('orders').insert(order('other', { id: 'ord_Ord1' }))))).to.equal(true)
      })

      it('never takes an accent for the letter below it', async () => {
        await db('orders').insert(order('Ord1'))
        // MariaDB's ascii columns refuse the letter, SQLite keeps it: in neither is it equal to another.
        await db('orders')
          .insert(order('Örd1'))
          .catch(() => {})
        expect(await db('orders').where({ merchant_order_no: 'Ord1' }).pluck('merchant_order_no')).to.deep.equal([
          'Ord1',
        ])
        const found = await db('orders')
          .where({ merchant_order_no: 'Örd1' })
          .pluck('merchant_order_no')
          .catch(() => [])
        expect(found).to.not.include('Ord1')
      })

      it('keeps openids apart that differ in case', async () => {
        await db('orders').insert(order('a'))
        await db('payments').insert(payment('ord_a', 'pay_1', { payer_openid: 'oAbC' }))
        expect(await db('payments').where({ payer_openid: 'oabc' })).to.deep.equal([])
        expect(await db('payments').where({ payer_openid: 'oAbC' }).pluck('id')).to.deep.equal(['pay_1'])
      })

      it('returns text in any script and integers up to 2^53 - 1 exactly', async () => {
        await db('orders').insert(order('a', { amount: Number.MAX_SAFE_INTEGER }))
        const row = await db('orders').where({ id: 'ord_a' }).first()
        expect(row).to.include({ subject: '茶 🍵', amount: Number.MAX_SAFE_INTEGER, paid_at: null, checks: 0 })
        const sum = await db('orders').sum({ total: 'amount' }).count({ rows: '*' }).first()
        expect(sum).to.deep.equal({ total: Number.MAX_SAFE_INTEGER, rows: 1 })
      })

      it('fails rather than return an integer that is not exact', async () => {
        await db.raw('INSERT INTO audit (actor, action, at) VALUES (?, ?, 9007199254740993)', ['a', 'b'])
        expect(await failure(Promise.resolve(db('audit').select('at')))).to.be.instanceOf(RangeError)
      })

      it('refuses numbers that are not integers', async () => {
        expect(await failure(Promise.resolve(db('orders').insert(order('a', { amount: 10.5 }))))).to.be.instanceOf(
          RangeError,
        )
        expect(
          await failure(Promise.resolve(db('orders').insert(order('a', { amount: Number.NaN })))),
        ).to.be.instanceOf(RangeError)
      })

      const violations: readonly [string, () => Promise<unknown>][] = [
        ['an order of nothing', async () => db('orders').insert(order('a', { amount: 0 }))],
        ['an order in no known status', async () => db('orders').insert(order('a', { status: 'Open' }))],
        ['a currency of two letters', async () => db('orders').insert(order('a', { currency: 'CN' }))],
        [
          'a payment of less than nothing',
          async () => db('payments').insert(payment('ord_p', 'pay_x', { amount: -1 })),
        ],
        [
          'a payment in no known status',
          async () => db('payments').insert(payment('ord_p', 'pay_x', { status: 'paid' })),
        ],
        [
          'an account in no known status',
          async () => db('payments').insert(payment('ord_p', 'pay_x', { account_status: 'open' })),
        ],
        ['more refunded than paid', async () => db('payments').where({ id: 'pay_p' }).update({ refund_reserved: 101 })],
        [
          'less refunded than nothing',
          async () => db('payments').where({ id: 'pay_p' }).update({ refund_reserved: -1 }),
        ],
        ['a negative overshoot', async () => db('payments').where({ id: 'pay_p' }).update({ refund_over: -1 })],
        ['a refund of nothing', async () => db('refunds').insert(refund('pay_p', 'ref_x', { amount: 0 }))],
        ['a refund in no known status', async () => db('refunds').insert(refund('pay_p', 'ref_x', { status: 'done' }))],
      ]
      for (const [name, violate] of violations) {
        it(`refuses ${name}`, async () => {
          await db('orders').insert(order('p'))
          await db('payments').insert(payment('ord_p', 'pay_p'))
          const error = await failure(violate())
          expect(isCheckViolation(error), String(error)).to.equal(true)
          expect(isDuplicate(error)).to.equal(false)
        })
      }

      it('refuses children without parents', async () => {
        const error = await failure(Promise.resolve(db('payments').insert(payment('ord_none', 'pay_1'))))
        expect(String(error)).to.match(/foreign key/i)
      })

      it('lets one merchant use a refund number once and leave it out repeatedly', async () => {
        await db('orders').insert(order('a'))
        await db('payments').insert(payment('ord_a', 'pay_1'))
        await db('refunds').insert([refund('pay_1', 'ref_1'), refund('pay_1', 'ref_2')])
        await db('refunds').insert(refund('pay_1', 'ref_3', { merchant_refund_no: 'r' }))
        const error = await failure(
          Promise.resolve(db('refunds').insert(refund('pay_1', 'ref_4', { merchant_refund_no: 'r' }))),
        )
        expect(isDuplicate(error)).to.equal(true)
      })

      it('keeps values out of error messages', async () => {
        const secret = 'oSecretOpenid'
        await db('orders').insert(order('a'))
        const error = await failure(
          Promise.resolve(db('payments').insert(payment('ord_a', 'pay_1', { payer_openid: secret, amount: 0 }))),
        )
        expect(String(error)).to.not.contain(secret)
      })
    })

    it('passes its own preflight', async () => {
      expect(await preflight(db, true)).to.deep.equal([])
    })
  })
}

if (databases.some(({ name }) => name === 'sqlite')) {
  describe('SQLite', () => {
    it('keeps one database in memory for all statements, which production refuses', async () => {
      const db = connect('sqlite::memory:')
      await db.raw('CREATE TABLE t (a INTEGER) STRICT')
      await Promise.all([db('t').insert({ a: 1 }), db('t').insert({ a: 2 })])
      expect(await db('t').pluck('a')).to.have.members([1, 2])
      expect(dialectOf(db)).to.equal('sqlite')
      expect(await preflight(db, false)).to.deep.equal([])
      expect(await preflight(db, true)).to.have.length(1)
      await db.destroy()
    })
  })
}

if (databases.some(({ name }) => name === 'mariadb')) {
  describe('MariaDB', () => {
    let open: OpenDatabase
    before(async function () {
      this.timeout(60_000)
      const database = databases.find(({ name }) => name === 'mariadb')
      if (database === undefined) throw new Error('no MariaDB')
      open = await database.open()
    })
    after(() => open?.close())

    it('reports a database that would lose or confuse payments', async () => {
      const { db } = open
      await db.raw('SET GLOBAL innodb_flush_log_at_trx_commit = 2')
      await db.raw('ALTER TABLE payments MODIFY transaction_id VARCHAR(64) COLLATE utf8mb4_general_ci NULL')
      try {
        expect(await preflight(db, false))
          .to.have.length(1)
          .and.to.satisfy((faults: string[]) => faults[0]?.includes('transaction_id'))
        expect((await preflight(db, true)).join()).to.contain('innodb_flush_log_at_trx_commit')
      } finally {
        await db.raw('SET GLOBAL innodb_flush_log_at_trx_commit = 1')
      }
    })
  })
}
