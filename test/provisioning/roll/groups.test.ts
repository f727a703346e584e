// The list of groups: of devices and of policies, page by page, and for a caller bound to one.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { prepareGroups } from '../../../db/roll/groups.ts'
import { startService } from '../harness.ts'

test('groups are listed with their devices and policies', async () => {
  await using service = await startService()
  for (const [id, groups] of [
    ['a', ['pumps', 'north']],
    ['b', ['pumps']],
    ['c', []],
  ] as const)
    await service.call('POST', '/v1/devices', { id, groups })
  await service.call('PUT', '/v1/policies/default/attachments/group/empty')
  const names = async (query = '', token?: string) => {
    const { body } = await service.call('GET', `/v1/groups${query}`, undefined, token ? { token } : {})
    return body.items.map(
      ({ name, devices, policies }: { name: string; devices: number; policies: string[] }) => [
        name,
        devices,
        policies.length,
      ],
    )
  }
  const backend = ['backend', 0, 1]
  assert.deepEqual(await names(), [backend, ['empty', 0, 1], ['north', 1, 0], ['pumps', 2, 0]])
  const first = (await service.call('GET', '/v1/groups?limit=3')).body
  assert.deepEqual(await names(`?cursor=${first.nextCursor}`), [['pumps', 2, 0]])
  const { token } = (
    await service.call('POST', '/v1/api-tokens', { name: 'n', role: 'viewer', group: 'north' })
  ).body
  assert.deepEqual(await names('', token), [['north', 1, 0]])
})

test('no page counts more than it may: it ends early, and a larger group is not exact', () => {
  const sqlite = new Sqlite(':memory:')
  sqlite.exec(`CREATE TABLE device_groups (device_id TEXT, name TEXT);
    CREATE TABLE policy_attachments (policy_name TEXT, kind TEXT, target TEXT)`)
  const insert = sqlite.prepare('INSERT INTO device_groups VALUES (?, ?)')
  for (const [name, devices] of [
    ['a', 3],
    ['b', 4],
    ['c', 1],
  ] as const)
    for (let device = 0; device < devices; device += 1) insert.run(String(device), name)
  const list = prepareGroups(sqlite, 3)
  const shown = (after: string | null) => {
    const { items, next } = list(after, 10, null)
    return [items.map(({ name, devices, exact }) => [name, devices, exact]), next]
  }
  assert.deepEqual(shown(null), [[['a', 3, true]], 'a'])
  assert.deepEqual(shown('a'), [[['b', 3, false]], 'b'])
  assert.deepEqual(shown('b'), [[['c', 1, true]], null])
  sqlite.close()
})
