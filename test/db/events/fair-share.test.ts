// How a bounded whole is divided among several of which some hold more than their part.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fairShare } from '../../../db/events/fair-share.ts'

test('one that holds less than its part keeps all, and the rest is divided among the others', () => {
  const kept = (held: number[], max: number) => held.map(amount => Math.min(amount, fairShare(held, max)))
  assert.deepEqual(kept([], 10), [])
  assert.deepEqual(kept([4, 6], 10), [4, 6])
  assert.deepEqual(kept([4, 7], 10), [4, 6])
  assert.deepEqual(kept([1_000, 2, 3], 10), [5, 2, 3])
  assert.deepEqual(kept([9, 1, 9, 9], 10), [3, 1, 3, 3])
  assert.deepEqual(kept([11], 10), [10])
  assert.deepEqual(kept([2, 2, 2], 2), [1, 1, 1], 'each the newest one')
})
