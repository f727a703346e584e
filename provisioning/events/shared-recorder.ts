// Events of the record where several services share it: the holder of the lease reads the audit log, and how far it has come stands beside
// the events in PostgreSQL. So each row is told once, whichever service tells it, and none is left out where the lease changes.
import type { AuditTail } from '../../db/events/audit-tail.ts'
import type { EventCount } from '../../db/events/event-batch.ts'
import type { EventLog } from '../../db/events/event-log.ts'
import { addCount, type EventCounts } from '../../db/events/event-rows.ts'
import { createRepeatedLook } from '../../db/replication/repeated-look.ts'
import type { SharedEvents } from '../../db/replication/shared-events.ts'
import {
  AUDIT_ROWS_AT_ONCE,
  type EventRecorder,
  eventsOfRows,
  LOOK_AT_AUDIT_MS,
  tellDeadline,
} from './event-recorder.ts'

const MARK = 'audit'
const RETRY_MS = 1_000
/** A replica that is behind what was read comes up within moments: after so long an older registry was restored. */
const AHEAD_MS = 60_000

export async function startSharedEventRecorder(parts: {
  tail: AuditTail
  events: Pick<SharedEvents, 'readUpTo' | 'appendRead'>
  eventLog: EventLog
  leads(): boolean
  now: () => number
  onCounted(counts: Iterable<EventCount>): void
  onFailed(error: unknown): void
  /** Tests do not wait a minute. */
  aheadMs?: number
}): Promise<EventRecorder & { stop(): Promise<void> }> {
  const { tail, events, eventLog } = parts
  /** Null where it is to be asked: another service may have read on. */
  let position: { seq: number } | null = null
  let seen = -1
  let aheadSince: number | null = null
  const looking = createRepeatedLook({
    look,
    ...{ everyMs: LOOK_AT_AUDIT_MS, retryMs: RETRY_MS },
    onFailed(error) {
      position = null
      parts.onFailed(error)
    },
  })

  /** Where nobody has read it, it begins with the rows that follow. */
  async function begin(): Promise<{ seq: number } | null> {
    const latest = tail.latestSeq()
    const known = await events.readUpTo(MARK)
    if (known !== null) return { seq: known }
    const isFirst = await events.appendRead({ name: MARK, was: null, value: latest }, [], [])
    return isFirst ? { seq: latest } : null
  }

  /** More was read than there is. */
  async function beyond(seq: number): Promise<boolean> {
    aheadSince ??= performance.now()
    position = null
    if (performance.now() - aheadSince < (parts.aheadMs ?? AHEAD_MS)) return false
    await events.appendRead({ name: MARK, was: seq, value: tail.latestSeq() }, [], [])
    return true
  }

  async function look(): Promise<boolean> {
    if (!parts.leads()) {
      position = null
      return false
    }
    const version = tail.dataVersion()
    if (position !== null && version === seen && aheadSince === null) return false
    position ??= await begin()
    if (position === null) return true
    const { seq } = position
    if (seq > tail.latestSeq()) return await beyond(seq)
    aheadSince = null
    const rows = tail.after(seq, AUDIT_ROWS_AT_ONCE)
    const last = rows.at(-1)
    if (last !== undefined) {
      const found = eventsOfRows(rows, tail, parts.onFailed)
      const counts: EventCounts = new Map()
      for (const { kind, reason, at } of found) addCount(counts, kind, reason, at)
      position = null // until it is known what became of it
      const mark = { name: MARK, was: seq, value: last.seq }
      if (!(await events.appendRead(mark, found, [...counts.values()]))) return true
      parts.onCounted(counts.values())
      position = { seq: last.seq }
    }
    if (rows.length < AUDIT_ROWS_AT_ONCE) seen = version
    return rows.length === AUDIT_ROWS_AT_ONCE
  }

  await begin().catch(parts.onFailed) // at once: what happens from here on is events
  looking.start()
  return {
    look: looking.wake,
    deadlinePassed: passed => tellDeadline(eventLog, passed, parts.now),
    close: () => eventLog.close(),
    stop: looking.stop,
  }
}
