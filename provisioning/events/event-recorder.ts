// Events of the record: follows the audit log, writes an event for each row that has one, and stores its position with them. A crash in between
// tells nothing twice and leaves nothing out.
import type { AuditTail, TailRow } from '../../db/events/audit-tail.ts'
import type { EventLog } from '../../db/events/event-log.ts'
import type { NewEvent } from '../../db/events/event-rows.ts'
import { isRegistryUnavailable } from '../../db/registry-error.ts'
import type { PassedDeadline } from '../../db/roll/deadlines.ts'
import { eventOfAuditRow } from './audit-row-event.ts'

export type EventRecorder = {
  /** Looks now; runs by itself. */
  look(): void
  /** Time has come to renew a certificate, or it is high time: that changes nothing on record. */
  deadlinePassed(passed: PassedDeadline): void
  close(): void
}

export const LOOK_AT_AUDIT_MS = 100
export const AUDIT_ROWS_AT_ONCE = 500
const MARK = 'audit'

export function startEventRecorder(parts: {
  tail: AuditTail
  eventLog: EventLog
  now: () => number
  onFailed(error: unknown): void
}): EventRecorder {
  const { tail, eventLog } = parts
  let position: number | null = null
  let seen = -1
  const timer = setInterval(look, LOOK_AT_AUDIT_MS)
  timer.unref()

  /** A new event log begins with the rows that follow. */
  function begin(): number | null {
    const known = eventLog.marked(MARK)
    if (known === undefined) return null
    if (known !== null) return Math.min(known, tail.latestSeq())
    const latest = tail.latestSeq()
    return eventLog.writeMarked([], { name: MARK, value: latest }) ? latest : null
  }

  function look(): void {
    try {
      const version = tail.dataVersion()
      if (version === seen) return
      position ??= begin()
      if (position === null) return
      const rows = tail.after(position, AUDIT_ROWS_AT_ONCE)
      const last = rows.at(-1)
      if (last !== undefined) {
        const events = eventsOfRows(rows, tail, parts.onFailed)
        // Where the log was lost, and its mark with it, this one stands for it.
        if (!eventLog.writeMarked(events, { name: MARK, value: last.seq })) return
        position = last.seq
      }
      if (rows.length < AUDIT_ROWS_AT_ONCE) seen = version
    } catch (error) {
      parts.onFailed(error)
    }
  }

  look() // at once: what happens from here on is events

  return {
    look,
    deadlinePassed: passed => tellDeadline(eventLog, passed, parts.now),
    close() {
      clearInterval(timer)
      look()
      eventLog.close()
    },
  }
}

/** A row that nothing can be told of is left out, and keeps no later one from being told. */
export function eventsOfRows(
  rows: readonly TailRow[],
  { listed }: AuditTail,
  onFailed: (error: unknown) => void,
): NewEvent[] {
  return rows.flatMap(row => {
    try {
      const event = eventOfAuditRow(row, listed)
      return event === null ? [] : [event]
    } catch (error) {
      if (isRegistryUnavailable(error)) throw error
      onFailed(error)
      return []
    }
  })
}

export function tellDeadline(
  eventLog: EventLog,
  { kind, fingerprint, deviceId, notAfter }: PassedDeadline,
  now: () => number,
): void {
  if (kind !== 'expiring' && kind !== 'critical') return
  const detail = { notAfter: new Date(notAfter).toISOString(), critical: kind === 'critical' }
  eventLog.append({ at: now(), kind: 'expiring', deviceId, fingerprint, detail })
}
