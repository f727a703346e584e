// A draft of a policy: every fault said at once, each where it lies.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parsePolicy } from '../../policy/document.ts'
import { backendPolicy, defaultPolicy } from '../harness/roll.ts'

const good = { effect: 'allow', actions: ['publish'], topics: ['a'] }

function faultsOf(draft: unknown): string[] {
  const outcome = parsePolicy(draft)
  return 'faults' in outcome ? outcome.faults.map(fault => fault.path) : []
}

test('accepts the policies a fresh registry begins with', () => {
  for (const policy of [defaultPolicy, backendPolicy]) assert.deepEqual(faultsOf(policy), [])
})

const drafts: [what: string, draft: unknown, paths: string[]][] = [
  ['no object', 'x', ['']],
  ['null', null, ['']],
  ['a list', [], ['']],
  ['no name and no statements', {}, ['name', 'statements']],
  ['a name with a slash', { name: 'a/b', statements: [] }, ['name']],
  ['limits that are none', { name: 'a', statements: [], limits: 1 }, ['limits']],
  [
    'limits beyond what there is',
    { name: 'a', statements: [], limits: { qosMax: 3, sessionExpiryMaxSeconds: 0xffff_ffff, retain: false } },
    ['limits.retain', 'limits.qosMax', 'limits.sessionExpiryMaxSeconds'],
  ],
  ['an unknown field', { name: 'a', statements: [], role: 'admin' }, ['role']],
  ['an inherited name as field', JSON.parse('{"name":"a","statements":[],"__proto__":{}}'), ['__proto__']],
  ['too many statements', { name: 'a', statements: Array(101).fill(good) }, ['statements']],
  ['a statement that is none', { name: 'a', statements: [null, good] }, ['statements[0]']],
  ['an unknown effect', { name: 'a', statements: [{ ...good, effect: 'Allow' }] }, ['statements[0].effect']],
  [
    'an unknown action',
    { name: 'a', statements: [{ ...good, actions: ['publish', 'connect'] }] },
    ['statements[0].actions'],
  ],
  ['no action', { name: 'a', statements: [{ ...good, actions: [] }] }, ['statements[0].actions']],
  ['no topic', { name: 'a', statements: [{ ...good, topics: [] }] }, ['statements[0].topics']],
  [
    'too many topics',
    { name: 'a', statements: [{ ...good, topics: Array(101).fill('a') }] },
    ['statements[0].topics'],
  ],
  [
    'a topic that is no text',
    { name: 'a', statements: [{ ...good, topics: [1] }] },
    ['statements[0].topics[0]'],
  ],
  [
    'a topic too long',
    { name: 'a', statements: [{ ...good, topics: ['x'.repeat(1025)] }] },
    ['statements[0].topics[0]'],
  ],
  [
    '# in the middle',
    { name: 'a', statements: [{ ...good, topics: ['a', 'a/#/b'] }] },
    ['statements[0].topics[1]'],
  ],
  [
    '+ beside a variable',
    { name: 'a', statements: [{ ...good, topics: [`a/+\${device.id}`] }] },
    ['statements[0].topics[0]'],
  ],
  [
    'an unknown variable',
    { name: 'a', statements: [{ ...good, topics: [`\${device.secret}`] }] },
    ['statements[0].topics[0]'],
  ],
  [
    'an odd qosMax',
    { name: 'a', statements: [{ ...good, when: { qosMax: 3 } }] },
    ['statements[0].when.qosMax'],
  ],
  [
    'an unknown condition',
    { name: 'a', statements: [{ ...good, when: { time: 1 } }] },
    ['statements[0].when.time'],
  ],
  ['a condition that is none', { name: 'a', statements: [{ ...good, when: [] }] }, ['statements[0].when']],
  [
    'several at once',
    { statements: [{ effect: 'x', actions: 1, topics: ['#/a'] }] },
    ['name', 'statements[0].effect', 'statements[0].actions', 'statements[0].topics[0]'],
  ],
]

for (const [what, draft, paths] of drafts) {
  test(`refuses ${what}`, () => assert.deepEqual(faultsOf(draft), paths))
}

test('never throws, whatever it is given', () => {
  fc.assert(fc.property(fc.jsonValue(), draft => void parsePolicy(draft)))
  fc.assert(
    fc.property(
      fc.anything(),
      thing => void parsePolicy({ name: 'a', statements: [thing, { ...good, topics: [thing] }] }),
    ),
  )
})
