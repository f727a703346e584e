// The broker's settings: every problem at once, the environment before the file, nothing unlimited.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { readBrokerSettings } from '../../../broker/settings/sources.ts'
import {
  ConfigError,
  choices,
  environmentName,
  settings,
  texts,
  validateSettings,
} from '../../../broker/settings/validation.ts'

let data: string
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'rollcall-config-'))
})
afterEach(() => rmSync(data, { recursive: true }))

function write(yaml: string): void {
  writeFileSync(join(data, 'rollcall.yaml'), yaml)
}

function problemsOf(work: () => unknown): string[] {
  try {
    work()
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return [...error.problems]
  }
  return []
}

test('every setting has a default within its own bounds, and a bound above', () => {
  for (const [name, { default: standard, min, max }] of Object.entries(settings)) {
    assert.ok(standard >= min && standard <= max && Number.isFinite(max), name)
  }
  assert.deepEqual(Object.keys(validateSettings({})), Object.keys({ ...settings, ...choices, ...texts }))
})

test('takes the bounds and refuses one beyond', () => {
  for (const [name, { min, max }] of Object.entries(settings)) {
    assert.equal(problemsOf(() => validateSettings({ [name]: min })).length, 0)
    assert.equal(problemsOf(() => validateSettings({ [name]: max })).length, 0)
    assert.equal(problemsOf(() => validateSettings({ [name]: min - 1 })).length, 1)
    assert.equal(problemsOf(() => validateSettings({ [name]: max + 1 })).length, 1)
  }
})

test('takes each word of a choice, its default among them, and no other', () => {
  for (const [name, { default: standard, words }] of Object.entries(choices)) {
    assert.ok((words as readonly string[]).includes(standard), name)
    for (const word of words) assert.equal(problemsOf(() => validateSettings({ [name]: word })).length, 0)
    for (const other of ['', 'Closed', 1, true])
      assert.ok(problemsOf(() => validateSettings({ [name]: other }))[0]?.includes(words.join(', ')))
  }
  assert.equal(
    readBrokerSettings(data, { ROLLCALL_BROKER_REGISTRY_LOSS_MODE: 'open' }).registryLossMode,
    'open',
  )
})

test('tells every problem at once, unknown names included', () => {
  const given = { connectionsMax: 0, handshakesMax: 'many', packetBytesMax: 1.5, nonsense: 1, constructor: 1 }
  const problems = problemsOf(() => validateSettings(given))
  assert.deepEqual(
    problems.map(problem => problem.split(':')[0]),
    ['nonsense', 'constructor', 'connectionsMax', 'handshakesMax', 'packetBytesMax'],
  )
})

test('the environment wins over the file, the file over the defaults', () => {
  write('broker:\n  connectionsMax: 7\n  handshakesMax: 8\n')
  const read = readBrokerSettings(data, { ROLLCALL_BROKER_HANDSHAKES_MAX: '9' })
  assert.deepEqual(
    [read.connectionsMax, read.handshakesMax, read.connectTimeoutMs],
    [7, 9, settings.connectTimeoutMs.default],
  )
})

test('a value that is no number is a problem wherever it comes from', () => {
  assert.equal(
    problemsOf(() => readBrokerSettings(data, { [environmentName('addressBurst')]: '12 ' })).length,
    1,
  )
  write('broker:\n  addressBurst: "12"\n')
  assert.equal(problemsOf(() => readBrokerSettings(data, {})).length, 1)
})

test('a file that is no YAML, or whose section is no map, is named', () => {
  for (const yaml of ['broker: [', 'broker: [1]', 'broker: x']) {
    write(yaml)
    assert.match(problemsOf(() => readBrokerSettings(data, {}))[0] ?? '', /rollcall\.yaml|setting/, yaml)
  }
})

test('a name that is none is refused wherever it stands, all at once, with the one that was probably meant', () => {
  write('brokr: {}\nbroker:\n  handshakeMax: 7\n')
  const problems = problemsOf(() =>
    readBrokerSettings(data, {
      ROLLCALL_BROKER_ADRESS_BURST: '9',
      ROLLCALL_BROKER_GATES: 'several',
      ROLLCALL_BROKER_SERVICE_HOST: '10.0.0.1',
      ROLLCALL_BROKER_PORT_8883_TCP_ADDR: '10.0.0.1',
      ROLLCALL_BROKER_PORT: 'tcp://10.0.0.1:8883',
    }),
  )
  assert.equal(problems.length, 4, problems.join('\n'))
  assert.match(problems[0]!, /brokr: unknown section, did you mean broker\?$/)
  assert.match(problems[1]!, /^ROLLCALL_BROKER_ADRESS_BURST: .*did you mean ROLLCALL_BROKER_ADDRESS_BURST\?$/)
  write('broker:\n  handshakeMax: 7\n  somethingElseEntirely: 1\n')
  assert.deepEqual(
    problemsOf(() => readBrokerSettings(data, {})),
    ['handshakeMax: unknown setting, did you mean handshakesMax?', 'somethingElseEntirely: unknown setting'],
  )
})

test('a text is judged where it stands, and its problem says what was wrong', () => {
  assert.equal(validateSettings({ proxyFrom: '10.0.0.0/8, ::1' }).proxyFrom, '10.0.0.0/8, ::1')
  const [problem = ''] = problemsOf(() => validateSettings({ proxyFrom: '10.0.0.0/8, balancer' }))
  assert.match(problem, /^proxyFrom: "balancer" is no address and no network/)
  assert.match(problemsOf(() => validateSettings({ proxyFrom: 10 }))[0] ?? '', /^proxyFrom: it is no text/)
})
