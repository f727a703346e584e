// The wills of connections that ended with the broker's last life: sent once it is back, where the device may still send
// them. One whose device is back already has another will, or none.

import type { WillRow } from '../../../db/sessions/session-records.ts'
import type { Admit } from '../../admission/admit.ts'
import type { Principal, RightsResolver } from '../rights-resolver.ts'
import type { Will } from '../state.ts'

export type RestoredWillOptions = {
  wills: ReadonlyMap<string, WillRow>
  admit: Admit
  rightsOf: RightsResolver
  now(): number
  /** When the session of this client ends, in ms since the epoch; null for never, undefined where there is none. */
  sessionEndsAt(clientId: string): number | null | undefined
  /** Sends it; nothing of it is left then. */
  send(will: Will, principal: Principal): void
  /** It is sent then, and not now. */
  delay(row: WillRow, dueAt: number): void
  forget(deviceId: string): void
}

/** A step for each will, to be taken one by one. A step throws where the registry cannot be read: its will stays. */
export function* sendRestoredWills(parts: RestoredWillOptions): Generator<() => void> {
  for (const { device } of [...parts.wills.values()])
    yield () => {
      const row = parts.wills.get(device)
      if (row === undefined) return
      const sessionEndsAt = parts.sessionEndsAt(device)
      if (row.dueAt === null && row.delaySeconds > 0 && sessionEndsAt !== undefined) {
        const delayedTo = parts.now() + row.delaySeconds * 1_000
        parts.delay(row, Math.min(delayedTo, sessionEndsAt ?? Number.POSITIVE_INFINITY))
      } else if (row.dueAt === null || row.dueAt <= parts.now()) sendRestoredWill(parts, row)
    }
}

/** Sends the will of a connection that is no more, where its device may still send it. Throws as above. */
export function sendRestoredWill(parts: RestoredWillOptions, row: WillRow): void {
  const { device, issuer, serial, fingerprint, topic, qos } = row
  const admission = parts.admit({ fingerprint, chain: 'verified' })
  if (!admission.admitted && admission.reason === 'registry_unavailable')
    throw new Error(`whether ${device} may still send its will could not be read`)
  const principal = { deviceId: device, issuerId: issuer, serialNumber: serial }
  if (admission.admitted && parts.rightsOf(principal).will(topic, qos, row.retain === 1))
    parts.send(willOf(row), principal)
  else parts.forget(device)
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
