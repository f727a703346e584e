// The events of several machines on one PostgreSQL: each once, at every machine, in one order, through ends and lost answers.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import fc from 'fast-check'
import { encodeBatch, encodePart, readBatch } from '../../../db/events/event-batch.ts'
import { createEventCopy } from '../../../db/events/event-copy.ts'
import { createEventLog, type EventLog, type EventLogOptions } from '../../../db/events/event-log.ts'
import { createEventReader } from '../../../db/events/event-reader.ts'
import { createHistoryCopy } from '../../../db/history/history-copy.ts'
import { createHistoryReader } from '../../../db/history/history-reader.ts'
import { makeEventTables, pruneEvents } from '../../../db/replication/event-tables.ts'
import { readPostgresSettings } from '../../../db/replication/postgres.ts'
import { openSharedEvents } from '../../../db/replication/shared-events.ts'
import { until } from '../../cli/running.ts'
import { type PostgresServer, startPostgres } from '../../harness/postgres.ts'

const directory = mkdtempSync(join(tmpdir(), 'rollcall-events-'))
let server: PostgresServer
let closing: (() => unknown)[] = []
const name = 'test'
before(async () => {
  server = await startPostgres()
  await makeEventTables({ settings: readPostgresSettings(server.url), name })
})
afterEach(async () => {
  for (const close of closing.reverse()) await close()
  closing = []
  await server.query('TRUNCATE rollcall_events.batches, rollcall_events.marks')
})
after(async () => {
  await server.close()
  rmSync(directory, { recursive: true })
})

const newFile = () => join(directory, `${randomUUID()}.db`)
const quiet = { onFailed() {}, onSetAside() {} }

/** A process on an event file: what it writes, what it shares and what it reads. */
async function open(file: string, node: string, url = server.url, historyFile: string | null = null) {
  const settings = readPostgresSettings(url)
  const { onSetAside } = quiet
  const history =
    historyFile === null ? null : createHistoryCopy({ file: historyFile, now: Date.now, onSetAside })
  const shared = openSharedEvents({ settings, name, file, hasMarks: true, history, now: Date.now, ...quiet })
  const log = createEventLog({
    file,
    node,
    shared: true,
    now: Date.now,
    everyMs: 5,
    onDropped() {},
    ...quiet,
  })
  const reader = createEventReader(file, () => {}, true)
  await shared.start()
  const close = async () => {
    log.close()
    await shared.stop()
    reader.close()
  }
  closing.push(close)
  const tell = (deviceId: string) => log.append({ at: Date.now(), kind: 'connected', deviceId })
  const all = () => reader.after(0, 10_000)
  return { log, reader, shared, tell, all, told: () => all().map(({ deviceId }) => deviceId) }
}

function logAt(file: string, more: Partial<EventLogOptions>): EventLog {
  const log = createEventLog({
    file,
    node: 'k',
    shared: true,
    now: Date.now,
    onDropped() {},
    ...quiet,
    ...more,
  })
  closing.push(() => log.close())
  return log
}

/** Into the file, at once and by itself. */
function write(log: EventLog, deviceId: string): void {
  const event = { at: Date.now(), kind: 'connected' as const, deviceId }
  assert.ok(log.writeMarked([event], { name: 'mine', value: 0 }))
}

test('each machine has the events of all, once, under the same numbers and in the same order', async () => {
  const shared = newFile()
  const machines = [await open(newFile(), 'a'), await open(shared, 'b'), await open(shared, 'c')]
  const names: string[] = []
  for (let round = 0; round < 50; round += 1) {
    for (const [index, machine] of machines.entries()) {
      names.push(`${index}-${round}`)
      machine.tell(`${index}-${round}`)
    }
    await new Promise(resolve => setTimeout(resolve, 2))
  }
  for (const machine of machines) await until(() => machine.told().length === 150, 'all are there')
  const [first, ...others] = machines.map(({ all }) => all())
  for (const other of others) assert.deepEqual(other, first)
  assert.deepEqual(machines[0]!.told().toSorted(), names.toSorted())
  assert.deepEqual(new Set(first!.map(({ node }) => node)), new Set(['a', 'b', 'c']))
  for (const index of [0, 1, 2]) {
    const own = machines[0]!.told().filter(device => device?.startsWith(`${index}-`))
    assert.deepEqual(
      own,
      own.toSorted((a, b) => Number(a!.slice(2)) - Number(b!.slice(2))),
    )
  }
  const counted = machines.map(({ reader }) => reader.minutes(0).reduce((sum, { count }) => sum + count, 0))
  assert.deepEqual(counted, [150, 150, 150])
  const late = await open(newFile(), 'd')
  assert.deepEqual(late.all(), first)
})

test('what a process leaves behind is told by the next one, and what was told once is not told again', async () => {
  const file = newFile()
  const reading = await open(newFile(), 'r')
  // It is killed before it has sent anything: what it wrote is in its file.
  write(logAt(file, {}), 'left')
  await open(file, 'k')
  await until(() => reading.told().length === 1, 'it is told')
  // The answer was lost: PostgreSQL has what the file still holds.
  const [{ source, last }] = (await server.query(
    'SELECT source, last FROM rollcall_events.sources WHERE source = (SELECT source FROM rollcall_events.batches)',
  )) as [{ source: string; last: string }]
  assert.equal(last, '1')
  await server.query('UPDATE rollcall_events.sources SET last = 3 WHERE source = $1', [source])
  const again = logAt(file, {})
  for (const device of ['there', 'there too', 'new']) write(again, device)
  await until(() => reading.told().includes('new'), 'what follows is told')
  assert.deepEqual(reading.told(), ['left', 'new'])
})

test('without PostgreSQL events wait, as many as a machine keeps, and it says how many it lost', async () => {
  const url = server.url.replace(/:\d+\//, ':1/')
  const file = newFile()
  let lost = 0
  const log = logAt(file, {
    rowsMax: 10,
    onDropped: count => {
      lost += count
    },
  })
  for (let count = 0; count < 15; count += 1) write(log, `w${count}`)
  const away = await open(file, 'w', url)
  assert.deepEqual(away.told(), [])
  log.append({ at: Date.now(), kind: 'connected', deviceId: 'last' })
  log.close()
  const back = await open(file, 'w')
  await until(() => back.told().includes('last'), 'they are told')
  assert.deepEqual(back.told(), [...['w7', 'w8', 'w9', 'w10', 'w11', 'w12', 'w13', 'w14'], 'last', null])
  assert.deepEqual([back.all().at(-1)!.kind, back.all().at(-1)!.detail], ['events_dropped', { count: 5 }])
  assert.equal(lost, 7)
})

test('how far a source was read is moved by one process at a time, with the events of it', async () => {
  const [one, other] = [await open(newFile(), 'a'), await open(newFile(), 'b')]
  const event = (deviceId: string) => [{ at: Date.now(), kind: 'enrolled' as const, deviceId }]
  const from = (was: number | null, value: number) => ({ name: 'audit', was, value })
  assert.equal(await one.shared.readUpTo('audit'), null)
  assert.equal(await one.shared.appendRead(from(null, 5), [], []), true)
  assert.equal(await other.shared.appendRead(from(null, 6), event('lost'), []), false)
  const both = await Promise.all([
    one.shared.appendRead(from(5, 9), event('once'), []),
    other.shared.appendRead(from(5, 9), event('once'), []),
  ])
  assert.deepEqual(both.toSorted(), [false, true])
  assert.equal(await other.shared.readUpTo('audit'), 9)
  for (const { told } of [one, other]) await until(() => told().length > 0, 'it is told')
  assert.deepEqual(one.told(), ['once'])
})

test('marks of webhooks reach every machine; a position beyond what a machine has waits there', async () => {
  const [one, other] = [await open(newFile(), 'a'), await open(newFile(), 'b')]
  one.log.writeMarked([], { name: 'webhook x', value: 7 })
  one.log.writeMarked([], { name: 'mine', value: 7 })
  assert.equal(one.log.marked('webhook x'), 7)
  await until(() => other.log.marked('webhook x') === 7, 'the other has it')
  assert.equal(other.log.marked('mine'), null)
  const late = await open(newFile(), 'c')
  assert.equal(late.log.marked('webhook x'), 7)
  one.tell('d')
  await until(() => other.told().length === 1, 'it is told')
  const { seq } = other.all()[0]!
  assert.deepEqual(other.reader.after(seq + 5, 10), [])
})

test('figures of the history reach every machine that shows it, once, also where another process had the events first', async () => {
  const [shown, late] = [newFile(), newFile()]
  const one = await open(newFile(), 'a', server.url, shown)
  const two = await open(newFile(), 'b')
  const minute = Math.floor(Date.now() / 60_000) * 60_000
  const figure = { minute, name: 'messages_received', label: '', total: 3, samples: 0, most: 0 }
  const sessions = (label: string) => ({ minute, name: 'sessions', label, total: 8, samples: 2, most: 5 })
  assert.ok(one.shared.sendFigures([figure, sessions('a')]))
  assert.ok(two.shared.sendFigures([figure, sessions('b')]))
  const figures = (file: string) =>
    createHistoryReader(file, error => assert.fail(String(error)))
      .figures('hour', 0)
      .map(({ name, label, total, samples, most }) => [name, label, total, samples, most])
  const all = [
    ['messages_received', '', 6, 0, 0],
    ['sessions', 'a', 8, 2, 5],
    ['sessions', 'b', 8, 2, 5],
  ]
  await until(() => figures(shown).length === 3 && figures(shown)[0]![2] === 6, 'they are there')
  assert.deepEqual(figures(shown), all)
  // The process that shows them begins when another one of its machine has taken all events.
  const file = newFile()
  await open(file, 'c')
  await open(file, 'd', server.url, late)
  assert.deepEqual(figures(late), all)
})

test('what is older than machines keep is forgotten', async () => {
  const machine = await open(newFile(), 'a')
  for (const device of ['one', 'two', 'three']) {
    machine.tell(device)
    await until(() => machine.told().includes(device), 'it is told')
  }
  await pruneEvents({ settings: readPostgresSettings(server.url), name }, 2)
  assert.deepEqual((await open(newFile(), 'b')).told(), ['two', 'three'])
})

test('a flood at one machine displaces no event of another one, in PostgreSQL and in the copies', async () => {
  const [quietOne, flooded] = [await open(newFile(), 'a'), await open(newFile(), 'b')]
  const tell = async (machine: typeof flooded, device: string) => {
    machine.tell(device)
    await until(() => machine.told().includes(device), 'it is told')
  }
  await tell(quietOne, 'first')
  for (const device of ['f1', 'f2', 'f3', 'f4', 'f5']) await tell(flooded, device)
  await pruneEvents({ settings: readPostgresSettings(server.url), name }, 4)
  assert.deepEqual((await open(newFile(), 'c')).told(), ['first', 'f3', 'f4', 'f5'])

  const file = newFile()
  const copy = createEventCopy({ file, now: Date.now, rowsMax: 4, onSetAside() {} })
  const event = (node: string | null, deviceId: string) => {
    const about = { fingerprint: null, reason: null, detail: '{}' }
    return { at: Date.now(), kind: 'connected' as const, deviceId, node, ...about }
  }
  const floods = ['f1', 'f2', 'f3', 'f4', 'f5'].map(device => event('b', device))
  const events = [event('a', 'first'), event(null, 'of a service'), ...floods]
  const content = encodeBatch([encodePart({ events, counts: [], marks: [] })])
  copy.take([{ last: 100, numbers: events.length, source: null, content }])
  copy.close()
  const reader = createEventReader(file, () => {}, true)
  const kept = reader.after(0, 10).map(({ deviceId }) => deviceId)
  reader.close()
  assert.deepEqual(kept, ['first', 'of a service', 'f4', 'f5'])
})

test('whatever text a batch is, what is none of ours is left out', () => {
  const own = {
    at: 1,
    kind: 'connected',
    deviceId: 'd',
    fingerprint: null,
    reason: null,
    node: 'n',
    detail: '{}',
  }
  const part = encodePart({
    events: [own, { ...own, kind: 'made up' }, { ...own, deviceId: 'x'.repeat(1_000) }, own] as never,
    counts: [{ minute: 1, kind: 'connected', reason: '', count: -1 }],
    marks: [{ name: 'webhook x', value: 0.5 }],
    figures: [{ minute: 1, name: 'x', label: '', total: -1, samples: 0, most: 0 }],
  })
  const found = readBatch(encodeBatch([part, '7', '{"events":7}']))
  assert.deepEqual(
    found.events.map(({ place }) => place),
    [0, 3],
  )
  assert.deepEqual([found.counts, found.marks, found.figures], [[], [], []])
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), text => void readBatch(text)))
})
