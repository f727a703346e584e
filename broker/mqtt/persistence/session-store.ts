// What outlives a connection, on disk or, where durable sessions are off, in a database in memory: sessions, subscriptions, queues,
// QoS 2 half done, retained messages, wills. Writes into the group that is open; what it writes is known in memory to others.

import type { SessionFile } from '../../../db/sessions/session-file.ts'
import { prepareTakeIn, type SessionContent } from '../../../db/sessions/session-mirror.ts'
import { prepareQueue } from '../../../db/sessions/session-queue.ts'
import {
  prepareSessionRecords,
  type RetainedRow,
  type WillRow,
} from '../../../db/sessions/session-records.ts'
import type { RetainedMessage } from '../message.ts'
import type { SessionState, Subscription } from '../state.ts'
import { createGroupCommit } from './group-commit.ts'
import { createPrincipalRecord } from './principal-record.ts'
import { createQueueQuota, type QueueBounds } from './queue-quota.ts'
import { createSessionQueue } from './session-queue.ts'

export type SessionStore = ReturnType<typeof createSessionStore>

export type SessionStoreOptions = {
  file: SessionFile
  bounds: QueueBounds & { offlineAgeMaxMs: number }
  /** Gives IDs of queued messages that no other node gives; null where there is none. */
  nextRowId: (() => number) | null
  now(): number
  onDropped(what: 'offline' | 'aged', clientId: string): void
  /** Writes are lost: nothing of them was acknowledged. */
  onLost(error: unknown): void
  /** Writes are on disk. */
  onKept(tookMs: number): void
}

const NO_LOCAL = 0x04
const RETAIN_AS_PUBLISHED = 0x08

export function createSessionStore(parts: SessionStoreOptions) {
  const { sqlite, sync } = parts.file
  const commit = createGroupCommit({ sqlite, sync, onLost: parts.onLost, onKept: parts.onKept })
  const records = prepareSessionRecords(sqlite)
  const takeInRows = prepareTakeIn(sqlite)
  const quota = createQueueQuota(parts.bounds)
  const clientIds = new Map<number, string>()
  /** Clients whose half-done QoS 2 is on disk. */
  const unfinished = new Set<string>()
  /** Clients whose will is on disk. */
  const willing = new Set<string>()
  const queue = createSessionQueue({
    table: prepareQueue(sqlite, parts.nextRowId),
    commit,
    quota,
    ageMaxMs: parts.bounds.offlineAgeMaxMs,
    now: parts.now,
    onDropped: (what, session) => parts.onDropped(what, clientIds.get(session) ?? ''),
  })

  function unknow(state: SessionState): void {
    clientIds.delete(state.row ?? -1)
    state.row = null
    state.storing = null
  }

  /** Within a write: whatever is stored of a session is stored together with it. */
  function begin(state: SessionState): number {
    if (state.row !== null) return state.row
    const row = records.addSession(state.clientId)
    if (state.expirySeconds !== null) records.setExpiry(state.expirySeconds, null, row)
    clientIds.set(row, state.clientId)
    state.row = row
    const group = commit.kept()
    state.storing = group
    const over = () => {
      if (state.storing === group) state.storing = null
    }
    group.then(over, over)
    commit.undo(() => unknow(state))
    return row
  }

  return {
    queue,
    /** Of the group written to last, to be asked in the same turn: resolves once it is on disk, rejects where it is lost. */
    kept: commit.kept,
    ifRefused: commit.ifRefused,
    counts: quota.counts,
    principals: createPrincipalRecord(records, commit),
    subscriptionCount: records.subscriptionCount,

    /** Begins a group where none is open. Throws where none can be. */
    touch: () => commit.write(() => {}),

    /** Takes in what another node stored of this client. Where it throws, nothing of it is here, and all else is as it was. */
    takeIn(clientId: string, rows: readonly SessionContent[]) {
      const last = commit.attempt(() => takeInRows(clientId, rows))
      const sessions = records.sessionsOf(clientId)
      const incoming = records.unfinishedOf(clientId)
      const wills = records.willsOf(clientId)
      for (const { id } of sessions) {
        clientIds.set(id, clientId)
        queue.takeIn(id)
      }
      if (incoming.length > 0) unfinished.add(clientId)
      if (wills.length > 0) willing.add(clientId)
      const subscriptions = records.subscriptionsOf(clientId)
      return { ...last, sessions, subscriptions, incoming, wills, holders: records.holdersOf(clientId) }
    },

    /** Reads what the last life left; gives the sequence number of its newest message. */
    load() {
      const sessions = records.sessions()
      for (const { id, device } of sessions) clientIds.set(id, device)
      const incoming = records.unfinished()
      for (const { device } of incoming) unfinished.add(device)
      const wills = records.wills()
      for (const { device } of wills) willing.add(device)
      return {
        sequence: queue.load(),
        sessions,
        subscriptions: records.subscriptions(),
        incoming,
        wills,
        retained: records.retained(),
      }
    },

    /** Begins to store a session, in the group that is open. Throws where it cannot be written. */
    addSession: (state: SessionState) => void commit.write(() => begin(state)),

    /** How long it outlives its connection, and when that ended; what nobody waits for. */
    setExpiry(state: SessionState, endedAt: number | null): void {
      const { row, expirySeconds } = state
      if (row !== null) commit.owe(() => records.setExpiry(expirySeconds, endedAt, row))
    },

    /** It ends, with its queue; subscriptions go with it. */
    removeSession(state: SessionState): void {
      const { row } = state
      if (row === null) return
      queue.clear(row)
      unknow(state)
      commit.owe(() => records.removeSession(row))
    },

    /** Every change up to this epoch that deletes a stored session is in effect: on disk with, or after, what it deleted. */
    clearedTo: (epoch: number) => commit.owe(() => records.setClearedEpoch(epoch)),
    clearedEpoch: records.clearedEpoch,

    /** Throws where it cannot be written. `onLost` is called where it is lost later. */
    subscribe(state: SessionState, subscriptions: readonly Subscription[], onLost: () => void): void {
      commit.write(() => {
        const row = begin(state)
        for (const { filter, qos, noLocal, retainAsPublished, identifier } of subscriptions) {
          const options = (noLocal ? NO_LOCAL : 0) | (retainAsPublished ? RETAIN_AS_PUBLISHED : 0)
          records.subscribe(row, filter, qos, options, identifier)
        }
      })
      commit.undo(onLost)
    },

    unsubscribe(state: SessionState, filters: readonly string[]): void {
      const { row } = state
      if (row === null || filters.length === 0) return
      commit.owe(() => {
        for (const filter of filters) records.unsubscribe(row, filter)
      })
    },

    /** A message of QoS 2 came. In the turn in which it is queued, so both stay or neither. Throws where it cannot be written. */
    beginIncoming(state: SessionState, messageId: number): void {
      commit.write(() => {
        begin(state)
        records.begin(state.clientId, messageId)
      })
      commit.undo(() => void state.incoming?.delete(messageId))
      unfinished.add(state.clientId)
    },

    /** Its identifier is free again. Gives whether that is written, to be waited for. */
    finishIncoming(clientId: string, messageId: number): boolean {
      if (!unfinished.has(clientId)) return false
      commit.owe(() => records.finish(clientId, messageId))
      return true
    },

    /** Gives whether anything was there. */
    forgetIncoming(clientId: string): boolean {
      if (!unfinished.delete(clientId)) return false
      commit.owe(() => records.finishAll(clientId))
      return true
    },

    hasIncoming: (clientId: string) => unfinished.has(clientId),
    hasWill: (clientId: string) => willing.has(clientId),
    willing: () => willing.keys(),

    putWill(row: WillRow): void {
      willing.add(row.device)
      commit.owe(() => records.putWill(row))
    },

    removeWill(clientId: string): void {
      if (willing.delete(clientId)) commit.owe(() => records.removeWill(clientId))
    },

    /** Keeps a retained message in place of the one of its topic. Throws where it cannot be written. */
    retain({ topic, payload, qos, publisher, properties, expiresAt, at }: RetainedMessage): void {
      const row: RetainedRow = { topic, payload, qos, device: publisher, properties, expiresAt, at }
      // Nobody is told of a message of QoS 0.
      if (qos === 0) commit.owe(() => records.retain(row))
      else commit.write(() => records.retain(row))
    },

    unretain: (topic: string) => commit.owe(() => records.unretain(topic)),

    /** Writes what is left to write. */
    async close(): Promise<void> {
      await commit.close()
      parts.file.close()
    },
  }
}

/** Of a stored subscription. */
export function optionsOf(options: number): Pick<Subscription, 'noLocal' | 'retainAsPublished'> {
  return { noLocal: (options & NO_LOCAL) !== 0, retainAsPublished: (options & RETAIN_AS_PUBLISHED) !== 0 }
}
