// The records that admission is decided by: the registry's own or, where it is lost and the mode is open, those of the cache.
// Decides no admission.
import type { AdmissionLookup, AdmissionRecord } from '../../db/admission-lookup.ts'
import type { PolicySubject } from '../../db/policies/policy-store.ts'
import type { RegistryCache } from './registry-cache.ts'
import type { Doubt } from './registry-health.ts'

/** More connections are not between gate and engine at once. */
const JUST_READ_MAX = 1_000

type PolicyLookup = (deviceId: string, issuerId: string | null, serialNumber: string) => PolicySubject

type RegistryView = {
  /** For new connections. Throws where there is no record to decide by. */
  lookup: AdmissionLookup
  /** For live sessions: reads the registry, or throws. */
  lookupAgain: AdmissionLookup
  policiesOf: PolicyLookup
  /** The device for which a certificate is listed; null for none and for an unreadable registry. */
  deviceOf(fingerprint: string): string | null
}

export function createRegistryView(options: {
  lookup: AdmissionLookup
  /** Changes with every write to the registry; throws where it cannot be read. */
  dataVersion(): number
  policiesOf: PolicyLookup
  doubt(): Doubt | null
  /** Null in closed mode. */
  memory: RegistryCache | null
  /** A record was taken although the registry is lost. */
  onOpen(error: unknown): void
}): RegistryView {
  const { memory } = options
  let failing = false
  /** Records of new connections: the engine asks for the same record within milliseconds, and it is valid until the next write. */
  const justRead = new Map<string, AdmissionRecord>()
  let readAt = -1

  function read(fingerprint: string): AdmissionRecord | null {
    // Read first: a later write can only make the record newer than its version.
    const version = options.dataVersion()
    if (version !== readAt || justRead.size >= JUST_READ_MAX) justRead.clear()
    readAt = version
    const known = justRead.get(fingerprint)
    if (known !== undefined) {
      justRead.delete(fingerprint)
      return known
    }
    const record = options.lookup(fingerprint)
    if (record !== null) justRead.set(fingerprint, record)
    return record
  }

  function lookupAgain(fingerprint: string) {
    let record: ReturnType<AdmissionLookup>
    try {
      record = read(fingerprint)
    } catch (error) {
      justRead.clear()
      failing = true
      throw error
    }
    // The registry is back: changes made meanwhile must be read first.
    if (failing) memory?.fallBehind()
    failing = false
    if (record !== null) memory?.keepRecord(record)
    return record
  }

  function recall(fingerprint: string, error: unknown) {
    const known = memory?.record(fingerprint) ?? null
    if (known === null) throw error
    options.onOpen(error)
    return known
  }

  function lookup(fingerprint: string) {
    const doubt = options.doubt()
    // How long a broker goes on without hearing from others is a promise, in either mode.
    const isFinal = doubt?.kind === 'replaced' || doubt?.kind === 'isolated'
    if (doubt !== null && (memory === null || isFinal)) throw doubt.error
    if (doubt?.kind === 'gone') return recall(fingerprint, doubt.error)
    try {
      const record = lookupAgain(fingerprint)
      if (doubt !== null) options.onOpen(doubt.error)
      return record
    } catch (error) {
      return recall(fingerprint, error)
    }
  }

  return {
    lookupAgain,
    lookup,
    deviceOf(fingerprint) {
      try {
        return lookup(fingerprint)?.deviceId ?? null
      } catch {
        return null
      }
    },
    policiesOf(deviceId, issuerId, serialNumber) {
      try {
        const subject = options.policiesOf(deviceId, issuerId, serialNumber)
        memory?.keepPolicies(issuerId, subject)
        return subject
      } catch (error) {
        const known = memory?.policies(deviceId, issuerId) ?? null
        if (known === null) throw error
        // What was proven of one certificate is not known of another.
        return known.serialNumber === serialNumber ? known : { ...known, attested: false }
      }
    },
  }
}
