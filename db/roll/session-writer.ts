// Ending sessions of devices that keep their right: a change for the brokers and its audit row, in one transaction. And the audit row of what
// an operator tries out by the rights of a device.
import { type Actor, appendAudit } from '../audit/audit.ts'
import { appendChange } from '../change-feed.ts'
import type { Registry } from '../open.ts'
import { transact } from '../transact.ts'
import { stateOf } from './device-writer.ts'

/** A topic that is published to, or a filter that is subscribed to for so many seconds. */
export type TryoutNote =
  | { publish: string; qos: number; bytes: number }
  | { subscribe: string; seconds: number }

type SessionWriter = {
  /** Before it is done. Throws `device_unknown`. */
  noteTryout(deviceId: string, tried: TryoutNote, actor: Actor): Promise<void>
  /** Ends the connection of a device, and with `clear` its stored session, too; gives the epoch. Throws `device_unknown`. */
  kickSession(deviceId: string, options: { clear: boolean }, actor: Actor): Promise<number>
}

export function createSessionWriter(registry: Registry, now: () => number): SessionWriter {
  return {
    noteTryout: (deviceId, detail, actor) =>
      transact(registry, async transaction => {
        await stateOf(transaction, deviceId)
        const action = 'publish' in detail ? 'tryout.publish' : 'tryout.subscribe'
        await appendAudit(transaction, { at: now(), actor, action, target: deviceId, detail })
      }),

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
