// What devices leave behind when they go: stored subscriptions and retained messages. It is worth no more than the right
// it stands on, which is looked up again whenever policies change. Knows no sockets.
import type { Rights } from '../../../policy/rights.ts'
import { noRights } from '../../../policy/rights.ts'
import type { HolderRecord } from '../persistence/holder-record.ts'
import { type Holder, type RightsDesk, unreadRights } from '../rights-desk.ts'

/** `publisher` is the device that published it, null where the broker itself did. */
export type Retained = { topic: string; qos: 0 | 1 | 2; publisher: string | null }

export type Leavings = {
  /** Takes up what the broker's last life left. */
  restore(): void
  /** A session that outlives its connection: its subscriptions are judged by this holder's rights from now on. */
  keepsSession(holder: Holder): void
  /** A clean session: nothing of it stays. */
  leavesNothing(deviceId: string): void
  retains(holder: Holder, isBackend: boolean): void
  /** Whether this device was a backend when it last retained something. */
  retainsAsBackend(deviceId: string): boolean
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
  /** Drops the stored subscriptions of a device that are not allowed any more, and bounds how long its session lasts. */
  keepOnly(deviceId: string, rights: Rights): void
  /** Outlives the broker. */
  record: HolderRecord
  /** Whether nothing that this device left is worth anything any more. Throws where nobody can say. */
  isGone(deviceId: string): boolean
}): Leavings {
  const sessions = new Map<string, Holder>()
  const publishers = new Map<string, Holder>()
  const backends = new Set<string>()
  /** Whoever was here in an earlier life and not since: its right may have ended meanwhile. */
  const unseen = new Set<string>()
  /** Rights of publishers, until policies change. */
  const known = new Map<string, Rights>()

  function rightsOfPublisher(deviceId: string): Rights {
    const remembered = known.get(deviceId)
    if (remembered !== undefined) return remembered
    const holder = publishers.get(deviceId)
    const rights = holder === undefined || isGone(deviceId) ? noRights : parts.rightsOf(holder)
    // A registry in doubt gives no rights either: asked again next time.
    if (rights !== noRights && rights !== unreadRights) known.set(deviceId, rights)
    return rights
  }

  function isGone(deviceId: string): boolean {
    try {
      return unseen.has(deviceId) && parts.isGone(deviceId)
    } catch {
      return true // for now: it is asked again
    }
  }

  return {
    restore() {
      for (const { holder, keepsSession } of parts.record.all()) {
        if (keepsSession) sessions.set(holder.deviceId, holder)
        publishers.set(holder.deviceId, holder)
        unseen.add(holder.deviceId)
      }
    },
    keepsSession(holder) {
      sessions.set(holder.deviceId, holder)
      parts.record.keep(holder, 'session')
    },
    leavesNothing(deviceId) {
      sessions.delete(deviceId)
      parts.record.leaves(deviceId)
    },
    retains(holder, isBackend) {
      if (isBackend) backends.add(holder.deviceId)
      else backends.delete(holder.deviceId)
      unseen.delete(holder.deviceId)
      parts.record.keep(holder, 'retained')
      publishers.set(holder.deviceId, holder)
      known.delete(holder.deviceId)
    },
    retainsAsBackend: deviceId => backends.has(deviceId),
    mayShow({ topic, qos, publisher }) {
      if (publisher === null) return true
      const rights = rightsOfPublisher(publisher)
      // A retained message may have been a will.
      return rights.publish(topic, qos, true) || rights.will(topic, qos, true)
    },
    rightsChanged(deviceId, isHere) {
      known.delete(deviceId)
      const stored = sessions.get(deviceId)
      if (stored === undefined || isHere) return
      const rights = parts.rightsOf(stored)
      if (rights === unreadRights) throw new Error(`the policies of ${deviceId} could not be read`)
      parts.keepOnly(deviceId, rights)
    },
    allRightsChanged() {
      known.clear()
      return [...sessions.keys()]
    },
    forget(deviceId) {
      unseen.delete(deviceId)
      parts.record.forget(deviceId)
      sessions.delete(deviceId)
      publishers.delete(deviceId)
      backends.delete(deviceId)
      known.delete(deviceId)
    },
  }
}
