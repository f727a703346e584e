// What a change takes away: every loss is named, on a small world of topics asked one by one.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bindStatements } from '../../policy/binding.ts'
import { lossesBetween } from '../../policy/comparison.ts'
import { actions, type PolicyDocument, type Statement } from '../../policy/document.ts'
import { noRights, type Rights, rightsOf } from '../../policy/rights.ts'
import { compileMatcher, parseFilter } from '../../policy/topic-filter.ts'

const names = ['a', 'b', 'z']
const topics = [
  ...names,
  ...names.flatMap(one => names.map(two => `${one}/${two}`)),
  ...names.flatMap(one => names.flatMap(two => names.map(three => `${one}/${two}/${three}`))),
]
const filter = fc
  .tuple(fc.array(fc.constantFrom('a', 'b', '+'), { maxLength: 2 }), fc.constantFrom('#', 'a', 'b', '+'))
  .map(([levels, last]) => [...levels, last].join('/'))
const statement: fc.Arbitrary<Statement> = fc.record({
  effect: fc.constantFrom('allow', 'allow', 'deny'),
  actions: fc.subarray([...actions], { minLength: 1 }),
  topics: fc.array(filter, { minLength: 1, maxLength: 3 }),
})
const policy: fc.Arbitrary<PolicyDocument> = fc
  .array(statement, { maxLength: 4 })
  .map(statements => ({ name: 'p', statements }))

const allowed = (rights: Rights, action: string, topic: string) =>
  action === 'receive' ? rights.receive(topic) : rights.publish(topic, 0, false)

test('whatever topic was allowed and is not any more lies below a filter that is named', () => {
  fc.assert(
    fc.property(policy, policy, fc.constantFrom('publish', 'receive'), (before, after, action) => {
      const [had, has] = [before, after].map(document => bindStatements([document], new Map()))
      const losses = lossesBetween(had!, has!).filter(loss => loss.action === action)
      const [old, now] = [rightsOf(had!) ?? noRights, rightsOf(has!) ?? noRights]
      for (const topic of topics) {
        if (!allowed(old, action, topic) || allowed(now, action, topic)) continue
        const named = losses.some(loss => compileMatcher(parseFilter(loss.filter)!)(topic))
        assert.ok(named, `${action} ${topic}: ${JSON.stringify({ before, after, losses })}`)
      }
      assert.deepEqual(lossesBetween(had!, had!), [])
    }),
    { numRuns: 1_000 },
  )
})

test('a loss is whole or in part', () => {
  const losses = (before: Statement[], after: Statement[]) =>
    lossesBetween(
      bindStatements([{ name: 'p', statements: before }], new Map()),
      bindStatements([{ name: 'p', statements: after }], new Map()),
    ).map(({ action, filter: text, extent }) => `${action} ${text} ${extent}`)
  const allow = (topic: string, qosMax: 0 | 1 | 2 = 2): Statement => ({
    effect: 'allow',
    actions: ['publish'],
    topics: [topic],
    when: { qosMax },
  })
  const deny = (topic: string): Statement => ({ effect: 'deny', actions: ['publish'], topics: [topic] })
  assert.deepEqual(losses([allow('a/#')], [allow('#')]), [])
  assert.deepEqual(losses([allow('a/#')], []), ['publish a/# all'])
  assert.deepEqual(losses([allow('a/#')], [allow('a/b')]), ['publish a/# part'])
  assert.deepEqual(losses([allow('a/#')], [allow('a/#', 1)]), ['publish a/# part'])
  assert.deepEqual(losses([allow('a/#')], [allow('a/#'), deny('+/b')]), ['publish a/# part'])
  assert.deepEqual(losses([allow('a/#'), deny('+/b')], [allow('a/#'), deny('a/b')]), [])
  assert.deepEqual(losses([allow('a/b'), deny('a/#')], []), [])
})
