import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { ProviderRejected, ProviderUnknown } from '../../src/core/provider.ts'
import {
  epoch,
  failureOf,
  keys,
  signatureHeaders,
  start,
  unsigned,
  type Behaviour,
  type Fixture,
} from '../unit/providers/wechat-v3/platform.ts'
import { paid, refunding, verbsOf, type Verb } from '../unit/providers/wechat-v3/samples.ts'

/**
 * WeChat Pay answers, the answer cannot be verified, and the request is repeated (wechatpay.md 1.4). The first may have
 * been carried out, so that a refusal of the second proves nothing.
 */

const signatures: Readonly<Record<string, Parameters<typeof signatureHeaders>[2]>> = {
  'a probe': { signature: `WECHATPAY/SIGNTEST/${'A'.repeat(88)}` },
  'a wrong signature': { privateKey: keys.merchantPrivateKey },
}

describe('wechat-v3, after an answer that could not be verified', () => {
  let f: Fixture
  const verbs = verbsOf(() => f)
  beforeEach(async () => {
    f = await start()
  })
  afterEach(() => f.close())

  const bodies: Partial<Record<Verb, object | undefined>> = {
    refund: refunding,
    prepay: { prepay_id: 'wx1' },
    close: undefined,
    query: paid,
  }

  for (const [what, signature] of Object.entries(signatures)) {
    for (const [verb, body] of Object.entries(bodies) as [Verb, object | undefined][]) {
      const unverifiable: Behaviour = (response) => {
        const text = body === undefined ? '' : JSON.stringify(body)
        response.writeHead(200, signatureHeaders(text, epoch, signature)).end(text)
      }

      it(`a refused repeat is unknown: ${verb}, ${what}`, async () => {
        f.platform.answer(unverifiable, unsigned(400, { code: 'PARAM_ERROR' }))
        expect(await failureOf(verbs[verb]())).to.be.instanceOf(ProviderUnknown)
        expect(f.platform.received).to.have.length(2)
        f.platform.answer(unsigned(400, { code: 'PARAM_ERROR' }))
        expect(await failureOf(verbs[verb]()), 'by itself it is a refusal').to.be.instanceOf(ProviderRejected)
      })

      if (verb === 'query') continue
      it(`a repeat that never left is unknown: ${verb}, ${what}`, async () => {
        f.platform.answer((response, request) => {
          // Nobody is listening any more by the time of the repeat.
          response.setHeader('connection', 'close')
          void f.platform.close()
          unverifiable(response, request)
        })
        const error = await failureOf(verbs[verb]())
        expect(error).to.be.instanceOf(ProviderUnknown)
        await sleep(5)
        const alone = await failureOf(verbs[verb]())
        expect(alone, 'by itself it certainly did not happen').to.be.instanceOf(ProviderRejected)
      })
    }
  }
})
