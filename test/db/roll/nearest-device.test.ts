// The nearest device by name: as a search of all IDs would find it, and found without one.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { nearestOf, prepareNearestDevice } from '../../../db/roll/nearest-device.ts'
import { createRoll } from '../../harness/roll.ts'

/** A sorted list as the index is, with a count of how often it was asked. */
function indexOf(ids: readonly string[]) {
  const sorted = [...ids].sort()
  const seek = (from: string) => {
    counts.seeks += 1
    let [low, high] = [0, sorted.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (sorted[middle]! < from) low = middle + 1
      else high = middle
    }
    return sorted[low] ?? null
  }
  const counts = { seeks: 0 }
  return { seek, counts }
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (const [index, character] of [...a].entries()) {
    const next = [index + 1]
    for (let at = 1; at <= b.length; at += 1) {
      next.push(Math.min(row[at - 1]! + (b[at - 1] === character ? 0 : 1), row[at]! + 1, next[at - 1]! + 1))
    }
    row = next
  }
  return row.at(-1)!
}

const letters = fc.string({ unit: fc.constantFrom('a', 'b', '-', '0', 'Z'), minLength: 1, maxLength: 9 })

test('finds an ID by so few edits exactly where a search of all finds one', () => {
  fc.assert(
    fc.property(fc.uniqueArray(letters, { maxLength: 60 }), letters, (ids, name) => {
      const found = nearestOf([name], indexOf(ids).seek)
      const least = Math.min(...ids.map(id => distance(id, name)))
      const allowed = Math.min(2, Math.floor(name.length / 3))
      if (least <= allowed) assert.equal(found?.distance, least)
      else if (found !== null) assert.ok(found.id.startsWith(name) || name.startsWith(found.id))
      if (found !== null) assert.ok(ids.includes(found.id))
    }),
    { numRuns: 2_000 },
  )
})

test('takes the nearest of several names, then a common beginning, and nothing at all where nothing is near', () => {
  const { seek } = indexOf(['pump-1', 'pump-12', 'valve-north', 'Z'])
  const nearest = (...names: string[]) => nearestOf(names, seek)?.id ?? null
  assert.equal(nearest('pump-2x', 'pump-1'), 'pump-1')
  assert.equal(nearest('valve-nort'), 'valve-north')
  assert.equal(nearest('pump-1.factory.example'), 'pump-1')
  assert.equal(nearest('valve'), 'valve-north')
  assert.equal(nearest('A'), null, 'one edit of one character means nothing')
  assert.equal(nearest('thermometer'), null)
  assert.equal(nearest(), null)
})

test('hostile names cost no more than others', () => {
  const ids = Array.from({ length: 100_000 }, (_, n) => `sensor-${String(n).padStart(6, '0')}`)
  const { seek, counts } = indexOf(ids)
  assert.equal(nearestOf(['sensor-012x45'], seek)?.id, 'sensor-012045')
  const hostile = ['a\0b', '\u202esensor', "'; DROP TABLE devices", '%', 'é', '', 'x'.repeat(100_000)]
  assert.equal(nearestOf([...hostile, ...hostile.map(name => `${name}!`)], seek), null)
  nearestOf(
    Array.from({ length: 1_000 }, (_, n) => `xxsensor-${n}-zzzz`),
    seek,
  )
  nearestOf(['s'.repeat(128)], seek)
  assert.ok(counts.seeks < 10_000, `${counts.seeks} seeks`)
})

test('walks the index of a registry', async () => {
  const roll = await createRoll()
  try {
    const add = roll.registry.sqlite.prepare(
      "INSERT INTO devices (id, state, attributes, created_at, updated_at) VALUES (?, 'registered', '{}', 0, 0)",
    )
    for (const id of ['Pump-1', 'pump-1', 'pump_2', 'pump-10']) add.run(id)
    const nearest = prepareNearestDevice(roll.registry.sqlite)
    assert.deepEqual(nearest(['pump-2']), { id: 'pump-1', name: 'pump-2', distance: 1 })
    assert.equal(nearest(['pumpp-10'])?.id, 'pump-10')
    assert.equal(nearest(['zzzzzz']), null)
  } finally {
    await roll.close()
  }
})
