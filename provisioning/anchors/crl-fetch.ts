// Fetches a CRL from a URL that an operator set; never from one that stands in a certificate. Bounded in time, size and
// redirects, and never from an address that is not everybody's.
import { type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { guardedLookup, OutboundFault, validateUrl } from '../outbound/address-guard.ts'
import { answerTo } from '../outbound/answer.ts'

type CrlFetchLimits = {
  privateAddresses: boolean
  bytesMax: number
  timeoutMs: number
  redirectsMax: number
}

/** Fetches what is at the URL now. Throws a `OutboundFault`. */
export async function fetchCrl(url: string, limits: CrlFetchLimits): Promise<Buffer> {
  const signal = AbortSignal.timeout(limits.timeoutMs)
  let next = url
  for (let hop = 0; hop <= limits.redirectsMax; hop += 1) {
    const answer = await ask(validateUrl(next, limits), limits, signal)
    if (Buffer.isBuffer(answer)) return answer
    // `validateUrl` says what is wrong with one that is none.
    next = URL.parse(answer.location, next)?.href ?? answer.location
  }
  throw new OutboundFault(`it redirects more than ${limits.redirectsMax} times`)
}

async function ask(
  url: URL,
  limits: CrlFetchLimits,
  signal: AbortSignal,
): Promise<Buffer | { location: string }> {
  const send = url.protocol === 'https:' ? requestHttps : requestHttp
  const outgoing = send(url, {
    signal,
    agent: false,
    headers: { accept: 'application/pkix-crl, */*;q=0.1', 'user-agent': 'rollcall' },
    maxHeaderSize: 16 * 1024,
    lookup: guardedLookup(limits),
  })
  outgoing.end()
  const answer = await answerTo(outgoing).catch(error => {
    throw faultOf(error, signal, limits)
  })
  try {
    const { statusCode = 0, headers } = answer
    if ([301, 302, 303, 307, 308].includes(statusCode) && headers.location)
      return { location: headers.location }
    if (statusCode !== 200) throw new OutboundFault(`it answers ${statusCode}`)
    return await bodyOf(answer, limits)
  } catch (error) {
    throw faultOf(error, signal, limits)
  } finally {
    answer.destroy()
  }
}

async function bodyOf(answer: IncomingMessage, { bytesMax }: CrlFetchLimits): Promise<Buffer> {
  if (answer.headers['content-encoding'] !== undefined) throw new OutboundFault('its answer is compressed')
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > bytesMax) throw new OutboundFault(`its answer is longer than ${bytesMax} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function faultOf(error: unknown, signal: AbortSignal, { timeoutMs }: CrlFetchLimits): OutboundFault {
  if (error instanceof OutboundFault) return error
  if (signal.aborted) return new OutboundFault(`it did not answer within ${timeoutMs / 1000} s`)
  const code = (error as NodeJS.ErrnoException).code
  return new OutboundFault(`it cannot be reached (${code ?? (error as Error).message})`, false, {
    cause: error,
  })
}
