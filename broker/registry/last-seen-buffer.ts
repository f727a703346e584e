// Collects when devices connected, how that ended, and what they sent and were sent, for the registry: one note a device in half a
// second. What a broker that is killed has not written is less than a second old.
import type { BrokerNotes } from '../../db/broker-notes.ts'
import { reasons } from '../../db/reason.ts'
import type { LastSeenNote } from '../../db/roll/last-seen.ts'
import type { Session, Sessions } from '../mqtt/connection/sessions.ts'

export type LastSeenBuffer = {
  /** A device was answered CONNACK 0. */
  connectionAccepted(session: Session): void
  connectionEnded(session: Session): void
  /** What waits for a device that is away has changed; written some hundred devices a second. */
  storedSessionChanged(deviceId: string): void
  /** Writes what is due, all that waits where `all`. Throws where the registry takes nothing: then it waits on. */
  flush(write: WriteEach, all?: boolean): void
}

type WriteEach = (batch: LastSeenNote[], write: (notes: LastSeenNote[]) => void) => void
export type StoredSessionOf = (deviceId: string) => { kept: boolean; waiting: number }

/** A note is written with every fifth write to the registry. */
const WRITES_BETWEEN = 5
/** A note is one row of a small table: so many hold the event loop up for some milliseconds. */
const MOVED_AT_ONCE = 1_000
/** The same for devices of which nothing changed but a count, so that a message to all of a fleet costs little. */
const COUNTS_AT_ONCE = 250
const LOOKED_AT = 2_500
/** More than a roll has devices. */
const DEVICES_MAX = 2_000_000

export function createLastSeenBuffer(parts: {
  nodeId: string
  notes: Pick<BrokerNotes, 'lastSeen'>
  sessions: Pick<Sessions, 'all' | 'ofDevice'>
  storedSession: StoredSessionOf
  /** Interval of writes. */
  writeMs: number
  now: () => number
}): LastSeenBuffer {
  const { nodeId, notes, sessions, now } = parts
  /** The last connection that ended, by device; null where none did. */
  const moved = new Map<string, LastSeenNote['ended']>()
  const counted = new Set<string>()
  /** Bytes of connections that have ended and are not on record. */
  const left = new Map<string, { bytesIn: number; bytesOut: number }>()
  let round = sessions.all()[Symbol.iterator]()
  let writtenAt = Number.NEGATIVE_INFINITY

  function noteOf(deviceId: string): { note: LastSeenNote; live: Session[] } {
    const live = sessions.ofDevice(deviceId).filter(({ connected }) => connected)
    const newest = live.at(-1)
    const stored = parts.storedSession(deviceId)
    const bytes = { ...(left.get(deviceId) ?? { bytesIn: 0, bytesOut: 0 }) }
    for (const { bytesIn, bytesOut, noted } of live) {
      bytes.bytesIn += bytesIn - noted.bytesIn
      bytes.bytesOut += bytesOut - noted.bytesOut
    }
    const note = {
      deviceId,
      live: newest === undefined ? null : connectionOf(newest),
      ended: moved.get(deviceId) ?? null,
      sessionKept: stored.kept,
      messagesWaiting: stored.waiting,
      ...bytes,
    }
    return { note, live }
  }

  function writeAll(deviceIds: readonly string[], write: WriteEach): void {
    if (deviceIds.length === 0) return
    const batch = deviceIds.map(noteOf)
    write(
      batch.map(({ note }) => note),
      some => notes.lastSeen(nodeId, some),
    )
    for (const { note, live } of batch) {
      for (const session of live) session.noted = { bytesIn: session.bytesIn, bytesOut: session.bytesOut }
      moved.delete(note.deviceId)
      counted.delete(note.deviceId)
      left.delete(note.deviceId)
    }
  }

  /** Goes round all connections, some at a time, for those that sent or were sent something. */
  function lookAtTraffic(): void {
    for (let looked = 0; looked < LOOKED_AT && counted.size < COUNTS_AT_ONCE; looked += 1) {
      const next = round.next()
      if (next.done === true) {
        round = sessions.all()[Symbol.iterator]()
        return
      }
      const { connected, bytesIn, bytesOut, noted, identity } = next.value
      if (connected && (bytesIn !== noted.bytesIn || bytesOut !== noted.bytesOut))
        counted.add(identity.deviceId)
    }
  }

  function change(deviceId: string, ended: LastSeenNote['ended']): void {
    if (moved.size < DEVICES_MAX || moved.has(deviceId))
      moved.set(deviceId, ended ?? moved.get(deviceId) ?? null)
  }

  return {
    connectionAccepted: session => change(session.identity.deviceId, null),
    connectionEnded(session) {
      const { deviceId } = session.identity
      change(deviceId, { ...connectionOf(session), until: now(), reason: reasonOf(session) })
      const before = left.get(deviceId)
      const bytesIn = (before?.bytesIn ?? 0) + session.bytesIn - session.noted.bytesIn
      const bytesOut = (before?.bytesOut ?? 0) + session.bytesOut - session.noted.bytesOut
      if (moved.has(deviceId)) left.set(deviceId, { bytesIn, bytesOut })
    },
    storedSessionChanged(deviceId) {
      if (counted.size < DEVICES_MAX) counted.add(deviceId)
    },
    flush(write, all = false) {
      const isBehind = moved.size >= MOVED_AT_ONCE
      if (!all && !isBehind && Math.abs(now() - writtenAt) < parts.writeMs * WRITES_BETWEEN) return
      do {
        writeAll(take(moved.keys(), MOVED_AT_ONCE), write)
      } while (all && moved.size > 0)
      if (!isBehind) lookAtTraffic()
      if (all) for (const { identity } of sessions.all()) counted.add(identity.deviceId)
      do {
        writeAll(take(counted, COUNTS_AT_ONCE), write)
      } while (all && counted.size > 0)
      if (moved.size === 0) writtenAt = now()
    },
  }
}

function connectionOf({ connect, address, identity }: Session) {
  const { at = 0, protocolLevel = 4 } = connect ?? {}
  return { since: at, address, fingerprint: identity.fingerprint, protocolLevel }
}

/** The message of a library is for the log; here stands one word of a known list. */
function reasonOf({ ended, ending }: Session): string {
  return ended !== null && Object.hasOwn(reasons, ended) ? ended : ending
}

function take<Item>(from: Iterable<Item>, most: number): Item[] {
  const taken: Item[] = []
  for (const item of from) {
    if (taken.length >= most) break
    taken.push(item)
  }
  return taken
}
