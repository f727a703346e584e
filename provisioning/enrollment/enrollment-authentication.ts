// Authentication of an enrolling device: a one-time token in the Authorization header, or the claim certificate or IDevID of the TLS handshake.
// Never a token in a URL, never a name in a certificate. What is shown here opens enrollment and nothing else.

import type { X509Certificate } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Claim, claimFault } from '../../db/enrollment/claims.ts'
import type { PresentedToken } from '../../db/enrollment/enrollment-tokens.ts'
import type { AnchorState } from '../../db/enrollment/idevids.ts'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import { fingerprintOf } from '../../pki/certificate-facts.ts'
import type { PqMode } from '../../pki/key-policy.ts'
import { httpProblems } from '../http/http-problems.ts'
import { presentedCertificate } from '../http/peer-certificate.ts'
import { Problem } from '../http/problem.ts'
import { assertOneAuthorization } from '../operators/authentication.ts'
import { enrollmentProblems } from './enrollment-problems.ts'
import { type ShownCredential, tokenFault } from './enrollment-service.ts'
import { validateIdevid } from './idevid.ts'

/** `named` is the device that a Basic user name names; null where there is none. */
export type Presented = { credential: ShownCredential; named: string | null }

export type EnrollmentAuthentication = {
  /** Throws 401, 403 or 429. A token or claim that holds always passes: guessing from its address locks nobody out. */
  present(request: FastifyRequest, reply: FastifyReply, scheme: 'Bearer' | 'Basic'): Promise<Presented>
  /** What a token may open that was proved to be held; the problem where there is none, or it opens nothing (any more). */
  byToken(token: PresentedToken | null): Presented | Problem
  /** The same of a claim whose secret was proved to be held. */
  byClaim(claim: Claim | null): Presented | Problem
  /** The same of a certificate whose key was proved to be held: that of a claim, or an IDevID. */
  byCertificate(certificate: X509Certificate | null): Presented | Problem
  /** Counts the refusal of a request that proved nothing; gives the problem to answer with, which is 429 after too many. */
  counted(request: FastifyRequest, refused: Problem): Promise<Problem>
}

type EnrollmentAuthenticationParts = {
  presentedToken: (token: string) => PresentedToken | null
  claimOf: (fingerprint: string) => Claim | null
  issuers: () => Map<string, Issuer>
  anchorEnrollment: (issuerId: string) => AnchorState
  pq: PqMode
  now: () => number
  /** Seconds to wait where an address failed too often, else null. Counts the failure. */
  countFailure: (request: FastifyRequest) => Promise<number | null>
  failed: (request: FastifyRequest, reason: string) => void
}

export function createEnrollmentAuthentication(
  parts: EnrollmentAuthenticationParts,
): EnrollmentAuthentication {
  function byToken(token: PresentedToken | null, named: string | null = null): Presented | Problem {
    if (token === null) {
      return new Problem(
        enrollmentProblems,
        'enrollment_token_refused',
        'no such enrollment token is accepted',
      )
    }
    const fault = tokenFault(token, parts.now())
    return fault === null
      ? { credential: { kind: 'token', id: token.id }, named }
      : new Problem(enrollmentProblems, fault.code, fault.message)
  }

  function byClaim(claim: Claim | null): Presented | Problem {
    const fault = claim === null ? 'there is no such claim' : claimFault(claim, parts.now())
    return claim !== null && fault === null
      ? { credential: { kind: 'claim', claim }, named: null }
      : new Problem(enrollmentProblems, 'claim_refused', fault ?? 'it opens nothing')
  }

  function byCertificate(certificate: X509Certificate | null): Presented | Problem {
    const nothing = (detail: string) =>
      new Problem(enrollmentProblems, 'enrollment_credential_missing', detail)
    if (certificate === null) return nothing('neither an enrollment token nor a certificate was shown')
    const claim = parts.claimOf(fingerprintOf(certificate.raw))
    if (claim !== null) return byClaim(claim)
    const shown = validateIdevid(certificate, { ...parts, issuers: parts.issuers(), now: parts.now() })
    if (shown === null)
      return nothing('the certificate that was shown is neither a claim certificate nor an IDevID')
    if ('fault' in shown) return new Problem(enrollmentProblems, 'idevid_refused', shown.fault)
    return { credential: { kind: 'idevid', shown }, named: null }
  }

  async function counted(request: FastifyRequest, refused: Problem): Promise<Problem> {
    parts.failed(request, refused.reason)
    const waitSeconds = await parts.countFailure(request)
    if (waitSeconds === null) return refused
    const detail = 'too many requests from this address showed nothing that may enroll'
    return new Problem(httpProblems, 'rate_limited', detail, { retryAfterSeconds: waitSeconds })
  }

  return {
    byToken,
    byClaim,
    byCertificate,
    counted,

    async present(request, reply, scheme) {
      assertOneAuthorization(request)
      const header = request.headers.authorization
      const given = header === undefined ? null : tokenIn(header, scheme)
      const presented =
        given === null
          ? byCertificate(presentedCertificate(request))
          : byToken(parts.presentedToken(given.secret), given.named)
      if (!(presented instanceof Problem)) return presented
      const problem = await counted(request, presented)
      if (problem !== presented) throw problem
      if (presented.definition.status === 401)
        reply.header('www-authenticate', `${scheme} realm="rollcall enrollment"`)
      throw presented
    },
  }
}

/** The token in a header of this scheme; whatever else it holds is a token that nobody has. */
function tokenIn(header: string, scheme: 'Bearer' | 'Basic'): { secret: string; named: string | null } {
  const [, given = '', value = ''] = /^(\w+) +(\S{1,512})$/.exec(header) ?? []
  if (given.toLowerCase() !== scheme.toLowerCase()) return { secret: '', named: null }
  if (scheme === 'Bearer') return { secret: value, named: null }
  // RFC 7617: the user name ends at the first colon.
  const text = Buffer.from(value, 'base64').toString('utf8')
  const at = text.indexOf(':')
  if (at < 0) return { secret: '', named: null }
  return { secret: text.slice(at + 1), named: at === 0 ? null : text.slice(0, at) }
}
