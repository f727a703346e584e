// The load balancers whose PROXY header a gate believes: a list of addresses and networks. Pure.
import { BlockList, isIP } from 'node:net'

/** Addresses and networks (`10.0.0.0/8`), separated by commas. Throws an Error that names the invalid entry. */
export function trustedBalancers(text: string): (address: string) => boolean {
  const list = new BlockList()
  const entries = text.split(',').map(entry => entry.trim())
  for (const entry of entries.filter(entry => entry !== '')) {
    const [address = '', prefix, ...more] = entry.split('/')
    const version = isIP(address)
    const bits = prefix === undefined ? (version === 4 ? 32 : 128) : wholeNumber(prefix)
    if (version === 0 || more.length > 0 || bits === null || bits < 1 || bits > (version === 4 ? 32 : 128))
      throw new Error(`${JSON.stringify(entry)} is no address and no network such as 10.0.0.0/8`)
    list.addSubnet(address, bits, version === 4 ? 'ipv4' : 'ipv6')
  }
  if (list.rules.length === 0) return () => false
  return address => isIP(address) !== 0 && list.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6')
}

function wholeNumber(text: string): number | null {
  return /^\d{1,3}$/.test(text) ? Number(text) : null
}
