// What precedes retaining a message: on whose right it stands is noted, and a will that does not fit is sent without RETAIN, for its
// device is not there to be refused.
import type { StoredPacket } from './durable/stored-state.ts'
import type { Leavings } from './leavings.ts'
import type { DeviceRights, Holder } from './rights-desk.ts'
import type { SessionStore } from './session-store.ts'

export type Retaining = {
  message(holder: Holder, rights: DeviceRights): void
  will(holder: Holder, rights: DeviceRights, will: Omit<StoredPacket, 'payload'> & WillFields): void
}
type WillFields = { payload: Buffer | string; retain: boolean }

export function createRetaining(parts: {
  leavings: Pick<Leavings, 'retains'>
  store: Pick<SessionStore, 'retained'>
  dropped(what: 'retained', deviceId: string): void
}): Retaining {
  const message: Retaining['message'] = (holder, rights) =>
    parts.leavings.retains(holder, rights.isBackend === true)
  return {
    message,
    will(holder, rights, will) {
      message(holder, rights)
      if (parts.store.retained.refusal(will as StoredPacket) === null) return
      parts.dropped('retained', holder.deviceId)
      will.retain = false
    },
  }
}
