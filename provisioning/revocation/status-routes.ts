// What the status server answers: CRLs and CA certificates by the issuer's short name, with what caches need to know.

import type { X509Certificate } from 'node:crypto'
import { validityIn } from '../../pki/certificate-facts.ts'
import { parseHttpDate } from '../../pki/instant.ts'
import type { Crl } from './crl-service.ts'
import type { OcspAnswer, OcspService } from './ocsp-service.ts'
import type { StatusAnswer, StatusHandler, StatusRequest } from './status-server.ts'

type StatusSources = {
  /** By short name, as URLs in certificates carry it. */
  crl(shortName: string): Crl | null
  certificate(shortName: string): X509Certificate | null
  ocsp: OcspService
  onOcsp(outcome: OcspAnswer['outcome']): void
  now: () => number
}

/** How long a cache may answer for us: a client behind one sees a revocation that much later. */
const CACHE_SECONDS = 300
/** Its first list is being made. */
const NOT_YET: StatusAnswer = { status: 503, headers: { 'retry-after': '1' } }
const DAY_SECONDS = 86_400

export function statusRoutes(sources: StatusSources): StatusHandler {
  return request => {
    if (request.path === '/ocsp' || request.path.startsWith('/ocsp/')) return ocspAnswer(request, sources)
    const path = request.path.split('?', 1)[0] ?? ''
    const [, kind, shortName = ''] = /^\/(crl|ca)\/([0-9a-f]{16})\.(?:crl|crt)$/.exec(path) ?? []
    if (kind === undefined || request.method === 'POST') return { status: 404 }
    const certificate = sources.certificate(shortName)
    if (certificate === null) return { status: 404 }
    if (kind === 'crl') {
      const crl = sources.crl(shortName)
      return crl === null ? NOT_YET : crlAnswer(request, crl, sources.now())
    }
    return cached(request, {
      type: 'application/pkix-cert',
      body: certificate.raw,
      tag: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
      modified: validityIn(certificate).notBefore,
      maxAgeSeconds: DAY_SECONDS,
    })
  }
}

const OCSP_REQUEST = 'application/ocsp-request'

/** RFC 6960 appendix A. Errors of OCSP are answers of their own; HTTP's are for what is no OCSP at all. */
async function ocspAnswer(
  request: StatusRequest,
  { ocsp, onOcsp, now }: StatusSources,
): Promise<StatusAnswer> {
  const { method, path, headers } = request
  const posted = method === 'POST'
  if (posted !== (path === '/ocsp')) return { status: 405, headers: { allow: posted ? 'GET' : 'POST' } }
  if (posted && headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase() !== OCSP_REQUEST) {
    return { status: 415, headers: { 'accept-post': OCSP_REQUEST } }
  }
  const answer = await ocsp.answer(posted ? request.body : encodedIn(path))
  onOcsp(answer.outcome)
  const { der: body, cache } = answer
  const type = 'application/ocsp-response'
  if (posted || cache === undefined) {
    return { status: 200, type, body, headers: { 'cache-control': 'no-store' } }
  }
  const maxAgeSeconds = Math.min(CACHE_SECONDS, Math.max(0, Math.floor((cache.nextUpdate - now()) / 1000)))
  const { tag, thisUpdate: modified, nextUpdate: expires } = cache
  return cached(request, { type, body, tag, modified, expires, maxAgeSeconds })
}

/** Base64 in the path, percent-encoded or not; what cannot be decoded is an empty request. */
function encodedIn(path: string): Buffer {
  try {
    const text = decodeURIComponent(path.slice('/ocsp/'.length))
    return /^[A-Za-z0-9+/]+={0,2}$/.test(text) ? Buffer.from(text, 'base64') : Buffer.alloc(0)
  } catch {
    return Buffer.alloc(0)
  }
}

function crlAnswer(request: StatusRequest, crl: Crl, now: number): StatusAnswer {
  const leftSeconds = Math.max(0, Math.floor((crl.nextUpdate - now) / 1000))
  return cached(request, {
    type: 'application/pkix-crl',
    body: crl.der,
    tag: crl.hash,
    modified: crl.thisUpdate,
    expires: crl.nextUpdate,
    maxAgeSeconds: Math.min(CACHE_SECONDS, leftSeconds),
  })
}

type Cacheable = {
  type: string
  body: Buffer
  tag: string
  modified: number
  expires?: number
  maxAgeSeconds: number
}

/** RFC 9111 and RFC 5019 §6: content type, lifetime, and 304 to a client that has it. */
function cached({ headers }: StatusRequest, answer: Cacheable): StatusAnswer {
  const { type, body, tag, modified, expires, maxAgeSeconds } = answer
  const etag = `"${tag}"`
  const shown = {
    etag,
    'last-modified': new Date(modified).toUTCString(),
    ...(expires === undefined ? {} : { expires: new Date(expires).toUTCString() }),
    'cache-control': `max-age=${maxAgeSeconds}, public, no-transform, must-revalidate`,
  }
  const match = headers['if-none-match']
  const since = parseHttpDate(headers['if-modified-since'] ?? '')
  const unchanged =
    match === undefined
      ? since !== null && Math.floor(modified / 1000) * 1000 <= since
      : match.split(',').some(tried => tried.trim().replace(/^W\//, '') === etag || tried.trim() === '*')
  return unchanged ? { status: 304, headers: shown } : { status: 200, type, body, headers: shown }
}
