import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { makeKey } from '../../../src/cli/new-key.ts'
import { freeHuifuPort, portInUse } from '../../../src/cli/ports.ts'
import { sandboxEnv } from '../../../src/cli/sandbox.ts'

async function mortise(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/cli/main.ts', ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [out, err] = ['', '']
  child.stdout.on('data', (part: Buffer) => (out += part.toString()))
  child.stderr.on('data', (part: Buffer) => (err += part.toString()))
  const [code] = (await once(child, 'close')) as [number]
  return { code, out, err }
}

describe('the command line', function () {
  this.timeout(30_000)

  it('explains itself, its exit codes, and every command with an example', async () => {
    const { code, out } = await mortise('--help')
    expect(code).to.equal(0)
    expect(out).to.contain('Exit codes:')
    const commands = ['sandbox', 'demo', 'simulate', 'serve', 'migrate', 'check-config', 'show', 'redeliver', 'new-key']
    for (const command of commands) expect(out).to.match(new RegExp(`^  ${command}\\b`, 'm'))
    const helps = await Promise.all(['demo', 'show'].map((command) => mortise(command, '--help')))
    for (const help of helps) expect(help.out).to.match(/Examples:\n {2}\$ mortise /)
  })

  it('ends with 2 for wrong usage and says what is wrong', async () => {
    const wrong = [
      ['demo', '--channel', 'cash'],
      ['sandbox', '--port', '80'],
      ['nonsense'],
      ['show'],
      ['demo', '--seed', '1.5'],
    ]
    const answers = await Promise.all(wrong.map((words) => mortise(...words)))
    expect(answers.map((answer) => answer.code)).to.deep.equal([2, 2, 2, 2, 2])
    expect(answers[0]?.err).to.contain('wechat-main')
    expect(answers[1]?.err).to.contain('8000 to 9005')
    for (const answer of answers) expect(answer.out).to.equal('')
  })

  it('makes keys: the data on standard output, the rest beside it', async () => {
    const { code, out, err } = await mortise('new-key', '--id', 'till-2')
    expect(code).to.equal(0)
    expect(out).to.match(/^gw_[A-Za-z0-9_-]{43}\n$/)
    const digest = createHash('sha256').update(out.trim()).digest('hex')
    expect(err).to.contain(`{ "id": "till-2", "sha256": "${digest}" }`)
    expect(err).to.not.contain(out.trim())
    expect(makeKey().key).to.not.equal(makeKey().key)
  })

  it('tells every fault of a configuration, and the exit code knows', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mortise-cli-'))
    try {
      const path = join(folder, 'gateway.json')
      const text = await readFile('config/gateway.sandbox.json', 'utf8')
      await writeFile(path, text.replace('"timeScale": 60', '"timeScale": 0').replace('"events"', '"evnts"'))
      const { code, out } = await mortise('check-config', '--config', path, '--json')
      expect(code).to.equal(1)
      const report = JSON.parse(out) as { ok: boolean; faults: { pointer: string }[] }
      expect(report.ok).to.equal(false)
      expect(report.faults.map((fault) => fault.pointer)).to.include.members([
        '/timeScale',
        '/merchants/demo-shop/endpoints/0/evnts',
      ])
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })

  it('fails with 1 and a sentence when the configuration is not there', async () => {
    const { code, err } = await mortise('migrate', '--config', '/nowhere/gateway.json')
    expect(code).to.equal(1)
    expect(err).to.contain('/nowhere/gateway.json')
    expect(err).to.not.contain('    at ')
  })
})

describe('ports', () => {
  it('finds one that Huifu would call', async () => {
    expect(await freeHuifuPort()).to.be.within(8000, 9005)
  })

  it('names the option that chose a taken port', async () => {
    const first = createServer().listen(0, '127.0.0.1')
    await once(first, 'listening')
    const { port } = first.address() as { port: number }
    const second = createServer().listen(port, '127.0.0.1')
    const [error] = (await once(second, 'error')) as [Error]
    first.close()
    expect(portInUse(error, { [port]: '--shop-port' }))
      .to.contain(`port ${String(port)} is in use`)
      .and.contain('--shop-port')
    expect(portInUse(new Error('else'), {})).to.equal(undefined)
  })
})

describe('the environment of a sandbox', () => {
  it('never reaches for the database of somebody else', () => {
    expect(sandboxEnv({ DATABASE_URL: 'mysql://production', HOME: '/root' })).to.deep.equal({ HOME: '/root' })
  })

  it('does not exist in production', () => {
    expect(() => sandboxEnv({ NODE_ENV: 'production' })).to.throw('NODE_ENV=production')
  })
})
