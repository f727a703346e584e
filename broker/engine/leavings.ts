// What devices leave behind when they go: stored subscriptions and retained messages. It is worth no more than the right
// it stands on, which is looked up again whenever policies change. Knows no sockets.
import type { Rights } from '../../policy/rights.ts'
import { noRights } from '../../policy/rights.ts'
import type { Holder, RightsDesk } from './rights-desk.ts'

/** As the store keeps it; `clientId` is the device that published it, and absent where the broker itself did. */
export type Retained = { topic: string; qos: 0 | 1 | 2; clientId?: string }

export type Leavings = {
  /** A session that outlives its connection: its subscriptions are judged by this holder's rights from now on. */
  keepsSession(holder: Holder): void
  /** A clean session: nothing of it stays. */
  leavesNothing(deviceId: string): void
  retains(holder: Holder): void
  /** Whether who published this may still publish it (mosquitto CVE-2018-12546). */
  mayShow(message: Retained): boolean
  /** Policies changed for one device, or for all where null. Devices that are here look after themselves. */
  rightsChanged(deviceId: string | null, isHere: (deviceId: string) => boolean): void
  forget(deviceId: string): void
}

export function createLeavings(parts: {
  rightsOf: RightsDesk
  /** Drops the stored subscriptions of a device that are not allowed any more. */
  keepOnly(deviceId: string, allowed: Rights['subscribe']): void
}): Leavings {
  const sessions = new Map<string, Holder>()
  const publishers = new Map<string, Holder>()
  /** Rights of publishers, until policies change. */
  const known = new Map<string, Rights>()

  function rightsOfPublisher(deviceId: string): Rights {
    const remembered = known.get(deviceId)
    if (remembered !== undefined) return remembered
    const holder = publishers.get(deviceId)
    const rights = holder === undefined ? noRights : parts.rightsOf(holder)
    // A registry in doubt gives no rights either: asked again next time.
    if (rights !== noRights) known.set(deviceId, rights)
    return rights
  }

  function judgeSession(holder: Holder): void {
    parts.keepOnly(holder.deviceId, parts.rightsOf(holder).subscribe)
  }

  return {
    keepsSession: holder => void sessions.set(holder.deviceId, holder),
    leavesNothing: deviceId => void sessions.delete(deviceId),
    retains(holder) {
      publishers.set(holder.deviceId, holder)
      known.delete(holder.deviceId)
    },
    mayShow({ topic, qos, clientId }) {
      if (clientId === undefined) return true
      const rights = rightsOfPublisher(clientId)
      // A retained message may have been a will.
      return rights.publish(topic, qos, true) || rights.will(topic, qos, true)
    },
    rightsChanged(deviceId, isHere) {
      if (deviceId === null) known.clear()
      else known.delete(deviceId)
      const one = deviceId === null ? undefined : sessions.get(deviceId)
      const concerned = deviceId === null ? sessions.values() : one === undefined ? [] : [one]
      for (const holder of concerned) if (!isHere(holder.deviceId)) judgeSession(holder)
    },
    forget(deviceId) {
      sessions.delete(deviceId)
      publishers.delete(deviceId)
      known.delete(deviceId)
    },
  }
}
