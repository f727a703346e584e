// What subscribers received, counted by number, held against an oracle that knows what was lost, doubled and late.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createDeliveryTracker, type Stream } from '../../../device-sim/fleet/delivery-tracker.ts'
import { matches, prefixOf } from '../../../device-sim/fleet/filter.ts'
import { createGenerator, readHeader, withHeader } from '../../../device-sim/fleet/payload.ts'

const stream = (sent: number, unacknowledged: number[] = []): Stream => {
  return { stream: 1, topic: 't', qos: 1, sent, firstSentAt: 0, unacknowledged }
}

describe('a delivery tracker', () => {
  it('counts loss, duplication and disorder as they were, whatever order messages come in', () => {
    const deliveries = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 120 })
    fc.assert(
      fc.property(deliveries, fc.integer({ min: 0, max: 45 }), (arrivals, sentMore) => {
        const tracker = createDeliveryTracker()
        const sent = Math.max(sentMore, ...arrivals)
        const counted = { first: 0, duplicate: 0, late: 0 }
        const truth = { first: 0, duplicate: 0, late: 0 }
        const seen = new Set<number>()
        let newest = 0
        for (const sequence of arrivals) {
          counted[tracker.arrived(7, 1, sequence, 1)]++
          if (seen.has(sequence)) truth.duplicate++
          else if (sequence < newest) truth.late++
          else truth.first++
          seen.add(sequence)
          newest = Math.max(newest, sequence)
        }
        assert.deepEqual(counted, truth)
        assert.equal(tracker.lacking(7, stream(sent), true), sent - seen.size)
      }),
    )
  })

  it('excuses what was never acknowledged, and only that', () => {
    const tracker = createDeliveryTracker()
    for (const sequence of [1, 2, 5]) tracker.arrived(7, 1, sequence, 1)
    assert.equal(tracker.lacking(7, stream(8, [4, 8]), true), 3)
  })

  it('waits for nothing that was sent while a subscriber was away', () => {
    const tracker = createDeliveryTracker()
    for (const sequence of [1, 2]) tracker.arrived(7, 1, sequence, 1)
    tracker.wasAway(7, false)
    assert.equal(tracker.lacking(7, stream(9), true), 0)
    tracker.arrived(7, 1, 10, 1)
    assert.equal(tracker.arrived(7, 1, 9, 1), 'late', 'it may still come')
    tracker.arrived(7, 1, 12, 1)
    assert.equal(tracker.lacking(7, stream(12), true), 1)
  })

  it('goes on waiting for QoS 1 where the session stays', () => {
    const tracker = createDeliveryTracker()
    tracker.arrived(7, 1, 1, 1)
    tracker.arrived(7, 2, 1, 0)
    tracker.wasAway(7, true)
    assert.equal(tracker.lacking(7, stream(3), true), 2)
    assert.equal(tracker.lacking(7, { ...stream(3), stream: 2 }, true), 0)
  })

  it('says nothing of a stream that began before the subscription, but misses all of one that began after', () => {
    const tracker = createDeliveryTracker()
    assert.equal(tracker.lacking(7, stream(5), false), null)
    assert.equal(tracker.lacking(7, stream(5), true), 5)
    tracker.arrived(7, 1, 4, 1)
    assert.equal(tracker.lacking(7, stream(5), false), 1, 'of the last one it is known')
    assert.equal(tracker.lacking(7, stream(5), true), 4)
  })

  it('says what it had no room for', () => {
    const tracker = createDeliveryTracker(1)
    tracker.arrived(1, 1, 1, 1)
    tracker.arrived(1, 2, 1, 1)
    assert.equal(tracker.overflow(), 1)
  })
})

describe('a number on a message', () => {
  const stamp = { run: 'ab12', stream: 4_000_000_017, sequence: 3, dueAt: 1234567.125, promise: null }

  for (const body of ['{"value":1}', '{}', 'plain', '']) {
    it(`comes back from ${body === '' ? 'nothing' : body}`, () => {
      const payload = Buffer.from(withHeader(stamp, body))
      assert.deepEqual(readHeader(payload, 'ab12'), stamp)
      assert.equal(readHeader(payload, 'other'), null)
      if (body.startsWith('{')) assert.equal(typeof JSON.parse(payload.toString()), 'object')
    })
  }

  it('comes back with what MQTT 5 promises of the message, and only where it was promised', () => {
    for (const expirySeconds of [null, 0, 4_294_967_295]) {
      const promise = { ordered: '0011aabb', byName: 'ffee0099', expirySeconds, sentAt: 98_765 }
      for (const body of ['{"value":1}', '{}', 'plain', '']) {
        const payload = Buffer.from(withHeader({ ...stamp, promise }, body))
        assert.deepEqual(readHeader(payload, 'ab12'), { ...stamp, promise })
      }
    }
    const alike = withHeader(stamp, '5 - 0011aabbffee0099 ')
    assert.equal(readHeader(Buffer.from(alike), 'ab12')?.promise, null)
  })

  it('is not found in what others sent', () => {
    for (const text of ['', 'rcs1 ', '{"a":1}', 'x'.repeat(200)])
      assert.equal(readHeader(Buffer.from(text), 'ab12'), null)
  })
})

describe('payloads', () => {
  const moment = { device: 'd-7', n: '00007', sequence: 4, clock: 150_000, random: () => 0.5 }
  const cases: [name: string, plan: Parameters<typeof createGenerator>[0], body: string | RegExp][] = [
    ['constant', { constant: 'on' }, 'on'],
    ['random', { random: { bytes: 10 } }, /^[\w-]{10}$/],
    ['random beyond its pool', { random: { bytes: 300_000 } }, /^[\w-]{300000}$/],
    ['ramp', { ramp: { from: 10, to: 20, steps: 3 } }, '{"value":10}'],
    ['sine', { sine: { mean: 20, amplitude: 5, period: '10m', field: 't' } }, '{"t":25}'],
    [
      'json',
      { json: { id: `\${device}`, seq: `\${seq}`, text: `n \${n}` } },
      '{"id":"d-7","seq":4,"text":"n 00007"}',
    ],
    ['json that only looks like it', { json: { cost: `\${n} \${price}` } }, `{"cost":"00007 \${price}"}`],
  ]
  for (const [name, plan, body] of cases) {
    it(`${name} is made as it says`, () => {
      const made = String(createGenerator(plan)(moment, { bdSeq: 0, seq: 0 }))
      if (typeof body === 'string') assert.equal(made, body)
      else assert.match(made, body)
    })
  }
})

describe('a filter', () => {
  const cases: [filter: string, topic: string, does: boolean][] = [
    ['a/b', 'a/b', true],
    ['a/+', 'a/b', true],
    ['a/+', 'a/b/c', false],
    ['a/#', 'a', true],
    ['a/#', 'a/b/c', true],
    ['#', '$SYS/x', false],
    ['+/x', '/x', true],
    ['$share/g/a/#', 'a/b', false],
  ]
  for (const [filter, topic, does] of cases) {
    it(`${filter} ${does ? 'matches' : 'does not match'} ${topic}`, () => {
      assert.equal(matches(filter, topic), does)
      if (does) assert.ok(topic.startsWith(prefixOf(filter)))
    })
  }
})
