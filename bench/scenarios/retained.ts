// The index of 100,000 retained messages: how long it takes to make it, to write a batch of changes, and to read pages of it.
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { closeRegistry, openForWriting } from '../../db/index.ts'
import { beginRetainedFile, type RetainedNote } from '../../db/retained/retained-file.ts'
import { createRetainedReader } from '../../db/retained/retained-reader.ts'
import { compileMatcher } from '../../policy/topic-filter.ts'

const TOPICS = 100_000
const BATCH = 500
const ROUNDS = 200

const directory = mkdtempSync(join(tmpdir(), 'retained-'))
const [file, registry] = [join(directory, 'retained.db'), join(directory, 'registry.db')]
const roll = openForWriting(registry)
const group = roll.sqlite.prepare("INSERT INTO device_groups (device_id, name) VALUES (?, 'some')")
roll.sqlite.pragma('foreign_keys = OFF')
for (let n = 0; n < TOPICS; n += 1_000) group.run(`device-${n}`)

const noteOf = (n: number): RetainedNote => {
  const topic = `devices/device-${n}/state`
  return {
    topic,
    facts: { topic, deviceId: `device-${n}`, qos: 1, bytes: 120, at: Date.now(), expiresAt: null },
  }
}

function time(what: string, work: (round: number) => unknown, rounds = ROUNDS): void {
  const took: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    const began = performance.now()
    work(round)
    took.push(performance.now() - began)
  }
  took.sort((one, other) => one - other)
  const at = (share: number) => took[Math.min(took.length - 1, Math.floor(took.length * share))]!.toFixed(1)
  console.log(`${what}: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`)
}

const index = beginRetainedFile(file)
time(
  `write ${BATCH} new ones`,
  round => index.write(Array.from({ length: BATCH }, (_, n) => noteOf(round * BATCH + n))),
  TOPICS / BATCH,
)
index.finish()
time(`write ${BATCH} changed ones`, round =>
  index.write(Array.from({ length: BATCH }, (_, n) => noteOf((round * 977 + n * 37) % TOPICS))),
)
const reader = createRetainedReader({ file, registry, onFailed: console.error })
const all = { from: '', to: null, matches: null, device: null, group: null }
const now = Date.now()
const pageAfter = (round: number) => `devices/device-${(round * 499) % TOPICS}`
time('page of 100', round => reader.page(all, pageAfter(round), 100, now))
time('page of 100 with its count', round => [
  reader.page(all, pageAfter(round), 100, now),
  reader.count(all, now),
])
const rare = { ...all, matches: compileMatcher(['devices', '+', 'nothing']) }
time('page of a filter that nothing matches', round => reader.page(rare, pageAfter(round), 100, now))
time('page of a device', round => reader.page({ ...all, device: `device-${round}` }, null, 100, now))
time('page of a group of 100 devices', round =>
  reader.page({ ...all, group: 'some' }, pageAfter(round), 100, now),
)
console.log(`file: ${(statSync(file).size / 1024 ** 2).toFixed(1)} MiB`)
index.close()
reader.close()
await closeRegistry(roll)
rmSync(directory, { recursive: true })
