// The QoS of a message is the most that any filter of the session was granted that matches it, after any life of its subscriptions.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { grant, grantedQos, newGranted, withdraw } from '../../../broker/engine/granted-qos.ts'
import { compileMatcher, parseFilter } from '../../../policy/topic-filter.ts'

const filter = fc.constantFrom('a', 'a/b', 'a/+', '+/b', 'a/#', '#', 'c', '$share/g/a')
const qos = fc.constantFrom<0 | 1 | 2>(0, 1, 2)
const step = fc.record({ filter, qos, leaves: fc.boolean(), topic: fc.constantFrom('a', 'a/b', 'c', 'd/b') })

test('over any life it is what a look at each filter gives', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), steps => {
      const granted = newGranted()
      const held = new Map<string, 0 | 1 | 2>()
      for (const { filter: asked, qos: most, leaves, topic } of steps) {
        if (leaves) withdraw(granted, asked)
        else grant(granted, asked, most)
        if (leaves) held.delete(asked)
        else held.set(asked, most)
        assert.deepEqual(granted.filters, held)
        const matching = [...held]
          .filter(([one]) => !one.startsWith('$share') && compileMatcher(parseFilter(one) ?? [])(topic))
          .map(([, one]) => one)
        if (matching.length > 0) assert.equal(grantedQos(granted, topic), Math.max(...matching))
      }
    }),
  )
})
