import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { expect } from 'chai'
import rs from 'jsrsasign'
import { readCertificate } from '../../../src/crypto/certificate.ts'

const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })

function issue(
  serial: string,
  from = '260101000000Z',
  to = '301231235959Z',
  keys: { publicKey: typeof pair.publicKey; privateKey: typeof pair.privateKey } = pair,
): string {
  const subject = { str: '/C=CN/O=Tenpay/CN=Tenpay.com Root' }
  const elliptic = keys.privateKey.asymmetricKeyType === 'ec'
  return new rs.KJUR.asn1.x509.Certificate({
    version: 3,
    serial: { hex: serial },
    issuer: subject,
    notbefore: from,
    notafter: to,
    subject,
    sbjpubkey: String(keys.publicKey.export({ type: 'spki', format: 'pem' })),
    ext: [{ extname: 'basicConstraints', cA: false }],
    sigalg: elliptic ? 'SHA256withECDSA' : 'SHA256withRSA',
    cakey: String(keys.privateKey.export({ type: 'pkcs8', format: 'pem' })),
  }).getPEM()
}

const serial = '3775B6A45ACD588826D15E583A95F5DD4A1B2C3D'

describe('crypto/certificate', function () {
  this.timeout(30_000)

  it('reads what node’s own reader reads: serial, key and validity', () => {
    const pem = issue(serial)
    const read = readCertificate(pem)
    const other = new X509Certificate(pem)
    expect(read.serial).to.equal(serial)
    expect(read.serial).to.equal(other.serialNumber)
    expect(read.publicKey.equals(other.publicKey)).to.equal(true)
    expect(read.publicKey.equals(pair.publicKey)).to.equal(true)
    expect(read.notBefore).to.equal(Date.parse(other.validFrom))
    expect(read.notAfter).to.equal(Date.parse(other.validTo))
    expect(read.notBefore).to.equal(Date.parse('2026-01-01T00:00:00Z'))
  })

  it('keeps the leading zeros of a serial, which the header carries', () => {
    const pem = issue('00B6A45ACD588826D15E583A95F5DD4A1B2C3D01')
    expect(readCertificate(pem).serial).to.match(/^[0-9A-F]{40}$/)
    expect(readCertificate(issue('0A75B6A45ACD588826D15E583A95F5DD4A1B2C3D')).serial).to.equal(
      '0A75B6A45ACD588826D15E583A95F5DD4A1B2C3D',
    )
  })

  it('reads PEM with either kind of line end', () => {
    const pem = issue(serial).replaceAll('\r', '')
    expect(readCertificate(pem.replaceAll('\n', '\r\n')).serial).to.equal(serial)
    expect(readCertificate(`${pem.trim()}\n\n`).serial).to.equal(serial)
  })

  const elliptic = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const wrong: Readonly<Record<string, () => string>> = {
    'an empty text': () => '',
    nonsense: () => 'not a certificate',
    'a public key': () => String(pair.publicKey.export({ type: 'spki', format: 'pem' })),
    'a private key': () => String(pair.privateKey.export({ type: 'pkcs8', format: 'pem' })),
    'a certificate cut short': () => issue(serial).slice(0, 500),
    'a certificate with an elliptic key': () => issue(serial, '260101000000Z', '301231235959Z', elliptic),
    'base64 of nonsense in the right frame': () =>
      '-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n',
  }
  for (const [name, make] of Object.entries(wrong)) {
    it(`refuses ${name} in words of its own`, () => {
      expect(() => readCertificate(make())).to.throw(Error, 'not an X.509 certificate with an RSA key in PEM form')
    })
  }
})
