// Devices that come onto the roll by themselves, with curl, openssl and mosquitto's clients against a whole Rollcall; and
// what was handed out for that, which opens no broker and stands in no log.
import assert from 'node:assert/strict'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { asDevice, run } from './mosquitto.ts'
import { type System, scratch, startSystem } from './system.ts'

describe('a device that enrolls itself', () => {
  const world = scratch()
  let system: System
  before(async () => {
    system = await startSystem(world.at('data'))
  })
  after(async () => {
    await system?.[Symbol.asyncDispose]()
    world[Symbol.dispose]()
  })

  const ca = () => world.at('data', 'ca.crt')
  const filesOf = (id: string) => ({
    key: world.at(`${id}.key`),
    certificate: world.at(`${id}.crt`),
    ca: ca(),
  })

  async function request(id: string): Promise<string> {
    const file = world.at(`${id}.csr`)
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', filesOf(id).key]
    const made = await run('openssl', ['req', '-new', ...key, '-out', file, '-subj', `/CN=${id}`])
    assert.equal(made.code, 0, made.output)
    return file
  }

  async function curl(id: string, credential: string[]): Promise<void> {
    const body = ['-H', 'Content-Type: application/pkcs10', '--data-binary', `@${await request(id)}`]
    const url = `${system.ready.api}/v1/enroll?deviceId=${id}`
    const flags = ['-sS', '--fail-with-body', '--max-time', '60', '--cacert', ca()]
    const files = ['-o', filesOf(id).certificate]
    const { code, output } = await run('curl', [...flags, ...credential, ...body, ...files, url])
    assert.equal(code, 0, output)
  }

  const publish = (id: string, files = filesOf(id)) =>
    run('mosquitto_pub', [
      ...asDevice(system.mqttsPort, { id, files }),
      ...['-t', `devices/${id}/t`, '-m', '1', '-q', '1'],
    ])

  it('with a one-time token connects to the broker, and the token stands in no log', async () => {
    const file = world.at('token')
    await system.ask('enrollment-token', 'create', '--group', 'pumps', '--out', file)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    const token = readFileSync(file, 'utf8').trim()
    writeFileSync(world.at('curl'), `header = "Authorization: Bearer ${token}"\n`)
    await curl('pump-1', ['-K', world.at('curl')])
    assert.equal((await publish('pump-1')).code, 0)
    const { state } = await system.ask<{ state: string }>('device', 'show', 'pump-1')
    assert.equal(state, 'active')
    await system.logged(/certificate listed/)
    const kept = [system.log(), ...['registry.db', 'registry.db-wal'].map(name => readLatin1(name))]
    for (const text of kept) assert.equal(text.includes(token.slice(4)), false)
    assert.equal(system.log().includes('CERTIFICATE REQUEST'), false)
  })

  it('with a claim connects to the broker, which the claim itself never does', async () => {
    const claim = world.at('claim')
    await system.ask('claim', 'create', 'batch-1', '--quota', '1', '--out', claim)
    const files = { certificate: `${claim}/claim.crt`, key: `${claim}/claim.key`, ca: ca() }
    assert.equal(statSync(files.key).mode & 0o777, 0o600)
    for (const id of ['batch-1', 'claim:batch-1', 'sn-1']) assert.notEqual((await publish(id, files)).code, 0)
    await system.logged(/certificate_unlisted/)
    await curl('sn-1', ['--cert', files.certificate, '--key', files.key])
    assert.equal((await publish('sn-1')).code, 0)
    assert.notEqual((await publish('sn-1', files)).code, 0)
    const { stdout } = await system.run('claim', 'list', '-o', 'jsonl')
    assert.deepEqual([JSON.parse(stdout).claimed, JSON.parse(stdout).status], [1, 'open'])
  })

  it('waits for approval: the command fails until it is given, then goes on with the same key', async () => {
    const token = world.at('approval-token')
    await system.ask('enrollment-token', 'create', '--group', 'pumps', '--approval', '--out', token)
    const flags = ['--token-file', token, '--out', world.at('pump-2')]
    const waits = await system.run('device', 'enroll', 'pump-2', ...flags)
    assert.deepEqual([waits.code, waits.stdout], [1, ''])
    assert.match(waits.stderr, /waits for an operator to approve [0-9a-f]{64}\nhint: /)
    const [fingerprint = ''] = /[0-9a-f]{64}/.exec(waits.stderr) ?? []
    const inside = (name: string) => world.at('pump-2', name)
    const files = { certificate: inside('device.crt'), key: inside('device.key'), ca: ca() }
    const key = readFileSync(files.key, 'utf8')
    await system.ask('certificate', 'approve', fingerprint)
    assert.equal((await system.run('device', 'enroll', 'pump-2', ...flags)).code, 0)
    assert.equal(readFileSync(files.key, 'utf8'), key)
    assert.equal((await publish('pump-2', files)).code, 0)
  })

  it('is told by the command what was wrong, and what to do', async () => {
    const cases: [string[], number, RegExp][] = [
      [['enrollment-token', 'create'], 2, /--device ID or --group NAME/],
      [['enrollment-token', 'create', '--group', 'g', '--device', 'd'], 2, /cannot be used with/],
      [['enrollment-token', 'create', '--group', 'g', '--lifetime', '8d'], 2, /at most 7d/],
      [['enrollment-token', 'create', '--device', 'nobody'], 1, /hint: .*device add/],
      [['enrollment-token', 'revoke', '0'.repeat(36)], 1, /hint: .*enrollment-token list/],
      [['claim', 'create', 'x', '--quota', '1', '--out', world.at('claim')], 1, /exists already/],
      [['claim', 'create', 'x', '--quota', '1', '--out', world.at('c'), '--days', '31'], 2, /1 to 30/],
      [['device', 'enroll', 'x', '--claim', world.at('none'), '--out', world.at('x')], 1, /no such file/],
    ]
    for (const [line, code, words] of cases) {
      const ran = await system.run(...line)
      assert.equal(ran.code, code, `${line.join(' ')}: ${ran.stderr}`)
      assert.match(ran.stderr, words, line.join(' '))
    }
  })

  function readLatin1(name: string): string {
    return readFileSync(world.at('data', name), 'latin1')
  }
})
