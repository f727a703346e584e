// Whether what a device left behind can ever be worth anything again, as the registry says now. A clock that is wrong, or a
// state that an operator may take back, takes nothing away.
import type { prepareDeviceLookup } from '../db/admission-lookup.ts'
import type { Reason } from '../db/reason.ts'
import type { Admit } from './admit.ts'

/** What keeps a certificate out for good. */
const final: readonly Reason[] = [
  'certificate_unlisted',
  'certificate_rejected',
  'certificate_retired',
  'certificate_lapsed',
  'certificate_superseded',
  'certificate_revoked',
  'certificate_revoked_by_issuer',
  'issuer_revoked',
  'device_decommissioned',
]

/** Throws where the registry cannot be read. */
export function createIsGone(parts: {
  deviceNow: ReturnType<typeof prepareDeviceLookup>
  admit: Admit
}): (deviceId: string) => boolean {
  return deviceId => {
    const device = parts.deviceNow(deviceId)
    if (device === null || device.state === 'decommissioned') return true
    if (device.state === 'suspended') return false
    return device.fingerprints.every(fingerprint => {
      const admission = parts.admit({ fingerprint, chain: 'verified' })
      return !admission.admitted && final.includes(admission.reason)
    })
  }
}
