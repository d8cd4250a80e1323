import { expect } from 'chai'
import type { Knex } from 'knex'
import { claimDue, nextDueAt } from '../../src/store/due.ts'
import { databases, extraConnection, type OpenDatabase } from '../databases.ts'
import { order } from './ledger-rows.ts'

for (const database of databases) {
  describe(`claiming due rows on ${database.name}`, () => {
    let open: OpenDatabase
    let db: Knex

    before(async function () {
      this.timeout(60_000)
      open = await database.open()
      db = open.db
    })
    after(() => open?.close())
    beforeEach(async () => {
      await db('orders').delete()
    })

    it('gives 8 workers 200 distinct rows and each its values as read', async function () {
      this.timeout(30_000)
      const rows = Array.from({ length: 200 }, (_, index) => order(`n${String(index)}`, { next_check_at: index }))
      for (let start = 0; start < 200; start += 50) await db('orders').insert(rows.slice(start, start + 50))
      const workers = Array.from({ length: 8 }, () => extraConnection(open.url))
      try {
        const work = async (handle: Knex) => {
          const mine: { id: string; next_check_at: number; checks: number }[] = []
          for (let idle = 0; idle < 3;) {
            const claimed = await claimDue<(typeof mine)[number]>(handle, {
              table: 'orders',
              key: 'id',
              column: 'next_check_at',
              now: 1_000,
              leaseMs: 5_000,
              limit: 10,
              bump: 'checks',
            })
            idle = claimed.length === 0 ? idle + 1 : 0
            mine.push(...claimed)
          }
          return mine
        }
        const claims = (await Promise.all(workers.map(work))).flat()
        expect(claims).to.have.length(200)
        expect(new Set(claims.map((row) => row.id)).size).to.equal(200)
        for (const row of claims) expect(row).to.include({ next_check_at: Number(row.id.slice(5)), checks: 0 })
        expect(await db('orders').where({ next_check_at: 6_000, checks: 1 }).count({ n: '*' }).first()).to.deep.equal({
          n: 200,
        })
      } finally {
        await Promise.all(workers.map((worker) => worker.destroy()))
      }
    })

    it('takes the earliest that fit and knows when the next one is due', async () => {
      await db('orders').insert([
        order('a', { next_check_at: 30 }),
        order('b', { next_check_at: 10 }),
        order('c', { next_check_at: 20 }),
        order('d', { next_check_at: 5, status: 'paid' }),
        order('e', { next_check_at: 60 }),
        order('f'),
      ])
      const claim = {
        table: 'orders',
        key: 'id',
        column: 'next_check_at',
        now: 50,
        leaseMs: 100,
        limit: 2,
        where: { status: 'open' },
      }
      expect((await claimDue<{ id: string }>(db, claim)).map(({ id }) => id)).to.deep.equal(['ord_b', 'ord_c'])
      expect((await claimDue<{ id: string }>(db, claim)).map(({ id }) => id)).to.deep.equal(['ord_a'])
      expect(await claimDue(db, claim)).to.deep.equal([])
      expect(await nextDueAt(db, 'orders', 'next_check_at')).to.equal(5)
      expect(
        (await claimDue<{ id: string }>(db, { ...claim, now: 150, limit: 9 })).map(({ id }) => id),
      ).to.have.members(['ord_e', 'ord_b', 'ord_c', 'ord_a'])
      expect(await nextDueAt(db, 'payments', 'next_check_at')).to.equal(undefined)
    })
  })
}
