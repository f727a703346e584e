// A backup of everything, made while it runs, becomes a new machine: devices come back with the certificates they have, a
// revoked one stays out, and a backup that is not whole becomes nothing.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { writeFullBackup } from '../../cli/backup/full-backup.ts'
import type { Manifest } from '../../cli/backup/manifest.ts'
import type { CommandFailed } from '../../cli/errors.ts'
import { restoreBackup } from '../../cli/restore/command.ts'
import { putInPlace } from '../../cli/restore/files.ts'
import { rollcall, temporaryDirectory } from '../cli/running.ts'
import { type Device, enroll } from './devices.ts'
import { start } from './mosquitto.ts'
import { failureIn, type System, startSystem } from './system.ts'

let folder: ReturnType<typeof temporaryDirectory>
let devices: Record<'here' | 'revokedBefore' | 'revokedAfter', Device>
const at = (...names: string[]) => join(folder.path, ...names)

before(async () => {
  folder = temporaryDirectory()
  writeFileSync(at('passphrase'), 'correct horse battery staple\n')
  writeFileSync(at('wrong'), 'another horse, another staple\n')
  mkdirSync(at('old'), { mode: 0o700 })
  writeFileSync(at('old', 'rollcall.yaml'), 'broker:\n  subscriptionsMax: 77\n')
  await using system = await startSystem(at('old'))
  devices = {
    here: await enroll(system.api, folder.path, 'here'),
    revokedBefore: await enroll(system.api, folder.path, 'revoked-before'),
    revokedAfter: await enroll(system.api, folder.path, 'revoked-after'),
  }
  assert.equal((await publish(system, devices.here)).code, 0)
  await system.ask('certificate', 'revoke', devices.revokedBefore.fingerprint)
  const made = await system.ask<{ keysInTheClear: number }>(
    'backup',
    at('backup'),
    '--all',
    '--passphrase-file',
    at('passphrase'),
  )
  assert.equal(made.keysInTheClear, 0)
  const again = await system.run('backup', at('backup'), '--all')
  assert.equal(again.code, 1, 'nothing is overwritten')
  await system.ask('certificate', 'revoke', devices.revokedAfter.fingerprint)
  await writeFullBackup(at('old'), at('plain'), null)
})
after(() => folder[Symbol.dispose]())

const publish = (system: System, { id, files }: Device) =>
  start('mosquitto_pub', [
    ...[
      '-h',
      'localhost',
      '-p',
      String(system.mqttsPort),
      '-i',
      id,
      '-q',
      '1',
      '-t',
      `devices/${id}/x`,
      '-m',
      'x',
    ],
    ...['--cafile', files.ca, '--cert', files.certificate, '--key', files.key],
  ]).ended

function restore(backup: string, data: string, passphrase = 'passphrase') {
  return rollcall(['restore', backup, '--data', data, '--passphrase-file', at(passphrase), '-o', 'json'])
}

test('a backup holds no key in the clear where a passphrase was named, and is for its owner alone', () => {
  const files = readdirSync(at('backup'), { recursive: true }) as string[]
  for (const name of files) {
    const stat = lstatSync(at('backup', name))
    assert.equal(stat.mode & 0o077, 0, name)
    if (stat.isFile())
      assert.doesNotMatch(
        readFileSync(at('backup', name), 'latin1'),
        /BEGIN PRIVATE KEY|rce?_[\w-]{43}/,
        name,
      )
  }
  assert.deepEqual(files.filter(name => !name.startsWith('keys')).sort(), [
    'audit.pub',
    'backup.json',
    'ca.crt',
    'issuing.crt',
    'registry.db',
    'rollcall.yaml',
  ])
})

test('on an empty machine devices are admitted as the record stood, and revoked again where it was too old', async () => {
  const { code, stdout, stderr } = await restore(at('backup'), at('new', 'machine'))
  assert.equal(code, 0, stderr)
  assert.match(stderr, /devices revoked, .* after that are admitted again/)
  assert.ok(JSON.parse(stdout).auditRows > 5)
  for (const name of readdirSync(at('new', 'machine'), { recursive: true }) as string[]) {
    const { mode } = lstatSync(at('new', 'machine', name))
    assert.equal(mode & 0o777, name === 'keys' ? 0o700 : 0o600, name)
  }
  assert.equal(lstatSync(at('new', 'machine')).mode & 0o777, 0o700)
  assert.deepEqual(readdirSync(at('new')), ['machine'])
  for (const name of ['issuing.key', 'audit.key', 'shared-secrets.key'])
    assert.deepEqual(
      readFileSync(at('new', 'machine', 'keys', name)),
      readFileSync(at('old', 'keys', name)),
      name,
    )

  await using system = await startSystem(at('new', 'machine'))
  assert.equal((await publish(system, devices.here)).code, 0)
  assert.notEqual((await publish(system, devices.revokedBefore)).code, 0)
  assert.equal((await publish(system, devices.revokedAfter)).code, 0, 'the record does not know better')
  await system.ask('certificate', 'revoke', devices.revokedAfter.fingerprint)
  assert.notEqual((await publish(system, devices.revokedAfter)).code, 0)
  await enroll(system.api, at('new'), 'fresh')
  assert.equal((await system.run('audit', 'verify')).code, 0)
  const settings = await system.ask<{ name: string; value: unknown }[]>('config', 'print')
  assert.equal(settings.find(({ name }) => name === 'broker.subscriptionsMax')?.value, 77)
})

test('nothing is laid over anything', async () => {
  mkdirSync(at('full'))
  writeFileSync(at('full', 'something'), '')
  const { code, stderr } = await restore(at('backup'), at('full'))
  assert.equal(code, 1)
  assert.match(stderr, /is not empty: it holds something/)
  assert.deepEqual(readdirSync(at('full')), ['something'])
  assert.match((await restore(at('backup'), at('full', 'something'))).stderr, /no directory/)
})

/** Changes a file, and the manifest with it: only what is in the file can give it away. */
function rewrite(backup: string, name: string, change: (file: string) => void): void {
  change(join(backup, name))
  const content = readFileSync(join(backup, name))
  edit(backup, manifest => {
    const entry = manifest.files.find(file => file.name === name)!
    entry.bytes = content.length
    entry.sha256 = createHash('sha256').update(content).digest('hex')
  })
}

function edit(backup: string, change: (manifest: Manifest) => unknown): void {
  const file = join(backup, 'backup.json')
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as Manifest
  change(manifest)
  writeFileSync(file, JSON.stringify(manifest))
}

function sql(file: string, text: string): void {
  const sqlite = new Sqlite(file)
  sqlite.pragma('journal_mode = DELETE')
  for (const name of sqlite.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").pluck().all())
    sqlite.exec(`DROP TRIGGER ${name}`)
  sqlite.exec(text)
  sqlite.close()
}

const broken: [
  what: string,
  said: RegExp,
  change: (backup: string) => void,
  env?: () => NodeJS.ProcessEnv,
][] = [
  ['lacks a file', /audit\.key is missing/, backup => rmSync(join(backup, 'keys', 'audit.key'))],
  [
    'has a changed file',
    /is not the file that was backed up/,
    backup => writeFileSync(join(backup, 'ca.crt'), 'x', { flag: 'a' }),
  ],
  ['has no manifest', /no backup\.json/, backup => rmSync(join(backup, 'backup.json'))],
  ['has a cut-off manifest', /no JSON/, backup => writeFileSync(join(backup, 'backup.json'), '{"format"')],
  [
    'has a manifest of another format',
    /has format 2/,
    backup => edit(backup, manifest => Object.assign(manifest, { format: 2 })),
  ],
  [
    'names a file elsewhere',
    /names \.\.\/passphrase/,
    backup => edit(backup, ({ files }) => void files.push({ name: '../passphrase', bytes: 1, sha256: '' })),
  ],
  [
    'hides a row of its audit log',
    /audit log of the backup was tampered with/,
    backup => rewrite(backup, 'registry.db', file => sql(file, 'DELETE FROM audit WHERE seq = 4')),
  ],
  [
    'changes a row of its audit log',
    /audit log of the backup was tampered with/,
    backup =>
      rewrite(backup, 'registry.db', file => sql(file, "UPDATE audit SET actor = 'nobody' WHERE seq = 4")),
  ],
  [
    'has a newer schema',
    /schema 999/,
    backup => rewrite(backup, 'registry.db', file => sql(file, 'PRAGMA user_version = 999')),
  ],
  [
    'has a registry that is none',
    /registry/,
    backup => rewrite(backup, 'registry.db', file => writeFileSync(file, 'x'.repeat(9_000))),
  ],
  [
    'has the key of another CA',
    /no issuing key belongs/,
    backup => rewrite(backup, 'keys/issuing.key', file => cpSync(join(backup, 'keys', 'root.key'), file)),
  ],
  [
    'comes where CA keys must be encrypted',
    /not encrypted although/,
    () => {},
    () => ({ ROLLCALL_CA_PASSPHRASE_FILE: at('passphrase') }),
  ],
]

for (const [what, said, change, env] of broken) {
  test(`a backup that ${what} becomes nothing`, async () => {
    const name = what.replaceAll(' ', '-')
    cpSync(at('plain'), at(name), { recursive: true })
    change(at(name))
    await assert.rejects(
      restoreBackup(at(name), at('none', name), null, env?.() ?? {}),
      (error: CommandFailed) => {
        assert.match(error.message, said)
        assert.ok(error.hint)
        return true
      },
    )
    assert.deepEqual(existsSync(at('none')) ? readdirSync(at('none')) : [], [], 'nor anything beside it')
  })
}

test('a backup under a passphrase becomes nothing under none, or under another', async () => {
  const none = () => restoreBackup(at('backup'), at('none', 'x'), null, {})
  await assert.rejects(none, /are under a passphrase/)
  const { code, stderr } = await restore(at('backup'), at('none', 'x'), 'wrong')
  assert.equal(code, 1)
  const { error, hint } = failureIn(stderr)
  assert.match(error, /does not open the keys/)
  assert.ok(hint)
  assert.doesNotMatch(stderr, /horse|PRIVATE/)
})

test('where a directory cannot be replaced, as a mounted volume, nothing starts until all is there', () => {
  for (const place of ['staging', 'volume']) mkdirSync(at(place))
  mkdirSync(at('volume', 'lost+found'))
  mkdirSync(at('staging', 'keys'))
  for (const name of ['ca.crt', 'registry.db', 'audit.pub', 'keys/issuing.key'])
    writeFileSync(at('staging', name), name)
  putInPlace(at('staging'), at('volume'))
  assert.deepEqual(readdirSync(at('volume')).sort(), [
    'audit.pub',
    'ca.crt',
    'keys',
    'lost+found',
    'registry.db',
  ])
  assert.ok(!existsSync(at('staging')))
})
