// The queues of stored sessions: bounded, the oldest dropped first. What it writes is part of the group that is open. Knows no
// connections.
import type { QueuedRow, QueueTable } from '../../../db/sessions/session-queue.ts'
import { isExpired, type Message, type QoS, weigh } from '../message.ts'
import type { GroupCommit } from './group-commit.ts'
import type { createQueueQuota } from './queue-quota.ts'

export type { QueuedRow } from '../../../db/sessions/session-queue.ts'

const DROPPED_AT_ONCE = 500

export function createSessionQueue(parts: {
  table: QueueTable
  commit: GroupCommit
  quota: ReturnType<typeof createQueueQuota>
  ageMaxMs: number
  now(): number
  onDropped(what: 'offline' | 'aged', session: number): void
}) {
  const { table, commit, quota } = parts

  function count(session: number, messages: number, bytes: number): void {
    quota.count(session, messages, bytes)
    commit.undo(() => quota.count(session, -messages, -bytes))
  }

  /**
   * Drops the oldest of the session's own messages until the message fits; false where it does not by any means, and then nothing is
   * dropped. Never touches the queue of another.
   */
  function makeRoom(session: number, bytes: number): boolean {
    for (let overflow = quota.overflow(session, bytes); overflow !== null; ) {
      if (overflow === 'alone' || !table.unsentHolds(session, quota.excess(session, bytes))) return false
      const dropped = table.dropUnsent(session)
      if (dropped === undefined) return false
      count(session, -1, -dropped.bytes)
      parts.onDropped('offline', session)
      overflow = quota.overflow(session, bytes)
    }
    return true
  }

  function drop(dropped: { session: number; bytes: number }[]): void {
    for (const { session, bytes } of dropped) {
      count(session, -1, -bytes)
      parts.onDropped('aged', session)
    }
  }

  return {
    /** Counts what the last life left; gives the counter of its newest message. */
    load(): number {
      for (const { session, messages, bytes } of table.totals()) quota.count(session, messages, bytes)
      return table.lastCounter()
    },

    /** Counts the queue of a session that came with it. */
    takeIn(session: number): void {
      const { messages, bytes } = table.totalOf(session)
      quota.count(session, messages, bytes)
    },

    /**
     * Puts a message into the queue of a session, sent already where it has a packet identifier. Gives its row, or null where there
     * is no room. Throws where it cannot be written.
     */
    enqueue(
      session: number,
      message: Message,
      as: { qos: QoS; retain: boolean; messageId: number | null; identifiers: readonly number[] },
    ): number | null {
      const bytes = weigh(message)
      return commit.write(() => {
        if (!makeRoom(session, bytes)) {
          parts.onDropped('offline', session)
          return null
        }
        const row = table.insert({
          session,
          messageId: as.messageId,
          counter: message.sequence,
          bytes,
          at: parts.now(),
          topic: message.topic,
          payload: message.payload,
          qos: as.qos,
          retain: as.retain ? 1 : 0,
          properties: message.properties,
          expiresAt: message.expiresAt,
          identifiers: as.identifiers.length > 0 ? as.identifiers.join(',') : null,
        })
        count(session, 1, bytes)
        return row
      })
    },

    /** A message is about to be sent with this packet identifier. */
    send: (row: number, messageId: number) => commit.write(() => table.send(row, messageId)),
    /** PUBREC came. */
    release: (row: number) => commit.write(() => table.release(row)),

    /** What was acknowledged, or may not be sent, goes; where that is lost it is done again. */
    strikeOut(session: number, row: number, bytes: number): void {
      let isThere = true
      commit.owe(() => {
        isThere = table.remove(row)
      })
      if (isThere) quota.count(session, -1, -bytes)
    },

    /** What was sent and not acknowledged, oldest first, after this row. */
    sent: table.sent,
    /** What was never sent, oldest first. */
    unsent: table.unsent,

    /** Whether it waited longer than any message may, or longer than it was meant to live. */
    isTooOld: ({ at, expiresAt, released }: QueuedRow) =>
      released === 0 && (at < parts.now() - parts.ageMaxMs || isExpired({ expiresAt }, parts.now())),

    /** Whether something was sent and not acknowledged. */
    isUnderWay: (session: number) => quota.of(session).messages > 0 && table.sentCount(session, 1) > 0,

    /** How many messages it holds, sent and not acknowledged ones too. */
    size: (session: number) => quota.of(session).messages,

    /** Drops what is too old, the oldest first, and what has expired, some at a time. Gives whether more may be left. */
    dropAged(): boolean {
      const now = parts.now()
      const before = now - parts.ageMaxMs
      let left = false
      if ((table.oldest() ?? Number.POSITIVE_INFINITY) < before) {
        const aged = commit.write(() => table.dropAged(before, DROPPED_AT_ONCE))
        drop(aged)
        left = aged.length === DROPPED_AT_ONCE
      }
      const expired = commit.write(() => table.dropExpired(now, DROPPED_AT_ONCE))
      drop(expired)
      return left || expired.length === DROPPED_AT_ONCE
    },

    clear(session: number): void {
      const { messages, bytes } = quota.of(session)
      quota.count(session, -messages, -bytes)
      commit.owe(() => table.clear(session))
    },
  }
}

/** The message of a row, to be sent. */
export function messageOf(row: QueuedRow): Message {
  return {
    topic: row.topic,
    payload: typeof row.payload === 'string' ? Buffer.from(row.payload) : row.payload,
    qos: row.qos,
    retain: row.retain === 1,
    publisher: null,
    properties: row.properties,
    expiresAt: row.expiresAt,
    sequence: row.counter,
  }
}
