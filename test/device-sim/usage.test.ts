// Flags, targets and directories: what is asked for is judged before anything is touched.
import assert from 'node:assert/strict'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { parseDurationMs } from '../../device-sim/duration.ts'
import { rogueKinds } from '../../device-sim/enrollment/rogues.ts'
import { BadUsage } from '../../device-sim/failure.ts'
import { deviceIdIn } from '../../device-sim/fleet/group.ts'
import { findRunTarget, type RunFlags } from '../../device-sim/run/target.ts'
import { quickPlan } from '../../device-sim/scenario/quick.ts'
import { isLoopback, overTls, requireConsent } from '../../device-sim/target.ts'
import { createFakeServices } from './fakes/services.ts'

describe('flags', () => {
  it('have defaults', () => {
    const { groups, stages, connectTimeoutMs } = quickPlan({})
    assert.deepEqual([groups.length, groups[0]?.count, groups[0]?.keyType], [1, 100, 'p256'])
    const { everyMs, qos } = groups[0]!.publish[0]!
    assert.deepEqual([everyMs, qos, connectTimeoutMs], [5_000, 1, 15_000])
    const [ramp, run] = stages
    assert.deepEqual([ramp?.kind === 'ramp' && ramp.rate, run?.forMs], [50, 30_000])
  })

  it('send in as many rogues of each kind as asked, once the fleet is there', () => {
    const counts = (rogues: string | boolean) => quickPlan({ rogues }).groups.map(({ count }) => count)
    assert.deepEqual(counts(true), [100, 1, 1, 1, 1, 1, 1, 1, 1])
    assert.deepEqual(counts('3').slice(1), new Array(rogueKinds.length).fill(3))
    assert.deepEqual(counts('0'), [100])
    assert.deepEqual(
      quickPlan({ rogues: true }).stages.map(({ name }) => name),
      ['connect', 'rogues', 'run'],
    )
  })

  it('list every problem at once, by the name of the flag', () => {
    const wrong = { devices: '0', rate: '-1', interval: '5', duration: 'long', qos: '3', keyType: 'dsa' }
    assert.throws(
      () => quickPlan(wrong),
      ({ problems }: BadUsage) => {
        const named = ['--devices', '--rate', '--interval', '--duration', '--qos', '--key-type']
        return named.every(flag => problems.some(problem => problem.startsWith(flag)))
      },
    )
    for (const [flag, wrong] of [
      ['--rogues', { rogues: 'all' }],
      ['--prefix', { prefix: 'a/b' }],
      ['--connect-timeout', { connectTimeout: '5' }],
    ] as const) {
      assert.throws(() => quickPlan(wrong), new RegExp(flag))
    }
  })

  it('read times with their units', () => {
    assert.deepEqual(['250ms', '5s', '1.5m', '2h'].map(parseDurationMs), [250, 5_000, 90_000, 7_200_000])
    for (const none of ['5', '', 's', '-1s', '1d', '1e3s']) assert.equal(parseDurationMs(none), null)
  })

  it('name devices by a fixed width', () => {
    const [fleet] = quickPlan({}).groups
    assert.deepEqual(
      [0, 499, 99_999].map(n => deviceIdIn(fleet!, n)),
      ['sim-00001', 'sim-00500', 'sim-100000'],
    )
  })
})

const findTarget = (flags: RunFlags, env: Record<string, string>) =>
  findRunTarget({ target: {} }, flags, env, null)

describe('the target', () => {
  let directory = ''
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'rollcall-target-'))
    await writeFile(join(directory, 'token'), 'secret\n')
  })
  after(() => rm(directory, { recursive: true, force: true }))
  const tokenFile = (): string => join(directory, 'token')

  it('must be named', () => {
    assert.throws(() => findTarget({}, {}), BadUsage)
  })

  it('takes flags over the environment, and the broker beside the API', () => {
    const env = { ROLLCALL_API: 'https://other:1', ROLLCALL_TOKEN_FILE: tokenFile() }
    const target = findTarget({ api: 'https://api.example:8443' }, env)
    assert.deepEqual(target.api, { url: 'https://api.example:8443', token: 'secret' })
    assert.deepEqual(target.broker, {
      url: 'mqtts://api.example:8883',
      host: 'api.example',
      port: 8883,
      ca: null,
      ...overTls,
    })
  })

  it('takes IPv6 addresses', () => {
    const target = findTarget(
      { api: 'https://[::1]:8443', tokenFile: tokenFile(), broker: 'mqtts://[::1]:1' },
      {},
    )
    assert.deepEqual([target.broker.host, target.broker.port], ['::1', 1])
  })

  it('never speaks to an API without TLS, and to a broker only where its address says so', () => {
    assert.throws(() => findTarget({ tokenFile: tokenFile(), api: 'http://127.0.0.1' }, {}), BadUsage)
    for (const [broker, transport] of [
      ['mqtts://h', 'tls'],
      ['wss://h', 'wss'],
      ['mqtt://h', 'tcp'],
      ['ws://h', 'ws'],
    ] as const) {
      assert.equal(findTarget({ broker, identities: 'none' }, {}).broker.transport, transport)
    }
  })

  it('says which file is missing or is no certificate', () => {
    const flags = { api: 'https://127.0.0.1', tokenFile: join(directory, 'none'), ca: tokenFile() }
    assert.throws(
      () => findTarget(flags, {}),
      (error: BadUsage) => /none/.test(error.message) && /no certificate/.test(error.message),
    )
  })

  it('takes an EST server with users or a bootstrap certificate, and says what is wrong with them', async () => {
    const users = join(directory, 'users')
    await writeFile(users, 'a:one\nb:two:three\n')
    const flags = { broker: 'mqtts://b', est: 'https://ca.example:8443/.well-known/est/plant/' }
    const { identities, api } = findTarget({ ...flags, estUsers: users }, {})
    assert.equal(api, null)
    assert.ok(identities.from === 'est' && identities.est?.proof.by === 'password')
    assert.equal(identities.est.url, 'https://ca.example:8443/.well-known/est/plant')
    const { of } = identities.est.proof
    assert.deepEqual(of('b'), { user: 'b', password: 'two:three' })
    assert.throws(() => of('c'), /no line for c/)
    const wrong: [RegExp, RunFlags][] = [
      [/one of them/, flags],
      [/one of them/, { ...flags, estUsers: users, estBootstrap: users }],
      [/holds no private key/, { ...flags, estBootstrap: users }],
      [/expected USER:PASSWORD/, { ...flags, estUsers: tokenFile() }],
      [/which EST server/, { broker: 'mqtts://b', estUsers: users }],
    ]
    for (const [what, of] of wrong) assert.throws(() => findTarget(of, {}), what)
    await writeFile(users, 'everybody:secret')
    const shared = findTarget({ ...flags, estUsers: users }, {}).identities
    assert.ok(shared.from === 'est' && shared.est?.proof.by === 'password')
    assert.deepEqual(shared.est.proof.of('c'), { user: 'everybody', password: 'secret' })
  })

  it('asks before sending more than 1,000 devices to another machine', () => {
    const at = (host: string) => ({ url: '', host, port: 1, ca: null, ...overTls })
    assert.throws(() => requireConsent({ devices: 1_001, yes: false }, at('broker.example')), /--yes/)
    requireConsent({ devices: 1_000, yes: false }, at('broker.example'))
    requireConsent({ devices: 1_001, yes: true }, at('broker.example'))
    requireConsent({ devices: 1_001, yes: false }, at('127.0.0.1'))
    assert.deepEqual(
      ['localhost', '127.8.9.1', '::1', '128.0.0.1', '127.example.org', '0.0.0.0'].map(isLoopback),
      [true, true, true, false, false, false],
    )
  })
})

describe('a run that cannot be', () => {
  it('exits 2 for bad usage, with nothing on stdout and nothing made', async () => {
    await using services = await createFakeServices()
    const { exitCode, stdout, stderr } = await services.run({ devices: 'many', qos: '9' })
    assert.deepEqual([exitCode, stdout], [2, ''])
    assert.match(stderr, /--devices/)
    assert.match(stderr, /--qos/)
    await assert.rejects(stat(services.keysDir))
  })

  it('exits 2 for a large fleet against another machine without --yes', async () => {
    await using services = await createFakeServices()
    const { exitCode, stderr } = await services.run({ devices: '1001', broker: 'mqtts://broker.invalid' })
    assert.equal(exitCode, 2)
    assert.match(stderr, /--yes/)
    assert.deepEqual(services.provisioning.state.calls, [])
  })

  it('exits 1 with a hint where the token is not accepted', async () => {
    await using services = await createFakeServices()
    await writeFile(join(services.directory, 'admin.token'), 'wrong')
    const { exitCode, stdout, stderr } = await services.run()
    assert.deepEqual([exitCode, stdout], [1, ''])
    assert.match(stderr, /401.*unauthenticated/)
    assert.match(stderr, /hint: about unauthenticated/)
  })

  it('exits 1 where the API is not there', async () => {
    const services = await createFakeServices()
    const api = services.provisioning.url
    await services.provisioning[Symbol.asyncDispose]()
    const { exitCode, stderr } = await services.run({ api, devices: '1' })
    assert.equal(exitCode, 1)
    assert.match(stderr, /cannot talk to the API at .*ECONNREFUSED/)
    await services.broker[Symbol.asyncDispose]()
    await rm(services.directory, { recursive: true, force: true })
  })

  it('exits 1 rather than take over a directory that is not its own', async () => {
    await using services = await createFakeServices()
    const { exitCode, stderr } = await services.run({ keys: services.directory })
    assert.equal(exitCode, 1)
    assert.match(stderr, /not made by the simulator/)
  })
})
