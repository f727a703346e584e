// The identity that the API and the broker present, and its renewal. The API shows a renewed one to new connections.
import type { Log } from '../logging/log.ts'
import {
  certificateValidity,
  type createServerCertificate,
  type ServerIdentity,
} from './server-certificate.ts'

export type ServerIdentityManager = {
  current(): ServerIdentity
  validity(): ReturnType<typeof certificateValidity>
  /** Renews the certificate where that is due. Never throws: what fails is in the log. */
  renew(): Promise<void>
  onRenewed(show: (identity: ServerIdentity) => void): void
  /** Whether the start made it. */
  isNew: boolean
}

export async function startServerIdentity(
  certificate: ReturnType<typeof createServerCertificate>,
  log: Pick<Log, 'serverCertificateShown' | 'serverCertificateRenewed' | 'serverCertificateFailed'>,
): Promise<ServerIdentityManager> {
  const first = await certificate.keep()
  let current: ServerIdentity = first
  let validity = certificateValidity(first.cert)
  let show: (identity: ServerIdentity) => void = () => {}
  log.serverCertificateShown(validity.notAfter)
  return {
    current: () => current,
    validity: () => validity,
    async renew() {
      try {
        const kept = await certificate.keep()
        if (!kept.renewed) return
        show(kept)
        current = kept
        validity = certificateValidity(kept.cert)
        log.serverCertificateShown(validity.notAfter)
        log.serverCertificateRenewed()
      } catch (error) {
        log.serverCertificateFailed(error)
      }
    },
    onRenewed(use) {
      show = use
    },
    isNew: first.renewed,
  }
}
