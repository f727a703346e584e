// Whether the stored state of a device can ever be used again. Decided by the status of device and certificates alone: clock,
// issuers and CRLs can change, and a deletion cannot be undone.
import type { DeviceNow } from '../../db/admission-lookup.ts'
import { canEverAdmit } from '../../db/roll/transitions.ts'

/**
 * True for a device that is decommissioned, or none of whose certificates can ever admit it again. A suspension, a disabled
 * or expired issuer, an entry in a CRL, an expired certificate take nothing away. Throws where the registry cannot be read.
 */
export function createIsGone(
  deviceNow: (deviceId: string) => DeviceNow | null,
): (deviceId: string) => boolean {
  return deviceId => {
    const device = deviceNow(deviceId)
    if (device === null || device.state === 'decommissioned') return true
    return !device.certificates.some(({ status }) => canEverAdmit(status))
  }
}
