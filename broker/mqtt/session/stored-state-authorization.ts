// What devices leave behind when they go: stored subscriptions and retained messages. It is worth no more than the right
// it stands on, which is looked up again whenever policies change. Knows no sockets.
import type { HolderRow } from '../../../db/sessions/session-records.ts'
import type { Rights } from '../../../policy/rights.ts'
import { noRights } from '../../../policy/rights.ts'
import type { PrincipalRecord } from '../persistence/principal-record.ts'
import { type Principal, type RightsResolver, unreadRights } from '../rights-resolver.ts'

/** `publisher` is the device that published it, null where the broker itself did. */
export type Retained = { topic: string; qos: 0 | 1 | 2; publisher: string | null }

export type StoredStateAuthorization = {
  /** Takes up what the broker's last life left. */
  restore(): void
  /** That of one device came with its session from another node. */
  takeIn(row: HolderRow & { keepsSession: 0 | 1 }): void
  /** A session that outlives its connection: its subscriptions are judged by this principal's rights from now on. */
  keepsSession(principal: Principal): void
  /** A clean session: nothing of it stays. */
  leavesNothing(deviceId: string): void
  retains(principal: Principal, isBackend: boolean): void
  /** Whether this device was a backend when it last retained something. */
  retainsAsBackend(deviceId: string): boolean
  /** Whether the publisher of this message may still publish it (mosquitto CVE-2018-12546). */
  mayShow(message: Retained): boolean
  /** Policies changed for one device; one that is here looks after its session itself. Throws where they cannot be read. */
  rightsChanged(deviceId: string, isHere: boolean): void
  /** Policies changed for all: gives the principals whose stored sessions are to be checked, one by one. */
  allRightsChanged(): string[]
  forget(deviceId: string): void
}

export function createStoredStateAuthorization(parts: {
  rightsOf: RightsResolver
  /** Drops the stored subscriptions of a device that are not allowed any more, and bounds how long its session lasts. */
  keepOnly(deviceId: string, rights: Rights): void
  /** Outlives the broker. */
  record: PrincipalRecord
  /** Whether nothing that this device left is worth anything any more. Throws where nobody can say. */
  isGone(deviceId: string): boolean
}): StoredStateAuthorization {
  const sessions = new Map<string, Principal>()
  const publishers = new Map<string, Principal>()
  const backends = new Set<string>()
  /** Principals of an earlier run that have not returned: their rights may have ended meanwhile. */
  const unseen = new Set<string>()
  /** Rights of publishers, until policies change. */
  const known = new Map<string, Rights>()

  function rightsOfPublisher(deviceId: string): Rights {
    const remembered = known.get(deviceId)
    if (remembered !== undefined) return remembered
    const principal = publishers.get(deviceId)
    const rights = principal === undefined || isGone(deviceId) ? noRights : parts.rightsOf(principal)
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
      for (const { principal, keepsSession } of parts.record.all()) {
        if (keepsSession) sessions.set(principal.deviceId, principal)
        publishers.set(principal.deviceId, principal)
        unseen.add(principal.deviceId)
      }
    },
    takeIn({ device, issuer, serial, keepsSession }) {
      const principal = { deviceId: device, issuerId: issuer, serialNumber: serial }
      parts.record.takeIn({ device, issuer, serial, keepsSession })
      if (keepsSession === 1) sessions.set(device, principal)
      publishers.set(device, principal)
      unseen.add(device)
    },
    keepsSession(principal) {
      sessions.set(principal.deviceId, principal)
      parts.record.keep(principal, 'session')
    },
    leavesNothing(deviceId) {
      sessions.delete(deviceId)
      parts.record.leaves(deviceId)
    },
    retains(principal, isBackend) {
      if (isBackend) backends.add(principal.deviceId)
      else backends.delete(principal.deviceId)
      unseen.delete(principal.deviceId)
      parts.record.keep(principal, 'retained')
      publishers.set(principal.deviceId, principal)
      known.delete(principal.deviceId)
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
