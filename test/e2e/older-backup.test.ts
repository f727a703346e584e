// Data directories of earlier schemas: backed up as they stand, restored and started by this version, with devices, audit log and
// what waits for devices. Those of a later schema are left alone.
import assert from 'node:assert/strict'
import { cpSync, existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { readAuditKeys, verifyRegistry } from '../../cli/audit/verify.ts'
import { writeFullBackup } from '../../cli/backup/full-backup.ts'
import { restoreBackup } from '../../cli/restore/command.ts'
import { CHAIN_SCHEMA, schemaVersion } from '../../db/migrate.ts'
import { rollcall, temporaryDirectory } from '../cli/running.ts'
import { makeOlderRegistry } from '../harness/older-registry.ts'
import { type Device, enroll } from './devices.ts'
import { asDevice, run, subscriber } from './mosquitto.ts'
import { type System, startSystem } from './system.ts'

const folder = temporaryDirectory()
const at = (...names: string[]) => join(folder.path, ...names)
after(() => folder[Symbol.dispose]())

let devices: Record<'here' | 'away' | 'revoked' | 'suspended' | 'backend', Device>
/** What must be on the roll again. */
let roll: unknown[]

before(async () => {
  await using system = await startSystem(at('today'))
  const added = (id: string, groups: string[] = []) => enroll(system.api, folder.path, id, { groups })
  devices = {
    here: await added('here', ['pumps']),
    away: await added('away'),
    revoked: await added('revoked'),
    suspended: await added('suspended'),
    backend: await added('backend', ['backend']),
  }
  await system.ask('device', 'add', 'labelled', '--attr', 'site=north')
  await system.ask('enrollment-token', 'create', '--group', 'pumps', '--out', at('token'))
  assert.equal(await publish(system, devices.here), 0)
  await (await waiting(system)).stop()
  assert.equal(await publish(system, devices.backend, 'devices/away/commands/wake'), 0)
  await system.ask('certificate', 'revoke', devices.revoked.fingerprint)
  await system.ask('device', 'suspend', 'suspended')
  assert.equal(await system.end(), 0)
  roll = rollOf(at('today', 'registry.db'))
})

/** How publishing as this device ends. */
async function publish(
  system: System,
  device: Device,
  topic = `devices/${device.id}/x`,
): Promise<number | null> {
  const message = ['-q', '1', '-t', topic, '-m', 'x']
  return (await run('mosquitto_pub', [...asDevice(system.mqttsPort, device), ...message])).code
}

/** The device that is away, come for what waits for it. */
const waiting = (system: System) =>
  subscriber(asDevice(system.mqttsPort, devices.away), '-c', '-q', '1', '-t', 'devices/away/commands/#')

function reading<Result>(file: string, work: (sqlite: Sqlite.Database) => Result): Result {
  const sqlite = new Sqlite(file, { readonly: true })
  try {
    return work(sqlite)
  } finally {
    sqlite.close()
  }
}

const rollOf = (file: string) =>
  reading(file, sqlite =>
    sqlite
      .prepare(
        `SELECT devices.id, state, attributes, fingerprint, status, revocation_reason, der,
           (SELECT json_group_array(name) FROM device_groups WHERE device_id = devices.id) AS groups
         FROM devices LEFT JOIN certificates ON device_id = devices.id ORDER BY devices.id`,
      )
      .all(),
  )

const lastOf = (file: string) =>
  reading(
    file,
    sqlite =>
      sqlite.prepare('SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1').get() as {
        seq: number
        hash: string
      },
  )

/** The data directory as a version left it that had this schema. */
function older(schema: number): string {
  const data = at(`schema-${schema}`)
  cpSync(at('today'), data, {
    recursive: true,
    filter: name => !/registry\.db|audit\.checkpoint|code-cache|events\.db/.test(name),
  })
  makeOlderRegistry(at('today', 'registry.db'), join(data, 'registry.db'), schema)
  // Nobody signed anything before there was a chain.
  if (schema < CHAIN_SCHEMA) for (const name of ['audit.pub', 'keys/audit.key']) rmSync(join(data, name))
  return data
}

describe('a backup of an earlier schema', () => {
  for (let schema = CHAIN_SCHEMA; schema < schemaVersion; schema += 1) {
    test(`(${schema}) is a copy as it stands, and holds the same roll and chain once it is restored`, async () => {
      const data = older(schema)
      await writeFullBackup(data, at(`backup-${schema}`), null)
      const copy = at(`backup-${schema}`, 'registry.db')
      assert.equal(
        reading(copy, sqlite => sqlite.pragma('user_version', { simple: true })),
        schema,
      )
      const keys = readAuditKeys([join(data, 'audit.pub')])
      assert.equal((await verifyRegistry(copy, keys, () => {})).outcome, 'intact')
      const restored = await restoreBackup(at(`backup-${schema}`), at(`restored-${schema}`), null, {})
      const last = lastOf(join(data, 'registry.db'))
      assert.equal(restored.auditRows, last.seq)
      const registry = at(`restored-${schema}`, 'registry.db')
      assert.deepEqual(rollOf(registry), roll)
      assert.deepEqual(lastOf(registry), last)
    })
  }

  for (const schema of [CHAIN_SCHEMA, 6, schemaVersion - 1]) {
    test(`(${schema}) starts on an empty machine as the whole that it was`, async () => {
      const data = at(`restored-${schema}`)
      // What waits for devices is in no backup: the file is taken along, or nothing waits.
      const takesSessions = schema !== 6
      if (takesSessions) cpSync(at('today', 'sessions.db'), join(data, 'sessions.db'))
      await using system = await startSystem(data)
      await holds(system, takesSessions)
      const { certificates } = (await system.api.call('GET', '/v1/overview')).body
      assert.equal(certificates.byStatus.revoked, 1)
      const north = (await system.api.call('GET', '/v1/devices?attribute=site:north')).body.items
      assert.deepEqual(
        north.map(({ id }: { id: string }) => id),
        ['labelled'],
      )
      if (schema < 6) return
      const reached = ['--api', system.ready.api, '--ca', join(data, 'ca.crt'), '--token-file', at('token')]
      const enrolled = await rollcall([
        'device',
        'enroll',
        'itself',
        '--out',
        at(`itself-${schema}`),
        ...reached,
      ])
      assert.equal(enrolled.code, 0, enrolled.stderr)
    })
  }
})

/** Admitted devices come in, refused ones stay out, the log is whole, and what waited is there or is not. */
async function holds(system: System, keptSessions: boolean): Promise<void> {
  assert.equal(await publish(system, devices.here), 0)
  assert.notEqual(await publish(system, devices.revoked), 0)
  assert.notEqual(await publish(system, devices.suspended), 0)
  await system.ask('device', 'activate', 'suspended')
  assert.equal(await publish(system, devices.suspended), 0)
  const back = await waiting(system)
  if (!keptSessions) assert.equal(await publish(system, devices.backend, 'devices/away/commands/again'), 0)
  await back.printed(`devices/away/commands/${keptSessions ? 'wake' : 'again'}|1|0|x`)
  await back.stop()
  const fresh = await enroll(system.api, system.data, 'fresh')
  assert.equal(await publish(system, fresh), 0)
  const verified = await system.run('audit', 'verify')
  assert.equal(verified.code, 0, verified.stderr)
}

test('before there was a chain the record alone can be copied; a start makes what a whole backup needs', async () => {
  const data = older(CHAIN_SCHEMA - 1)
  const all = await rollcall(['backup', at('unchained'), '--all', '--data', data])
  assert.equal(all.code, 1)
  assert.match(all.stderr, /audit\.pub is missing: nothing could be restored.*\nhint: start the service once/)
  assert.ok(!existsSync(at('unchained')))
  const alone = await rollcall(['backup', at('alone.db'), '--data', data])
  assert.equal(alone.code, 0, alone.stderr)
  assert.deepEqual(rollOf(at('alone.db')), roll)
  await using system = await startSystem(data)
  await holds(system, true)
  await system.ask('backup', at('unchained'), '--all')
})

describe('a later schema', () => {
  const later = schemaVersion + 1
  const made = (data: string) => {
    const sqlite = new Sqlite(join(data, 'registry.db'))
    sqlite.pragma(`user_version = ${later}`)
    sqlite.close()
  }

  test('is not restored, and nothing is written', async () => {
    await writeFullBackup(at('today'), at('later'), null)
    made(at('later'))
    const before = readdirSync(folder.path)
    const { code, stderr } = await rollcall(['restore', at('later'), '--data', at('new', 'machine')])
    assert.equal(code, 1)
    const what = `error: the registry of the backup has schema ${later}, this version knows ${schemaVersion}\n`
    assert.match(
      stderr,
      new RegExp(`^${what}hint: restore it with the version that made it \\(.+\\), or a newer one\n$`),
    )
    assert.deepEqual(readdirSync(folder.path), before)
  })

  test('is not backed up', async () => {
    cpSync(at('today'), at('tomorrow'), { recursive: true })
    made(at('tomorrow'))
    for (const flags of [['--all'], []]) {
      const { code, stderr } = await rollcall(['backup', at('copy'), '--data', at('tomorrow'), ...flags])
      assert.equal(code, 1)
      assert.match(
        stderr,
        new RegExp(`cannot be copied: the registry has schema ${later}.* start the version that wrote it`),
      )
      assert.ok(!existsSync(at('copy')))
    }
  })
})
