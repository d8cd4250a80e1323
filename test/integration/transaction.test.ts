import { AssertionError } from 'node:assert'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { expect } from 'chai'
import type { Knex } from 'knex'
import { isConnectionLost, isDuplicate, isRetryable } from '../../src/store/connect.ts'
import { CommitUnknown, transaction } from '../../src/store/transaction.ts'
import { databases, extraConnection, type OpenDatabase } from '../databases.ts'
import { failure, order, payment } from './ledger-rows.ts'

for (const database of databases) {
  describe(`transactions on ${database.name}`, () => {
    let open: OpenDatabase
    let db: Knex

    before(async function () {
      this.timeout(60_000)
      open = await database.open()
      db = open.db
    })
    after(() => open?.close())
    beforeEach(async () => {
      for (const table of ['refunds', 'payments', 'orders']) await db(table).delete()
    })

    it('refuses a first statement that reads, before it reaches the database', async () => {
      const error = await failure(transaction(db, async (tx) => tx('orders').select('id')))
      expect(error).to.be.instanceOf(AssertionError)
      const raw = await failure(transaction(db, async (tx) => tx.raw('SELECT 1')))
      expect(raw).to.be.instanceOf(AssertionError)
    })

    it('refuses it even when the work swallows the refusal', async () => {
      const error = await failure(
        transaction(db, async (tx) => {
          await tx('orders')
            .select('id')
            .catch(() => {})
          await tx('orders')
            .insert(order('a'))
            .catch(() => {})
        }),
      )
      expect(error).to.be.instanceOf(AssertionError)
      expect(await db('orders').select('id')).to.deep.equal([])
    })

    it('commits a write followed by reads and gives back the result', async () => {
      const seen = await transaction(db, async (tx) => {
        await tx('orders').insert(order('a'))
        return tx('orders').pluck('id')
      })
      expect(seen).to.deep.equal(['ord_a'])
      expect(await db('orders').pluck('id')).to.deep.equal(['ord_a'])
    })

    it('rolls back when the work throws, and hands on what it threw', async () => {
      const thrown = new Error('no')
      const error = await failure(
        transaction(db, async (tx) => {
          await tx('orders').insert(order('a'))
          throw thrown
        }),
      )
      expect(error).to.equal(thrown)
      expect(await db('orders').pluck('id')).to.deep.equal([])
    })

    it('lets the work take a duplicate as an answer', async () => {
      await db('orders').insert(order('a'))
      const answer = await transaction(db, async (tx) => {
        const error = await failure(Promise.resolve(tx('orders').insert(order('a'))))
        return isDuplicate(error) ? tx('orders').where({ merchant_order_no: 'a' }).first('id') : undefined
      })
      expect(answer).to.deep.equal({ id: 'ord_a' })
    })

    it('repeats the whole work after a retryable error, six tries in all', async () => {
      const busy = database.name === 'sqlite' ? { errcode: 517 } : { errno: 1213 }
      let tries = 0
      const result = await transaction(db, async (tx) => {
        tries += 1
        await tx('orders').insert(order(`a${String(tries)}`))
        if (tries < 6) throw Object.assign(new Error('again'), busy)
        return tries
      })
      expect(result).to.equal(6)
      expect(await db('orders').pluck('id')).to.deep.equal(['ord_a6'])
      tries = 0
      const error = await failure(
        transaction(db, async (tx) => {
          tries += 1
          await tx('orders').where({ id: 'none' }).delete()
          throw Object.assign(new Error('again'), busy)
        }),
      )
      expect(isRetryable(error)).to.equal(true)
      expect(tries).to.equal(6)
    })

    it('lets two processes reserve refunds without exceeding the payment', async () => {
      await db('orders').insert(order('a'))
      await db('payments').insert(payment('ord_a', 'pay_1'))
      const other = extraConnection(open.url)
      try {
        const reserve = (handle: Knex) =>
          transaction(handle, async (tx) => {
            const changed: number = await tx('payments')
              .where({ id: 'pay_1' })
              .whereRaw('refund_reserved + ? <= amount', [7])
              .update({ refund_reserved: tx.raw('refund_reserved + ?', [7]) })
            await pause(1)
            return changed
          })
        const granted = await Promise.all(
          Array.from({ length: 40 }, (_, index) => reserve(index % 2 === 0 ? db : other)),
        )
        expect(granted.filter((changed) => changed === 1)).to.have.length(14)
        expect(await db('payments').first('refund_reserved')).to.deep.equal({ refund_reserved: 98 })
      } finally {
        await other.destroy()
      }
    })
  })
}

if (databases.some(({ name }) => name === 'sqlite')) {
  describe('transactions on SQLite, several processes', () => {
    it('loses nothing when four processes write at once', async function () {
      this.timeout(60_000)
      const database = databases.find(({ name }) => name === 'sqlite')
      const open = await database?.open()
      if (open === undefined) throw new Error('no SQLite')
      try {
        await open.db('orders').insert(order('a'))
        const program = `
          const { connect } = await import('./src/store/connect.ts')
          const { transaction } = await import('./src/store/transaction.ts')
          const db = connect(process.argv[1])
          for (let i = 0; i < 100; i += 1) await transaction(db, async (tx) => {
            await tx('orders').where({ id: 'ord_a' }).update({ amount: tx.raw('amount + 1') })
            await tx('orders').where({ id: 'ord_a' }).first('amount')
          })
          await db.destroy()`
        const children = Array.from({ length: 4 }, () =>
          spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program, open.url], {
            stdio: ['ignore', 'inherit', 'inherit'],
          }),
        )
        const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0] as unknown))
        expect(codes).to.deep.equal([0, 0, 0, 0])
        expect(await open.db('orders').first('amount')).to.deep.equal({ amount: 500 })
      } finally {
        await open.close()
      }
    })
  })
}

if (databases.some(({ name }) => name === 'mariadb')) {
  describe('transactions on MariaDB, deadlocks and lost connections', () => {
    let open: OpenDatabase
    before(async function () {
      this.timeout(60_000)
      const database = databases.find(({ name }) => name === 'mariadb')
      if (database === undefined) throw new Error('no MariaDB')
      open = await database.open()
    })
    after(() => open?.close())

    for (const swallowing of [false, true]) {
      it(`repeats the victim of a real deadlock${swallowing ? ' that its work has swallowed' : ''}`, async function () {
        this.timeout(30_000)
        const { db } = open
        await db('orders').delete()
        await db('orders').insert([order('x'), order('y'), order('z')])
        let tries = 0
        let waiting = 0
        const bump = (tx: Knex, id: string) =>
          tx('orders')
            .where({ id })
            .update({ amount: tx.raw('amount + 1') })
        const cross = (first: string, second: string) =>
          transaction(db, async (tx) => {
            tries += 1
            await bump(tx, first)
            waiting += 1
            while (waiting < 2) await pause(5)
            if (!swallowing) return bump(tx, second)
            await Promise.resolve(bump(tx, second)).catch(() => {})
            // In the victim the server would commit this by itself, the transaction being gone.
            return Promise.resolve(bump(tx, 'ord_z')).catch(() => {})
          })
        await Promise.all([cross('ord_x', 'ord_y'), cross('ord_y', 'ord_x')])
        expect(tries).to.be.greaterThan(2)
        expect(await db('orders').orderBy('id').pluck('amount')).to.deep.equal([102, 102, swallowing ? 102 : 100])
      })
    }

    it('repeats work whose connection is killed before the commit', async () => {
      const { db } = open
      await db('orders').delete()
      let tries = 0
      await transaction(db, async (tx) => {
        tries += 1
        await tx('orders').insert(order(`k${String(tries)}`))
        if (tries === 1) await kill(db, tx)
        await tx('orders').pluck('id')
      })
      expect(await db('orders').pluck('id')).to.deep.equal(['ord_k2'])
    })

    it('calls a commit on a killed connection unknown and does not repeat it', async () => {
      const { db } = open
      await db('orders').delete()
      let tries = 0
      const error = await failure(
        transaction(db, async (tx) => {
          tries += 1
          await tx('orders').insert(order('u'))
          await kill(db, tx)
        }),
      )
      expect(error).to.be.instanceOf(CommitUnknown).and.to.have.property('code', 'COMMIT_UNKNOWN')
      expect(isConnectionLost((error as Error).cause)).to.equal(true)
      expect(tries).to.equal(1)
    })
  })
}

async function kill(db: Knex, tx: Knex): Promise<void> {
  const [rows] = (await tx.raw('SELECT CONNECTION_ID() AS id')) as [readonly { readonly id: number }[]]
  await db.raw(`KILL CONNECTION ${String(rows[0]?.id)}`)
  await pause(50)
}
