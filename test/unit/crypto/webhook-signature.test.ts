import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { Webhook, WebhookVerificationError } from 'standardwebhooks'
import { readWebhookSecret, signWebhook } from '../../../src/crypto/webhook-signature.ts'

const makeSecret = (bytes = 32) => `whsec_${randomBytes(bytes).toString('base64')}`
const body = '{"id":"evt_1","type":"order.paid","data":{"subject":"茶"}}'

function headers(secrets: readonly string[], change: { id?: string; timestamp?: number } = {}) {
  const timestamp = change.timestamp ?? Math.floor(Date.now() / 1000)
  const id = change.id ?? 'evt_01J9ZK3X5QW8E7R6T5Y4V3B2N1'
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': signWebhook(secrets.map(readWebhookSecret), id, timestamp, body),
  }
}

describe('crypto/webhook-signature', () => {
  it('is verified by the standardwebhooks package', () => {
    const secret = makeSecret()
    expect(new Webhook(secret).verify(body, headers([secret]))).to.deep.equal(JSON.parse(body))
  })

  it('is the very signature that package makes', () => {
    const secret = makeSecret()
    const timestamp = 1_767_600_000
    expect(signWebhook([readWebhookSecret(secret)], 'evt_1', timestamp, body)).to.equal(
      new Webhook(secret).sign('evt_1', new Date(timestamp * 1000), body),
    )
  })

  it('is verified with either secret while two are live, and with no third', () => {
    const [next, old, other] = [makeSecret(), makeSecret(), makeSecret()]
    const both = headers([next, old])
    expect(both['webhook-signature'].split(' ')).to.have.length(2)
    expect(new Webhook(next).verify(body, both)).to.deep.equal(JSON.parse(body))
    expect(new Webhook(old).verify(body, both)).to.deep.equal(JSON.parse(body))
    expect(() => new Webhook(other).verify(body, both)).to.throw(WebhookVerificationError)
  })

  it('covers id, timestamp and body', () => {
    const secret = makeSecret()
    const good = headers([secret])
    const verifier = new Webhook(secret)
    expect(() => verifier.verify(`${body} `, good)).to.throw(WebhookVerificationError)
    expect(() => verifier.verify(body, { ...good, 'webhook-id': 'evt_2' })).to.throw(WebhookVerificationError)
    const later = String(Number.parseInt(good['webhook-timestamp'], 10) + 1)
    expect(() => verifier.verify(body, { ...good, 'webhook-timestamp': later })).to.throw(WebhookVerificationError)
  })

  it('is refused by receivers once it is old', () => {
    const secret = makeSecret()
    const old = headers([secret], { timestamp: Math.floor(Date.now() / 1000) - 3600 })
    expect(() => new Webhook(secret).verify(body, old)).to.throw(WebhookVerificationError)
  })

  it('accepts secrets of 24 to 64 bytes', () => {
    for (const bytes of [24, 32, 64]) expect(readWebhookSecret(makeSecret(bytes))).to.have.length(bytes)
  })

  const refused: Readonly<Record<string, string>> = {
    'an empty text': '',
    'no prefix': randomBytes(32).toString('base64'),
    'another prefix': makeSecret().replace('whsec_', 'whpk_'),
    'too short': makeSecret(23),
    'too long': makeSecret(65),
    'not base64': 'whsec_!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!',
    'a blank behind it': `${makeSecret()} `,
    'a line end behind it': `${makeSecret()}\n`,
  }
  for (const [name, text] of Object.entries(refused)) {
    it(`refuses a secret that is ${name}, without repeating it`, () => {
      expect(() => readWebhookSecret(text))
        .to.throw(Error)
        .with.property('message')
        .that.does.not.include(text.slice(6, 20) || '\0')
    })
  }
})
