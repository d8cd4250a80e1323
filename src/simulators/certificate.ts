import jsrsasign from 'jsrsasign'

export type CertificateRequest = {
  /** PKCS#8 PEM that signs: certificates of the sandbox are self-signed. */
  privateKey: string
  /** SPKI PEM. */
  publicKey: string
  /** Hexadecimal, 40 digits. */
  serial: string
  name: string
  /** First and last year of validity. */
  years: [number, number]
}

/** Issues a self-signed X.509 certificate with a fixed serial, as PEM with LF line ends and a final LF. */
export function issueCertificate(request: CertificateRequest): string {
  const subject = { str: `/C=CN/O=Simulated Platform/CN=${request.name}` }
  const year = (value: number): string => String(value % 100).padStart(2, '0')
  const certificate = new jsrsasign.KJUR.asn1.x509.Certificate({
    version: 3,
    serial: { hex: request.serial },
    issuer: subject,
    notbefore: `${year(request.years[0])}0101000000Z`,
    notafter: `${year(request.years[1] - 1)}1231235959Z`,
    subject,
    sbjpubkey: request.publicKey,
    ext: [
      { extname: 'basicConstraints', cA: false },
      { extname: 'keyUsage', critical: true, names: ['digitalSignature', 'keyEncipherment'] },
    ],
    sigalg: 'SHA256withRSA',
    cakey: request.privateKey,
  })
  return `${certificate.getPEM().replaceAll('\r', '').trim()}\n`
}
