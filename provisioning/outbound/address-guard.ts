// Where the service connects of its own accord, on behalf of an operator: http and https URLs, of public addresses alone where
// nothing else was allowed. A name is resolved and checked for every connection, which goes to the very address that was checked.
import { lookup as resolveName } from 'node:dns/promises'
import { BlockList, isIP, type LookupFunction } from 'node:net'

/** Why a URL is not asked, or what came of asking it, in words for an operator. */
export class OutboundFault extends Error {
  override readonly name = 'OutboundFault'
  /** Whether the URL itself is at fault, so that asking again is in vain. */
  readonly refused: boolean

  constructor(message: string, refused = false, options?: ErrorOptions) {
    super(message, options)
    this.refused = refused
  }
}

export type Reachable = {
  privateAddresses: boolean
  /** The resolver; that of the system where none is given. */
  resolve?: (name: string) => Promise<{ address: string; family: number }[]>
}

/** The URL, where it is one that may be asked at all. Throws an `OutboundFault` that says why not. */
export function validateUrl(text: string, { privateAddresses }: Reachable): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new OutboundFault(`${JSON.stringify(text.slice(0, 200))} is no http or https URL`, true)
  }
  if (url.username !== '' || url.password !== '') {
    throw new OutboundFault('a URL with user name or password is not asked', true)
  }
  const address = literalOf(url.hostname)
  if (isIP(address) !== 0 && !privateAddresses) assertPublic(address, url.hostname)
  return url
}

/**
 * For a connection: gives the first address of a name, and fails where one of them is not public. A name that resolves to
 * something else the second time leads nowhere else: there is no second time.
 */
export function guardedLookup({ privateAddresses, resolve = resolveAll }: Reachable): LookupFunction {
  return (host, options, found) => {
    resolve(host)
      .catch(cause => {
        throw new OutboundFault(`the name ${host} cannot be resolved`, false, { cause })
      })
      .then(addresses => {
        // One private address among public ones is a name that somebody turns as they like.
        if (!privateAddresses) for (const { address } of addresses) assertPublic(address, host)
        const [first] = addresses
        if (first === undefined) throw new OutboundFault(`the name ${host} has no address`)
        if (options.all) found(null, [first])
        else found(null, first.address, first.family)
      })
      .catch((error: Error) => found(error, []))
  }
}

function resolveAll(name: string) {
  return resolveName(name, { all: true })
}

function assertPublic(address: string, hostname: string): void {
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
  const isPublic = family === 'ipv4' ? !reserved.check(address) : globalUnicast(address)
  if (isPublic) return
  throw new OutboundFault(`${hostname} leads to ${address}, which is no public address`, true)
}

/** What is not reachable for everybody (IANA special-purpose registries). */
const reserved = new BlockList()
const ipv4: [string, number][] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
]
for (const [net, prefix] of ipv4) reserved.addSubnet(net, prefix, 'ipv4')

/** Of IPv6 only 2000::/3 is for everybody, and not what tunnels or translates to IPv4 addresses, or is for documents. */
const everybody = new BlockList()
everybody.addSubnet('2000::', 3, 'ipv6')
const translated = new BlockList()
for (const [net, prefix] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const)
  translated.addSubnet(net, prefix, 'ipv6')

function globalUnicast(address: string): boolean {
  return everybody.check(address, 'ipv6') && !translated.check(address, 'ipv6')
}

function literalOf(hostname: string): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
}
