// Retained messages are charged to the device that published them last, within bounds of its own below those of all.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createRetainedQuota } from '../../../../broker/mqtt/persistence/retained-quota.ts'

const wide = { messages: 1_000, bytes: 1_000_000 }
const of = (owner: string | null, topic: string, bytes: number) => ({ owner, topic, bytes })

test('a device ends by messages and by bytes, to the one, and another has its own', () => {
  const quota = createRetainedQuota(wide)
  const bounds = { messages: 2, bytes: 3_000 }
  quota.put(of('a', 't/1', 1_000))
  assert.equal(quota.refusal(of('a', 't/2', 2_000), bounds), null)
  assert.equal(quota.refusal(of('a', 't/2', 2_001), bounds), 'device')
  quota.put(of('a', 't/2', 1_000))
  assert.equal(quota.refusal(of('a', 't/3', 1), bounds), 'device')
  assert.equal(quota.refusal(of('a', 't/2', 2_000), bounds), null, 'in place of its own')
  assert.equal(quota.refusal(of('b', 't/3', 3_000), bounds), null)
  quota.remove('t/1')
  assert.equal(quota.refusal(of('a', 't/3', 1), bounds), null)
})

test('a device that replaces the message of another is charged for it, and the other no more', () => {
  const quota = createRetainedQuota(wide)
  quota.put(of('a', 't', 500))
  quota.put(of('b', 't', 700))
  assert.deepEqual([quota.of('a'), quota.of('b')].map(Object.values), [
    [0, 0],
    [1, 700],
  ])
  assert.equal(quota.refusal(of('c', 't', 100), { messages: 0, bytes: 1_000 }), 'device')
})

test('what all hold ends too, and no device may have more than half of it', () => {
  const quota = createRetainedQuota({ messages: 4, bytes: 4_000 })
  for (const topic of ['1', '2']) quota.put(of('a', topic, 1_000))
  assert.equal(quota.refusal(of('a', '3', 1), wide), 'device')
  assert.equal(quota.refusal(of('a', '2', 1_001), wide), 'device')
  assert.equal(quota.refusal(of('b', '3', 2_000), wide), null)
  quota.put(of('b', '3', 1_999))
  assert.equal(quota.refusal(of('c', '4', 1), wide), null)
  assert.equal(quota.refusal(of('c', '4', 2), wide), 'all')
  assert.equal(quota.refusal(of(null, '4', 2), { messages: Infinity, bytes: Infinity }), 'all')
})

test('what does not grow always fits, also where bounds were lowered', () => {
  const quota = createRetainedQuota({ messages: 1, bytes: 1_000 })
  for (const topic of ['1', '2', '3']) quota.put(of('a', topic, 1_000))
  const none = { messages: 1, bytes: 1 }
  assert.equal(quota.refusal(of('a', '1', 1_000), none), null)
  assert.equal(quota.refusal(of('a', '1', 1_001), none), 'device')
  assert.equal(quota.refusal(of('a', '4', 1), none), 'device')
})

test('over any life no device and no sum exceeds its bound, and what is empty weighs nothing', () => {
  const step = fc.record({
    owner: fc.constantFrom('a', 'b', 'c'),
    topic: fc.constantFrom('1', '2', '3', '4', '5', '6'),
    bytes: fc.integer({ min: 1, max: 1_500 }),
    clears: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), steps => {
      const quota = createRetainedQuota({ messages: 5, bytes: 5_000 })
      const bounds = { messages: 2, bytes: 2_000 }
      const held = new Map<string, { owner: string; bytes: number }>()
      for (const { clears, ...charge } of steps) {
        if (clears) {
          quota.remove(charge.topic)
          held.delete(charge.topic)
        } else if (quota.refusal(charge, bounds) === null) {
          quota.put(charge)
          held.set(charge.topic, charge)
        }
        for (const owner of ['a', 'b', 'c']) {
          const own = [...held.values()].filter(one => one.owner === owner)
          const bytes = own.reduce((sum, one) => sum + one.bytes, 0)
          assert.deepEqual(quota.of(owner), { messages: own.length, bytes })
          assert.ok(own.length <= 2 && bytes <= 2_000)
        }
        assert.equal(quota.counts().retained, held.size)
        assert.ok(quota.counts().retained <= 5 && quota.counts().retainedBytes <= 5_000)
      }
      for (const topic of held.keys()) quota.remove(topic)
      assert.deepEqual(quota.counts(), { retained: 0, retainedBytes: 0 })
    }),
  )
})
