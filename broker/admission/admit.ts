// The admission decision with its inputs: looks the record up, reads the clock, and refuses where the registry is unreadable.
import { type Admission, decideAdmission, type Peer } from '../../admission/decide.ts'
import type { AdmissionLookup } from '../../db/admission-lookup.ts'
import type { PqMode } from '../../pki/key-policy.ts'

export type Admit = (peer: Peer) => Admission

/** Any error on the way to a decision refuses: `registry_unavailable`. Nothing is remembered between two calls. */
export function createAdmit(options: {
  lookup: AdmissionLookup
  now: () => number
  /** Whether devices may hold ML-DSA keys. */
  pq: PqMode
  onDoubt: (error: unknown) => void
}): Admit {
  return peer => {
    try {
      const record = peer.fingerprint === null ? null : options.lookup(peer.fingerprint)
      return decideAdmission({ peer, record, now: options.now(), pq: options.pq })
    } catch (error) {
      options.onDoubt(error)
      return { admitted: false, reason: 'registry_unavailable', record: null }
    }
  }
}
