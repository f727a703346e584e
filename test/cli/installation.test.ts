// What an operator looks up about the installation: settings that hold, and the last backup; by API and command line.
import assert from 'node:assert/strict'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { startUp, temporaryDirectory } from './running.ts'

test('settings of the running services are told with their source, and the last backup with what changed since', async () => {
  using world = temporaryDirectory()
  const data = join(world.path, 'data')
  const env = { ROLLCALL_DEVICE_DAYS: '30', ROLLCALL_BROKER_HANDSHAKES_MAX: '9' }
  await using up = await startUp(data, ['--san', 'mqtt.example.org'], { env })
  const asked = async (...args: string[]) => {
    const { code, stdout, stderr } = await up.run(...args, '-o', 'json')
    assert.equal(code, 0, stderr)
    return JSON.parse(stdout)
  }
  type Row = { service: string; name: string; value: unknown; from: string; source: string | null }
  const rows: Row[] = await asked('config', 'show')
  const told = (service: string, name: string) => {
    const { value, from, source } = rows.find(row => row.service === service && row.name === name)!
    return [value, from, source]
  }
  assert.deepEqual(told('provisioning', 'ROLLCALL_DEVICE_DAYS'), [30, 'environment', 'ROLLCALL_DEVICE_DAYS'])
  assert.deepEqual(told('provisioning', 'ROLLCALL_CRL_HOURS'), [24, 'default', null])
  assert.deepEqual(told('provisioning', 'san'), ['mqtt.example.org', 'option', null])
  assert.deepEqual(told('broker', 'handshakesMax'), [9, 'environment', 'ROLLCALL_BROKER_HANDSHAKES_MAX'])
  assert.deepEqual(told('broker', 'connectTimeoutMs'), [5_000, 'default', null])
  const changed: Row[] = await asked('config', 'show', '--changed')
  assert.ok(changed.every(({ from }) => from !== 'default'))
  assert.ok(changed.some(({ name }) => name === 'handshakesMax'))

  assert.deepEqual((await asked('status')).backup.last, null)
  assert.match((await up.run('status')).stdout, /last backup +none was made/)
  await asked('device', 'add', 'before')
  const begin = Date.now()
  const copied = await asked('backup', join(world.path, 'all'), '--all')
  const { backup } = await asked('status')
  assert.deepEqual(
    [backup.last.epoch, backup.last.everything, backup.last.bytes, backup.changesSince],
    [copied.epoch, true, copied.bytes, 0],
  )
  assert.ok(Math.abs(Date.parse(backup.last.madeAt) - begin) < 60_000)
  assert.ok(backup.registryBytes > 0)
  await asked('device', 'suspend', 'before')
  assert.equal((await asked('status')).backup.changesSince, 1)
  await asked('backup', join(world.path, 'registry.db'))
  assert.deepEqual(
    (({ last, changesSince }) => [last.everything, changesSince])((await asked('status')).backup),
    [false, 0],
  )

  const file = join(data, 'last-backup.json')
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.ok(!readFileSync(file, 'utf8').includes(world.path), 'it does not tell where backups lie')
  for (const damage of ['', '{', '[]', '7', '{"madeAt":"x"}', 'x'.repeat(300_000)]) {
    writeFileSync(file, damage)
    assert.equal((await asked('status')).backup.last, null, damage.slice(0, 20))
  }
  assert.ok(existsSync(join(data, 'broker-settings.json')))

  const token = join(world.path, 'viewer.token')
  await asked('api-token', 'create', 'looker', '--role', 'viewer', '--out', token)
  const viewer = await up.run('status', '--token-file', token, '-o', 'json')
  assert.deepEqual([viewer.code, JSON.parse(viewer.stdout).backup], [0, null])
  const refused = await up.run('config', 'show', '--token-file', token, '-o', 'json')
  assert.deepEqual([refused.code, JSON.parse(refused.stderr).status], [1, 403])
})
