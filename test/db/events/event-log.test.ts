// The event log as a contract: batches, a bounded ring, two processes, a damaged file, a full disk. Nothing throws at a writer.
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import Sqlite from 'better-sqlite3'
import { createEventLog, type EventLog, type EventLogOptions } from '../../../db/events/event-log.ts'
import { createEventReader, type EventReader } from '../../../db/events/event-reader.ts'
import { until } from '../../harness/until.ts'

let directory: string
let file: string
let closing: { close(): void }[]
let told: { dropped: number; failed: unknown[]; aside: string[] }
let clock: number
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'rollcall-events-'))
  file = join(directory, 'events.db')
  closing = []
  told = { dropped: 0, failed: [], aside: [] }
  clock = Date.now()
})
afterEach(() => {
  for (const one of closing) one.close()
  rmSync(directory, { recursive: true })
})

function openLog(more: Partial<EventLogOptions> = {}): EventLog {
  const log = createEventLog({
    ...{ file, node: 'n1', now: () => clock, everyMs: 5 },
    onDropped(count) {
      told.dropped += count
    },
    onFailed: error => void told.failed.push(error),
    onSetAside: aside => void told.aside.push(aside),
    ...more,
  })
  closing.push(log)
  return log
}

function openReader(): EventReader {
  const reader = createEventReader(file, error => void told.failed.push(error))
  closing.push(reader)
  return reader
}

const connected = (deviceId: string, at = clock) => ({ at, kind: 'connected' as const, deviceId })

test('what is appended is read in order, with counts per minute; the file is for its owner alone', async () => {
  const log = openLog()
  const reader = openReader()
  for (let index = 0; index < 10; index += 1) log.append(connected(`d${index}`))
  log.tally('refused', 'certificate_unlisted', clock, 40)
  log.append({ at: clock, kind: 'refused', reason: 'certificate_unlisted', detail: { count: 40 } }, 'counted')
  await until(() => reader.latestSeq() > 0)
  const all = reader.after(0, 100)
  assert.deepEqual(
    all.map(event => event.deviceId),
    ['d0', 'd1', 'd2', 'd3', 'd4', 'd5', 'd6', 'd7', 'd8', 'd9', null],
  )
  assert.deepEqual(all.at(-1)!.detail, { count: 40 })
  assert.equal(all[0]!.node, 'n1')
  assert.deepEqual(
    reader.minutes(0).map(({ kind, reason, count }) => [kind, reason, count]),
    [
      ['connected', '', 10],
      ['refused', 'certificate_unlisted', 40],
    ],
  )
  assert.deepEqual(reader.after(all[8]!.seq, 1)[0]!.deviceId, 'd9')
  assert.equal(statSync(file).mode & 0o777, 0o600)
})

test('pages go back in time by every filter, and see a bounded number of rows', async () => {
  const log = openLog()
  const reader = openReader()
  for (let index = 0; index < 12_000; index += 1) {
    log.append({
      at: clock + index,
      kind: index % 2 ? 'connected' : 'disconnected',
      deviceId: `d${index % 1000}`,
    })
    if (index % 2_000 === 1_999) await until(() => reader.page({}, null, 1).items[0]?.at === clock + index)
  }
  log.close()
  const ids = (filter: object, before: number | null = null, limit = 3) => reader.page(filter, before, limit)
  assert.deepEqual(
    ids({ device: 'd7' }).items.map(event => event.at - clock),
    [11_007, 10_007, 9_007],
  )
  assert.deepEqual(
    ids({ kind: 'connected' }).items.map(event => event.at - clock),
    [11_999, 11_997, 11_995],
  )
  const { next } = ids({ kind: 'connected' })
  assert.deepEqual(
    ids({ kind: 'connected' }, next, 1).items.map(event => event.at - clock),
    [11_993],
  )
  assert.deepEqual(ids({ device: 'd7', kind: 'disconnected' }).items, [])
  assert.equal(ids({ since: clock + 11_998 }).items.length, 2)
  const sparse = ids({ maySee: (event: { at: number }) => event.at - clock === 3 })
  assert.deepEqual(sparse.items, [])
  assert.ok(sparse.next !== null, 'it stops, and says where to go on')
  let found = 0
  for (let from: number | null = sparse.next; from !== null; ) {
    const page: ReturnType<typeof ids> = ids(
      { maySee: (event: { at: number }) => event.at - clock === 3 },
      from,
    )
    found += page.items.length
    from = page.next
  }
  assert.equal(found, 1)
})

test('the ring is bounded by rows and by age', async () => {
  const log = openLog({ rowsMax: 100 })
  const reader = openReader()
  for (let round = 0; round < 4; round += 1) {
    for (let index = 0; index < 100; index += 1) log.append(connected(`d${round}-${index}`))
    await until(() => reader.page({}, null, 1).items[0]?.deviceId === `d${round}-99`)
    clock += 3_000
  }
  log.append(connected('last'))
  await until(() => reader.page({}, null, 1).items[0]?.deviceId === 'last')
  assert.ok(reader.after(0, 1_000).length <= 102)
  clock += 8 * 86_400_000
  log.append(connected('later'))
  await until(() => reader.page({}, null, 1).items[0]?.deviceId === 'later')
  assert.deepEqual(
    reader.after(0, 10).map(event => event.deviceId),
    ['later'],
  )
  assert.equal(reader.minutes(0).length, 1)
})

test('two append beside each other and lose nothing', async () => {
  const [one, two] = [openLog({ node: 'n1' }), openLog({ node: 'n2' })]
  const reader = openReader()
  for (let index = 0; index < 500; index += 1) {
    one.append(connected(`a${index}`))
    two.append(connected(`b${index}`))
    if (index % 20 === 0) await pause(1)
  }
  await until(() => reader.after(0, 2_000).length === 1_000)
  const seqs = reader.after(0, 2_000).map(event => event.seq)
  assert.deepEqual(
    seqs,
    [...new Set(seqs)].sort((a, b) => a - b),
  )
  assert.equal(told.dropped, 0)
})

test('a log that another holds locked delays news, drops what is too much, and says how much', async () => {
  const log = openLog()
  const reader = openReader()
  log.append(connected('before'))
  await until(() => reader.latestSeq() > 0)
  const holder = new Sqlite(file)
  holder.exec('BEGIN IMMEDIATE')
  const begin = performance.now()
  for (let index = 0; index < 10_500; index += 1) log.append(connected(`d${index}`))
  // Far more than it takes beside others, far less than 10,500 attempts at what is locked.
  assert.ok(performance.now() - begin < 5_000, 'nobody waits')
  await pause(50)
  assert.equal(told.dropped, 500)
  holder.exec('COMMIT')
  holder.close()
  await until(() => reader.page({ kind: 'events_dropped' }, null, 1).items.length === 1)
  assert.deepEqual(reader.page({ kind: 'events_dropped' }, null, 1).items[0]!.detail, { count: 500 })
  await until(() => reader.page({}, null, 1).items[0]?.deviceId === 'd9999')
  assert.deepEqual(told.failed, [])
})

for (const [name, spoil] of [
  ['is no database', () => writeFileSync(file, 'x'.repeat(8_192))],
  ['was cut short', () => truncateSync(file, 5_000)],
] as const) {
  test(`a file that ${name} is set aside, and readers go on`, async () => {
    const first = openLog()
    const reader = openReader()
    for (let index = 0; index < 200; index += 1) first.append(connected(`d${index}`))
    await until(() => reader.latestSeq() > 0)
    const before = reader.latestSeq()
    // The last to close folds the write-ahead log into the file.
    reader.close()
    first.close()
    spoil()
    clock += 1_000
    const log = openLog()
    log.append(connected('after'))
    await until(() => told.aside.length === 1)
    await until(() => reader.after(before, 10).some(event => event.deviceId === 'after'))
    assert.ok(readdirSync(directory).some(entry => entry.includes('damaged')))
    assert.ok(reader.latestSeq() > before, 'positions of the old file lie before all of the new one')
  })
}

test('a file that was removed while in use is made anew', async () => {
  const log = openLog()
  const reader = openReader()
  log.append(connected('before'))
  await until(() => reader.latestSeq() > 0)
  for (const part of ['', '-wal', '-shm']) rmSync(file + part, { force: true })
  log.append(connected('after'))
  await until(() => reader.after(0, 10)[0]?.deviceId === 'after')
})

test('a directory that cannot be written costs nothing but the news, and is said', async () => {
  const log = openLog({ file: join(directory, 'missing', 'events.db') })
  log.append(connected('lost'))
  await until(() => told.failed.length >= 1)
  log.append(connected('lost, too'))
})

test('closing writes all that waits, and does not wait for what cannot be written', () => {
  const log = openLog({ everyMs: 60_000 })
  for (let index = 0; index < 7_000; index += 1) log.append(connected(`d${index}`))
  log.close()
  const reader = openReader()
  assert.equal(reader.page({}, null, 1).items[0]?.deviceId, 'd6999')
  const lost = openLog({ file: join(directory, 'missing', 'events.db'), everyMs: 60_000 })
  lost.append(connected('lost'))
  lost.close()
  assert.equal(told.failed.length, 1)
})

test('how far a source was read is kept with what was read from it', async () => {
  const log = openLog()
  assert.equal(log.marked('audit'), null)
  assert.equal(log.writeMarked([connected('a')], { name: 'audit', value: 7 }), true)
  assert.equal(log.marked('audit'), 7)
})
