import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Knex } from 'knex'
import { connect } from '../src/store/connect.ts'
import { migrate } from '../src/store/migrate.ts'

/**
 * Real databases for tests: `for (const database of databases) describe(database.name, …)`. Every open() gives a fresh,
 * migrated one. `MORTISE_DATABASES=sqlite` narrows the list for a quick run.
 */

export type OpenDatabase = { readonly db: Knex; readonly url: string; close(): Promise<void> }
export type TestDatabase = {
  readonly name: 'sqlite' | 'mariadb'
  open(options?: { readonly migrated?: boolean }): Promise<OpenDatabase>
}

type Server = { readonly port: number; readonly process: ChildProcess; readonly folder: string }

const all: readonly TestDatabase[] = [
  { name: 'sqlite', open: openSqlite },
  { name: 'mariadb', open: openMariadb },
]

const chosen = process.env['MORTISE_DATABASES']?.split(',')

export const databases: readonly TestDatabase[] =
  chosen === undefined ? all : all.filter(({ name }) => chosen.includes(name))

/** A second pool on a database that open() has given, for the races of a second process. The caller destroys it. */
export function extraConnection(url: string): Knex {
  return connect(url)
}

async function openSqlite(options: { readonly migrated?: boolean } = {}): Promise<OpenDatabase> {
  const folder = mkdtempSync(join(tmpdir(), 'mortise-sqlite-'))
  const url = `sqlite:${join(folder, 'gateway.db')}`
  const db = connect(url)
  if (options.migrated !== false) await migrate(db)
  return {
    db,
    url,
    async close() {
      await db.destroy()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

let server: Promise<Server> | undefined
let schemas = 0

async function openMariadb(options: { readonly migrated?: boolean } = {}): Promise<OpenDatabase> {
  server ??= startServer()
  const { port } = await server
  schemas += 1
  const name = `mortise_${String(schemas)}`
  const url = `mariadb://root@127.0.0.1:${String(port)}/${name}`
  await administer(port, `CREATE DATABASE ${name} CHARACTER SET utf8mb4`)
  const db = connect(url)
  if (options.migrated !== false) await migrate(db)
  return {
    db,
    url,
    async close() {
      await db.destroy()
      await administer(port, `DROP DATABASE ${name}`)
    },
  }
}

async function administer(port: number, sql: string): Promise<void> {
  const db = connect(`mariadb://root@127.0.0.1:${String(port)}/mysql`, { poolMax: 1 })
  await db.raw(sql)
  await db.destroy()
}

function find(name: string): string {
  const folders = [
    ...(process.env['PATH'] ?? '').split(':'),
    '/usr/sbin',
    '/usr/local/sbin',
    '/usr/bin',
    '/usr/libexec',
  ]
  const found = folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
  if (found === undefined) {
    throw new Error(
      `${name} is not installed: run scripts/install-test-database.sh, or set MORTISE_DATABASES=sqlite to do without`,
    )
  }
  return found
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      probe.close(() => resolve(port))
    })
  })
}

/** A private server in an empty directory, without touching the system's (performance.md D). */
async function startServer(): Promise<Server> {
  const mariadbd = find('mariadbd')
  const installer = find('mariadb-install-db')
  const folder = mkdtempSync(join(tmpdir(), 'mortise-mariadb-'))
  const data = join(folder, 'data')
  mkdirSync(join(folder, 'tmp'))
  mkdirSync(data)
  // The server refuses to run as root unless told to, and refuses the option to anybody else.
  const user = process.getuid?.() === 0 ? ['--user=root'] : []
  const installed = spawnSync(
    installer,
    [
      '--no-defaults',
      ...user,
      `--datadir=${data}`,
      '--auth-root-authentication-method=normal',
      '--skip-test-db',
      '--skip-name-resolve',
    ],
    { encoding: 'utf8' },
  )
  if (installed.status !== 0) throw new Error(`mariadb-install-db failed: ${installed.stdout}${installed.stderr}`)
  const port = await freePort()
  const log = join(folder, 'err.log')
  const process_ = spawn(
    mariadbd,
    [
      '--no-defaults',
      ...user,
      `--datadir=${data}`,
      `--tmpdir=${join(folder, 'tmp')}`,
      `--socket=${join(folder, 's.sock')}`,
      `--port=${String(port)}`,
      '--bind-address=127.0.0.1',
      `--pid-file=${join(folder, 'pid')}`,
      `--log-error=${log}`,
      '--skip-name-resolve',
      '--innodb-buffer-pool-size=128M',
      '--innodb-log-file-size=48M',
      '--innodb-flush-log-at-trx-commit=1',
      '--character-set-server=utf8mb4',
      '--max-connections=500',
    ],
    { stdio: 'ignore' },
  )
  const started: Server = { port, process: process_, folder }
  // The database must not keep the test run alive, and must not outlive it either.
  process_.unref()
  process.once('exit', () => stopServer(started))
  await untilReady(started, log)
  return started
}

async function untilReady({ port, process: server_ }: Server, log: string): Promise<void> {
  const deadline = Date.now() + 30_000
  while (Date.now() < deadline && server_.exitCode === null) {
    try {
      await administer(port, 'SELECT 1')
      return
    } catch {
      await pause(50)
    }
  }
  throw new Error(`mariadbd did not start:\n${existsSync(log) ? readFileSync(log, 'utf8') : '(no log)'}`)
}

function stopServer({ process: server_, folder }: Server): void {
  // Killed rather than asked: nothing in it is worth a clean shutdown, and at exit there is no waiting.
  server_.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
}
