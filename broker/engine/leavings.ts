// What devices leave behind when they go: stored subscriptions and retained messages. It is worth no more than the right
// it stands on, which is looked up again whenever policies change. Knows no sockets.
import type { Rights } from '../../policy/rights.ts'
import { noRights } from '../../policy/rights.ts'
import { type Holder, type RightsDesk, unreadRights } from './rights-desk.ts'

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
  /** Policies changed for one device; one that is here looks after its session itself. Throws where they cannot be read. */
  rightsChanged(deviceId: string, isHere: boolean): void
  /** Policies changed for all: gives those whose stored sessions are to be judged, one by one. */
  allRightsChanged(): string[]
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
    if (rights !== noRights && rights !== unreadRights) known.set(deviceId, rights)
    return rights
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
      known.delete(deviceId)
      const stored = sessions.get(deviceId)
      if (stored === undefined || isHere) return
      const rights = parts.rightsOf(stored)
      if (rights === unreadRights) throw new Error(`the policies of ${deviceId} could not be read`)
      parts.keepOnly(deviceId, rights.subscribe)
    },
    allRightsChanged() {
      known.clear()
      return [...sessions.keys()]
    },
    forget(deviceId) {
      sessions.delete(deviceId)
      publishers.delete(deviceId)
      known.delete(deviceId)
    },
  }
}
