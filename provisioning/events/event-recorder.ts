// Events of the record: follows the audit log, writes an event for each row that has one, and stores its position with them. A crash in between
// tells nothing twice and leaves nothing out.
import type { AuditTail, TailRow } from '../../db/events/audit-tail.ts'
import type { EventLog, NewEvent } from '../../db/events/event-log.ts'
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

const LOOK_EVERY_MS = 100
const ROWS_AT_ONCE = 500
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
  const timer = setInterval(look, LOOK_EVERY_MS)
  timer.unref()

  /** A new event log begins with the rows that follow. */
  function begin(): number | null {
    const known = eventLog.marked(MARK)
    if (known === undefined) return null
    if (known !== null) return Math.min(known, tail.latestSeq())
    const latest = tail.latestSeq()
    return eventLog.writeMarked([], { name: MARK, value: latest }) ? latest : null
  }

  /** A row that nothing can be told of is left out, and keeps no later one from being told. */
  function eventsOf(row: TailRow): NewEvent[] {
    try {
      const event = eventOfAuditRow(row, tail.listed)
      return event === null ? [] : [event]
    } catch (error) {
      if (isRegistryUnavailable(error)) throw error
      parts.onFailed(error)
      return []
    }
  }

  function look(): void {
    try {
      const version = tail.dataVersion()
      if (version === seen) return
      position ??= begin()
      if (position === null) return
      const rows = tail.after(position, ROWS_AT_ONCE)
      const last = rows.at(-1)
      if (last !== undefined) {
        const events = rows.flatMap(eventsOf)
        // Where the log was lost, and its mark with it, this one stands for it.
        if (!eventLog.writeMarked(events, { name: MARK, value: last.seq })) return
        position = last.seq
      }
      if (rows.length < ROWS_AT_ONCE) seen = version
    } catch (error) {
      parts.onFailed(error)
    }
  }

  look() // at once: what happens from here on is events

  return {
    look,
    deadlinePassed({ kind, fingerprint, deviceId, notAfter }) {
      if (kind !== 'expiring' && kind !== 'critical') return
      const detail = { notAfter: new Date(notAfter).toISOString(), critical: kind === 'critical' }
      eventLog.append({ at: parts.now(), kind: 'expiring', deviceId, fingerprint, detail })
    },
    close() {
      clearInterval(timer)
      look()
      eventLog.close()
    },
  }
}
