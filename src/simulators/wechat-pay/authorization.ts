export type Authorization = { mchid: string; nonce: string; signature: string; timestamp: string; serial: string }

const SCHEME = 'WECHATPAY2-SHA256-RSA2048'
const NAMES = ['mchid', 'nonce_str', 'signature', 'timestamp', 'serial_no'] as const

/**
 * Reads the Authorization header by the grammar of wechatpay.md 1.3: scheme, one space, five `key="value"` pairs
 * joined by commas without spaces, in any order.
 * @returns the pairs, or why not: 'malformed' or 'scheme'
 */
export function parseAuthorization(header: string | undefined): Authorization | 'malformed' | 'scheme' {
  const space = header?.indexOf(' ') ?? -1
  if (header === undefined || space < 1) return 'malformed'
  if (header.slice(0, space) !== SCHEME) return 'scheme'
  const pairs = new Map<string, string>()
  for (const part of header.slice(space + 1).split(',')) {
    const match = /^([a-z_]+)="([^"\\\s]+)"$/.exec(part)
    if (!match?.[1] || match[2] === undefined || pairs.has(match[1])) return 'malformed'
    pairs.set(match[1], match[2])
  }
  if (pairs.size !== NAMES.length) return 'malformed'
  const [mchid, nonce, signature, timestamp, serial] = NAMES.map((name) => pairs.get(name))
  if (!mchid || !nonce || !signature || !timestamp || !serial) return 'malformed'
  if (!/^[1-9]\d{0,10}$/.test(timestamp) || nonce.length > 64) return 'malformed'
  return { mchid, nonce, signature, timestamp, serial }
}
