// The wills of connections that ended with the broker's last life: sent once it is back, where the device may still send
// them. One whose device is back already has another will, or none.
import type { WillRow } from '../../db/sessions/session-records.ts'
import type { Admit } from '../admit.ts'
import type { Holder, RightsDesk } from './rights-desk.ts'

export type LeftWill = { topic: string; payload: Buffer; qos: 0 | 1 | 2; retain: boolean; clientId: string }

/** A step for each will, to be taken one by one. A step throws where the registry cannot be read: its will stays. */
export function* sendLeftWills(parts: {
  wills: ReadonlyMap<string, WillRow>
  admit: Admit
  rightsOf: RightsDesk
  /** Sends it; nothing of it is left then. */
  send(will: LeftWill, holder: Holder): void
  forget(deviceId: string): void
}): Generator<() => void> {
  for (const { device, issuer, serial, fingerprint, topic, payload, qos, retain } of [
    ...parts.wills.values(),
  ])
    yield () => {
      if (!parts.wills.has(device)) return
      const admission = parts.admit({ fingerprint, chain: 'verified' })
      if (!admission.admitted && admission.reason === 'registry_unavailable')
        throw new Error(`whether ${device} may still send its will could not be read`)
      const holder = { deviceId: device, issuerId: issuer, serialNumber: serial }
      const retains = retain === 1
      if (admission.admitted && parts.rightsOf(holder).will(topic, qos, retains))
        parts.send({ topic, payload, qos, retain: retains, clientId: device }, holder)
      else parts.forget(device)
    }
}
