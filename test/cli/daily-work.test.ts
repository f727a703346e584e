// Commands for daily work: changing devices, many at once, events, status, profiles, completion, and errors as programs read them.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, before, test } from 'node:test'
import { idsOf } from '../../cli/device/many.ts'
import { nouns } from '../../cli/program.ts'
import { type Service, startService } from '../provisioning/harness.ts'
import { rollcallHere } from './in-process.ts'

let service: Service
let home: string
before(async () => {
  service = await startService()
  home = mkdtempSync(join(tmpdir(), 'rollcall-home-'))
  process.env['XDG_CONFIG_HOME'] = home
  for (const id of ['a', 'b', 'c']) await service.call('POST', '/v1/devices', { id, groups: ['old'] })
})
after(async () => {
  delete process.env['XDG_CONFIG_HOME']
  await service[Symbol.asyncDispose]()
  rmSync(home, { recursive: true })
})

const flags = () => ['--api', service.url, '--data', service.directory]
const asked = (...args: string[]) => rollcallHere(...args, ...flags())
const device = async (id: string) => (await service.call('GET', `/v1/devices/${id}`)).body

test('device set changes what is named and leaves the rest', async () => {
  const set = await asked(
    'device',
    'set',
    'a',
    'b',
    '--attr',
    'site=north',
    '--attr',
    'floor=1',
    '--group',
    'new',
  )
  assert.equal(set.code, 0, set.stderr)
  await asked('device', 'set', 'a', '--remove-attr', 'floor', '--remove-group', 'old', '--attr', 'site=south')
  assert.deepEqual([(await device('a')).attributes, (await device('a')).groups], [{ site: 'south' }, ['new']])
  assert.deepEqual([(await device('b')).attributes.floor, (await device('b')).groups], ['1', ['new', 'old']])
  await asked('device', 'set', 'b', '--replace', '--attr', 'only=1')
  assert.deepEqual((await device('b')).attributes, { only: '1' })
})

test('device set refuses a version that is not the one there is, and a change of nothing', async () => {
  const { version } = await device('c')
  assert.equal((await asked('device', 'set', 'c', '--attr', 'x=1', '--if-match', version)).code, 0)
  const late = await asked('device', 'set', 'c', '--attr', 'x=2', '--if-match', version, '-o', 'json')
  assert.deepEqual([late.code, JSON.parse(late.stderr).reason], [1, 'device_changed'])
  assert.equal((await device('c')).attributes.x, '1')
  const nothing = await asked('device', 'set', 'c')
  assert.deepEqual([nothing.code, /nothing is to be changed/.test(nothing.stderr)], [2, true])
})

test('many devices are done one after the other, and each that is refused is told', async () => {
  const { code, stdout, stderr } = await asked('device', 'suspend', 'a', 'nobody', 'b', '-o', 'jsonl')
  assert.equal(code, 1)
  const done = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
  assert.deepEqual(
    done.map(({ deviceId, state }) => [deviceId, state]),
    [
      ['a', 'suspended'],
      ['b', 'suspended'],
    ],
  )
  assert.match(stderr, /^nobody: no device nobody is registered/m)
  assert.match(stderr, /1 of 3 devices were refused/)
  assert.equal((await asked('device', 'activate', 'a', 'b')).code, 0)
})

test('device IDs come from standard input, each once', async () => {
  const input = Readable.from(['x\ny\n\n', ' x \nz'])
  assert.deepEqual(await idsOf(['a', '-', 'y'], input), ['a', 'x', 'y', 'z'])
  await assert.rejects(idsOf(['-'], Readable.from([''])), /no device ID is given/)
})

test('events and status tell what there is', async () => {
  const status = await asked('status', '-o', 'json')
  assert.equal(JSON.parse(status.stdout).devices.registered + JSON.parse(status.stdout).devices.active, 3)
  assert.match((await asked('status')).stdout, /^waiting for approval +0$/m)
  const { code, stdout, stderr } = await asked('events', '--kind', 'suspended', '-o', 'jsonl')
  assert.equal(code, 0, stderr)
  for (const line of stdout.trim().split('\n').filter(Boolean))
    assert.equal(JSON.parse(line).kind, 'suspended')
})

test('a profile takes the place of three flags, and holds no token', async () => {
  const kept = await asked('login', '--profile', 'here', '-o', 'json')
  assert.equal(kept.code, 0, kept.stderr)
  assert.deepEqual(JSON.parse(kept.stdout), {
    profile: 'here',
    api: service.url,
    name: 'admin.token',
    role: 'admin',
    group: null,
  })
  const file = join(home, 'rollcall', 'profiles.json')
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.doesNotMatch(readFileSync(file, 'utf8'), new RegExp(service.token))
  const listed = await rollcallHere('device', 'list', '--profile', 'here', '-o', 'jsonl')
  assert.equal(listed.stdout.trim().split('\n').length, 3, listed.stderr)
  const unknown = await rollcallHere('device', 'list', '--profile', 'there')
  assert.deepEqual([unknown.code, /no profile there\nhint: there are here/.test(unknown.stderr)], [2, true])
})

test('with -o json an error is a document with its reason', async () => {
  const unknown = await asked('device', 'show', 'nobody', '-o', 'json')
  const { reason, status, error, hint, requestId } = JSON.parse(unknown.stderr)
  assert.deepEqual([unknown.code, reason, status, typeof hint], [1, 'device_unknown', 404, 'string'])
  assert.ok(/nobody/.test(error) && requestId !== null)
  const usage = await asked('device', 'list', '--sort', 'size', '-o', 'json')
  assert.deepEqual([usage.code, JSON.parse(usage.stderr).reason], [2, 'usage'])
  const away = ['--api', 'https://127.0.0.1:1', '--data', service.directory, '--output=json']
  const unreachable = await rollcallHere('device', 'list', ...away)
  assert.deepEqual([unreachable.code, JSON.parse(unreachable.stderr).reason], [1, 'unreachable'])
})

test('completion knows every noun, its verbs and their flags', async () => {
  const { stdout, code } = await rollcallHere('completion', 'bash')
  assert.equal(code, 0)
  const complete = (...words: string[]) => {
    const script = `${stdout}\nCOMP_WORDS=(rollcall ${words.join(' ')} '')\nCOMP_CWORD=${words.length + 1}\n_rollcall\necho "\${COMPREPLY[@]}"`
    return execFileSync('bash', ['-c', script], { encoding: 'utf8' }).trim().split(' ')
  }
  assert.deepEqual(complete().toSorted(), Object.keys(nouns).toSorted())
  assert.ok(complete('device').includes('suspend'))
  assert.ok(complete('device', 'list', '--group', 'x').includes('--last-seen'))
  assert.match((await rollcallHere('completion', 'zsh')).stdout, /^#compdef rollcall\n/)
  assert.match(
    (await rollcallHere('completion', 'fish')).stdout,
    /__fish_seen_subcommand_from device' -f -a suspend/,
  )
  assert.equal((await rollcallHere('completion', 'tcsh')).code, 2)
})
