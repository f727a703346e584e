// What the session store may hold: every queue has an end, in messages and in bytes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createQueueQuota, RESERVED_BYTES } from '../../../../broker/mqtt/persistence/queue-quota.ts'

const wide = {
  offlineMessagesMax: 1_000,
  offlineBytesMax: 1_000_000,
  offlineBytesTotalMax: 1_000_000,
}

test('a queue ends by messages', () => {
  const quota = createQueueQuota({ ...wide, offlineMessagesMax: 2 })
  quota.count(1, 1, 300)
  assert.equal(quota.overflow(1, 300), null)
  quota.count(1, 1, 300)
  assert.equal(quota.overflow(1, 300), 'full')
  assert.equal(quota.overflow(2, 300), null, 'another device has its own')
  quota.count(1, -1, -300)
  assert.equal(quota.overflow(1, 300), null)
})

test('a queue ends by bytes', () => {
  const quota = createQueueQuota({ ...wide, offlineBytesMax: 3_000 })
  quota.count(1, 1, 2_000)
  assert.equal(quota.overflow(1, 1_000), null)
  assert.equal(quota.overflow(1, 1_001), 'full')
  assert.equal(quota.excess(1, 1_001), 1)
  assert.equal(quota.overflow(2, 3_000), null)
  assert.equal(quota.overflow(2, 3_001), 'alone', 'no room would ever be enough')
})

test('what others hold leaves each queue its reserve, and what it holds already', () => {
  const quota = createQueueQuota({ ...wide, offlineBytesTotalMax: 4_000 })
  quota.count(1, 1, RESERVED_BYTES + 1_000)
  assert.equal(quota.overflow(1, 3_000), null)
  assert.equal(quota.overflow(1, 3_001), 'full')
  quota.count(2, 1, RESERVED_BYTES + 3_000)
  assert.equal(quota.overflow(1, 1), 'full', 'nothing is left beyond the reserves')
  assert.equal(quota.overflow(3, RESERVED_BYTES), null, 'a third has its reserve')
  assert.equal(quota.overflow(3, RESERVED_BYTES + 1), 'full')
  assert.equal(quota.overflow(3, RESERVED_BYTES + 4_001), 'alone')
  quota.count(1, -1, -(RESERVED_BYTES + 1_000))
  assert.equal(quota.overflow(3, RESERVED_BYTES + 1_000), null)
})

test('whatever comes and goes, what is empty weighs nothing', () => {
  const step = fc.record({
    session: fc.nat(2),
    bytes: fc.integer({ min: 1, max: 9_000 }),
    leaves: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), steps => {
      const quota = createQueueQuota({ ...wide, offlineBytesMax: 25_000, offlineBytesTotalMax: 12_000 })
      const queued: number[][] = [[], [], []]
      for (const { session, bytes, leaves } of steps) {
        const held = queued[session]!
        if (leaves && held.length > 0) quota.count(session, -1, -held.shift()!)
        else if (!leaves && quota.overflow(session, bytes) === null) {
          quota.count(session, 1, bytes)
          held.push(bytes)
        }
        assert.ok(quota.counts().queuedBytes <= 3 * RESERVED_BYTES + 12_000)
      }
      queued.forEach((held, session) => {
        for (const bytes of held) quota.count(session, -1, -bytes)
      })
      const { queues, queuedMessages, queuedBytes } = quota.counts()
      assert.deepEqual([queues, queuedMessages, queuedBytes], [0, 0, 0])
    }),
  )
})
