import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { freeHuifuPort, freePort } from '../../src/cli/ports.ts'

type Running = { child: ChildProcess; said: () => string; printed: () => string; ended: Promise<number> }

function mortise(...words: string[]): Running {
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/cli/main.ts', ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, DATABASE_URL: 'mysql://nobody@127.0.0.1:1/must-not-be-used' },
  })
  let [out, err] = ['', '']
  child.stdout.on('data', (part: Buffer) => (out += part.toString()))
  child.stderr.on('data', (part: Buffer) => (err += part.toString()))
  const ended = once(child, 'close').then(([code]) => code as number)
  return { child, said: () => err, printed: () => out, ended }
}

type Report = {
  channel: string
  orders: string[]
  events: number
  webhooks: number
  paid: number
  refunded: number
  differences: string[]
  seconds: number
}

describe('the demo', function () {
  this.timeout(100_000)

  const stories = [
    { channel: 'wechat-main', events: 5, more: [] },
    { channel: 'huifu-main', events: 6, more: [] },
    { channel: 'huifu-v3', events: 6, more: [] },
    { channel: 'huifu-main', events: 6, more: ['--chaos', '--seed', '7'] },
    { channel: 'wechat-main', events: 5, more: ['--chaos', '--seed', '7'] },
  ]
  for (const { channel, events, more } of stories) {
    it(`tells its whole story on ${[channel, ...more].join(' ')}, and all books agree`, async () => {
      const run = mortise('demo', '--json', '--channel', channel, ...more)
      const code = await run.ended
      expect(code, run.said()).to.equal(0)
      const report = JSON.parse(run.printed()) as Report
      expect(report).to.include({ channel, paid: 88, refunded: 88 })
      expect(report.differences).to.deep.equal([])
      expect(report.orders).to.have.lengthOf(2)
      // A refund that chaos let fail is one event more.
      expect(report.events).to.be.at.least(events)
      expect(report.webhooks).to.equal(report.events)
      expect(report.seconds).to.be.below(40)
      expect(run.said()).to.match(/fourth refund refused +409 refund-exceeds-payment/)
      expect(run.said()).to.match(/order\.closed/)
      expect(/payment\.credited/.test(run.said())).to.equal(channel !== 'wechat-main')
    })
  }
})

describe('the sandbox', function () {
  this.timeout(60_000)
  let folder: string
  let words: string[]
  let ports: { gateway: number; shop: number; control: number }
  const started: Running[] = []

  function start(...more: string[]): Running {
    const run = mortise('sandbox', ...words, ...more)
    started.push(run)
    return run
  }

  async function ready(run: Running): Promise<void> {
    for (let tries = 0; tries < 300 && !run.said().includes('ready after'); tries += 1) {
      if (run.child.exitCode !== null) break
      await sleep(100)
    }
    expect(run.said()).to.contain('ready after')
  }

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mortise-sandbox-'))
    ports = { gateway: await freeHuifuPort(), shop: await freePort(), control: await freePort() }
    words = ['--folder', folder, '--port', String(ports.gateway), '--private-port', String(await freePort())]
    words.push('--simulators-port', String(await freePort()), '--control-port', String(ports.control))
    words.push('--shop-port', String(ports.shop), '--wechat-port', String(await freePort()))
  })

  afterEach(async () => {
    for (const run of started.splice(0)) {
      run.child.kill('SIGKILL')
      await run.ended
    }
    await rm(folder, { recursive: true, force: true })
  })

  it('starts everything, says where to look, and stops on Ctrl-C with nothing left behind', async () => {
    const run = start()
    await ready(run)
    const shop = `http://127.0.0.1:${String(ports.shop)}`
    expect(run.said()).to.contain(shop).and.contain('sandbox/shop/api_key.txt')
    expect((await fetch(shop)).status).to.equal(200)
    expect((await fetch(`http://127.0.0.1:${String(ports.gateway)}/openapi.json`)).status).to.equal(200)
    run.child.kill('SIGINT')
    expect(await run.ended).to.equal(0)
    expect(await fetch(shop).catch(() => 'gone')).to.equal('gone')
    const control = `http://127.0.0.1:${String(ports.control)}/_sim`
    expect(await fetch(control).catch(() => 'gone')).to.equal('gone')
  })

  it('ends with an error when its simulators die', async () => {
    const run = start()
    await ready(run)
    const { stdout } = await promisify(execFile)('ps', ['-o', 'pid=,args=', '--ppid', String(run.child.pid)])
    const line = stdout.split('\n').find((one) => one.includes('simulate --child'))
    process.kill(Number.parseInt(line ?? '', 10), 'SIGKILL')
    expect(await run.ended).to.equal(1)
    expect(run.said()).to.contain('the simulators have stopped by themselves')
  })

  it('names the option of a port that is taken, before it touches anything', async () => {
    await ready(start())
    const config = await readFile(join(folder, 'gateway.json'), 'utf8')
    const free = async () => String(await freePort())
    const own = ['--simulators-port', await free(), '--control-port', await free(), '--private-port', await free()]
    own.push('--wechat-port', await free())
    const gatewayPort = String(await freeHuifuPort())
    const shopTaken = start('--port', gatewayPort, ...own)
    expect(await shopTaken.ended).to.equal(1)
    expect(shopTaken.said())
      .to.contain(`port ${String(ports.shop)} is in use`)
      .and.contain('--shop-port')
    const gatewayTaken = start(...own, '--shop-port', await free())
    expect(await gatewayTaken.ended).to.equal(1)
    expect(gatewayTaken.said())
      .to.contain(`port ${String(ports.gateway)} is in use`)
      .and.contain('with --port')
    const sameFolder = start('--port', gatewayPort, ...own, '--shop-port', await free())
    expect(await sameFolder.ended).to.equal(1)
    expect(sameFolder.said()).to.contain(`already uses ${folder}`).and.contain('--folder')
    expect(await readFile(join(folder, 'gateway.json'), 'utf8')).to.equal(config)
  })
})
