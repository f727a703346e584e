// What the session store may hold: every queue has an end, in messages and in bytes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createQueueLedger } from '../../../broker/engine/queue-ledger.ts'

const wide = {
  offlineMessagesMax: 1_000,
  offlineBytesMax: 1_000_000,
  offlineBytesTotalMax: 1_000_000,
  retainedMessagesMax: 1_000,
  retainedBytesMax: 1_000_000,
}
const message = (bytes: number, topic = 'devices/a/t') => ({ topic, payload: Buffer.alloc(bytes) })

test('a queue ends by messages', () => {
  const ledger = createQueueLedger({ ...wide, offlineMessagesMax: 2 })
  assert.deepEqual(
    [ledger.queue('a', message(1)), ledger.queue('a', message(1)), ledger.queue('a', message(1))],
    [true, true, false],
  )
  assert.equal(ledger.queue('b', message(1)), true, 'another device has its own')
  ledger.unqueue('a')
  assert.equal(ledger.queue('a', message(1)), true)
})

test('a queue ends by bytes, and all queues together do', () => {
  const ledger = createQueueLedger({ ...wide, offlineBytesMax: 3_000, offlineBytesTotalMax: 4_000 })
  assert.equal(ledger.queue('a', message(2_000)), true)
  assert.equal(ledger.queue('a', message(2_000)), false)
  assert.equal(ledger.queue('b', message(2_000)), false, 'the total is reached first')
  assert.equal(ledger.queue('b', message(1_000)), true)
})

test('retained messages end by number and by bytes; a topic that holds one may replace it', () => {
  const ledger = createQueueLedger({ ...wide, retainedMessagesMax: 1, retainedBytesMax: 2_000 })
  assert.equal(ledger.retain(message(1_000, 'a')), true)
  assert.equal(ledger.retain(message(10, 'b')), false)
  assert.equal(ledger.retain(message(1_500, 'a')), true)
  assert.equal(ledger.retain(message(2_500, 'a')), false)
  ledger.unretain('a')
  assert.equal(ledger.retain(message(10, 'b')), true)
})

test('whatever comes and goes, what is empty weighs nothing', () => {
  const step = fc.record({
    device: fc.constantFrom('a', 'b', 'c'),
    bytes: fc.nat(5_000),
    leaves: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), steps => {
      const ledger = createQueueLedger({ ...wide, offlineBytesMax: 20_000, offlineBytesTotalMax: 40_000 })
      const queued = new Map<string, number>()
      for (const { device, bytes, leaves } of steps) {
        const held = queued.get(device) ?? 0
        if (leaves && held > 0) {
          ledger.unqueue(device)
          queued.set(device, held - 1)
        } else if (!leaves && ledger.queue(device, message(bytes))) queued.set(device, held + 1)
        assert.ok(ledger.counts().queuedBytes <= 40_000)
      }
      for (const [device, held] of queued)
        for (let index = 0; index < held; index += 1) ledger.unqueue(device)
      assert.equal(ledger.counts().queues, 0)
      assert.ok(Math.abs(ledger.counts().queuedBytes) < 1e-6)
    }),
  )
})
