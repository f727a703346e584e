// A Map that lets go of what is deleted, beside one of V8's.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { ReleasingMap } from '../../broker/releasing-map.ts'
import { notOnBun } from '../harness/runtime.ts'

const module = new URL('../../broker/releasing-map.ts', import.meta.url).href

/** MiB that are left on the heap by 6,000 values of 2 kB, of which eight are there at a time, while only young objects are collected. */
function leftBy(made: string): number {
  const program = `
    import { ReleasingMap } from ${JSON.stringify(module)}
    const map = ${made}
    const turn = index => {
      map.set('key ' + index, { bytes: new Array(256).fill(index) })
      map.delete('key ' + (index - 8))
    }
    for (let index = 0; index < 20; index += 1) turn(index)
    gc()
    const before = process.memoryUsage().heapUsed
    for (let index = 20; index < 6_000; index += 1) turn(index)
    gc({ type: 'minor' })
    gc({ type: 'minor' })
    console.log((process.memoryUsage().heapUsed - before) / 2 ** 20)`
  const flags = ['--expose-gc', '--max-semi-space-size=16', '--input-type=module', '--eval', program]
  return Number(execFileSync(process.execPath, flags, { encoding: 'utf8' }))
}

const ofV8 = notOnBun('it measures the heap of V8')
test('lets go of what was deleted before a full collection, which a Map does not', { skip: ofV8 }, () => {
  assert.ok(leftBy('new ReleasingMap()') < 4)
  assert.ok(leftBy('new Map()') > 8, 'V8 has changed: a Map does, too')
})

test('gives what was set last, in the order in which the keys came, and nothing that was deleted', () => {
  const map = new ReleasingMap<string, { at: number }>()
  for (const [key, at] of [['a', 1] as const, ['b', 2] as const, ['c', 3] as const]) map.set(key, { at })
  map.set('a', { at: 4 })
  assert.deepEqual(map.get('a'), { at: 4 })
  assert.equal(map.delete('b'), true)
  assert.equal(map.delete('b'), false)
  assert.equal(map.get('b'), undefined)
  assert.equal(map.size, 2)
  assert.deepEqual(
    [...map.values()].map(({ at }) => at),
    [4, 3],
  )
  map.clear()
  assert.equal(map.size, 0)
  assert.deepEqual([...map.values()], [])
})

test('leaves out of a walk what is deleted meanwhile, and finds what is added', () => {
  const map = new ReleasingMap<string, { at: number }>()
  for (let at = 0; at < 3; at += 1) map.set(`${at}`, { at })
  const seen: number[] = []
  for (const { at } of map.values()) {
    seen.push(at)
    if (at === 0) map.delete('1')
    if (at === 2) map.set('3', { at: 3 })
  }
  assert.deepEqual(seen, [0, 2, 3])
})
