// Records strangers whose issuer allows self-registration, for provisioning. The broker still refuses them and registers no
// device; it reads no names and only finds the issuer that signed.
import type { X509Certificate } from 'node:crypto'
import {
  ARRIVAL_BYTES_MAX,
  type Arrival,
  type ArrivalNote,
  REFUSAL_HOLDS_MS,
} from '../../db/issuers/arrivals.ts'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import type { Reason } from '../../db/reason.ts'
import { fingerprintOf } from '../../pki/certificate-facts.ts'
import { findIssuer } from '../../pki/chain.ts'

/** What a stranger with a verified chain is refused for, where it is about registering itself; null where it is not. */
type RecordArrival = (certificate: X509Certificate, address: string) => Reason | null

export type SelfRegistrationOptions = {
  issuers: () => ReadonlyMap<string, Issuer>
  /** What became of it when it came before. */
  lookup: (fingerprint: string) => Arrival | null
  /** False where no more are noted now. */
  note: (arrival: ArrivalNote) => boolean
  now: () => number
}

export function createSelfRegistration(options: SelfRegistrationOptions): RecordArrival {
  /** An unreadable registry records no arrival either. */
  function lookedUp(fingerprint: string): Arrival | null | undefined {
    try {
      return options.lookup(fingerprint)
    } catch {
      return undefined
    }
  }

  return (certificate, address) => {
    const now = options.now()
    const willing = [...options.issuers().values()].filter(
      issuer => issuer.registration !== 'off' && issuer.enabled && issuer.notAfter > now,
    )
    if (willing.length === 0 || certificate.raw.length > ARRIVAL_BYTES_MAX) return null
    const fingerprint = fingerprintOf(certificate.raw)
    const known = lookedUp(fingerprint)
    if (known === undefined) return null
    if (known !== null && known.decidedAt === null) return 'registration_started'
    if (known !== null && now - known.decidedAt! < REFUSAL_HOLDS_MS) return 'registration_refused'
    const issuer = findIssuer(certificate, willing)
    if (issuer === null) return null
    const noted = options.note({ fingerprint, issuerId: issuer.id, der: certificate.raw, address, at: now })
    return noted ? 'registration_started' : 'registration_limited'
  }
}
