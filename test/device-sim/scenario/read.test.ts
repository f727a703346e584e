// Scenario files: what is wrong with one is said with file, line and what was expected.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { BadUsage } from '../../../device-sim/failure.ts'
import { holds, parseExpression } from '../../../device-sim/scenario/expression.ts'
import { loadScenario, schemaText } from '../../../device-sim/scenario/load.ts'
import { planOf } from '../../../device-sim/scenario/plan.ts'
import { presetNames } from '../../../device-sim/scenario/presets.ts'
import { parseScenario } from '../../../device-sim/scenario/read.ts'
import { stageTimes } from '../../../device-sim/scenario/stage-times.ts'

const whole = `name: example
groups:
  - name: meters
    count: 10
    publish:
      - { topic: 'devices/\${device}/telemetry', every: 5s }
stages:
  - { kind: ramp, rate: 5 }
  - { kind: steady, for: 10s }
`

function faultsOf(text: string): readonly string[] {
  try {
    const { scenario, locate } = parseScenario(text, 'x.yaml')
    return planOf(scenario).faults.map(locate)
  } catch (error) {
    if (error instanceof BadUsage) return error.problems
    throw error
  }
}

describe('a scenario', () => {
  it('that is whole has no faults and every default', () => {
    const { plan } = planOf(parseScenario(whole, 'x.yaml').scenario)
    assert.equal(plan?.groups[0]?.idTemplate, `sim-meters-\${n}`)
    assert.deepEqual(plan?.groups[0]?.session, {
      clean: true,
      keepAliveSeconds: 60,
      resumeTls: false,
      expirySeconds: 0,
      topicAliasMax: 0,
      inFlightMax: 64,
      will: null,
    })
    assert.equal(plan?.groups[0]?.protocol, 4)
    assert.equal(plan?.groups[0]?.publish[0]?.jitter, 0.1)
    assert.deepEqual(plan && stageTimes(plan), { beginsAtMs: [0, 2_000], endsAtMs: 12_000 })
  })

  for (const [written, level] of [
    ['3.1', 3],
    ['3.1.1', 4],
    ['5', 5],
    ['3', 3],
    ['4', 4],
  ] as const) {
    it(`speaks level ${level} where it says protocol: ${written}`, () => {
      const text = whole.replace('count: 10', `count: 10\n    protocol: ${written}`)
      assert.equal(planOf(parseScenario(text, 'x.yaml').scenario).plan?.groups[0]?.protocol, level)
    })
  }

  it('in version 5 has properties as they are written, and a kept session an hour', () => {
    const properties =
      "properties: { expiry: 90s, utf8: true, contentType: t, user: [{ b: '1' }, { a: '2' }, { b: '3' }] }"
    const text = whole
      .replace('count: 10', 'count: 10\n    protocol: 5\n    session: { clean: false }')
      .replace('every: 5s', `every: 5s, ${properties}`)
    const [group] = planOf(parseScenario(text, 'x.yaml').scenario).plan?.groups ?? []
    assert.equal(group?.session.expirySeconds, 3_600)
    assert.deepEqual(group?.publish[0]?.properties, {
      utf8: true,
      expirySeconds: 90,
      contentType: 't',
      responseTopic: null,
      correlation: null,
      user: [
        ['b', '1'],
        ['a', '2'],
        ['b', '3'],
      ],
    })
  })

  const bad: [what: string, from: string | RegExp, to: string, fault: string | RegExp][] = [
    [
      'a wrong time',
      'every: 5s',
      'every: 5 sec',
      'x.yaml:6:49: groups[0].publish[0].every: expected a time such as 500ms, 5s, 2m or 1h',
    ],
    [
      'an unknown key',
      'count: 10',
      'count: 10\n    colour: red',
      /^x.yaml:5:5: groups\[0\]\.colour: unknown; expected name, count/,
    ],
    [
      'a misspelt key',
      'count: 10',
      'count: 10\n    keytype: p256',
      /^x.yaml:5:5: groups\[0\]\.keytype: unknown; did you mean keyType\?/,
    ],
    ['a missing key', 'count: 10', 'link: lean', 'x.yaml:3:5: groups[0]: count is missing'],
    ['a wrong type', 'count: 10', 'count: many', 'x.yaml:4:5: groups[0].count: expected a whole number'],
    [
      'a number out of bounds',
      'count: 10',
      'count: 0',
      'x.yaml:4:5: groups[0].count: expected a number >= 1',
    ],
    [
      'an unknown kind',
      'kind: steady',
      'kind: calm',
      'x.yaml:9:7: stages[1].kind: expected ramp, steady, storm, pause',
    ],
    [
      'properties below version 5',
      'every: 5s',
      'every: 5s, properties: { utf8: true }',
      'x.yaml:6:60: groups[0].publish[0].properties: only with protocol: 5',
    ],
    [
      'a session expiry below version 5',
      'count: 10',
      'count: 10\n    session: { expiry: 5s }',
      'x.yaml:5:16: groups[0].session.expiry: only with protocol: 5',
    ],
    [
      'an unknown version',
      'count: 10',
      'count: 10\n    protocol: 6',
      'x.yaml:5:5: groups[0].protocol: expected 3.1, 3.1.1, 5, 3, 4',
    ],
    [
      'a user property of two names',
      'every: 5s',
      'every: 5s, properties: { user: [{ a: x, b: y }] }',
      /properties\.user\[0\]: expected/,
    ],
    [
      'a variable of a response topic that there is not',
      /count: 10[\s\S]*every: 5s/,
      `count: 10
    protocol: 5
    publish:
      - { topic: t, every: 5s, properties: { responseTopic: '\${nothing}' }`,
      /^x.yaml:7:46: groups\[0\]\.publish\[0\]\.properties\.responseTopic: there is no \$\{nothing\}/,
    ],
    [
      'two generators',
      'every: 5s',
      'every: 5s, payload: { constant: x, json: 1 }',
      /payload: expected exactly one of constant, random/,
    ],
    [
      'an unknown variable',
      `\${device}`,
      `\${devise}`,
      `x.yaml:6:11: groups[0].publish[0].topic: there is no \${devise}`,
    ],
    [
      'a stage without an end',
      'kind: steady, for: 10s',
      'kind: steady',
      'x.yaml:9:5: stages[1]: for is missing',
    ],
    [
      'a key of another stage',
      'for: 10s',
      'for: 10s, rate: 3',
      'x.yaml:9:31: stages[1].rate: only a ramp has it',
    ],
    [
      'an unknown group',
      /$/,
      'actions:\n  - { at: 1s, do: revoke, group: metres }\n',
      'x.yaml:11:27: actions[0].group: there is no group metres',
    ],
    [
      'a threshold without a metric',
      /$/,
      'thresholds:\n  - speed > 3\n',
      /^x.yaml:11:5: thresholds\[0\]: there is no metric speed; there are wronglyAdmitted/,
    ],
    [
      'a latency without a unit',
      /$/,
      'thresholds:\n  - connect.p99 < 5\n',
      'x.yaml:11:5: thresholds[0]: expected a time such as 500ms instead of 5',
    ],
    ['what is no YAML', 'count: 10', 'count: [10', /^x\.yaml:\d+:\d+: /],
    ['no map at all', /[\s\S]*/, 'fleet', /expected a map/],
  ]
  for (const [what, from, to, fault] of bad) {
    it(`with ${what} names the place and what was expected`, () => {
      const [first = '', ...more] = faultsOf(whole.replace(from, () => to))
      if (typeof fault === 'string') assert.equal(first, fault)
      else assert.match(first, fault)
      assert.deepEqual(more, [])
    })
  }

  it('with many faults names them all at once', () => {
    const faults = faultsOf(
      whole.replace('5s', 'soon').replace('rate: 5', 'rate: fast').replace('10s', 'long'),
    )
    assert.deepEqual(
      faults.map(fault => fault.split(':')[1]),
      ['6', '8', '9'],
    )
  })
})

describe('expressions', () => {
  const cases: [text: string, observed: number, holds: boolean][] = [
    ['acknowledge.p99 < 500ms', 499.9, true],
    ['acknowledge.p99 < 500ms', 500, false],
    ['connected >= 99%', 0.99, true],
    ['connected >= 99%', 0.9899, false],
    ['lost.qos1 = 0', 0, true],
    ['lost != 0', 0, false],
    ['cut.max <= 1.5s', 1_500, true],
  ]
  for (const [text, observed, expected] of cases) {
    it(`${text} ${expected ? 'holds' : 'does not hold'} of ${observed}`, () => {
      const expression = parseExpression(text)
      assert.ok(typeof expression !== 'string')
      assert.equal(holds(expression, observed), expected)
    })
  }
})

describe('presets', () => {
  it('can all be run', () => {
    const names = presetNames()
    assert.ok(names.includes('smoke'))
    for (const name of names) {
      const { plan } = loadScenario(name)
      assert.notEqual(plan.description, '', name)
    }
  })
})

describe('the schema', () => {
  it('is JSON Schema that describes every key', () => {
    const schema = JSON.parse(schemaText())
    assert.equal(schema.type, 'object')
    const undescribed = Object.entries(schema.properties.groups.items.properties)
      .filter(([, property]) => !(property as { description?: string }).description)
      .map(([name]) => name)
    assert.deepEqual(undescribed, [])
  })
})
