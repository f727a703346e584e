// The doctor on one broken directory per check, on a whole one, beside a running service; and that it leaves all as it was.
import assert from 'node:assert/strict'
import { cpSync, existsSync, lstatSync, readdirSync, readFileSync, rmSync, type StatsFs } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { runChecks, worstVerdict } from '../../../cli/doctor/command.ts'
import { checkFileSystem, checkOwner, checkRoom, checkSync } from '../../../cli/doctor/directory.ts'
import type { CheckContext, Finding } from '../../../cli/doctor/finding.ts'
import { checkDescriptors, checkGates, checkVersions } from '../../../cli/doctor/machine.ts'
import { registryFindings } from '../../../cli/doctor/registry.ts'
import { lockOwners } from '../../../cli/doctor/running-services.ts'
import { disk } from '../../e2e/system.ts'
import { startAndStop } from '../../provisioning/harness.ts'
import { rollcall, startUp, temporaryDirectory, until } from '../running.ts'
import { brokenDirectories } from './broken-directories.ts'

// The doctor warns of a directory that is in memory.
process.env['TMPDIR'] = disk

let folder: ReturnType<typeof temporaryDirectory>
let whole: string
before(async () => {
  folder = temporaryDirectory()
  whole = join(folder.path, 'whole')
  await startAndStop(whole)
})
after(() => folder[Symbol.dispose]())

function context(data: string, more: Partial<CheckContext> = {}): CheckContext {
  const ports = { mqtts: 0, api: 0, status: 0, admin: 0 }
  // A machine for tests need not take 100,000 connections.
  const env = { ROLLCALL_BROKER_CONNECTIONS_MAX: '10' }
  return { data, env, now: Date.now(), host: '127.0.0.1', ports, running: [], ...more }
}

/** Every file with its mode, size, time of change and content. */
function picture(data: string): string[] {
  return (readdirSync(data, { recursive: true }) as string[]).sort().map(name => {
    const path = join(data, name)
    const { mode, size, mtimeMs } = lstatSync(path)
    return `${name} ${mode} ${size} ${mtimeMs} ${lstatSync(path).isFile() ? readFileSync(path, 'base64') : ''}`
  })
}

/** How quick and how full the disk of this machine is, is not the directory's fault: the table below judges those. */
const ofMachine = ['sync', 'room']
const bad = (findings: Finding[]) =>
  findings.filter(({ check, verdict }) => verdict !== 'ok' && !ofMachine.includes(check))

test('a whole directory is well, and stays as it was', async () => {
  const former = picture(whole)
  const findings = await runChecks(context(whole), [])
  assert.deepEqual(bad(findings), [])
  assert.ok(findings.length >= 15)
  for (const name of ofMachine)
    assert.ok(
      findings.some(({ check }) => check === name),
      name,
    )
  assert.deepEqual(picture(whole), former)
})

for (const [what, verdict, check, found, broken] of brokenDirectories) {
  test(`a directory that ${what}`, async () => {
    using place = temporaryDirectory()
    const data = join(place.path, 'data')
    cpSync(whole, data, { recursive: true, preserveTimestamps: true })
    const more = (broken(data) ?? {}) as Partial<CheckContext>
    const former = lstatSync(data).isDirectory() ? picture(data) : []
    const env = { ...context(data).env, ...more.env }
    const findings = bad(await runChecks(context(data, { ...more, env }), []))
    const named = findings.find(finding => finding.check === check && found.test(finding.found))
    assert.equal(named?.verdict, verdict, JSON.stringify(findings, null, 1))
    assert.ok(findings.every(({ todo }) => todo))
    assert.doesNotMatch(JSON.stringify(findings), /PRIVATE|correct horse/)
    if (former.length > 0) assert.deepEqual(picture(data), former)
  })
}

test('what no test can make of this machine is judged as a table', () => {
  const here = context(whole)
  const statfs = { bavail: 1e6, bsize: 4096, files: 10, ffree: 1e6 } as StatsFs
  const rows: [Finding[], string][] = [
    [checkFileSystem(here, 0xef53), 'ok'],
    [checkFileSystem(here, 0x6969), 'fail'],
    [checkFileSystem(here, 0xff534d42 | 0), 'fail'],
    [checkFileSystem(here, 0x01021994), 'warn'],
    [checkRoom(here, statfs), 'ok'],
    [checkRoom(here, { ...statfs, bavail: 200_000 }), 'warn'],
    [checkRoom(here, { ...statfs, bavail: 60_000 }), 'fail'],
    [checkRoom(here, { ...statfs, ffree: 3 }), 'fail'],
    [checkSync(here, () => 50), 'ok'],
    [checkSync(here, () => 51), 'warn'],
    [checkSync(here, () => null), 'ok'],
    [checkGates({ ...here, env: { ROLLCALL_BROKER_GATES: '3' } }, 4), 'ok'],
    [checkGates({ ...here, env: { ROLLCALL_BROKER_GATES: '4' } }, 4), 'warn'],
    [
      checkDescriptors({ ...here, env: { ROLLCALL_BROKER_CONNECTIONS_MAX: '1000000' } }),
      hardLimitIsLarge() ? 'ok' : 'warn',
    ],
    [checkVersions({ ...process.versions, node: '26.9.0' }), 'fail'],
    [checkVersions({ ...process.versions, node: '26.10.0' }), 'ok'],
    [checkOwner(here, lstatSync(whole).uid + 1), lstatSync(whole).uid + 1 === 0 ? 'ok' : 'fail'],
    [
      registryFindings({
        ours: true,
        schema: 1,
        schemaKnown: 1,
        findings: 'row 7 missing',
        lastChangeAt: null,
        compromised: [],
      }),
      'fail',
    ],
  ]
  for (const [findings, verdict] of rows)
    assert.equal(worstVerdict(findings), verdict, JSON.stringify(findings))
})

function hardLimitIsLarge(): boolean {
  const limit = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
  return limit === 'unlimited' || Number(limit) >= 1_000_200
}

test('a port that somebody else has is named; an address that is none of this machine, too', async () => {
  await using server = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  const taken = await runChecks(context(whole, { ports: { mqtts: port, api: 0, status: 0, admin: 0 } }), [])
  assert.deepEqual(
    bad(taken).map(({ check, verdict }) => [check, verdict]),
    [['port for mqtts', 'fail']],
  )
  const elsewhere = context(whole, { host: '192.0.2.1', ports: { mqtts: port, api: 0, status: 0, admin: 0 } })
  assert.match(bad(await runChecks(elsewhere, []))[0]!.found, /no address of this machine/)
})

test('beside a running service it asks the service, holds nothing, and exits by the worst it found', async () => {
  using place = temporaryDirectory()
  const data = join(place.path, 'data')
  {
    await using up = await startUp(data)
    assert.deepEqual(
      lockOwners(data).map(({ job }) => job),
      ['up', 'broker', 'provisioning'],
    )
    await until(() => existsSync(join(data, 'crl')), 'the first list is made')
    await until(() => existsSync(join(data, 'audit.checkpoint')), 'the first checkpoint is signed')
    await until(() => existsSync(join(data, 'history.db-shm')), 'the history is open')
    const names = readdirSync(data).sort()
    const { code, stdout, stderr } = await up.run('doctor', '-o', 'json')
    assert.equal(code, 0, stdout + stderr)
    const { findings } = JSON.parse(stdout) as { findings: Finding[] }
    for (const check of ['port for devices', 'port for operators', 'ready'])
      assert.equal(findings.find(finding => finding.check === check)?.verdict, 'ok', check)
    assert.deepEqual(readdirSync(data).sort(), names)
  }
  assert.deepEqual(lockOwners(data), [])
  rmSync(join(data, 'keys', 'issuing.key'))
  const { code, stdout } = await rollcall(
    [
      'doctor',
      '--data',
      data,
      '--mqtts-port',
      '0',
      '--api-port',
      '0',
      '--status-port',
      '0',
      '--admin-port',
      '0',
    ],
    { env: { NO_COLOR: '1' } },
  )
  assert.equal(code, 1)
  assert.match(stdout, /^✗ CA key +keys\/ holds no issuing key\n +→ restore it/m)
})
