// The history as a contract: every step has the whole, each is kept for its own time, two processes add up, a damaged file is set aside.
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { type HistoryStep, historySteps } from '../../../db/history/history-file.ts'
import { createHistoryLog, type HistoryLog } from '../../../db/history/history-log.ts'
import { createHistoryReader } from '../../../db/history/history-reader.ts'

const HOUR_MS = 3_600_000
const steps = Object.keys(historySteps) as HistoryStep[]
let directory: string
let file: string
let clock: number
let told: { failed: unknown[]; aside: string[] }
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'rollcall-history-'))
  file = join(directory, 'history.db')
  clock = Date.UTC(2026, 2, 1, 12)
  told = { failed: [], aside: [] }
})
afterEach(() => rmSync(directory, { recursive: true }))

function openLog(): HistoryLog {
  return createHistoryLog({
    ...{ file, now: () => clock, everyMs: 3_600_000 },
    onFailed: error => void told.failed.push(error),
    onSetAside: aside => void told.aside.push(aside),
  })
}

function write(add: (log: HistoryLog) => void): void {
  const log = openLog()
  add(log)
  log.close()
}

const read = (step: HistoryStep, from = 0) =>
  createHistoryReader(file, error => void told.failed.push(error)).figures(step, from)

test('adds a figure to its minute, ten minutes, hour and day, whichever process writes it; the file is for its owner alone', () => {
  write(log => {
    log.add('refused', 'certificate_revoked', 2, clock)
    log.add('refused', 'certificate_revoked', 1, clock + 59_999)
    log.add('refused', 'certificate_revoked', 4, clock + 60_000)
    log.sample('sessions', 'a', 10, clock)
    log.sample('sessions', 'a', 4, clock + 2_000)
  })
  write(log => log.add('refused', 'certificate_revoked', 5, clock))
  const refusals = (step: HistoryStep) =>
    read(step)
      .filter(({ name }) => name === 'refused')
      .map(({ at, total }) => [at - clock, total])
  assert.deepEqual(refusals('minute'), [
    [0, 8],
    [60_000, 4],
  ])
  assert.deepEqual([refusals('tenMinutes'), refusals('hour')], [[[0, 12]], [[0, 12]]])
  assert.deepEqual(refusals('day'), [[-12 * HOUR_MS, 12]])
  const [sessions] = read('hour').filter(({ name }) => name === 'sessions')
  assert.deepEqual(sessions, { at: clock, name: 'sessions', label: 'a', total: 14, samples: 2, most: 10 })
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.deepEqual(told, { failed: [], aside: [] })
})

test('keeps each step for its own time and no longer', () => {
  const begin = clock
  write(log => log.add('connected', '', 1, begin))
  for (const step of steps) {
    const { ms, keptMs } = historySteps[step]
    const at = Math.floor(begin / ms) * ms
    for (const [now, rows] of [
      [at + keptMs, 1],
      [at + keptMs + 1, 0],
    ] as const) {
      clock = now
      write(log => log.add('messages_sent', '', 1, now))
      assert.equal(
        read(step).filter(({ name }) => name === 'connected').length,
        rows,
        `${step} at ${now - at}`,
      )
    }
  }
})

test('a damaged file is set aside and a new one begun, with what waited', () => {
  writeFileSync(file, 'no database')
  const log = openLog()
  log.add('connected', '', 3, clock)
  log.close()
  assert.equal(told.aside.length, 1)
  assert.ok(readdirSync(directory).some(name => name.startsWith('history.db.damaged-')))
  assert.deepEqual(told.failed, [])
  assert.equal(read('minute')[0]?.total, 3)
})

test('a missing or damaged file reads as one without figures, and damage is told', () => {
  assert.deepEqual([read('day'), told.failed], [[], []])
  writeFileSync(file, 'no database')
  assert.deepEqual(read('day'), [])
  assert.equal(told.failed.length, 1)
})

test('a file of a later version is left as it is', () => {
  write(log => log.add('connected', '', 1, clock))
  const sqlite = new Sqlite(file)
  sqlite.pragma('user_version = 99')
  sqlite.close()
  write(log => log.add('connected', '', 1, clock))
  assert.match(String(told.failed[0]), /of version 99/)
  assert.deepEqual(told.aside, [])
})
