// A topic finds every subscriber once, with the best of its filters that match: as if each filter were looked at by itself.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createSubscriptionTree } from '../../../broker/engine/subscription-tree.ts'
import { compileMatcher, parseFilter } from '../../../policy/topic-filter.ts'

const level = fc.constantFrom('', 'a', 'b', '$c')
const topic = fc.array(level, { minLength: 1, maxLength: 5 }).map(levels => levels.join('/'))
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 5 }), fc.boolean())
  .map(([levels, open]) => [...levels, ...(open ? ['#'] : [])].join('/'))
  .filter(text => text !== '')
const step = fc.record({
  filter,
  subscriber: fc.constantFrom('x', 'y'),
  value: fc.nat(2),
  removes: fc.integer({ min: 0, max: 3 }).map(die => die === 0),
})

test('over any life every topic finds what a look at each filter finds', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.array(topic, { maxLength: 8 }), (steps, topics) => {
      const tree = createSubscriptionTree<string, number>((one, other) => (other > one ? other : one))
      const all = new Map<string, number>()
      for (const { filter: asked, subscriber, value, removes } of steps) {
        const key = `${subscriber} ${asked}`
        if (removes) {
          tree.remove(asked, subscriber)
          all.delete(key)
        } else {
          tree.add(asked, subscriber, value)
          all.set(key, value)
        }
        assert.equal(tree.get(asked, subscriber), all.get(key))
      }
      for (const one of topics) {
        const expected: Record<string, number> = {}
        for (const [key, value] of all) {
          const subscriber = key[0]!
          if (compileMatcher(parseFilter(key.slice(2)) ?? [])(one))
            expected[subscriber] = Math.max(expected[subscriber] ?? 0, value)
        }
        assert.deepEqual(Object.fromEntries(tree.matching(one)), expected, one)
      }
    }),
    { numRuns: 500 },
  )
})

test('of one subscriber whose filters overlap it looks at the first, not at all of them', () => {
  let looks = 0
  const tree = createSubscriptionTree<string, number>((one, other) => {
    looks += 1
    return other > one ? other : one
  })
  for (let mask = 0; mask < 1_024; mask += 1)
    tree.add(Array.from({ length: 10 }, (_, bit) => (mask & (1 << bit) ? '+' : 'a')).join('/'), 'x', 1)
  tree.add('a/#', 'y', 1)
  looks = 0
  assert.deepEqual(Object.fromEntries(tree.matching('a/a/a/a/a/a/a/a/a/a')), { x: 1, y: 1 })
  assert.ok(looks <= 20, `${looks} values were compared`)
})
