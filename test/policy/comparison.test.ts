// What a change takes away: every loss is named, on a small world of topics asked one by one.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type BoundStatement, bindStatements } from '../../policy/binding.ts'
import { compareStatements, type Loss, lossesBetween } from '../../policy/comparison.ts'
import { type Action, actions, type PolicyDocument, type Statement } from '../../policy/document.ts'
import { noRights, type Rights, rightsOf } from '../../policy/rights.ts'
import { compileMatcher, contains, overlaps, parseFilter } from '../../policy/topic-filter.ts'

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

test('a lower QoS takes something of what is sent alone: no other right depends on it', () => {
  const all: Statement = { effect: 'allow', actions: [...actions], topics: ['a/#'] }
  const [had, has] = [2, 1].map(qosMax =>
    bindStatements([{ name: 'p', statements: [all], limits: { qosMax: qosMax as 1 | 2 } }], new Map()),
  )
  const lost = lossesBetween(had!, has!).map(({ action, extent }) => `${action} ${extent}`)
  assert.deepEqual(lost, ['publish part', 'will part'])
  assert.deepEqual(lossesBetween(has!, had!), [])
})

/** What the comparison says, told by asking every filter of every other. */
function lossesByAsking(before: readonly BoundStatement[], after: readonly BoundStatement[]): Loss[] {
  const grantsOf = (statements: readonly BoundStatement[], action: Action, effect: string) =>
    statements
      .filter(one => one.effect === effect)
      .filter(
        ({ actions: named }) =>
          named.includes(action) || (action === 'receive' && named.includes('subscribe')),
      )
      .flatMap(({ topics: bound, qosMax }) =>
        bound.map(({ filter: levels, bound: text }) => ({
          filter: levels!,
          text: text!,
          qosMax: action === 'publish' || action === 'will' ? qosMax : 2,
        })),
      )
  return actions.flatMap(action => {
    const [hadDeny, hasDeny] = [grantsOf(before, action, 'deny'), grantsOf(after, action, 'deny')]
    const hasAllow = grantsOf(after, action, 'allow')
    const lossOf = ({ filter: asked, text, qosMax }: (typeof hasAllow)[number]): Loss[] => {
      if (hadDeny.some(one => contains(one.filter, asked))) return []
      if (hasDeny.some(one => contains(one.filter, asked))) return [{ action, filter: text, extent: 'all' }]
      const covering = hasAllow.filter(one => contains(one.filter, asked))
      const some = hasAllow.some(one => overlaps(one.filter, asked))
      if (covering.length === 0) return [{ action, filter: text, extent: some ? 'part' : 'all' }]
      const bitten = hasDeny.some(
        one => overlaps(one.filter, asked) && !hadDeny.some(old => contains(old.filter, one.filter)),
      )
      const lowered = !covering.some(one => one.qosMax >= qosMax)
      return lowered || bitten ? [{ action, filter: text, extent: 'part' }] : []
    }
    const had = grantsOf(before, action, 'allow')
    return [...new Map(had.map(one => [`${one.text} ${one.qosMax}`, one])).values()].flatMap(lossOf)
  })
}

test('the comparison says what asking every filter of every other says', () => {
  const withQoS = fc
    .array(fc.tuple(statement, fc.constantFrom<0 | 1 | 2>(0, 1, 2)), { maxLength: 4 })
    .map(all => ({ name: 'p', statements: all.map(([one, qosMax]) => ({ ...one, when: { qosMax } })) }))
  fc.assert(
    fc.property(withQoS, withQoS, (before, after) => {
      const [had, has] = [before, after].map(document => bindStatements([document], new Map()))
      assert.deepEqual(lossesBetween(had!, has!), lossesByAsking(had!, has!))
    }),
    { numRuns: 5_000 },
  )
})

test('ten thousand filters against ten thousand others are compared one by one, not each with each', () => {
  const statements = (prefix: string): Statement[] =>
    Array.from({ length: 100 }, (_, one) => ({
      effect: 'allow',
      actions: [...actions],
      topics: Array.from({ length: 100 }, (_, two) => `${prefix}/${one}/${two}`),
    }))
  const [had, has] = ['a', 'b'].map(prefix =>
    bindStatements([{ name: 'p', statements: statements(prefix) }], new Map()),
  )
  const comparison = compareStatements(had!, has!)
  let compared = 0
  for (let next = comparison.next(); ; next = comparison.next()) {
    if (next.done) {
      assert.equal(next.value.length, actions.length * 10_000)
      break
    }
    compared += next.value
  }
  assert.ok(compared <= 40_000, `${compared} filters were compared`)
})
