// Authentication of a device that calls for itself: the certificate whose key its TLS handshake or message proved, checked by the admission decision of the
// gate, on every request anew. Never reads a name, a header or a token; any doubt refuses.

import type { X509Certificate } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { type Admission, decideAdmission, type Peer } from '../../admission/decide.ts'
import type { AdmissionLookup, AdmissionRecord } from '../../db/admission-lookup.ts'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import { reasons } from '../../db/reason.ts'
import { fingerprintOf } from '../../pki/certificate-facts.ts'
import { verifyChain } from '../../pki/chain.ts'
import type { PqMode } from '../../pki/key-policy.ts'
import { httpProblems } from '../http/http-problems.ts'
import { presentedCertificate } from '../http/peer-certificate.ts'
import { Problem } from '../http/problem.ts'
import { selfProblems } from './self-problems.ts'

export type SelfAuthentication = {
  /** Whether a device would be admitted whose key was proved to be held; one that ended passes for `expiredMs`. */
  decide(certificate: X509Certificate | null, expiredMs?: number): Admission
  /**
   * The record of the device's certificate. Throws the problem `certificate_required` or `admission_refused`, or 429. One
   * that would be admitted but for its end passes for `expiredMs` after it.
   */
  admit(request: FastifyRequest, expiredMs?: number): Promise<AdmissionRecord>
}

type SelfAuthenticationParts = {
  lookup: AdmissionLookup
  issuers: () => Map<string, Issuer>
  pq: PqMode
  now: () => number
  /** Seconds to wait where an address failed too often, else null. Counts the failure. */
  countFailure: (request: FastifyRequest) => Promise<number | null>
  failed: (request: FastifyRequest, reason: string) => void
}

export function createSelfAuthentication(parts: SelfAuthenticationParts): SelfAuthentication {
  const { lookup, issuers, pq, now } = parts

  function decide(certificate: X509Certificate | null, expiredMs = 0): Admission {
    const peer = peerOf(certificate, issuers)
    const record = peer.fingerprint === null ? null : lookup(peer.fingerprint)
    const at = now()
    const admission = decideAdmission({ peer, record, now: at, pq })
    if (record === null || admission.admitted || admission.reason !== 'certificate_expired') return admission
    const { notAfter, issuerNotAfter, status } = record
    const inUse = status === 'issued' || status === 'active'
    const issuerLasts = issuerNotAfter === null || at <= issuerNotAfter
    if (at > notAfter + expiredMs || !inUse || !issuerLasts) return admission
    // All but its end must hold.
    return decideAdmission({ peer, record, now: notAfter, pq })
  }

  return {
    decide,

    async admit(request, expiredMs = 0) {
      const admission = decide(presentedCertificate(request), expiredMs)
      if (admission.admitted) return admission.record
      const { reason } = admission
      parts.failed(request, reason)
      const waitSeconds = await parts.countFailure(request)
      if (waitSeconds !== null) {
        throw new Problem(httpProblems, 'rate_limited', 'too many requests from this address were refused', {
          retryAfterSeconds: waitSeconds,
        })
      }
      if (reason === 'certificate_missing') {
        throw new Problem(
          selfProblems,
          'certificate_required',
          'this route asks for the certificate of a device',
        )
      }
      throw new Problem(selfProblems, 'admission_refused', reasons[reason].title, {
        errors: [{ path: 'certificate', message: reason }],
      })
    },
  }
}

function peerOf(certificate: X509Certificate | null, issuers: () => Map<string, Issuer>): Peer {
  if (certificate === null) return { fingerprint: null, chain: 'unknown' }
  return { fingerprint: fingerprintOf(certificate.raw), chain: verifyChain(certificate, issuers()) }
}
