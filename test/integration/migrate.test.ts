import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { assertMigrated, migrate, migrationSource, pending } from '../../src/store/migrate.ts'
import { databases, extraConnection, type OpenDatabase } from '../databases.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

for (const database of databases) {
  describe(`migrations on ${database.name}`, () => {
    let open: OpenDatabase

    beforeEach(async function () {
      this.timeout(60_000)
      open = await database.open({ migrated: false })
    })
    afterEach(() => open?.close())

    it('are applied once and make an empty database fit to run on', async () => {
      const names = readdirSync(join(root, 'migrations')).map((file) => file.replace(/\.ts$/, ''))
      expect(await pending(open.db)).to.deep.equal(names)
      try {
        await assertMigrated(open.db)
        expect.fail('an empty database is not migrated')
      } catch (error) {
        expect(String(error)).to.contain('0001_ledger').and.to.contain('mortise migrate')
      }
      expect(await migrate(open.db)).to.deep.equal(names)
      expect(await migrate(open.db)).to.deep.equal([])
      expect(await pending(open.db)).to.deep.equal([])
      await assertMigrated(open.db)
      expect(await open.db('orders').select('id')).to.deep.equal([])
    })

    it('are recorded without extension, so that compiled code carries on where source began', async () => {
      await migrate(open.db)
      expect(await open.db('knex_migrations').pluck('name')).to.include('0001_ledger')
      const folder = mkdtempSync(join(tmpdir(), 'mortise-compiled-'))
      try {
        // What a build leaves behind: the same names ending in .js, with maps and declarations beside them.
        writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
        for (const name of ['0001_ledger', '0002_payer'])
          writeFileSync(join(folder, `${name}.js`), 'throw new Error("applied already")')
        writeFileSync(join(folder, '0001_ledger.js.map'), '{}')
        writeFileSync(join(folder, '0001_ledger.d.ts'), '')
        writeFileSync(
          join(folder, '0003_later.js'),
          "export const up = (db) => db.schema.createTable('later', (t) => { t.integer('a') })\nexport const down = () => {}",
        )
        const [, applied] = (await open.db.migrate.latest({ migrationSource: migrationSource(folder) })) as [
          number,
          string[],
        ]
        expect(applied).to.deep.equal(['0003_later'])
        expect(await open.db('later').select('a')).to.deep.equal([])
      } finally {
        rmSync(folder, { recursive: true })
      }
    })

    it('are applied once by processes that start together', async function () {
      this.timeout(30_000)
      const others = [extraConnection(open.url), extraConnection(open.url)]
      try {
        const applied = await Promise.all([open.db, ...others].map((db) => migrate(db)))
        expect(applied.flat().filter((name) => name === '0001_ledger')).to.have.length(1)
      } finally {
        await Promise.all(others.map((db) => db.destroy()))
      }
    })

    it('run from the knex command line', async function () {
      this.timeout(60_000)
      execFileSync(
        process.execPath,
        ['--import', 'tsx', join(root, 'node_modules/knex/bin/cli.js'), 'migrate:latest'],
        {
          cwd: root,
          env: { ...process.env, DATABASE_URL: open.url },
          stdio: 'pipe',
        },
      )
      expect(await pending(open.db)).to.deep.equal([])
    })

    it('are taken back only while the ledger is empty', async () => {
      await migrate(open.db)
      await open.db('orders').insert({
        id: 'ord_1',
        merchant_id: 'm',
        merchant_order_no: '1',
        amount: 1,
        currency: 'CNY',
        subject: 's',
        status: 'open',
        expires_at: 1,
        content_hash: 'c',
        cashier_token: 't',
        created_at: 1,
      })
      await open.db('payments').insert({
        id: 'pay_1',
        order_id: 'ord_1',
        merchant_id: 'm',
        channel_id: 'c',
        settings_version: 1,
        method: 'wechat_jsapi',
        amount: 1,
        currency: 'CNY',
        client_ip: '::1',
        status: 'created',
        created_at: 1,
      })
      const options = { migrationSource: migrationSource() }
      let refused = ''
      await open.db.migrate.rollback(options).catch((error: unknown) => (refused = String(error)))
      expect(refused).to.contain('not dropped')
      await open.db('payments').delete()
      await open.db.migrate.rollback(options)
      expect(await open.db.schema.hasTable('orders')).to.equal(false)
    })
  })
}
