// What the session store may hold: every queue has an end, in messages and in bytes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createQueueLedger } from '../../../broker/engine/queue-ledger.ts'

const wide = {
  offlineMessagesMax: 1_000,
  offlineBytesMax: 1_000_000,
  offlineBytesTotalMax: 1_000_000,
}

test('a queue ends by messages', () => {
  const ledger = createQueueLedger({ ...wide, offlineMessagesMax: 2 })
  ledger.count(1, 1, 300)
  assert.equal(ledger.overflow(1, 300), null)
  ledger.count(1, 1, 300)
  assert.equal(ledger.overflow(1, 300), 'session')
  assert.equal(ledger.overflow(2, 300), null, 'another device has its own')
  ledger.count(1, -1, -300)
  assert.equal(ledger.overflow(1, 300), null)
})

test('a queue ends by bytes, and all queues together do', () => {
  const ledger = createQueueLedger({ ...wide, offlineBytesMax: 3_000, offlineBytesTotalMax: 4_000 })
  ledger.count(1, 1, 2_000)
  assert.equal(ledger.overflow(1, 1_000), null)
  assert.equal(ledger.overflow(1, 1_001), 'session')
  assert.equal(ledger.overflow(2, 2_000), null)
  assert.equal(ledger.overflow(2, 2_001), 'total')
  assert.equal(ledger.overflow(2, 3_001), 'alone', 'no room would ever be enough')
})

test('whatever comes and goes, what is empty weighs nothing', () => {
  const step = fc.record({
    session: fc.nat(2),
    bytes: fc.integer({ min: 1, max: 5_000 }),
    leaves: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), steps => {
      const ledger = createQueueLedger({ ...wide, offlineBytesMax: 20_000, offlineBytesTotalMax: 40_000 })
      const queued: number[][] = [[], [], []]
      for (const { session, bytes, leaves } of steps) {
        const held = queued[session]!
        if (leaves && held.length > 0) ledger.count(session, -1, -held.shift()!)
        else if (!leaves && ledger.overflow(session, bytes) === null) {
          ledger.count(session, 1, bytes)
          held.push(bytes)
        }
        assert.ok(ledger.counts().queuedBytes <= 40_000)
      }
      queued.forEach((held, session) => {
        for (const bytes of held) ledger.count(session, -1, -bytes)
      })
      const { queues, queuedMessages, queuedBytes } = ledger.counts()
      assert.deepEqual([queues, queuedMessages, queuedBytes], [0, 0, 0])
    }),
  )
})
