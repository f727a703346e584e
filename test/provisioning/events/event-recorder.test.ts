// Events of the record: what was changed before a log began is none, and whatever is changed from then on is told.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TailRow } from '../../../db/events/audit-tail.ts'
import type { NewEvent } from '../../../db/events/event-rows.ts'
import { startEventRecorder } from '../../../provisioning/events/event-recorder.ts'

test('a new log begins where the record is when the service starts, not when somebody looks for the first time', () => {
  const rows: TailRow[] = [suspended(1, 'before')]
  const told: NewEvent[] = []
  const marks = new Map<string, number>()
  const service = startEventRecorder({
    tail: {
      dataVersion: () => rows.length,
      latestSeq: () => rows.length,
      after: seq => rows.filter(row => row.seq > seq),
      listed: () => 'first',
    },
    eventLog: {
      append: event => void told.push(event),
      tally() {},
      writeMarked(events, { name, value }) {
        told.push(...events)
        marks.set(name, value)
        return true
      },
      marked: name => marks.get(name) ?? null,
      close() {},
    },
    now: () => 0,
    onFailed: error => assert.fail(String(error)),
  })
  rows.push(suspended(2, 'after'))
  service.look()
  service.close()
  assert.deepEqual(
    told.map(({ kind, deviceId }) => [kind, deviceId]),
    [['suspended', 'after']],
  )
})

function suspended(seq: number, target: string): TailRow {
  return {
    seq,
    at: seq,
    actor: 'test',
    actorKind: 'token' as const,
    action: 'device.suspend',
    target,
    reason: null,
    detail: {},
  }
}
