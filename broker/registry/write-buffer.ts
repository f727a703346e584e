// Collects the broker's writes to the registry and writes them in batches: first uses, refusals, heartbeats, acknowledgements.
// A registry that cannot be written now (locked, disk full) delays them; no admission waits for them.

import type { Acknowledgement, BrokerNotes, NodeReport, RefusalNote, UseNote } from '../../db/broker-notes.ts'
import type { ArrivalNote } from '../../db/issuers/arrivals.ts'
import type { Reason } from '../../db/reason.ts'
import { isRegistryUnavailable } from '../../db/registry-error.ts'
import type { CloneEvidence } from '../../db/roll/clone-suspension.ts'
import type { Filters, Sessions } from '../mqtt/connection/sessions.ts'
import type { ExplainDenial } from '../mqtt/rights-resolver.ts'
import type { PeerInfo } from '../observability/logging.ts'
import { createDenialBuffer, type DenialBuffer } from './denial-buffer.ts'
import { createLastSeenBuffer, type LastSeenBuffer, type StoredSessionOf } from './last-seen-buffer.ts'
import { liveSessions } from './live-sessions.ts'

export type RegistryWriteBuffer = {
  use(fingerprint: string, deviceId: string): void
  refusal(reason: Reason, peer: PeerInfo): void
  /** A device wants to register itself. False where too many arrivals wait to be written. */
  arrival(note: ArrivalNote): boolean
  /** The subscriptions of a session changed. Written within some seconds, for policy simulation. */
  subscriptions(peer: PeerInfo, filters: Filters): void
  /** The sessions of this device changed. Written within some seconds. */
  sessions(deviceId: string): void
  lastSeen: Omit<LastSeenBuffer, 'flush'>
  /** A policy denied something. Gives the note where it is worth an event. */
  denied: DenialBuffer['denied']
  /** Written at once where possible: an operator waits for it. */
  acknowledge(acknowledgement: Acknowledgement): void
  /** Suspends a cloned certificate, as soon as the registry can be written. */
  suspendCloned(evidence: CloneEvidence): void
  /** Writes everything that waits and removes the node. */
  close(): void
}

const FLUSH_MS = 100
const HEARTBEAT_MS = 1_000
const REFUSAL_REPEAT_MS = 60_000
const REFUSALS_REMEMBERED_MAX = 10_000
const WAITING_MAX = 100_000
const BATCH_MAX = 500
/** Each holds a certificate. */
const ARRIVALS_WAITING_MAX = 200
const ARRIVALS_AT_ONCE = 50
const SUBSCRIBERS_AT_ONCE = 2_000
/** More than a roll has devices. */
const MOVED_MAX = 2_000_000

type Seen = { note: RefusalNote; writtenAt: number }

export function createRegistryWriteBuffer(options: {
  nodeId: string
  epoch: number
  notes: BrokerNotes
  /** Interval of writes; 100 ms by default. */
  everyMs?: number | undefined
  now: () => number
  report: () => NodeReport
  sessions: Pick<Sessions, 'connected' | 'all' | 'ofDevice'>
  storedSession: StoredSessionOf
  explainDenial: ExplainDenial
  onWaiting(error: unknown, waiting: number): void
}): RegistryWriteBuffer {
  const { nodeId, notes, now } = options
  const uses = new Map<string, UseNote>()
  const refusals = new Map<string, Seen>()
  const subscriptions = new Map<string, { peer: PeerInfo; filters: Filters }>()
  const moved = new Set<string>()
  const clones = new Map<string, CloneEvidence>()
  const arrivals = new Map<string, ArrivalNote>()
  const denials = createDenialBuffer(options.explainDenial, now)
  const lastSeen = createLastSeenBuffer({ ...options, writeMs: options.everyMs ?? FLUSH_MS })
  let acknowledgements: Acknowledgement[] = []
  let heartbeatAt = now()

  notes.enter(nodeId, options.epoch, now())
  const timer = setInterval(flush, options.everyMs ?? FLUSH_MS)

  const steps = [
    ...[flushAcknowledgements, flushUses, flushClones, flushArrivals, flushRefusals],
    () => lastSeen.flush(writeEach),
    beat,
  ]

  function flush(): void {
    for (const step of steps) {
      try {
        step()
      } catch (error) {
        options.onWaiting(error, acknowledgements.length + uses.size)
        // The registry takes no writes now; the other steps wait too.
        if (isRegistryUnavailable(error)) return
      }
    }
  }

  function beat(): void {
    if (Math.abs(now() - heartbeatAt) < HEARTBEAT_MS) return
    notes.seen(nodeId, now(), options.sessions.connected().connected, options.report())
    heartbeatAt = now()
    denials.flush(batch => writeEach(batch, notes.denials))
    flushSubscriptions()
    flushSessions()
  }

  /** Writes a batch; where it fails, writes each item alone and drops the one that fails. */
  function writeEach<Note>(batch: Note[], write: (notes: Note[]) => void): void {
    try {
      write(batch)
    } catch (error) {
      if (isRegistryUnavailable(error)) throw error
      if (batch.length > 1) for (const note of batch) writeEach([note], write)
      else options.onWaiting(error, 0)
    }
  }

  function flushAcknowledgements(): void {
    if (acknowledgements.length === 0) return
    notes.acknowledge(nodeId, acknowledgements)
    acknowledgements = []
  }

  function flushUses(): void {
    if (uses.size === 0) return
    const batch = [...uses.values()].slice(0, BATCH_MAX)
    writeEach(batch, notes.uses)
    for (const note of batch) uses.delete(note.fingerprint)
  }

  /** After first uses: the certificate of a takeover has been used. */
  function flushClones(): void {
    for (const [fingerprint, evidence] of clones) {
      writeEach([evidence], ([one]) => notes.suspendCloned(one!))
      clones.delete(fingerprint)
    }
  }

  /** A bounded number at once, because brokers wait for each other's writes. */
  function flushArrivals(): void {
    if (arrivals.size === 0) return
    const batch = [...arrivals.values()].slice(0, ARRIVALS_AT_ONCE)
    writeEach(batch, notes.arrivals)
    for (const { fingerprint } of batch) arrivals.delete(fingerprint)
  }

  /** Once a second, so that a device that subscribes to much at once costs one note. */
  function flushSubscriptions(): void {
    if (subscriptions.size === 0) return
    const batch = [...subscriptions].slice(0, SUBSCRIBERS_AT_ONCE)
    writeEach(
      batch.map(([deviceId, { peer, filters }]) => ({
        deviceId,
        fingerprint: peer.fingerprint ?? '',
        filters: [...filters.keys()],
      })),
      some => notes.subscriptions(nodeId, some),
    )
    for (const [deviceId, noted] of batch)
      if (subscriptions.get(deviceId) === noted) subscriptions.delete(deviceId)
  }

  /** In their current state, whatever happened since the last write. */
  function flushSessions(): void {
    if (moved.size === 0) return
    const batch = [...moved].slice(0, SUBSCRIBERS_AT_ONCE)
    writeEach(
      batch.map(deviceId => ({ deviceId, sessions: liveSessions(options.sessions.ofDevice(deviceId)) })),
      some => notes.liveSessions(nodeId, some),
    )
    for (const deviceId of batch) moved.delete(deviceId)
  }

  function flushRefusals(): void {
    const due = [...refusals.entries()]
      .filter(([, seen]) => seen.note.count > 0 && now() - seen.writtenAt >= REFUSAL_REPEAT_MS)
      .slice(0, BATCH_MAX)
    if (due.length === 0) return
    writeEach(
      due.map(([, { note }]) => ({ ...note })),
      notes.refusals,
    )
    for (const [, seen] of due) {
      seen.note.count = 0
      seen.writtenAt = now()
    }
  }

  return {
    use(fingerprint, deviceId) {
      if (uses.size < WAITING_MAX) uses.set(fingerprint, { fingerprint, deviceId, at: now() })
    },

    refusal(reason, peer) {
      if (peer.fingerprint === undefined) return
      const key = `${peer.fingerprint} ${reason}`
      const seen = refusals.get(key) ?? {
        note: newNote(reason, peer, peer.fingerprint),
        writtenAt: -Infinity,
      }
      seen.note.count += 1
      seen.note.at = now()
      seen.note.address = peer.address
      refusals.delete(key)
      refusals.set(key, seen)
      if (refusals.size > REFUSALS_REMEMBERED_MAX) refusals.delete(refusals.keys().next().value!)
    },

    subscriptions(peer, filters) {
      if (peer.deviceId === undefined) return
      const known = subscriptions.has(peer.deviceId)
      if (known || subscriptions.size < WAITING_MAX) subscriptions.set(peer.deviceId, { peer, filters })
    },

    lastSeen,
    denied: denials.denied,

    sessions(deviceId) {
      if (moved.size < MOVED_MAX) moved.add(deviceId)
    },

    arrival(note) {
      if (arrivals.size >= ARRIVALS_WAITING_MAX && !arrivals.has(note.fingerprint)) return false
      arrivals.set(note.fingerprint, note)
      return true
    },

    suspendCloned(evidence) {
      if (clones.size < WAITING_MAX) clones.set(evidence.fingerprint, evidence)
    },

    acknowledge(acknowledgement) {
      acknowledgements.push(acknowledgement)
      // The last one stands for all before it.
      if (acknowledgements.length > WAITING_MAX) acknowledgements = acknowledgements.slice(-BATCH_MAX)
      flush()
    },

    close() {
      clearInterval(timer)
      flush()
      try {
        lastSeen.flush(writeEach, true)
        denials.flush(batch => writeEach(batch, notes.denials))
        notes.leave(nodeId)
      } catch (error) {
        options.onWaiting(error, 0)
      }
    },
  }
}

function newNote(reason: Reason, peer: PeerInfo, fingerprint: string): RefusalNote {
  return { fingerprint, deviceId: peer.deviceId ?? null, reason, address: peer.address, at: 0, count: 0 }
}
