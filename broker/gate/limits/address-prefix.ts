// What the limits before the handshake count for one peer: an IPv4 address, or an IPv6 /64, which is what one network
// gets at least (RFC 6177 §2) and any host of it can use as a whole.
import { isIPv6 } from 'node:net'

const GROUPS = 8
const PREFIX_GROUPS = 4
const IPV4_MAPPED = '0:0:0:0:0:ffff'

/**
 * The prefix of an address: `2001:db8:0:1::/64` for IPv6, `192.0.2.1` for IPv4, also where it is mapped into IPv6
 * (`::ffff:192.0.2.1`, RFC 4291 §2.5.5.2). Any other text is returned unchanged.
 */
export function addressPrefix(address: string): string {
  if (!address.includes(':') || !isIPv6(address)) return address
  const groups = groupsOf(address.replace(/%.*$/, ''))
  if (groups.slice(0, 6).join(':') === IPV4_MAPPED) return ipv4Of(groups)
  return `${groups.slice(0, PREFIX_GROUPS).join(':')}::/64`
}

/** Eight groups in hexadecimal without leading zeros. */
function groupsOf(address: string): string[] {
  const shortest = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const [head = [], tail] = shortest.split('::').map(part => part.split(':').filter(group => group !== ''))
  if (tail === undefined) return [...head]
  return [...head, ...Array<string>(GROUPS - head.length - tail.length).fill('0'), ...tail]
}

function ipv4Of(groups: readonly string[]): string {
  const numbers = groups.slice(6).map(group => Number.parseInt(group, 16))
  return numbers.flatMap(number => [number >> 8, number & 0xff]).join('.')
}
