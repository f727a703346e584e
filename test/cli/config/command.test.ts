// `rollcall config`: what a start would be set to and why, and everything that keeps it from starting, at once.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { variables } from '../../../provisioning/config.ts'
import { repository, rollcall, temporaryDirectory } from '../running.ts'

test('a flag comes before the environment, that before the file, that before the default, and each is told', async () => {
  using folder = temporaryDirectory()
  writeFileSync(
    join(folder.path, 'rollcall.yaml'),
    'broker:\n  gates: 3\n  connectionsMax: 7\n  handshakesMax: 8\n',
  )
  const { code, stdout, stderr } = await rollcall(
    ['config', 'print', '--data', folder.path, '--gates', '2', '--mqtts-port', '8884', '-o', 'json'],
    {
      env: {
        ROLLCALL_BROKER_GATES: '1',
        ROLLCALL_BROKER_HANDSHAKES_MAX: '9',
        ROLLCALL_DEVICE_DAYS: '30',
        ROLLCALL_CA_PASSPHRASE_FILE: '/run/passphrase',
      },
    },
  )
  assert.equal(code, 0, stderr)
  const settings = JSON.parse(stdout) as {
    name: string
    value: unknown
    from: string
    source: string | null
  }[]
  const told = (name: string) => {
    const { value, from, source } = settings.find(setting => setting.name === name)!
    return [value, from, source]
  }
  assert.deepEqual(told('broker.gates'), [2, 'flag', '--gates'])
  assert.deepEqual(told('mqttsPort'), [8884, 'flag', '--mqtts-port'])
  assert.deepEqual(told('broker.handshakesMax'), [9, 'environment', 'ROLLCALL_BROKER_HANDSHAKES_MAX'])
  assert.deepEqual(told('broker.connectionsMax'), [7, 'file', 'rollcall.yaml'])
  assert.deepEqual(told('broker.topicLevelsMax'), [64, 'default', null])
  assert.deepEqual(told('ROLLCALL_DEVICE_DAYS'), [30, 'environment', 'ROLLCALL_DEVICE_DAYS'])
  assert.deepEqual(told('apiPort'), [8443, 'default', null])
})

test('pq, the groups and the key of the CAs have flags; pq is one setting for both services', async () => {
  using folder = temporaryDirectory()
  const told = async (args: string[], env: Record<string, string> = {}) => {
    const { code, stdout, stderr } = await rollcall(
      ['config', 'print', '--data', folder.path, ...args, '-o', 'json'],
      { env },
    )
    assert.equal(code, 0, stderr)
    const settings = JSON.parse(stdout) as { name: string; value: unknown; source: string | null }[]
    return (name: string) => {
      const { value, source } = settings.find(setting => setting.name === name)!
      return [value, source]
    }
  }
  const flags = await told(['--pq', 'issue', '--ca-key-type', 'ml-dsa-65', '--tls-groups', 'X25519:P-256'], {
    ROLLCALL_PQ: 'off',
    ROLLCALL_BROKER_PQ: 'off',
  })
  assert.deepEqual(
    [flags('broker.pq'), flags('ROLLCALL_PQ')],
    [
      ['issue', '--pq'],
      ['issue', '--pq'],
    ],
  )
  for (const name of ['ROLLCALL_ROOT_KEY_TYPE', 'ROLLCALL_ISSUING_KEY_TYPE'])
    assert.deepEqual(flags(name), ['ml-dsa-65', '--ca-key-type'])
  assert.deepEqual(flags('broker.tlsGroups'), ['X25519:P-256', '--tls-groups'])
  const variable = await told([], { ROLLCALL_PQ: 'off' })
  assert.deepEqual(
    [variable('broker.pq'), variable('ROLLCALL_PQ')],
    [
      ['off', 'ROLLCALL_PQ'],
      ['off', 'ROLLCALL_PQ'],
    ],
  )

  const refused = async (args: string[]) =>
    (await rollcall(['config', 'check', '--data', folder.path, ...args])).stderr
  assert.match(await refused(['--ca-key-type', 'ml-dsa-65']), /needs --pq issue/)
  assert.match(await refused(['--ca-key-type', 'dsa']), /Allowed choices are p256/)
  writeFileSync(join(folder.path, 'rollcall.yaml'), 'broker:\n  pq: off\n')
  assert.match(await refused([]), /pq is off for the broker and accept for provisioning/)
})

test('all that is wrong is named at once, with what was probably meant, and no value that may be a secret', async () => {
  using folder = temporaryDirectory()
  writeFileSync(join(folder.path, 'rollcall.yaml'), 'broker:\n  handshakeMax: 8\n')
  for (const verb of ['check', 'print']) {
    const { code, stdout, stderr } = await rollcall(['config', verb, '--data', folder.path], {
      env: {
        ROLLCALL_BROKER_ADRESS_BURST: '1',
        ROLLCALL_OCSP_MINUTES: '1',
        ROLLCALL_CERTIFICATE_GRACE: '2',
        ROLLCALL_CA_PASSPHRASE: 'correct horse battery',
        ROLLCALL_LOG_LEVEL: 'loud',
      },
    })
    assert.equal(code, 1)
    assert.equal(stdout, '')
    for (const problem of [
      'handshakeMax: unknown setting, did you mean handshakesMax?',
      'ROLLCALL_BROKER_ADRESS_BURST: unknown setting, did you mean ROLLCALL_BROKER_ADDRESS_BURST?',
      'ROLLCALL_OCSP_MINUTES is 1, not a whole number from 5 to 10080',
      'ROLLCALL_CERTIFICATE_GRACE is 2, not a whole number from 0 to 1',
      'ROLLCALL_CA_PASSPHRASE: no variable of ours, did you mean ROLLCALL_CA_PASSPHRASE_FILE?',
      'ROLLCALL_LOG_LEVEL: it is none of fatal, error, warn, info, debug, trace, silent',
    ])
      assert.ok(stderr.includes(problem), stderr)
    assert.match(stderr, /have 6 problems/)
    assert.doesNotMatch(stderr, /horse/)
  }
})

test('settings that hold are counted', async () => {
  using folder = temporaryDirectory()
  const { code, stdout } = await rollcall(['config', 'check', '--data', folder.path, '-o', 'json'], {
    env: { ROLLCALL_DEVICE_DAYS: '30' },
  })
  assert.equal(code, 0)
  const { changed, problems } = JSON.parse(stdout)
  assert.deepEqual([changed, problems], [1, 0])
})

test('every variable that provisioning reads is one that is told', () => {
  const code = readFileSync(join(repository, 'provisioning/config.ts'), 'utf8')
  for (const [name] of code.matchAll(/\bROLLCALL_[A-Z0-9_]+[A-Z]/g))
    assert.ok(Object.hasOwn(variables, name), name)
})

test('the error names the bounds of every number that provisioning reads', async () => {
  using folder = temporaryDirectory()
  const above = [
    ['DEVICE_DAYS', 826],
    ['RENEW_EXPIRED_DAYS', 31],
    ['CRL_HOURS', 721],
    ['OCSP_MINUTES', 10_081],
    ['API_REQUESTS_PER_MINUTE', 10_000_001],
    ['API_FAILURES_PER_MINUTE', 1_000_001],
    ['CERTIFICATE_GRACE', 2],
    ['CRL_PRIVATE_ADDRESSES', 2],
    ['WEBHOOK_PRIVATE_ADDRESSES', 2],
  ] as const
  const env = Object.fromEntries(above.map(([name, value]) => [`ROLLCALL_${name}`, `${value}`]))
  const { code, stderr } = await rollcall(['config', 'check', '--data', folder.path], { env })
  assert.equal(code, 1)
  for (const [name, value] of above)
    assert.match(
      stderr,
      new RegExp(`ROLLCALL_${name} is ${value}, not a whole number from \\d+ to ${value - 1}\\b`),
    )
})
