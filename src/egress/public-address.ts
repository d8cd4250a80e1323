import ipaddr from 'ipaddr.js'

/**
 * Which addresses the gateway connects to on a merchant's word (reliability.md 3.5, T86). Lists of the forbidden are
 * always incomplete, so these are lists of the permitted.
 */

/** `public`: the internet and nothing else. `loopback`: this machine and nothing else. `either`: one of the two. */
export type AddressPolicy = 'public' | 'loopback' | 'either'

/** Parts of 2000::/3 that are not places on the internet: protocol assignments (Teredo among them), examples, 6to4. */
const notPlaces: readonly (readonly [ipaddr.IPv6, number])[] = [
  [ipaddr.IPv6.parse('2001::'), 23],
  [ipaddr.IPv6.parse('2001:db8::'), 32],
  [ipaddr.IPv6.parse('2002::'), 16],
  [ipaddr.IPv6.parse('3fff::'), 20],
]

const globalUnicast = ipaddr.IPv6.parse('2000::')

/**
 * May the gateway connect to this address?
 * @param address IPv4 or IPv6 as a resolver writes it; anything else is refused
 */
export function permitted(address: string, policy: AddressPolicy): boolean {
  if (address.includes('%') || !ipaddr.isValid(address)) return false
  const parsed = ipaddr.parse(address)
  const isPublic = parsed instanceof ipaddr.IPv4 ? parsed.range() === 'unicast' : isPublicV6(parsed)
  if (policy === 'public') return isPublic
  // Mapped addresses (::ffff:127.0.0.1) are of the range "ipv4Mapped", so that only real loopback passes.
  const isLoopback = parsed.range() === 'loopback'
  return policy === 'loopback' ? isLoopback : isPublic || isLoopback
}

function isPublicV6(address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  if (!(address instanceof ipaddr.IPv6)) return false
  return address.match(globalUnicast, 3) && !notPlaces.some(([network, bits]) => address.match(network, bits))
}
