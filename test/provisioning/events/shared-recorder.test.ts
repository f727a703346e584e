// Events of a record that several services share, beside a record that was restored from before.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TailRow } from '../../../db/events/audit-tail.ts'
import type { NewEvent } from '../../../db/events/event-rows.ts'
import { startSharedEventRecorder } from '../../../provisioning/events/shared-recorder.ts'
import { until } from '../../cli/running.ts'

/** What PostgreSQL has, and a record of so many rows, each of which suspends a device. */
function world(read: number | null, rows: number) {
  const told: string[] = []
  const shared = {
    rows,
    read,
    told,
    tail: {
      dataVersion: () => shared.rows,
      latestSeq: () => shared.rows,
      after: (seq: number): TailRow[] =>
        Array.from({ length: Math.max(0, shared.rows - seq) }, (_, at) => ({
          ...{ seq: seq + at + 1, at: 1, actor: 'a', actorKind: null, action: 'device.suspend' },
          ...{ target: `d${seq + at + 1}`, reason: null, detail: {} },
        })),
      listed: () => 'first' as const,
    },
    events: {
      readUpTo: async () => shared.read,
      async appendRead(mark: { was: number | null; value: number }, events: readonly NewEvent[]) {
        if (mark.was !== shared.read) return false
        shared.read = mark.value
        for (const { deviceId } of events) told.push(deviceId!)
        return true
      },
    },
  }
  return shared
}

async function start(shared: ReturnType<typeof world>, leads = () => true) {
  const eventLog = { append() {}, tally() {}, writeMarked: () => true, marked: () => null, close() {} }
  const { tail, events } = shared
  return await startSharedEventRecorder({
    ...{ tail, events, eventLog, leads, now: Date.now, aheadMs: 200 },
    ...{ onCounted() {}, onFailed: error => assert.fail(String(error)) },
  })
}

test('each row is told once by the service that holds the lease, from where another one has come', async () => {
  const shared = world(null, 3)
  let holder = 0
  const recorders = [await start(shared, () => holder === 0), await start(shared, () => holder === 1)]
  shared.rows = 5
  await until(() => shared.told.length === 2, 'they are told')
  holder = 1
  shared.rows = 6
  await until(() => shared.told.length === 3, 'the other one goes on')
  assert.deepEqual(shared.told, ['d4', 'd5', 'd6'])
  for (const { stop } of recorders) await stop()
})

test('a record that was restored from before is told from its end on', async () => {
  const shared = world(1_000, 10)
  const recorder = await start(shared)
  await until(() => shared.read === 10, 'what was read is set back')
  shared.rows = 11
  await until(() => shared.told.length > 0, 'it is told')
  assert.deepEqual(shared.told, ['d11'])
  await recorder.stop()
})

test('a replica that is behind what was read waits, and nothing is told twice', async () => {
  const shared = world(12, 10)
  const recorder = await start(shared)
  shared.rows = 13
  await until(() => shared.told.length > 0, 'it is told')
  assert.deepEqual([shared.told, shared.read], [['d13'], 13])
  await recorder.stop()
})
