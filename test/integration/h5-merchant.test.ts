import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { freePort } from '../../src/cli/ports.ts'
import { databases } from '../databases.ts'
import { pay, start, startWorld, until, type World } from '../harness.ts'

/** examples/h5-merchant, run as its README says: the payer is sent to the cashier, and the webhook tells the rest. */
describe('the merchant of examples/h5-merchant', function () {
  this.timeout(60_000)
  let world: World
  let merchant: ChildProcess
  let home: string

  before(async () => {
    const [database] = databases
    if (database === undefined) throw new Error('no database to test with')
    home = `http://127.0.0.1:${String(await freePort())}`
    world = await startWorld({
      database,
      configure(config) {
        for (const one of Object.values(config.merchants))
          for (const endpoint of one.endpoints) endpoint.url = `${home}/webhooks`
      },
    })
    const secret = (name: string): string => readFileSync(join(world.folder, 'sandbox/shop', name), 'utf8').trim()
    const env = {
      ...process.env,
      SHOP: home,
      GATEWAY: `http://127.0.0.1:${String(world.port)}`,
      API_KEY: secret('api_key.txt'),
      WEBHOOK_SECRET: secret('webhook_secret.txt'),
    }
    merchant = spawn(process.execPath, ['examples/h5-merchant/server.mjs'], { env, stdio: 'inherit' })
    await until('the merchant', () =>
      fetch(home).then(
        (answer) => answer.ok,
        () => false,
      ),
    )
  })
  after(async () => {
    const ended = once(merchant, 'exit')
    merchant.kill()
    await ended
    await world.close()
  })

  it('sends the payer to the cashier of a new order, and says paid only after the webhook', async () => {
    const sent = await fetch(`${home}/buy`, { redirect: 'manual' })
    expect(sent.status).to.equal(303)
    const cashier = sent.headers.get('location') ?? ''
    const phone = { 'User-Agent': 'Mozilla/5.0 (X11; Linux x86_64) Chrome/126.0.0.0' }
    const page = await fetch(cashier, { headers: phone })
    expect(page.status).to.equal(200)
    expect(await page.text()).to.contain('0.88')

    const row = (await world.db('orders').first('id', 'return_url')) as { id: string; return_url: string }
    expect(row.return_url).to.match(new RegExp(`^${home}/orders/tea-\\d+$`))
    const back = async (): Promise<string> => (await fetch(row.return_url)).text()
    expect(await back()).to.contain('not yet')
    const lie = { method: 'POST', body: JSON.stringify({ type: 'order.paid' }) }
    expect((await fetch(`${home}/webhooks`, lie)).status, 'an unsigned webhook').to.equal(401)
    expect(await back()).to.contain('not yet')
    await pay(world, await start(world, row.id))
    await until('the webhook', async () => (await back()).endsWith('is paid'))
  })
})
