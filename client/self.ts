// What a device asks for itself, known by its certificate instead of a token.

import type { PendingEnrollment } from './enrollment.ts'
import { createTransport } from './transport.ts'
import type { IssuedCertificate } from './types.ts'

/** How the calling device stands. Times are RFC 3339 UTC. */
export type Self = {
  deviceId: string
  state: string
  certificate: {
    fingerprint: string
    status: string
    notBefore: string
    notAfter: string
    graceUntil: string | null
  }
  renewal: { open: boolean; opensAt: string; criticalAt: string }
  now: string
}

export type SelfClient = ReturnType<typeof createSelfClient>

/** Verbs of one device. Each throws `ApiProblem` where the service refuses, `ApiUnreachable` where no answer was had. */
export function createSelfClient(options: {
  api: string | URL
  ca: string | Buffer
  certificate: string
  key: string
}) {
  const { certificate, key, ...where } = options
  const { call, close } = createTransport({ ...where, identity: { certificate, key } })
  return {
    show: () => call<Self>('GET', '/v1/self'),
    /**
     * `keyCompromise` asks at any time, with a new key: the certificate waits for an operator then, and is had by asking again
     * with the same key. Once it is approved and used, the old certificate has no grace.
     */
    renew: (request: { csr: string; reason?: 'keyCompromise' }) =>
      call<IssuedCertificate | PendingEnrollment>('POST', '/v1/self/certificates', request),
    close,
  }
}
