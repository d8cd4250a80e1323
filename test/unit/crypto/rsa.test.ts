import { generateKeyPairSync } from 'node:crypto'
import { expect } from 'chai'
import rs from 'jsrsasign'
import { readPrivateKey, readPublicKey, signRsa, verifyRsa } from '../../../src/crypto/rsa.ts'

const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 })
const pkcs8 = String(pair.privateKey.export({ type: 'pkcs8', format: 'pem' }))
const pkcs1 = String(pair.privateKey.export({ type: 'pkcs1', format: 'pem' }))
const spki = String(pair.publicKey.export({ type: 'spki', format: 'pem' }))
const bare = (pem: string) => pem.replaceAll(/-----[^-]+-----|\s/g, '')

/** A second implementation, from which ours took nothing. */
function signElsewhere(text: string): string {
  const signature = new rs.KJUR.crypto.Signature({ alg: 'SHA256withRSA' })
  signature.init(pkcs8)
  signature.updateHex(Buffer.from(text, 'utf8').toString('hex'))
  return Buffer.from(signature.sign(), 'hex').toString('base64')
}

function verifiesElsewhere(text: string, signature: string): boolean {
  const verifier = new rs.KJUR.crypto.Signature({ alg: 'SHA256withRSA' })
  verifier.init(spki)
  verifier.updateHex(Buffer.from(text, 'utf8').toString('hex'))
  return verifier.verify(Buffer.from(signature, 'base64').toString('hex'))
}

describe('crypto/rsa', function () {
  this.timeout(30_000)

  const texts = [
    'x',
    'GET\n/v3/pay\n1554208460\nNONCE\n\n',
    '{"金额":"19.99","emoji":"🍵"}',
    'a'.repeat(5000),
    ' \r\n\t ',
  ]
  for (const text of texts) {
    it(`signs what an independent implementation verifies, and the other way round: ${JSON.stringify(text.slice(0, 20))}`, async () => {
      const ours = await signRsa(pair.privateKey, text)
      expect(verifiesElsewhere(text, ours)).to.equal(true)
      expect(verifyRsa(pair.publicKey, text, ours)).to.equal(true)
      // PKCS #1 v1.5 is deterministic, so both must give the very same bytes.
      expect(signElsewhere(text)).to.equal(ours)
    })
  }

  it('signs bytes and text alike, without line breaks', async () => {
    const signature = await signRsa(pair.privateKey, 'tea 茶')
    expect(await signRsa(pair.privateKey, Buffer.from('tea 茶', 'utf8'))).to.equal(signature)
    expect(signature).to.match(/^[A-Za-z0-9+/]+={0,2}$/)
    expect(verifyRsa(pair.publicKey, Buffer.from('tea 茶', 'utf8'), signature)).to.equal(true)
  })

  it('refuses another text, another key and another algorithm', async () => {
    const signature = await signRsa(pair.privateKey, 'pay 1 fen')
    expect(verifyRsa(pair.publicKey, 'pay 2 fen', signature)).to.equal(false)
    expect(verifyRsa(pair.publicKey, 'pay 1 fen ', signature)).to.equal(false)
    expect(verifyRsa(stranger.publicKey, 'pay 1 fen', signature)).to.equal(false)
    const sha1 = new rs.KJUR.crypto.Signature({ alg: 'SHA1withRSA' })
    sha1.init(pkcs8)
    sha1.updateString('pay 1 fen')
    expect(verifyRsa(pair.publicKey, 'pay 1 fen', Buffer.from(sha1.sign(), 'hex').toString('base64'))).to.equal(false)
  })

  it('refuses a signature with any byte changed', async () => {
    const signature = Buffer.from(await signRsa(pair.privateKey, 'text'), 'base64')
    for (let place = 0; place < signature.length; place += 1) {
      const changed = Buffer.from(signature)
      changed[place] = (changed[place] ?? 0) ^ 1
      expect(verifyRsa(pair.publicKey, 'text', changed.toString('base64')), String(place)).to.equal(false)
    }
  })

  it('answers false, and never throws, for whatever is no signature', async () => {
    const good = await signRsa(pair.privateKey, 'text')
    const wrong = [
      '',
      ' ',
      'x',
      '====',
      'null',
      'WECHATPAY/SIGNTEST/AAAA',
      good.slice(0, -4),
      `${good}AAAA`,
      `${good}\n`,
      ` ${good}`,
      good.replaceAll('=', ''),
      `${good}=`,
      good.replaceAll('/', '_').replaceAll('+', '-').slice(0, 100),
      '\0'.repeat(344),
      'A'.repeat(344),
      'A'.repeat(100_000),
      '签名'.repeat(100),
      'ÿ'.repeat(344),
      '-----BEGIN',
    ]
    for (const signature of wrong) {
      // Dropping the padding leaves the same bytes for a lenient reader, so only the outcome without an exception is asked of it.
      const answer = verifyRsa(pair.publicKey, 'text', signature)
      expect(answer, JSON.stringify(signature.slice(0, 30))).to.equal(
        signature === good.replaceAll('=', '') ? answer : false,
      )
    }
  })

  describe('reading keys', () => {
    const privates: Readonly<Record<string, string>> = {
      'PKCS#8 PEM': pkcs8,
      'PKCS#1 PEM': pkcs1,
      'PKCS#8 as bare base64': bare(pkcs8),
      'PKCS#1 as bare base64': bare(pkcs1),
      'bare base64 in lines': bare(pkcs8).replaceAll(/(.{64})/g, '$1\n'),
      'bare base64 with blanks around it': `  ${bare(pkcs8)}\r\n`,
    }
    for (const [form, text] of Object.entries(privates)) {
      it(`reads a private key as ${form}`, async () => {
        expect(verifyRsa(pair.publicKey, 'text', await signRsa(readPrivateKey(text), 'text'))).to.equal(true)
      })
    }

    const publics: Readonly<Record<string, string>> = {
      'SPKI PEM': spki,
      'SPKI as bare base64': bare(spki),
      'bare base64 in lines': bare(spki).replaceAll(/(.{64})/g, '$1\n'),
    }
    for (const [form, text] of Object.entries(publics)) {
      it(`reads a public key as ${form}`, async () => {
        expect(verifyRsa(readPublicKey(text), 'text', await signRsa(pair.privateKey, 'text'))).to.equal(true)
      })
    }

    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const short = generateKeyPairSync('rsa', { modulusLength: 1024 })
    const wrong: Readonly<Record<string, string>> = {
      'an empty text': '',
      nonsense: 'not a key',
      'base64 of nonsense': Buffer.from('not a key').toString('base64'),
      'a truncated key': bare(pkcs8).slice(0, 400),
      'an elliptic key': String(ec.privateKey.export({ type: 'pkcs8', format: 'pem' })),
      'a key of 1024 bits': String(short.privateKey.export({ type: 'pkcs8', format: 'pem' })),
      'a public key': spki,
    }
    for (const [name, text] of Object.entries(wrong)) {
      it(`refuses ${name} as a private key, without repeating it`, () => {
        const message = expectMessage(() => readPrivateKey(text))
        if (text.length > 20) expect(message).to.not.include(bare(text).slice(10, 40))
      })
    }

    const wrongPublic: Readonly<Record<string, string>> = {
      'an empty text': '',
      nonsense: 'not a key',
      'an elliptic key': String(ec.publicKey.export({ type: 'spki', format: 'pem' })),
      'a key of 1024 bits': String(short.publicKey.export({ type: 'spki', format: 'pem' })),
    }
    for (const [name, text] of Object.entries(wrongPublic)) {
      it(`refuses ${name} as a public key`, () => void expectMessage(() => readPublicKey(text)))
    }
  })
})

function expectMessage(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    expect(error).to.be.instanceOf(Error)
    return (error as Error).message
  }
  throw new Error('nothing was thrown')
}
