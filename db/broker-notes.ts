// What a broker writes into the record: that it lives, what it acknowledged, first uses and refusals.
// Callers collect and write in batches: one transaction for many notes.
import { type ArrivalNote, prepareArrivalNotes } from './issuers/arrivals.ts'
import type { Registry } from './open.ts'
import { type CloneEvidence, prepareCloneSuspension } from './roll/clone-suspension.ts'
import { type DenialNote, prepareDenialNotes } from './roll/denials.ts'
import { prepareFirstUses, type UseNote } from './roll/first-use.ts'
import { type LastSeenNotes, prepareLastSeenNotes } from './roll/last-seen.ts'
import { type LiveSessionNotes, prepareLiveSessionNotes } from './roll/live-sessions.ts'

export type RefusalNote = {
  fingerprint: string
  deviceId: string | null
  reason: string
  address: string
  at: number
  count: number
}
export type { UseNote }
/**
 * What a broker says of itself; null where it has no replica, no bus. `ageMs`: since PostgreSQL was last heard. `drainAt` names the
 * order by which it takes no session; null where it takes them.
 */
export type NodeReport = {
  replica: { sequence: number; ageMs: number } | null
  busConnected: boolean | null
  drainAt: number | null
}
export type Acknowledgement = { epoch: number; sessionsCut: number; at: number }

/** What a live session is subscribed to now; none where it has ended. */
type SubscriptionNote = { deviceId: string; fingerprint: string; filters: readonly string[] }

export type BrokerNotes = LiveSessionNotes &
  Pick<LastSeenNotes, 'lastSeen'> & {
    /** Enters the node; it has acted on everything up to this epoch because it has no session yet. */
    enter(nodeId: string, epoch: number, at: number): void
    leave(nodeId: string): void
    seen(nodeId: string, at: number, sessions: number, report: NodeReport): void
    acknowledge(nodeId: string, acknowledgements: Acknowledgement[]): void
    /** First CONNECTs: what `prepareFirstUses` says. */
    uses(notes: UseNote[]): void
    refusals(notes: RefusalNote[]): void
    denials(notes: readonly DenialNote[]): void
    arrivals(notes: readonly ArrivalNote[]): void
    /** Holds a certificate that two are using. */
    suspendCloned(evidence: CloneEvidence): void
    /** Each note replaces what was noted of its device. */
    subscriptions(nodeId: string, notes: readonly SubscriptionNote[]): void
  }

/** Of a broker of a version that does not tell. */
const NO_REPORT: NodeReport = { replica: null, busConnected: null, drainAt: null }
const REFUSALS_KEPT_PER_FINGERPRINT = 20
const REFUSALS_KEPT = 50_000
const SUBSCRIPTIONS_NOTED_PER_DEVICE = 100
const ACKNOWLEDGEMENTS_KEPT_EPOCHS = 10_000

/** All verbs throw where the registry is locked or full; callers keep their notes and try again. */
export function createBrokerNotes(registry: Registry, version = ''): BrokerNotes {
  const { sqlite } = registry
  const enter = sqlite.prepare(
    `INSERT INTO nodes (id, started_at, seen_at, acknowledged_epoch, version) VALUES (@id, @at, @at, @epoch, @version)
     ON CONFLICT (id) DO UPDATE
       SET started_at = @at, seen_at = @at, acknowledged_epoch = @epoch, version = @version, sessions = 0,
           replica_sequence = NULL, replica_age_ms = NULL, bus_connected = NULL, drain_at = NULL`,
  )
  const leave = sqlite.prepare('DELETE FROM nodes WHERE id = ?')
  const forgetSubscriptions = sqlite.prepare('DELETE FROM session_subscriptions WHERE node_id = ?')
  const forgetSessions = sqlite.prepare('DELETE FROM live_sessions WHERE node_id = ?')
  const forgetOne = sqlite.prepare('DELETE FROM session_subscriptions WHERE node_id = ? AND device_id = ?')
  const { lastSeen, endAll } = prepareLastSeenNotes(sqlite)
  const subscribe = sqlite.prepare(
    'INSERT INTO session_subscriptions (node_id, device_id, fingerprint, filter) VALUES (?, ?, ?, ?)',
  )
  const seen = sqlite.prepare(
    `UPDATE nodes SET seen_at = ?, sessions = ?, replica_sequence = ?, replica_age_ms = ?, bus_connected = ?, drain_at = ?
     WHERE id = ?`,
  )
  const advance = sqlite.prepare('UPDATE nodes SET acknowledged_epoch = ?, seen_at = ? WHERE id = ?')
  const acknowledge = sqlite.prepare(
    'INSERT OR REPLACE INTO acknowledgements (epoch, node_id, sessions_cut, at) VALUES (?, ?, ?, ?)',
  )
  const forgetAcknowledgements = sqlite.prepare('DELETE FROM acknowledgements WHERE epoch < ?')
  const refuse = sqlite.prepare(
    `INSERT INTO refusals (fingerprint, device_id, reason, address, at, count)
     VALUES (@fingerprint, @deviceId, @reason, @address, @at, @count)`,
  )
  const trimOne = sqlite.prepare(
    `DELETE FROM refusals WHERE fingerprint = ? AND id NOT IN
       (SELECT id FROM refusals WHERE fingerprint = ? ORDER BY id DESC LIMIT ${REFUSALS_KEPT_PER_FINGERPRINT})`,
  )
  const trimAll = sqlite.prepare(
    `DELETE FROM refusals WHERE id <= (SELECT id FROM refusals ORDER BY id DESC LIMIT 1 OFFSET ${REFUSALS_KEPT})`,
  )

  return {
    enter: sqlite.transaction((id: string, epoch: number, at: number) => {
      forgetSubscriptions.run(id)
      forgetSessions.run(id)
      endAll(id)
      enter.run({ id, epoch, at, version })
    }).immediate,
    leave: sqlite.transaction((id: string) => {
      forgetSubscriptions.run(id)
      forgetSessions.run(id)
      endAll(id)
      leave.run(id)
    }).immediate,
    seen(id, at, sessions, { replica, busConnected, drainAt } = NO_REPORT) {
      const age = replica === null ? null : Math.round(replica.ageMs)
      const bus = busConnected === null ? null : Number(busConnected)
      seen.run(at, sessions, replica?.sequence ?? null, age, bus, drainAt ?? null, id)
    },

    acknowledge: sqlite.transaction((nodeId: string, acknowledgements: Acknowledgement[]) => {
      for (const { epoch, sessionsCut, at } of acknowledgements)
        acknowledge.run(epoch, nodeId, sessionsCut, at)
      const last = acknowledgements.at(-1)
      if (last === undefined) return
      advance.run(last.epoch, last.at, nodeId)
      forgetAcknowledgements.run(last.epoch - ACKNOWLEDGEMENTS_KEPT_EPOCHS)
    }).immediate,

    ...prepareLiveSessionNotes(sqlite),
    lastSeen,
    uses: prepareFirstUses(sqlite),
    suspendCloned: prepareCloneSuspension(sqlite),
    arrivals: prepareArrivalNotes(sqlite),
    denials: prepareDenialNotes(sqlite),

    subscriptions: sqlite.transaction((nodeId: string, notes: readonly SubscriptionNote[]) => {
      for (const { deviceId, fingerprint, filters } of notes) {
        forgetOne.run(nodeId, deviceId)
        for (const filter of filters.slice(0, SUBSCRIPTIONS_NOTED_PER_DEVICE))
          subscribe.run(nodeId, deviceId, fingerprint, filter)
        // No filter is empty: this row says that there are more.
        if (filters.length > SUBSCRIPTIONS_NOTED_PER_DEVICE) subscribe.run(nodeId, deviceId, fingerprint, '')
      }
    }).immediate,

    refusals: sqlite.transaction((notes: RefusalNote[]) => {
      for (const note of notes) {
        refuse.run(note)
        trimOne.run(note.fingerprint, note.fingerprint)
      }
      trimAll.run()
    }).immediate,
  }
}
