// The wills of connections that ended with the broker's last life: sent once it is back, where the device may still send
// them. One whose device is back already has another will, or none.
import type { WillRow } from '../../../db/sessions/session-records.ts'
import type { Admit } from '../../admit.ts'
import type { Will } from '../connection/client.ts'
import type { Holder, RightsDesk } from '../rights-desk.ts'

/** A step for each will, to be taken one by one. A step throws where the registry cannot be read: its will stays. */
export function* sendLeftWills(parts: {
  wills: ReadonlyMap<string, WillRow>
  admit: Admit
  rightsOf: RightsDesk
  /** Sends it; nothing of it is left then. */
  send(will: Will, holder: Holder): void
  forget(deviceId: string): void
}): Generator<() => void> {
  for (const row of [...parts.wills.values()])
    yield () => {
      const { device, issuer, serial, fingerprint, topic, qos } = row
      if (!parts.wills.has(device)) return
      const admission = parts.admit({ fingerprint, chain: 'verified' })
      if (!admission.admitted && admission.reason === 'registry_unavailable')
        throw new Error(`whether ${device} may still send its will could not be read`)
      const holder = { deviceId: device, issuerId: issuer, serialNumber: serial }
      if (admission.admitted && parts.rightsOf(holder).will(topic, qos, row.retain === 1))
        parts.send(willOf(row), holder)
      else parts.forget(device)
    }
}

export function willOf(row: WillRow): Will {
  const { device, topic, payload, qos, retain, properties, expirySeconds, delaySeconds } = row
  return {
    message: {
      topic,
      payload: Buffer.from(payload),
      qos,
      retain: retain === 1,
      publisher: device,
      properties,
    },
    expirySeconds,
    delaySeconds,
  }
}
