// Registering and certifying hand on rights: nobody hands on what is not his to give.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { closeRegistry, createRegistryWriter, openForWriting } from '../../db/index.ts'
import { beyondReach } from '../../provisioning/operators/reach.ts'
import { assertProblem, makeCsr, startService } from './harness.ts'

const { csr } = makeCsr('p256')

async function tokens(directory: string) {
  const registry = openForWriting(join(directory, 'registry.db'))
  const writer = createRegistryWriter(registry)
  const make = async (name: string, role: 'enroller' | 'operator', scope: string | null) =>
    (await writer.createToken({ name, role, scope }, { name: 'test' })).token
  const made = {
    enroller: await make('enroller', 'enroller', null),
    operator: await make('operator', 'operator', null),
    boundEnroller: await make('bound enroller', 'enroller', 'pumps'),
    boundOperator: await make('bound operator', 'operator', 'pumps'),
  }
  await closeRegistry(registry)
  return made
}

test('which rights are whose to hand on', () => {
  const pumps = { kind: 'group', target: 'pumps' } as const
  const backend = { kind: 'group', target: 'backend' } as const
  const own = { kind: 'device', target: 'pump-1' } as const
  const rows: [Parameters<typeof beyondReach>[0], Parameters<typeof beyondReach>[1], object | null][] = [
    [{ role: 'enroller', scope: null }, [], null],
    [{ role: 'enroller', scope: null }, [pumps], pumps],
    [{ role: 'enroller', scope: null }, [own], own],
    [{ role: 'operator', scope: null }, [pumps, backend, own], null],
    [{ role: 'admin', scope: null }, [backend], null],
    [{ role: 'enroller', scope: 'pumps' }, [pumps], null],
    [{ role: 'enroller', scope: 'pumps' }, [pumps, backend], backend],
    [{ role: 'operator', scope: 'pumps' }, [own], own],
    [{ role: 'admin', scope: 'pumps' }, [pumps, backend], backend],
    [{ role: 'admin', scope: 'backend' }, [backend], null],
  ]
  for (const [caller, attachments, beyond] of rows) assert.deepEqual(beyondReach(caller, attachments), beyond)
})

test('an enroller puts no device into a group that a policy is attached to, and certifies none that is in one', async () => {
  await using service = await startService({ receiptTimeoutMs: 10 })
  const { enroller, operator } = await tokens(service.directory)
  const as = (token: string, method: string, path: string, body?: object) =>
    service.call(method, path, body, { token })
  assertProblem(
    await as(enroller, 'POST', '/v1/devices', { id: 'evil', groups: ['plain', 'backend'] }),
    403,
    'group_forbidden',
  )
  assert.equal((await as(enroller, 'POST', '/v1/devices', { id: 'a', groups: ['plain'] })).status, 201)
  assert.equal((await as(enroller, 'POST', '/v1/devices/a/certificates', { csr })).status, 201)
  assert.equal((await as(operator, 'POST', '/v1/devices', { id: 'b', groups: ['backend'] })).status, 201)
  const other = makeCsr('p256').csr
  assertProblem(
    await as(enroller, 'POST', '/v1/devices/b/certificates', { csr: other }),
    403,
    'group_forbidden',
  )
  assert.equal((await as(operator, 'POST', '/v1/devices/b/certificates', { csr: other })).status, 201)
  // What a policy is attached to later is for operators from then on.
  await service.call('PUT', '/v1/policies/backend/attachments/device/a')
  assertProblem(
    await as(enroller, 'POST', '/v1/devices/a/certificates', { csr: makeCsr('p256').csr }),
    403,
    'group_forbidden',
  )
})

test('a caller bound to a group enrolls into it, whatever is attached to it, and hands on nothing else', async () => {
  await using service = await startService({ receiptTimeoutMs: 10 })
  const { boundEnroller, boundOperator } = await tokens(service.directory)
  await service.call('PUT', '/v1/policies/backend/attachments/group/pumps')
  const as = (token: string, method: string, path: string, body?: object) =>
    service.call(method, path, body, { token })
  assert.equal((await as(boundEnroller, 'POST', '/v1/devices', { id: 'pump-1' })).status, 201)
  assert.equal((await as(boundEnroller, 'POST', '/v1/devices/pump-1/certificates', { csr })).status, 201)
  for (const groups of [['pumps', 'backend'], [], ['backend']]) {
    assertProblem(await as(boundOperator, 'PATCH', '/v1/devices/pump-1', { groups }), 403, 'group_forbidden')
  }
  assert.equal((await as(boundOperator, 'PATCH', '/v1/devices/pump-1', { groups: ['pumps'] })).status, 200)
  // Somebody else put it into a group with wider rights: to certify it would hand those on.
  await service.call('PATCH', '/v1/devices/pump-1', { groups: ['pumps', 'backend'] })
  for (const token of [boundEnroller, boundOperator]) {
    const order = { csr: makeCsr('p256').csr }
    assertProblem(await as(token, 'POST', '/v1/devices/pump-1/certificates', order), 403, 'group_forbidden')
  }
  // It may take the rights away, and not give them back.
  assert.equal((await as(boundOperator, 'POST', '/v1/devices/pump-1/suspend')).status, 200)
  assertProblem(await as(boundOperator, 'POST', '/v1/devices/pump-1/activate'), 403, 'group_forbidden')
})

test('a caller bound to a group sets no attribute that a policy for everyone turns into rights', async () => {
  await using service = await startService({ receiptTimeoutMs: 10 })
  const { boundOperator, enroller } = await tokens(service.directory)
  const statements = [
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a policy variable
    { effect: 'allow', actions: ['publish'], topics: ['sites/${device.attr.site}/#'] },
  ]
  await service.call('PUT', '/v1/policies/sites', { name: 'sites', statements })
  await service.call('PUT', '/v1/policies/sites/attachments/everyone')
  const add = (token: string, id: string, attributes: object) =>
    service.call('POST', '/v1/devices', { id, attributes }, { token })
  assertProblem(await add(boundOperator, 'pump-1', { site: 'theirs' }), 403, 'attribute_forbidden')
  assert.equal((await add(boundOperator, 'pump-1', { floor: '2' })).status, 201)
  assert.equal((await add(enroller, 'valve-1', { site: 'north' })).status, 201)
  const change = (attributes: object) =>
    service.call('PATCH', '/v1/devices/pump-1', { attributes }, { token: boundOperator })
  assertProblem(await change({ site: 'theirs' }), 403, 'attribute_forbidden')
  await service.call('PATCH', '/v1/devices/pump-1', { attributes: { site: 'north' } })
  assert.equal((await change({ site: 'north', floor: '3' })).status, 200)
})
