// Fetches a CRL from a URL that an operator set; never from one that stands in a certificate. Bounded in time, size and
// redirects. Every name is resolved first and judged, and the connection goes to the very address that was judged.
import { lookup as resolve } from 'node:dns/promises'
import { type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { BlockList, isIP } from 'node:net'

/** Why a URL is not asked, or what came of asking it, in words for an operator. */
export class CrlFetchFault extends Error {
  override readonly name = 'CrlFetchFault'
  /** Whether the URL itself is at fault, so that asking again is in vain. */
  readonly refused: boolean

  constructor(message: string, refused = false, options?: ErrorOptions) {
    super(message, options)
    this.refused = refused
  }
}

export type CrlFetchLimits = {
  privateAddresses: boolean
  bytesMax: number
  timeoutMs: number
  redirectsMax: number
}

/** Fetches what is at the URL now. Throws a `CrlFetchFault`. */
export async function fetchCrl(url: string, limits: CrlFetchLimits): Promise<Buffer> {
  const signal = AbortSignal.timeout(limits.timeoutMs)
  let next = url
  for (let hop = 0; hop <= limits.redirectsMax; hop += 1) {
    const answer = await ask(judgeUrl(next, limits), limits, signal)
    if (Buffer.isBuffer(answer)) return answer
    next = new URL(answer.location, next).href
  }
  throw new CrlFetchFault(`it redirects more than ${limits.redirectsMax} times`)
}

/** The URL, where it is one that may be asked at all. Throws a `CrlFetchFault` that says why not. */
export function judgeUrl(text: string, { privateAddresses }: Pick<CrlFetchLimits, 'privateAddresses'>): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new CrlFetchFault(`${JSON.stringify(text.slice(0, 200))} is no http or https URL`, true)
  }
  if (url.username !== '' || url.password !== '') {
    throw new CrlFetchFault('a URL with user name or password is not asked', true)
  }
  const address = literalOf(url.hostname)
  if (isIP(address) !== 0 && !privateAddresses) assertPublic(address, url.hostname)
  return url
}

async function ask(
  url: URL,
  limits: CrlFetchLimits,
  signal: AbortSignal,
): Promise<Buffer | { location: string }> {
  const address = await addressOf(url, limits, signal)
  const answer = await new Promise<IncomingMessage>((answered, failed) => {
    const send = url.protocol === 'https:' ? requestHttps : requestHttp
    const outgoing = send(url, {
      signal,
      agent: false,
      headers: { accept: 'application/pkix-crl, */*;q=0.1', 'user-agent': 'rollcall' },
      maxHeaderSize: 16 * 1024,
      // A name that resolves to something else the second time leads nowhere else.
      lookup: (_host, options, found) =>
        options.all ? found(null, [address]) : found(null, address.address, address.family),
    })
    outgoing.once('response', answered)
    outgoing.once('error', failed)
    outgoing.end()
  }).catch(error => {
    throw faultOf(error, signal, limits)
  })
  try {
    const { statusCode = 0, headers } = answer
    if ([301, 302, 303, 307, 308].includes(statusCode) && headers.location)
      return { location: headers.location }
    if (statusCode !== 200) throw new CrlFetchFault(`it answers ${statusCode}`)
    return await bodyOf(answer, limits)
  } catch (error) {
    throw faultOf(error, signal, limits)
  } finally {
    answer.destroy()
  }
}

async function addressOf(
  { hostname }: URL,
  { privateAddresses, timeoutMs }: CrlFetchLimits,
  signal: AbortSignal,
): Promise<{ address: string; family: number }> {
  const literal = literalOf(hostname)
  const overdue = new Promise<never>((_, reject) => {
    const late = () => reject(new CrlFetchFault(`it did not answer within ${timeoutMs / 1000} s`))
    if (signal.aborted) late()
    else signal.addEventListener('abort', late, { once: true })
  })
  const found = await Promise.race([resolve(literal, { all: true }), overdue]).catch(error => {
    if (error instanceof CrlFetchFault) throw error
    throw new CrlFetchFault(`the name ${hostname} cannot be resolved`, false, { cause: error })
  })
  // One private address among public ones is a name that somebody turns as they like.
  if (!privateAddresses) for (const { address } of found) assertPublic(address, hostname)
  const [first] = found
  if (first === undefined) throw new CrlFetchFault(`the name ${hostname} has no address`)
  return first
}

function assertPublic(address: string, hostname: string): void {
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
  const isPublic = family === 'ipv4' ? !reserved.check(address) : globalUnicast(address)
  if (isPublic) return
  throw new CrlFetchFault(`${hostname} leads to ${address}, which is no public address`, true)
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

async function bodyOf(answer: IncomingMessage, { bytesMax }: CrlFetchLimits): Promise<Buffer> {
  if (answer.headers['content-encoding'] !== undefined) throw new CrlFetchFault('its answer is compressed')
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > bytesMax) throw new CrlFetchFault(`its answer is longer than ${bytesMax} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function faultOf(error: unknown, signal: AbortSignal, { timeoutMs }: CrlFetchLimits): CrlFetchFault {
  if (error instanceof CrlFetchFault) return error
  if (signal.aborted) return new CrlFetchFault(`it did not answer within ${timeoutMs / 1000} s`)
  const code = (error as NodeJS.ErrnoException).code
  return new CrlFetchFault(`it cannot be reached (${code ?? (error as Error).message})`, false, {
    cause: error,
  })
}
