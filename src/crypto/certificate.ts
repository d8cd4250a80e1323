import { createPublicKey, type KeyObject } from 'node:crypto'
import rs from 'jsrsasign'

/**
 * X.509 certificates, read with jsrsasign: the corner node:crypto does not serve as plainly, and one whose input is
 * either the operator's own file or has been authenticated before it is read (design.md 18.1).
 */

export type Certificate = {
  /** Upper-case hexadecimal, at least 40 digits, the form of `Wechatpay-Serial` (wechatpay.md 1.3, 10). */
  readonly serial: string
  readonly publicKey: KeyObject
  /** Epoch milliseconds. */
  readonly notBefore: number
  readonly notAfter: number
}

/** Reads a PEM certificate. @throws Error when it is none, or its key is not RSA */
export function readCertificate(pem: string): Certificate {
  try {
    const certificate = new rs.X509()
    certificate.readCertPEM(pem)
    const publicKey = createPublicKey(rs.KEYUTIL.getPEM(certificate.getPublicKey()))
    if (publicKey.asymmetricKeyType !== 'rsa') throw new Error('not RSA')
    return {
      serial: certificate.getSerialNumberHex().toUpperCase().padStart(40, '0'),
      publicKey,
      notBefore: rs.zulutodate(certificate.getNotBefore()).getTime(),
      notAfter: rs.zulutodate(certificate.getNotAfter()).getTime(),
    }
  } catch (error) {
    throw new Error('not an X.509 certificate with an RSA key in PEM form', { cause: error })
  }
}
