import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { databases } from '../databases.ts'
import { route, startWorld, until } from '../harness.ts'
import { holdUpAt } from './ledger.ts'

/** Two edits shortly after each other: whatever the first one has to wait for, the second one is in force in the end. */

for (const database of databases.slice(0, 1)) {
  it('a configuration that takes long to be taken over does not overtake its successor', async function () {
    this.timeout(30_000)
    const world = await startWorld({ database })
    try {
      const { merchants, db } = world.gateway.context
      const state = () => {
        const merchant = merchants.get('demo-shop')
        return [merchant?.latePayment, ...(merchant?.routes.map(({ channels }) => channels?.[0]) ?? [])]
      }
      let noticed = () => {}
      const first = new Promise<void>((done) => (noticed = done))
      let goOn = () => {}
      const slow = new Promise<void>((done) => (goOn = done))
      holdUpAt(db, /from .channel_settings./, async () => {
        noticed()
        await slow
      })
      world.configure((config) => {
        route(config, 'huifu-main')
        // New settings, so that the database has to be asked for their version.
        for (const { provider, settings } of Object.values(config.channels)) {
          if (provider === 'huifu') settings['deadlineMs'] = 9000
          else settings['deadlines'] = { change: 9000, query: 4000 }
        }
      })
      await first
      world.configure((config) => {
        route(config, 'wechat-main')
        for (const { settings } of Object.values(config.channels)) {
          delete settings['deadlineMs']
          delete settings['deadlines']
        }
        for (const merchant of Object.values(config.merchants)) merchant['latePayment'] = 'accept'
      })
      // Long enough for the second file to be read while the first is still being taken over.
      await sleep(1200)
      expect(state()[0], 'one after the other').to.equal('refund')
      goOn()
      await until('the second in force', () => state()[0] === 'accept')
      await sleep(500)
      expect(state()).to.deep.equal(['accept', 'wechat-main', 'wechat-main'])
    } finally {
      await world.close()
    }
  })
}
