// The queues of stored sessions: bounded, the oldest dropped first, handed out in pages so that memory does not grow with
// them. What it writes is part of the group that is open. Knows no sockets.
import type { QueuedRow, QueueTable } from '../../../db/sessions/session-queue.ts'
import { type createQueueLedger, weigh } from '../queue-ledger.ts'
import type { GroupCommit } from './group-commit.ts'
import { type Handing, keyOf, newHanding, queueStream } from './queue-stream.ts'

/** A message on its way to a device, as aedes knows it. */
export type Outgoing = {
  cmd?: string
  topic: string
  payload: Buffer | string
  qos: 0 | 1 | 2
  retain?: boolean
  brokerId?: string
  brokerCounter?: number
  messageId?: number
}
export type Restored = Outgoing | { cmd: 'pubrel'; messageId: number }

const MESSAGE_ID_MAX = 65_535
const AGED_AT_ONCE = 500

export function createSessionQueue(parts: {
  table: QueueTable
  commit: GroupCommit
  ledger: ReturnType<typeof createQueueLedger>
  brokerId: string
  ageMaxMs: number
  now(): number
  onDropped(what: 'offline' | 'aged', session: number): void
}) {
  const { table, commit, ledger } = parts
  const handing = new Map<number, Handing>()

  function count(session: number, messages: number, bytes: number): void {
    ledger.count(session, messages, bytes)
    commit.undo(() => ledger.count(session, -messages, -bytes))
  }

  /**
   * Drops the oldest of the session's own messages until the message fits; false where it does not by any means, and then nothing is
   * dropped. Never touches the queue of another.
   */
  function makeRoom(session: number, bytes: number): boolean {
    for (let overflow = ledger.overflow(session, bytes); overflow !== null; ) {
      if (overflow === 'alone' || !table.unsentHolds(session, ledger.excess(session, bytes))) return false
      const dropped = table.dropUnsent(session)
      if (dropped === undefined) return false
      count(session, -1, -dropped.bytes)
      parts.onDropped('offline', session)
      overflow = ledger.overflow(session, bytes)
    }
    return true
  }

  const foreign = (brokerId: string | undefined) =>
    brokerId === undefined || brokerId === parts.brokerId ? null : brokerId

  /** Gives every message of the page an identifier at once: one wait for the disk instead of one each. */
  function handOut(session: number, counter: number, wanted: number): number | undefined {
    const page = handing.get(session)
    if (page === undefined) return undefined
    if (page.read.some(row => row.counter === counter)) {
      let next = wanted
      for (const row of page.read.splice(0)) {
        const given = identify(session, row.id, next)
        page.ids.set(row.counter, given)
        next = (given % MESSAGE_ID_MAX) + 1
      }
      page.kept = commit.kept()
    }
    const given = page.ids.get(counter)
    page.ids.delete(counter)
    if (page.over && page.ids.size === 0) handing.delete(session)
    return given
  }

  /** One that was sent before keeps its identifier [MQTT-4.4.0-1]. */
  function identify(session: number, id: number, wanted: number): number {
    const known = table.messageId(id)
    if (known !== null) return known
    const free = freeId(session, wanted)
    commit.write(() => table.send(id, free))
    return free
  }

  function freeId(session: number, wanted: number): number {
    let id = wanted
    while (table.idOfMessage(session, id) !== undefined) {
      id = (id % MESSAGE_ID_MAX) + 1
      if (id === wanted) throw new Error('no packet identifier is free')
    }
    return id
  }

  function asPacket(row: QueuedRow): Restored {
    if (row.released === 1) return { cmd: 'pubrel', messageId: row.messageId! }
    return Object.assign(
      {
        cmd: 'publish',
        brokerId: row.broker ?? parts.brokerId,
        brokerCounter: row.counter,
        topic: row.topic,
        payload: row.payload,
        qos: row.qos,
        retain: row.retain === 1,
        dup: false,
      },
      { messageId: row.messageId ?? undefined },
    ) as Outgoing
  }

  const tooOld = (row: QueuedRow) => row.released === 0 && row.at < parts.now() - parts.ageMaxMs

  return {
    /** Counts what the last life left; gives the counter of its newest message. */
    load(): number {
      for (const { session, messages, bytes } of table.totals()) ledger.count(session, messages, bytes)
      return table.lastCounter()
    },

    has: (session: number, { brokerCounter = 0, brokerId }: Outgoing) =>
      table.idOf(session, brokerCounter, foreign(brokerId)) !== undefined,

    /**
     * Puts a message into the queues of these sessions, for each with the QoS it is to have. Gives whether it is in any. Throws
     * where it cannot be written. RETAIN is set where it is shown to a new subscription alone [MQTT-3.3.1-8] [MQTT-3.3.1-9].
     */
    enqueue(
      sessions: Iterable<[session: number, qos: Outgoing['qos']]>,
      packet: Outgoing,
      retain: 0 | 1 = 0,
    ): boolean {
      const bytes = weigh(packet)
      return commit.write(() => {
        let taken = false
        for (const [session, qos] of sessions) {
          if (!makeRoom(session, bytes)) {
            parts.onDropped('offline', session)
            continue
          }
          table.insert({
            session,
            counter: packet.brokerCounter ?? 0,
            broker: foreign(packet.brokerId),
            bytes,
            at: parts.now(),
            topic: packet.topic,
            payload: packet.payload,
            qos,
            retain,
          })
          count(session, 1, bytes)
          taken = true
        }
        return taken
      })
    },

    /**
     * A message is about to be sent, or PUBREL in its place. The packet is given another identifier where its own is taken.
     * Resolves once that is on disk. What is not queued, for want of room or because it was left, is sent once, and PUBREC answered.
     */
    async update(session: number, packet: { cmd?: string } & Partial<Outgoing>): Promise<void> {
      const { messageId = 0, brokerCounter = 0 } = packet
      const page = handing.get(session)
      if (page?.untaken.delete(keyOf(packet)) && page.untaken.size === 0) page.allTaken()
      if (packet.cmd === 'pubrel') {
        const id = table.idOfMessage(session, messageId)
        if (id === undefined) return
        commit.write(() => table.release(id))
      } else {
        const handed = handOut(session, brokerCounter, messageId)
        const id = handed === undefined ? table.idOf(session, brokerCounter, foreign(packet.brokerId)) : 0
        if (id === undefined) {
          packet.messageId = freeId(session, messageId)
          return
        }
        packet.messageId = handed ?? identify(session, id, messageId)
        // Not for what others write meanwhile.
        if (handed !== undefined) return page?.kept ?? undefined
      }
      await commit.kept()
    },

    /** Strikes out what was acknowledged or may not be sent: by its identifier, or by its counter where it has none. */
    strikeOut(session: number, packet: Partial<Outgoing>): Restored | undefined {
      const { messageId, brokerCounter = 0 } = packet
      const id =
        messageId === undefined
          ? table.idOf(session, brokerCounter, foreign(packet.brokerId))
          : table.idOfMessage(session, messageId)
      const row = id === undefined ? undefined : commit.write(() => table.strikeOut(id))
      if (row === undefined) return undefined
      count(session, -1, -row.bytes)
      return asPacket(row)
    },

    /** All that waits for a session, oldest first, read as it is taken; see `queueStream`. */
    stream(
      session: number,
      isOver: () => boolean,
      caughtUp: ((newest: number) => void) | null,
    ): AsyncGenerator<Restored> {
      const page = newHanding()
      handing.set(session, page)
      const over = () => {
        if (page.ids.size === 0 && page.read.length === 0 && handing.get(session) === page)
          handing.delete(session)
      }
      return queueStream({ table, session, page, asPacket, tooOld, isOver, caughtUp, over })
    },

    waits: (
      session: number,
      { brokerCounter = 0, brokerId }: { brokerCounter?: number; brokerId?: string | null },
    ) => table.isUnsent(session, brokerCounter, foreign(brokerId ?? undefined)),

    /** Whether something was sent and not acknowledged. */
    isUnderWay: (session: number) => ledger.of(session).messages > 0 && table.sentCount(session, 1) > 0,

    /** Drops what is too old, the oldest first, some at a time. Gives whether more may be left. */
    dropAged(): boolean {
      const before = parts.now() - parts.ageMaxMs
      if ((table.oldest() ?? Number.POSITIVE_INFINITY) >= before) return false
      const dropped = commit.write(() => table.dropAged(before, AGED_AT_ONCE))
      for (const { session, bytes } of dropped) {
        count(session, -1, -bytes)
        parts.onDropped('aged', session)
      }
      return dropped.length === AGED_AT_ONCE
    },

    clear(session: number): void {
      const { messages, bytes } = ledger.of(session)
      ledger.count(session, -messages, -bytes)
      commit.owe(() => table.clear(session))
    },
  }
}
