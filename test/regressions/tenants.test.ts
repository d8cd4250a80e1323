import { expect } from 'chai'
import type { Request } from 'express'
import type { ApiKey, Merchants } from '../../src/context.ts'
import { sha256 } from '../../src/crypto/digest.ts'
import { createGate } from '../../src/http/authenticate.ts'
import { usualLimits } from '../../src/http/rate-limits.ts'
import { databases } from '../databases.ts'
import { failure } from '../integration/ledger-rows.ts'
import { startWorld, type World } from '../integration/http-world.ts'
import { shop } from './ledger.ts'

/** What one merchant does, and what another may feel of it: nothing. */

describe('tenants', () => {
  it('merchants whose keys have the same id have an allowance each', async () => {
    const keys: readonly (readonly [string, string])[] = [
      ['first', 'gw_aaaaaaaaaaaa'],
      ['second', 'gw_bbbbbbbbbbbb'],
    ]
    const known = keys.map(([merchantId, key]): ApiKey => ({
      id: 'server',
      merchantId,
      sha256: sha256(key),
      scopes: ['refunds:write'],
    }))
    const merchants: Merchants = {
      get: (id) => ({ ...shop, id }),
      keyByDigest: (digest) => known.find((key) => key.sha256 === digest),
      ids: () => ['first', 'second'],
    }
    const gate = createGate(merchants, usualLimits)
    const enter = (key: string) => {
      const request = { headers: { authorization: `Bearer ${key}` }, ip: '192.0.2.1' }
      return gate.enter(request as Request, 'refunds:write', 'refunds')
    }
    try {
      for (let time = 0; time < usualLimits.refunds.burst; time += 1) await enter('gw_aaaaaaaaaaaa')
      expect(await failure(enter('gw_aaaaaaaaaaaa'))).to.include({ code: 'rate-limited' })
      expect(await enter('gw_bbbbbbbbbbbb')).to.include({ id: 'second' })
    } finally {
      gate.stop()
    }
  })

  for (const database of databases.slice(0, 1)) {
    describe('login codes', () => {
      let world: World
      before(async () => {
        world = await startWorld(database)
      })
      after(() => world.stop())

      it('are exchanged for the appids of the merchant’s own routes', async () => {
        const answer = await world.call('POST', '/v1/openid', { appid: 'wx1', code: 'good' })
        expect(answer.status).to.equal(200)
      })

      it('are not exchanged for the appid of somebody else', async () => {
        const answer = await world.call('POST', '/v1/openid', { appid: 'wx2', code: 'good' })
        expect([answer.status, answer.json['code']]).to.deep.equal([400, 'invalid-request'])
        expect(answer.text).to.include('/appid').and.not.include('oUpF8uMuAJO')
      })
    })
  }
})
