import { createCipheriv, randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { openGcm, sealGcm, type Sealed } from '../../../src/crypto/aes.ts'

const key = Buffer.from('0123456789abcdef0123456789ABCDEF', 'utf8')
const nonce = 'abcdef012345'
const text = '{"amount":{"total":1999,"currency":"CNY"},"描述":"茶"}'

/** Sealed by node's cipher directly, with a tag of any length the cipher allows. */
function sealWith(tagLength: number, plain = text): Sealed {
  const cipher = createCipheriv('aes-256-gcm', key, Buffer.from(nonce), { authTagLength: tagLength })
  cipher.setAAD(Buffer.from('transaction'))
  const bytes = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()])
  return { ciphertext: bytes.toString('base64'), nonce, associatedData: 'transaction' }
}

const refused = 'sealed text cannot be opened'

describe('crypto/aes', () => {
  it('opens what it sealed, and what the cipher sealed', () => {
    expect(openGcm(key, sealGcm(key, text, nonce, 'transaction')).toString('utf8')).to.equal(text)
    expect(openGcm(key, sealWith(16)).toString('utf8')).to.equal(text)
    expect(openGcm(key, sealGcm(key, text, nonce, '')).toString('utf8')).to.equal(text)
  })

  it('seals exactly as the cipher does', () => {
    expect(sealGcm(key, text, nonce, 'transaction')).to.deep.equal(sealWith(16))
  })

  for (const tagLength of [15, 14, 13, 12, 8, 4]) {
    it(`refuses a tag of ${String(tagLength)} bytes, which the cipher by itself would take`, () => {
      expect(() => openGcm(key, sealWith(tagLength))).to.throw(refused)
    })
  }

  it('refuses every ciphertext with one bit changed, tag and text alike', () => {
    const sealed = sealWith(16, 'twenty bytes of text')
    const bytes = Buffer.from(sealed.ciphertext, 'base64')
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const changed = Buffer.from(bytes)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(() => openGcm(key, { ...sealed, ciphertext: changed.toString('base64') }), `bit ${String(bit)}`).to.throw(
        refused,
      )
    }
  })

  it('refuses every truncation', () => {
    const bytes = Buffer.from(sealWith(16, 'short').ciphertext, 'base64')
    for (let length = 0; length < bytes.length; length += 1) {
      const ciphertext = bytes.subarray(0, length).toString('base64')
      expect(() => openGcm(key, { ciphertext, nonce, associatedData: 'transaction' }), String(length)).to.throw(refused)
    }
  })

  const changes: Readonly<Record<string, Partial<Sealed>>> = {
    'another nonce': { nonce: 'abcdef012346' },
    'a nonce of 11 bytes': { nonce: 'abcdef01234' },
    'a nonce of 13 bytes': { nonce: 'abcdef0123456' },
    'a nonce of 12 characters but more bytes': { nonce: 'abcdef01234é' },
    'an empty nonce': { nonce: '' },
    'other associated data': { associatedData: 'refund' },
    'no associated data': { associatedData: '' },
    'associated data beyond 16 bytes': { associatedData: 'seventeen bytes!!' },
    'no ciphertext': { ciphertext: '' },
    'a ciphertext that is no base64': { ciphertext: '!!!' },
  }
  for (const [name, change] of Object.entries(changes)) {
    it(`refuses ${name}`, () => expect(() => openGcm(key, { ...sealWith(16), ...change })).to.throw(refused))
  }

  it('refuses another key, and keys of the wrong length', () => {
    for (const wrong of [
      randomBytes(32),
      key.subarray(0, 16),
      key.subarray(0, 31),
      Buffer.concat([key, key]),
      Buffer.alloc(0),
    ]) {
      expect(() => openGcm(wrong, sealWith(16))).to.throw(refused)
    }
  })

  it('says the same whatever was wrong', () => {
    const messages = new Set<string>()
    for (const change of [{ nonce: '' }, { ciphertext: 'AAAA' }, { associatedData: 'x' }]) {
      try {
        openGcm(key, { ...sealWith(16), ...change })
      } catch (error) {
        messages.add(String(error))
      }
    }
    expect([...messages]).to.deep.equal([`Error: ${refused}`])
  })
})
