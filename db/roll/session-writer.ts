// Ending sessions of devices that keep their right: a change for the brokers and its audit row, in one transaction.
import { type Actor, appendAudit } from '../audit/audit.ts'
import { appendChange } from '../change-feed.ts'
import type { Registry } from '../open.ts'
import { transact } from '../transact.ts'
import { stateOf } from './device-writer.ts'

type SessionWriter = {
  /** Ends the connection of a device, and with `clear` its stored session, too; gives the epoch. Throws `device_unknown`. */
  kickSession(deviceId: string, options: { clear: boolean }, actor: Actor): Promise<number>
}

export function createSessionWriter(registry: Registry, now: () => number): SessionWriter {
  return {
    kickSession: (deviceId, { clear }, actor) =>
      transact(registry, async transaction => {
        const at = now()
        await stateOf(transaction, deviceId)
        await appendAudit(transaction, {
          at,
          actor,
          action: 'session.kick',
          target: deviceId,
          detail: { clear },
        })
        return appendChange(transaction, { kind: clear ? 'stored_session' : 'session', at, deviceId })
      }),
  }
}
