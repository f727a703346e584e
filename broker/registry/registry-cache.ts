// Records and policies that the broker last read of admitted devices, for `registryLossMode: open` alone. Drops an entry as soon
// as a change may have made it untrue, and answers nothing while changes may be unread.
import type { AdmissionRecord } from '../../db/admission-lookup.ts'
import type { Change } from '../../db/change-feed.ts'
import type { PolicySubject, StoredPolicy } from '../../db/policies/policy-store.ts'

export type RegistryCache = {
  keepRecord(record: AdmissionRecord): void
  keepPolicies(issuerId: string | null, subject: PolicySubject): void
  /** Null unless certificate, device and policies are all known. */
  record(fingerprint: string): AdmissionRecord | null
  policies(deviceId: string, issuerId: string | null): PolicySubject | null
  /** A change was read: what it is about is to be read anew. */
  changed(change: Change): void
  /** The registry holds changes that have not been read, or may hold some: nothing is known until they are. */
  fallBehind(): void
  catchUp(): void
  size(): number
}

type Kept = { record: AdmissionRecord; generation: number }
type Policies = { issuerId: string | null; subject: PolicySubject; generation: number }
type Known = { fingerprints: string[]; policies: Policies | null }

const POLICIES_SHARED_MAX = 1_000

/** Remembers at most so many certificates; those longest not asked for go first. */
export function createRegistryCache(certificatesMax: number): RegistryCache {
  const records = new Map<string, Kept>()
  const devices = new Map<string, Known>()
  const shared = new Map<string, StoredPolicy>()
  /** Grow with each change of issuers, or of policies for all devices: earlier entries are void. */
  let recordGeneration = 0
  let policyGeneration = 0
  let behind = false

  function forgetRecord(fingerprint: string): void {
    const { deviceId } = records.get(fingerprint)?.record ?? {}
    records.delete(fingerprint)
    const known = deviceId === undefined ? undefined : devices.get(deviceId)
    if (deviceId === undefined || known === undefined) return
    known.fingerprints = known.fingerprints.filter(own => own !== fingerprint)
    if (known.fingerprints.length === 0) devices.delete(deviceId)
  }

  /** A thousand devices with one policy keep its text once. */
  function share(policy: StoredPolicy): StoredPolicy {
    const same = shared.get(policy.name)
    if (same?.document === policy.document) return same
    if (shared.size >= POLICIES_SHARED_MAX) shared.clear()
    shared.set(policy.name, policy)
    return policy
  }

  function policies(deviceId: string, issuerId: string | null): PolicySubject | null {
    const kept = devices.get(deviceId)?.policies
    if (behind || !kept || kept.issuerId !== issuerId || kept.generation !== policyGeneration) return null
    return kept.subject
  }

  return {
    keepRecord(record) {
      const { fingerprint, deviceId } = record
      // Re-inserted, so that the map stays in order of use.
      records.delete(fingerprint)
      records.set(fingerprint, { record, generation: recordGeneration })
      const known = devices.get(deviceId)
      if (known === undefined) devices.set(deviceId, { fingerprints: [fingerprint], policies: null })
      else if (!known.fingerprints.includes(fingerprint)) known.fingerprints.push(fingerprint)
      if (records.size > certificatesMax) forgetRecord(records.keys().next().value!)
    },

    keepPolicies(issuerId, subject) {
      const known = devices.get(subject.deviceId)
      if (known === undefined) return
      const kept = { ...subject, policies: subject.policies.map(share) }
      known.policies = { issuerId, subject: kept, generation: policyGeneration }
    },

    record(fingerprint) {
      const kept = records.get(fingerprint)
      if (kept === undefined || kept.generation !== recordGeneration) return null
      const { record } = kept
      return policies(record.deviceId, record.issuerId) === null ? null : record
    },
    policies,

    changed({ kind, deviceId, fingerprint }) {
      if (kind === 'session' || kind === 'stored_session' || kind === 'retained') return
      const known = deviceId === null ? undefined : devices.get(deviceId)
      if (kind === 'policy' && deviceId === null) policyGeneration += 1
      else if (kind === 'policy') {
        if (known !== undefined) known.policies = null
      } else if (fingerprint !== null) forgetRecord(fingerprint)
      else if (deviceId !== null) for (const own of known?.fingerprints ?? []) forgetRecord(own)
      else recordGeneration += 1
    },
    fallBehind() {
      behind = true
    },
    catchUp() {
      behind = false
    },
    size: () => records.size,
  }
}
