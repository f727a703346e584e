// Whether what a device left behind can ever be worth anything again, by what the registry has on record and nothing else: no clock,
// no issuer, no CRL, since each of them may say another thing tomorrow.
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
