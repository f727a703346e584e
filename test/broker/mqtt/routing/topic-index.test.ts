// The index finds what the algebra of filters says, whatever was added and removed before (MQTT 5 §4.7).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { RetainedMessage } from '../../../../broker/mqtt/message.ts'
import { createTopicIndex } from '../../../../broker/mqtt/routing/topic-index.ts'
import { compileMatcher, parseFilter } from '../../../../policy/topic-filter.ts'

const level = fc.constantFrom('', 'a', 'b', '$x', '__proto__')
const topic = fc
  .array(level, { minLength: 1, maxLength: 4 })
  .map(levels => levels.join('/'))
  .filter(text => text !== '')
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 3 }), fc.constantFrom('#', '+', 'a', ''))
  .map(([levels, last]) => [...levels, last].join('/'))
  .filter(text => text !== '')

const subscription = (text: string) => ({
  filter: text,
  qos: 1 as const,
  noLocal: false,
  retainAsPublished: false,
  identifier: null,
})
const matches = (text: string, name: string) => compileMatcher(parseFilter(text)!)(name)

function found(index: ReturnType<typeof createTopicIndex<string>>, name: string): string[] {
  const all: string[] = []
  index.match(name, (subscriber, { filter: by }) => all.push(`${subscriber} ${by}`))
  return all.sort()
}

test('subscriptions are found by every topic that they match, and not once they are left', () => {
  const step = fc.record({ client: fc.constantFrom('d1', 'd2'), filter, leaves: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.array(topic, { maxLength: 10 }), (steps, topics) => {
      const index = createTopicIndex<string>()
      const there = new Map<string, [client: string, filter: string]>()
      for (const one of steps) {
        if (one.leaves) {
          index.unsubscribe(one.filter, one.client)
          there.delete(`${one.client} ${one.filter}`)
        } else {
          index.subscribe(one.filter, one.client, subscription(one.filter))
          there.set(`${one.client} ${one.filter}`, [one.client, one.filter])
        }
      }
      for (const name of topics) {
        const wanted = [...there].filter(([, [, by]]) => matches(by, name)).map(([key]) => key)
        assert.deepEqual(found(index, name), wanted.sort(), name)
      }
    }),
  )
})

test('retained messages are found by every filter that matches them, and not once they are gone', () => {
  const step = fc.record({ topic, goes: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.array(filter, { maxLength: 10 }), (steps, filters) => {
      const index = createTopicIndex<string>()
      index.subscribe('a/+/#', 'd1', subscription('a/+/#'))
      const there = new Set<string>()
      for (const one of steps) {
        if (one.goes) index.unretain(one.topic)
        else index.retain({ topic: one.topic } as RetainedMessage)
        if (one.goes) there.delete(one.topic)
        else there.add(one.topic)
      }
      for (const text of filters) {
        const got = [...index.retainedMatching(text)].flatMap(message => message?.topic ?? [])
        assert.deepEqual(got.sort(), [...there].filter(name => matches(text, name)).sort(), text)
      }
      assert.deepEqual(found(index, 'a/b'), ['d1 a/+/#'])
    }),
  )
})
