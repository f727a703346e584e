// What a device asks for itself, known by its certificate instead of a token.
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
    /** `keyCompromise` renews at any time, and leaves the old certificate no grace. */
    renew: (request: { csr: string; reason?: 'keyCompromise' }) =>
      call<IssuedCertificate>('POST', '/v1/self/certificates', request),
    close,
  }
}
