// `rollcall policy …` against a real service: files in YAML and JSON, applied twice, tried before they hold.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { parse } from 'yaml'
import { difference } from '../../../cli/policy/policy-file.ts'
import { startUp, temporaryDirectory, type Up } from '../running.ts'

describe('rollcall policy', () => {
  const world = temporaryDirectory()
  const at = (name: string, text?: string) => {
    const path = join(world.path, name)
    if (text !== undefined) writeFileSync(path, text)
    return path
  }
  let up: Up
  before(async () => {
    up = await startUp(join(world.path, 'data'))
    await done('device', 'add', 'd1', '--group', 'pumps')
  })
  after(async () => {
    await up?.[Symbol.asyncDispose]()
    world[Symbol.dispose]()
  })

  async function done(...args: string[]) {
    const ran = await up.run(...args)
    assert.equal(ran.code, 0, `${args.join(' ')}: ${ran.stderr}`)
    return ran
  }
  async function failed(code: number, words: RegExp, ...args: string[]) {
    const ran = await up.run(...args)
    assert.equal(ran.code, code, `${args.join(' ')}: ${ran.stdout}${ran.stderr}`)
    assert.match(ran.stderr, words)
    assert.match(ran.stderr, /^hint: .+/m)
  }

  const yaml = `# what pumps may say
name: telemetry
statements:
  - effect: allow
    actions: [publish]
    topics: ["telemetry/\${device.id}/#"]
    when: { qosMax: 1 }
`

  it('warns of what can hold for no device, and stores it all the same', async () => {
    const file = at(
      'futile.yaml',
      'name: futile\nstatements:\n  - { effect: allow, actions: [publish], topics: [$SYS/x] }\n',
    )
    const { stderr } = await done('policy', 'apply', file)
    assert.match(stderr, /^warning: statements\[0\]\.topics\[0\]: \$SYS\/x never holds/m)
    await done('policy', 'delete', 'futile')
  })

  it('applies a file once, and again without a change', async () => {
    const file = at('telemetry.yaml', yaml)
    const first = await done('policy', 'apply', file, '-o', 'json')
    assert.match(
      first.stderr,
      /^policy telemetry is stored; .*1 of 1 brokers acknowledged\n.*policy attach telemetry/,
    )
    const again = await done('policy', 'apply', file, '-o', 'json')
    assert.match(again.stderr, /is as it was/)
    assert.deepEqual(JSON.parse(again.stdout).version, JSON.parse(first.stdout).version)
    assert.equal(JSON.parse(again.stdout).epoch, JSON.parse(first.stdout).epoch)
    const shown = await done('policy', 'show', 'telemetry', '--document', '-o', 'json')
    const copy = at('copy.json', shown.stdout)
    assert.match((await done('policy', 'apply', copy)).stderr, /is as it was/)
    const changed = at('changed.yaml', yaml.replace('qosMax: 1', 'qosMax: 0'))
    assert.match((await done('policy', 'apply', changed)).stderr, /is replaced/)
    assert.match((await done('policy', 'apply', file)).stderr, /is replaced/)
  })

  it('shows what a file would change', async () => {
    const same = await done('policy', 'diff', at('telemetry.yaml'))
    assert.deepEqual([same.stdout, same.stderr], ['', 'telemetry is as it is stored\n'])
    const more = `${yaml}  - { effect: deny, actions: [publish], topics: [telemetry/+/secret] }\n`
    const file = at('more.yaml', more.replace('qosMax: 1', 'qosMax: 2'))
    const { stdout } = await done('policy', 'diff', file)
    assert.deepEqual(stdout.split('\n'), [
      `- allow  publish  telemetry/\${device.id}/#  qosMax 1`,
      `+ allow  publish  telemetry/\${device.id}/#  qosMax 2`,
      '+ deny  publish  telemetry/+/secret',
      '',
    ])
    const asJson = JSON.parse((await done('policy', 'diff', file, '-o', 'json')).stdout)
    assert.deepEqual([asJson.stored, asJson.changed, asJson.lines.length], [true, true, 3])
    assert.match((await done('policy', 'diff', at('new.yaml', 'name: new\nstatements: []'))).stderr, /is new/)
  })

  it('attaches, lists, detaches and deletes', async () => {
    for (const target of [['--everyone'], ['--device', 'd1'], ['--group', 'pumps']])
      await done('policy', 'attach', 'telemetry', ...target)
    const { stdout } = await done('policy', 'list', '-o', 'json')
    const listed = JSON.parse(stdout) as { name: string; attachmentsTotal: number }[]
    assert.deepEqual(
      listed.map(({ name, attachmentsTotal }) => [name, attachmentsTotal]),
      [
        ['backend', 1],
        ['default', 1],
        ['telemetry', 3],
      ],
    )
    assert.match((await done('policy', 'list')).stdout, /^telemetry +1 +device d1, everyone, group pumps /m)
    await failed(1, /policy telemetry is attached to/, 'policy', 'delete', 'telemetry')
    for (const target of [['--everyone'], ['--device', 'd1'], ['--group', 'pumps']])
      await done('policy', 'detach', 'telemetry', ...target)
    await failed(1, /is not attached to everyone/, 'policy', 'detach', 'telemetry', '--everyone')
    await failed(1, /no device d9/, 'policy', 'attach', 'telemetry', '--device', 'd9')
    await failed(1, /there is no policy none/, 'policy', 'attach', 'none', '--everyone')
    await failed(2, /exactly one of/, 'policy', 'attach', 'telemetry')
    await failed(2, /exactly one of/, 'policy', 'attach', 'telemetry', '--everyone', '--group', 'x')
    await done('policy', 'apply', at('short.yaml', 'name: short-lived\nstatements: []'))
    await done('policy', 'delete', 'short-lived')
    await failed(1, /no policy short-lived/, 'policy', 'show', 'short-lived')
  })

  it('shows a policy, and what binds a device', async () => {
    const table = (await done('policy', 'show', 'telemetry')).stdout
    assert.match(table, /^name +telemetry$/m)
    assert.match(table, /^\[0\] allow {2}publish {2}telemetry\/\$\{device\.id\}\/# {2}qosMax 1$/m)
    assert.equal(
      parse((await done('policy', 'show', 'telemetry', '-o', 'yaml')).stdout).document.name,
      'telemetry',
    )
    const bound = (await done('policy', 'show', '--device', 'd1')).stdout
    assert.match(bound, /^default\[0\] {2}allow {2}publish,retain,will {2}devices\/d1\/#$/m)
    await failed(2, /either a policy or --device/, 'policy', 'show')
  })

  it('tries a draft on a device, naming what decides', async () => {
    const asked = [
      '--device',
      'd1',
      '--publish',
      'telemetry/d1/x',
      '--publish',
      'telemetry/d2/x',
      '--subscribe',
      '#',
    ]
    const { stdout, stderr } = await done('policy', 'simulate', at('telemetry.yaml'), ...asked, '--qos', '1')
    const [, first, second, third] = stdout.split('\n').map(line => line.split(/ {2,}/))
    assert.deepEqual(first?.slice(0, 4), ['publish qos1', 'telemetry/d1/x', 'no (nothing_allows)', 'yes'])
    assert.equal(first?.[4], `telemetry[0] telemetry/\${device.id}/#`)
    assert.deepEqual([second?.[3], third?.[3]], ['no (nothing_allows)', 'no (nothing_allows)'])
    assert.match(stderr, /does not hold for d1 today; it was tried as if it did/)
    const stored = await done(
      'policy',
      'simulate',
      'default',
      '--device',
      'd1',
      '--will',
      'devices/d1/gone',
      '-o',
      'json',
    )
    assert.equal(JSON.parse(stored.stdout).results[0].draft.allowed, true)
    await failed(2, /either --device ID or --fleet/, 'policy', 'simulate', 'default')
    await failed(2, /nothing is asked/, 'policy', 'simulate', 'default', '--device', 'd1')
  })

  it('tries a draft on the fleet', async () => {
    const draft = at('default.yaml', 'name: default\nstatements: []')
    const { stdout, stderr } = await done('policy', 'simulate', draft, '--fleet')
    assert.match(stdout, /^d1 +publish devices\/d1\/#, /m)
    assert.match(
      stderr,
      /^of 1 device 1 would lose and 0 gain something; 0 of 0 live subscriptions noted by 1 broker would be dropped$/m,
    )
    const json = JSON.parse((await done('policy', 'simulate', draft, '--fleet', '-o', 'json')).stdout)
    assert.equal(json.devicesLosing, 1)
  })

  it('tells how a draft changes the limits of sessions', async () => {
    const draft = at(
      'limits.yaml',
      `name: default\nstatements: [{ effect: allow, actions: [publish], topics: ['devices/\${device.id}/#'] }]\nlimits: { qosMax: 1, sessionExpiryMaxSeconds: 60 }`,
    )
    const asked = ['--device', 'd1', '--publish', 'devices/d1/x']
    const one = await done('policy', 'simulate', draft, ...asked)
    assert.match(one.stderr, /^QoS at most 2 now, 1 then; session expiry at most unlimited now, 60 s then$/m)
    const { stdout } = await done('policy', 'simulate', draft, '--fleet')
    assert.match(stdout, /LIMITS.*\n.*QoS 2 → 1, session expiry unlimited → 60 s/)
  })

  it('says every fault of a file, with its path, and what is wrong with a file that is none', async () => {
    const bad = at('bad.yaml', 'name: bad\nstatements: [{ effect: permit, actions: [fly], topics: ["a#"] }]')
    for (const verb of ['apply', 'diff']) {
      const { code, stderr } = await up.run('policy', verb, bad)
      assert.equal(code, 1)
      assert.match(stderr, /^ {2}body\S*statements\[0\]\.effect: allow or deny$/m)
      assert.match(stderr, /^ {2}body\S*statements\[0\]\.actions: /m)
      assert.match(stderr, /^ {2}body\S*statements\[0\]\.topics\[0\]: /m)
    }
    await failed(1, /neither YAML nor JSON/, 'policy', 'apply', at('broken.yaml', 'name: [x'))
    await failed(1, /holds no policy/, 'policy', 'apply', at('list.yaml', '- 1'))
    await failed(1, /no such file/, 'policy', 'apply', at('absent.yaml'))
    await failed(1, /path\.name: must match/, 'policy', 'apply', at('odd.yaml', 'name: a/b\nstatements: []'))
  })
})

it('a difference keeps the longest part that both have', () => {
  const marked = (before: string, after: string) =>
    difference([...before], [...after])
      .map(({ mark, text }) => (mark === ' ' ? text : mark + text))
      .join('')
  assert.equal(marked('abc', 'abc'), 'abc')
  assert.equal(marked('abc', 'axc'), 'a-b+xc')
  assert.equal(marked('', 'ab'), '+a+b')
  assert.equal(marked('ab', ''), '-a-b')
  assert.equal(marked('abcd', 'bcde'), '-abcd+e')
})
