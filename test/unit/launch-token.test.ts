import { expect } from 'chai'
import fc from 'fast-check'
import { ulid } from 'ulid'
import { hmacSha256 } from '../../src/crypto/digest.ts'
import { deriveKey, openText, sealText } from '../../src/crypto/derive-key.ts'
import { createLaunchTokens } from '../../src/identity/launch-token.ts'

const secret = 'a configured secret of enough length'
const tokens = createLaunchTokens(secret)
const order = () => `ord_${ulid()}`

describe('launch tokens', () => {
  it('say which order and until when, in 56 characters that need no escaping', () => {
    const id = order()
    const token = tokens.issue(id, 1_900_000_000_999)
    expect(token).to.match(/^[A-Za-z0-9._-]{56}$/)
    expect(encodeURIComponent(token)).to.equal(token)
    expect(tokens.read(token)).to.deep.equal({ orderId: id, expiresAt: 1_900_000_000_000 })
  })

  it('are different for every launch of one order', () => {
    const id = order()
    expect(new Set(Array.from({ length: 50 }, () => tokens.issue(id, 1_900_000_000_000))).size).to.equal(50)
  })

  it('carry the first and the last id there can be', () => {
    for (const id of [`ord_${'0'.repeat(26)}`, `ord_7${'Z'.repeat(25)}`]) {
      expect(tokens.read(tokens.issue(id, 1_900_000_000_000))?.orderId).to.equal(id)
    }
  })

  it('are nothing when any character is changed', () => {
    const token = tokens.issue(order(), 1_900_000_000_000)
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.'
    for (let index = 0; index < token.length; index += 1) {
      for (const letter of letters) {
        if (letter === token[index]) continue
        expect(tokens.read(token.slice(0, index) + letter + token.slice(index + 1))).to.equal(undefined)
      }
    }
    for (const text of [token.slice(1), `${token}A`, ` ${token}`, '']) expect(tokens.read(text)).to.equal(undefined)
  })

  it('are refused when made with another secret, or with this key for another purpose', () => {
    const id = order()
    expect(createLaunchTokens('another secret of enough length').read(tokens.issue(id, 2e12))).to.equal(undefined)
    const signed = tokens.issue(id, 2e12).slice(0, 33)
    const other = hmacSha256(deriveKey(secret, 'launch token'), signed).subarray(0, 16).toString('base64url')
    expect(tokens.read(`${signed}.${other}`)).to.equal(undefined)
  })

  it('survive nothing that is not a token', () => {
    fc.assert(fc.property(fc.string({ maxLength: 120 }), (text) => tokens.read(text) === undefined))
  })
})

describe('sealed texts', () => {
  const key = deriveKey(secret, 'one purpose')
  it('open with their key only, and are never the same twice', () => {
    const sealed = sealText(key, 'a token')
    expect(openText(key, sealed)).to.equal('a token')
    expect(sealText(key, 'a token')).not.to.equal(sealed)
    expect(openText(deriveKey(secret, 'another purpose'), sealed)).to.equal(undefined)
    expect(openText(deriveKey('another secret', 'one purpose'), sealed)).to.equal(undefined)
  })
  it('are nothing once changed or cut', () => {
    const sealed = sealText(key, 'a token')
    for (const text of ['', '.', 'nonce', sealed.slice(0, -4), `A${sealed.slice(1)}`, sealed.replace('.', '')]) {
      if (text !== sealed) expect(openText(key, text)).to.equal(undefined)
    }
  })
})
