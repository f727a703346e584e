// The admission decision with its inputs: looks the record up, reads the clock, and refuses where the registry is unreadable.
import { type Admission, decideAdmission, type Peer } from '../../admission/decide.ts'
import type { AdmissionRecord } from '../../db/admission-lookup.ts'
import type { PqMode } from '../../pki/key-policy.ts'

/** `read`: the record as the gate read it, where it did. */
export type Admit = (peer: Peer, read?: AdmissionRecord | null) => Admission

/** Any error on the way to a decision refuses: `registry_unavailable`. Nothing is remembered between two calls. */
export function createAdmit(options: {
  lookup(fingerprint: string, read: AdmissionRecord | null): AdmissionRecord | null
  now: () => number
  /** Whether devices may hold ML-DSA keys. */
  pq: PqMode
  onDoubt: (error: unknown) => void
}): Admit {
  return (peer, read = null) => {
    try {
      const record = peer.fingerprint === null ? null : options.lookup(peer.fingerprint, read)
      return decideAdmission({ peer, record, now: options.now(), pq: options.pq })
    } catch (error) {
      options.onDoubt(error)
      return { admitted: false, reason: 'registry_unavailable', record: null }
    }
  }
}
