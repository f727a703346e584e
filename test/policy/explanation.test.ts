// Which statement decides: the explanation says what the rights do, for whatever policies and questions.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bindStatements } from '../../policy/binding.ts'
import type { PolicyDocument, Statement } from '../../policy/document.ts'
import { actions } from '../../policy/document.ts'
import { explainRight, type Question } from '../../policy/explanation.ts'
import { noRights, type Rights, rightsOf } from '../../policy/rights.ts'
import { parseFilter } from '../../policy/topic-filter.ts'

const values = new Map([
  ['device.id', 'a'],
  ['device.attr.bad', 'x/y'],
])
const level = fc.constantFrom('a', 'b', '', '$s', '+', '$SYS', 'broker', '$share')
const text = fc
  .tuple(fc.array(level, { maxLength: 3 }), fc.constantFrom('#', 'a', 'b', '+', `\${device.id}`))
  .map(([levels, last]) => [...levels, last].join('/'))
const unusable = fc.constantFrom(`a/\${device.attr.bad}`, `\${cert.cn}/#`)
const statement: fc.Arbitrary<Statement> = fc.record(
  {
    effect: fc.constantFrom('allow', 'allow', 'deny'),
    actions: fc.subarray([...actions], { minLength: 1 }),
    topics: fc.array(fc.oneof({ weight: 20, arbitrary: text }, unusable), { minLength: 1, maxLength: 3 }),
    when: fc.record({ qosMax: fc.constantFrom(0, 1, 2) }),
  },
  { requiredKeys: ['effect', 'actions', 'topics'] },
)
const policies: fc.Arbitrary<PolicyDocument[]> = fc
  .array(fc.array(statement, { maxLength: 5 }), { maxLength: 3 })
  .map(all => all.map((statements, index) => ({ name: `p${index}`, statements })))
const question: fc.Arbitrary<Question> = fc.record({
  action: fc.constantFrom(...actions),
  topic: fc.array(level, { minLength: 1, maxLength: 4 }).map(levels => levels.join('/')),
  qos: fc.constantFrom(0, 1, 2),
  retain: fc.boolean(),
})

function answerOf(rights: Rights, { action, topic, qos, retain }: Question): boolean {
  if (action === 'subscribe') return rights.subscribe(topic)
  // Names of topics come to the rights only from clients that aedes has let through: never empty, never with wildcards.
  if (parseFilter(topic) === null || /[+#]/.test(topic)) return false
  if (action === 'receive') return rights.receive(topic)
  return action === 'publish' ? rights.publish(topic, qos, retain) : rights.will(topic, qos, retain)
}

test('the explanation answers as the rights do, and names a statement that says so', () => {
  fc.assert(
    fc.property(policies, question, (documents, asked) => {
      fc.pre(asked.action !== 'retain')
      const statements = bindStatements(documents, values)
      const decision = explainRight(statements, asked)
      const rights = rightsOf(statements) ?? noRights
      assert.equal(decision.allowed, answerOf(rights, asked), JSON.stringify({ documents, asked, decision }))
      const { decidedBy, verdict } = decision
      if (decidedBy === null) return
      const named = documents.find(({ name }) => name === decidedBy.policy)?.statements[decidedBy.statement]
      assert.ok(named)
      assert.ok(named.topics.includes(decidedBy.topic))
      const denies = verdict === 'denied' || verdict === 'variable_missing'
      assert.equal(named.effect, denies ? 'deny' : 'allow')
    }),
    { numRuns: 3_000 },
  )
})

test('the verdict says why', () => {
  const document: PolicyDocument = {
    name: 'p',
    statements: [
      { effect: 'allow', actions: ['publish'], topics: ['a/#'], when: { qosMax: 1 } },
      { effect: 'deny', actions: ['publish'], topics: ['a/secret'] },
      { effect: 'allow', actions: ['subscribe'], topics: ['a/#'] },
    ],
  }
  const statements = bindStatements([document], values)
  const ask = (action: Question['action'], topic: string, more: Partial<Question> = {}) => {
    const { verdict, decidedBy } = explainRight(statements, { action, topic, qos: 0, retain: false, ...more })
    return [verdict, decidedBy?.statement ?? null]
  }
  assert.deepEqual(ask('publish', 'a/x'), ['allowed', 0])
  assert.deepEqual(ask('publish', 'a/secret'), ['denied', 1])
  assert.deepEqual(ask('publish', 'a/x', { qos: 2 }), ['qos_exceeded', 0])
  assert.deepEqual(ask('publish', 'a/x', { retain: true }), ['retain_not_allowed', null])
  assert.deepEqual(ask('publish', 'b'), ['nothing_allows', null])
  assert.deepEqual(ask('publish', '$SYS/x'), ['reserved', null])
  assert.deepEqual(ask('publish', 'a/+'), ['not_a_topic', null])
  assert.deepEqual(ask('subscribe', '$share/g/a/x'), ['allowed', 2])
  assert.deepEqual(ask('subscribe', '$share/g'), ['not_a_topic', null])
  assert.deepEqual(ask('receive', 'a/x'), ['allowed', 2])
})
