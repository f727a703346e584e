// The algebra of topic filters against a matcher that is slow and plain, on a small world of topics.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileMatcher, contains, overlaps, parseFilter } from '../../policy/topic-filter.ts'

/** `z` stands in no filter: it tells a wildcard from all literals together. */
const TOPIC_LEVELS = ['a', 'b', '', '$s', 'z']
const DEPTH_MAX = 4

const level = fc.constantFrom('a', 'b', '', '$s', '+')
const filter = fc
  .tuple(
    fc.array(level, { minLength: 0, maxLength: DEPTH_MAX - 1 }),
    fc.constantFrom('#', 'a', 'b', '', '+', '$s'),
  )
  .map(([levels, last]) => [...levels, last].join('/'))
  .filter(text => text !== '')

/** Every topic of up to five levels: one deeper than filters, so that `#` shows. */
const world = topicsOf(DEPTH_MAX + 1)

function topicsOf(depth: number): string[][] {
  if (depth === 0) return [[]]
  const shorter = topicsOf(depth - 1)
  const deepest = shorter.filter(topic => topic.length === depth - 1)
  return [...shorter, ...deepest.flatMap(topic => TOPIC_LEVELS.map(name => [...topic, name]))]
}

/** MQTT 3.1.1 §4.7, word for word. */
function matches(pattern: readonly string[], topic: readonly string[]): boolean {
  if (topic[0]!.startsWith('$') && (pattern[0] === '#' || pattern[0] === '+')) return false
  return matchesFrom(pattern, topic)
}

function matchesFrom(pattern: readonly string[], topic: readonly string[]): boolean {
  const [head, ...rest] = pattern
  if (head === undefined) return topic.length === 0
  if (head === '#') return true
  if (topic.length === 0) return false
  return (head === '+' || head === topic[0]) && matchesFrom(rest, topic.slice(1))
}

const topics = world.filter(topic => topic.length > 0)
const parsed = (text: string) => parseFilter(text)!

test('a compiled matcher says what the specification says, for every topic', () => {
  fc.assert(
    fc.property(filter, text => {
      const pattern = parsed(text)
      const matcher = compileMatcher(pattern)
      for (const topic of topics)
        assert.equal(matcher(topic.join('/')), matches(pattern, topic), `${text} on ${topic.join('/')}`)
    }),
    { numRuns: 150 },
  )
})

test('a filter contains another where no topic of the other escapes it', () => {
  fc.assert(
    fc.property(filter, filter, (outerText, innerText) => {
      const [outer, inner] = [parsed(outerText), parsed(innerText)]
      const escapes = topics.some(topic => matches(inner, topic) && !matches(outer, topic))
      assert.equal(contains(outer, inner), !escapes, `${outerText} ⊇ ${innerText}`)
    }),
    { numRuns: 2_000 },
  )
})

test('two filters overlap where some topic is matched by both', () => {
  fc.assert(
    fc.property(filter, filter, (oneText, otherText) => {
      const [one, other] = [parsed(oneText), parsed(otherText)]
      const shared = topics.some(topic => matches(one, topic) && matches(other, topic))
      assert.equal(overlaps(one, other), shared, `${oneText} ∩ ${otherText}`)
      assert.equal(overlaps(other, one), shared)
    }),
    { numRuns: 2_000 },
  )
})

test('containing implies overlapping, and every filter contains itself', () => {
  fc.assert(
    fc.property(filter, filter, (one, other) => {
      assert.ok(contains(parsed(one), parsed(one)))
      if (contains(parsed(one), parsed(other))) assert.ok(overlaps(parsed(one), parsed(other)))
    }),
  )
})

test('wildcards stand alone in their level and # is last', () => {
  for (const bad of ['', 'a#', '#a', 'a/#/b', 'a+', '+a/b', 'a/b#', '##', '++', 'a\0b'])
    assert.equal(parseFilter(bad), null, bad)
  for (const good of ['#', '+', '/', 'a', 'a/', '/a', '+/+', '+/#', 'a/+/#', '$SYS/#', 'a//b'])
    assert.ok(parseFilter(good), good)
})
