import { expect } from 'chai'
import { hmacSha256, md5Upper, randomNonce, randomToken, sameSecret, sha256 } from '../../../src/crypto/digest.ts'

describe('crypto/digest', () => {
  it('gives the published digests', () => {
    // FIPS 180-4, RFC 1321 A.5 and RFC 4231 test case 2.
    expect(sha256('abc')).to.equal('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
    expect(sha256('')).to.equal('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    expect(md5Upper('abc')).to.equal('900150983CD24FB0D6963F7D28E17F72')
    expect(hmacSha256('Jefe', 'what do ya want for nothing?').toString('hex')).to.equal(
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    )
  })

  it('digests text as UTF-8, like the bytes', () => {
    expect(sha256('茶')).to.equal(sha256(Buffer.from('茶', 'utf8')))
    expect(md5Upper('茶')).to.equal(md5Upper(Buffer.from('茶', 'utf8')))
  })

  it('compares secrets of any length', () => {
    const pairs: readonly (readonly [string, string, boolean])[] = [
      ['', '', true],
      ['secret', 'secret', true],
      ['茶', '茶', true],
      ['secret', 'Secret', false],
      ['secret', 'secret ', false],
      ['secret', '', false],
      ['', 'secret', false],
      ['a', 'a\0', false],
      ['x'.repeat(10_000), 'x'.repeat(10_001), false],
      ['é', 'e\u0301', false],
    ]
    for (const [a, b, same] of pairs) {
      expect(sameSecret(a, b), JSON.stringify([a.slice(0, 10), b.slice(0, 10)])).to.equal(same)
      expect(sameSecret(b, a)).to.equal(same)
    }
  })

  it('makes tokens that fit into URLs and are never the same', () => {
    const tokens = Array.from({ length: 500 }, () => randomToken(32))
    expect(new Set(tokens).size).to.equal(500)
    for (const token of tokens) expect(token).to.match(/^[A-Za-z0-9_-]{43}$/)
  })

  it('makes nonces of 32 upper-case hexadecimal digits', () => {
    const nonces = Array.from({ length: 500 }, randomNonce)
    expect(new Set(nonces).size).to.equal(500)
    for (const nonce of nonces) expect(nonce).to.match(/^[0-9A-F]{32}$/)
  })
})
