// How fast a device may send, over all of its connections: no more than burst and rate in any time, and never refused for good.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createBuckets, newBucket, take, waitMs } from '../../../../broker/mqtt/connection/token-bucket.ts'

const bounds = { messagesPerSecond: 10, messagesBurst: 5, bytesPerSecond: 1_000, bytesBurst: 2_000 }

test('a burst passes, the packet that exceeds it is the last for as long as it takes to pay', () => {
  const bucket = newBucket(bounds, 0)
  for (let sent = 1; sent <= 5; sent += 1) assert.equal(take(bucket, bounds, { messages: 1, bytes: 1 }, 0), 0)
  assert.equal(take(bucket, bounds, { messages: 1, bytes: 1 }, 0), 100)
  assert.equal(waitMs(bucket, bounds, 99), 1)
  assert.equal(waitMs(bucket, bounds, 100), 0)
  assert.equal(take(bucket, bounds, { messages: 2, bytes: 1 }, 100), 200)
})

test('bytes count beside messages: the longer wait of both', () => {
  const bucket = newBucket(bounds, 0)
  assert.equal(take(bucket, bounds, { messages: 1, bytes: 2_000 }, 0), 0)
  assert.equal(take(bucket, bounds, { messages: 1, bytes: 1_000 }, 0), 1_000)
  assert.equal(take(bucket, bounds, { messages: 24, bytes: 0 }, 0), 2_100)
})

test('a clock that goes back gives nothing', () => {
  const bucket = newBucket(bounds, 1_000)
  assert.equal(take(bucket, bounds, { messages: 6, bytes: 0 }, 1_000), 100)
  assert.equal(waitMs(bucket, bounds, 0), 100)
})

test('a client that waits as long as it is told sends no more than burst and rate allow, in any time', () => {
  const packet = fc.record({
    messages: fc.integer({ min: 0, max: 20 }),
    bytes: fc.integer({ min: 0, max: 5_000 }),
    idleMs: fc.nat(2_000),
  })
  fc.assert(
    fc.property(fc.array(packet, { minLength: 1, maxLength: 60 }), packets => {
      const bucket = newBucket(bounds, 0)
      let now = 0
      const sent = { messages: 0, bytes: 0 }
      for (const { idleMs, ...cost } of packets) {
        now += idleMs
        sent.messages += cost.messages
        sent.bytes += cost.bytes
        now += take(bucket, bounds, cost, now)
        assert.ok(sent.messages <= bounds.messagesBurst + (now / 1_000) * bounds.messagesPerSecond + 1e-6)
        assert.ok(sent.bytes <= bounds.bytesBurst + (now / 1_000) * bounds.bytesPerSecond + 1e-6)
      }
    }),
  )
})

test('a device that comes back, or takes its session over, finds its bucket as it left it', () => {
  let now = 0
  const buckets = createBuckets(() => now)
  const first = buckets.enter('a', bounds)
  take(first, bounds, { messages: 25, bytes: 0 }, now)
  assert.equal(buckets.enter('a', bounds), first, 'beside the first connection')
  buckets.leave('a', bounds)
  buckets.leave('a', bounds)
  assert.equal(buckets.enter('a', bounds), first)
  assert.equal(waitMs(first, bounds, now), 2_000)
  buckets.leave('a', bounds)
  now = 2_400
  assert.equal(buckets.enter('a', bounds).messages, -20, 'filled when it is next asked')
  buckets.leave('a', bounds)
  now = 10_000
  buckets.enter('a', bounds)
  buckets.leave('a', bounds)
  assert.equal(buckets.remembered(), 0, 'a full one is none to remember')
})

test('remembers a bounded number of devices that have gone', () => {
  const buckets = createBuckets(() => 0)
  for (let device = 0; device < 10_050; device += 1) {
    take(buckets.enter(`d${device}`, bounds), bounds, { messages: 1, bytes: 0 }, 0)
    buckets.leave(`d${device}`, bounds)
  }
  assert.equal(buckets.remembered(), 10_000)
})

test('what a device has left goes with it to another node, and flows back on the way', () => {
  let now = 1_000
  const [here, there] = [createBuckets(() => now), createBuckets(() => now + 5_000)]
  assert.equal(here.left('d1'), null)
  take(here.enter('d1', bounds), bounds, { messages: 5, bytes: 0 }, now)
  here.leave('d1', bounds)
  now += 100
  const left = here.left('d1')
  assert.deepEqual(left, { messages: 0, bytes: 2_000, agoMs: 100 })
  there.takeIn('d1', left!)
  const bucket = there.enter('d1', bounds)
  assert.equal(take(bucket, bounds, { messages: 1, bytes: 0 }, now + 5_000), 0)
  assert.equal(take(bucket, bounds, { messages: 1, bytes: 0 }, now + 5_000), 100)
  // What another node says changes nothing for one that is here.
  there.takeIn('d1', { messages: 5, bytes: 2_000, agoMs: 0 })
  assert.ok(bucket.messages < 0)
})
