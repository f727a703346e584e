// The disk fills up under the event log: events are lost and counted, no writer waits, and the log goes on once there is room.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createEventLog } from '../../db/events/event-log.ts'
import { createEventReader } from '../../db/events/event-reader.ts'
import { until } from '../harness/until.ts'
import { mountSmallDisk } from './small-disk.ts'

test('a full disk loses news and nothing else, and takes it again once there is room', async t => {
  using disk = mountSmallDisk()
  if (disk === null) return t.skip('needs the right to mount a tmpfs')
  const file = disk.at('events.db')
  const failed: unknown[] = []
  let dropped = 0
  const log = createEventLog({
    ...{ file, node: 'n1', now: Date.now, everyMs: 5 },
    onDropped(count) {
      dropped += count
    },
    onFailed: error => void failed.push(error),
    onSetAside: () => assert.fail('nothing is damaged'),
  })
  const reader = createEventReader(file, error => void failed.push(error))
  const tell = (deviceId: string) => log.append({ at: Date.now(), kind: 'connected', deviceId })
  try {
    tell('before')
    await until(() => reader.latestSeq() > 0)
    disk.fill()
    for (let index = 0; index < 12_000; index += 1) tell(`d${index}`)
    assert.equal(failed.length, 0, 'a writer of events does not log it')
    await until(() => failed.length > 0)
    assert.equal((failed[0] as { code: string }).code, 'SQLITE_FULL')
    assert.ok(dropped >= 2_000, 'what finds no room is counted')
    disk.free()
    await until(() => reader.page({ kind: 'events_dropped' }, null, 1).items.length === 1)
    tell('after')
    await until(() => reader.page({}, null, 1).items[0]?.deviceId === 'after')
    assert.ok(reader.page({ device: 'before' }, null, 1).items.length === 1)
  } finally {
    log.close()
    reader.close()
  }
})
