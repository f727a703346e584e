// What newcomers are judged by: what the registry says now; where it is lost nothing or, in open mode, what was last read.
// Decides nobody's admission.
import type { AdmissionLookup, AdmissionRecord } from '../../db/admission-lookup.ts'
import type { PolicySubject } from '../../db/policies/policy-store.ts'
import type { RegistryCache } from './registry-cache.ts'
import type { Doubt } from './registry-health.ts'

/** More are not between gate and engine at once. */
const JUST_READ_MAX = 1_000

export type PolicyLookup = (deviceId: string, issuerId: string | null) => PolicySubject

export type RegistryView = {
  /** For newcomers. Throws where they cannot be judged. */
  lookup: AdmissionLookup
  /** For those inside: what the registry says, or it throws. */
  lookupAgain: AdmissionLookup
  policiesOf: PolicyLookup
  /** The device a certificate is listed for; null for none, and where that cannot be told. */
  deviceOf(fingerprint: string): string | null
}

export function createRegistryView(options: {
  lookup: AdmissionLookup
  /** Changes whenever somebody wrote; throws where the registry cannot be read. */
  dataVersion(): number
  policiesOf: PolicyLookup
  doubt(): Doubt | null
  /** Null in closed mode. */
  memory: RegistryCache | null
  /** Somebody was looked up although the registry is lost. */
  onOpen(error: unknown): void
}): RegistryView {
  const { memory } = options
  let failing = false
  /** What was read of newcomers: the engine asks again within milliseconds, and while nobody wrote the answer stands. */
  const justRead = new Map<string, AdmissionRecord>()
  let readAt = -1

  function read(fingerprint: string): AdmissionRecord | null {
    // Asked first: what is written from here on only makes what is read newer than its version.
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
    // It is back: what was changed while it was away comes first.
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
    if (doubt !== null && (memory === null || doubt.kind === 'replaced')) throw doubt.error
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
    policiesOf(deviceId, issuerId) {
      try {
        const subject = options.policiesOf(deviceId, issuerId)
        memory?.keepPolicies(issuerId, subject)
        return subject
      } catch (error) {
        const known = memory?.policies(deviceId, issuerId) ?? null
        if (known === null) throw error
        return known
      }
    },
  }
}
