// The records that admission is decided by: the registry's own or, where it is lost and the mode is open, those of the cache.
// Decides no admission.
import type { AdmissionLookup, AdmissionRecord } from '../../db/admission-lookup.ts'
import type { PolicySubject } from '../../db/policies/policy-store.ts'
import type { RegistryCache } from './registry-cache.ts'
import type { Doubt } from './registry-health.ts'

type PolicyLookup = (deviceId: string, issuerId: string | null, serialNumber: string) => PolicySubject

type RegistryView = {
  /** For new connections. Throws where there is no record to decide by. `read` serves again while no change followed it. */
  lookup(fingerprint: string, read?: AdmissionRecord | null): AdmissionRecord | null
  /** For live sessions: reads the registry, or throws. */
  lookupAgain: AdmissionLookup
  policiesOf: PolicyLookup
  /** The device for which a certificate is listed; null for none and for an unreadable registry. */
  deviceOf(fingerprint: string): string | null
}

export function createRegistryView(options: {
  lookup: AdmissionLookup
  /** The last row of the change feed now; throws where it cannot be read. */
  lastChange(): string | null
  policiesOf: PolicyLookup
  doubt(): Doubt | null
  /** Null in closed mode. */
  memory: RegistryCache | null
  /** A record was taken although the registry is lost. */
  onOpen(error: unknown): void
}): RegistryView {
  const { memory } = options
  let failing = false

  /** The gate read it within milliseconds before; whatever ended a right since then appended a change in the same transaction. */
  function stillHolds({ lastChange }: AdmissionRecord): boolean {
    try {
      return lastChange !== null && lastChange === options.lastChange()
    } catch {
      return false
    }
  }

  function lookupAgain(fingerprint: string, read: AdmissionRecord | null = null) {
    let record: AdmissionRecord | null
    try {
      record = read !== null && stillHolds(read) ? read : options.lookup(fingerprint)
    } catch (error) {
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
    // Of the registry now it says nothing: the engine is to ask again.
    return { ...known, lastChange: null }
  }

  function lookup(fingerprint: string, read: AdmissionRecord | null = null) {
    const doubt = options.doubt()
    // How long a broker goes on without hearing from others is a promise, in either mode.
    const isFinal = doubt?.kind === 'replaced' || doubt?.kind === 'isolated'
    if (doubt !== null && (memory === null || isFinal)) throw doubt.error
    if (doubt?.kind === 'gone') return recall(fingerprint, doubt.error)
    try {
      const record = lookupAgain(fingerprint, read)
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
