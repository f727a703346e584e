// Registering and certifying hand on rights: nobody hands on what is not his to give.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { closeRegistry, createRegistryWriter, openForWriting } from '../../../db/index.ts'
import { outsideScope } from '../../../provisioning/operators/authorization-scope.ts'
import { assertProblem, makeCsr, selfSigned, startService } from '../harness.ts'

const { csr } = makeCsr('p256')

async function tokens(directory: string) {
  const registry = openForWriting(join(directory, 'registry.db'))
  const writer = createRegistryWriter(registry)
  const make = async (name: string, role: 'enroller' | 'operator', scope: string | null) =>
    (await writer.createToken({ name, role, scope }, { name: 'test', kind: 'local' as const })).token
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
  const rows: [Parameters<typeof outsideScope>[0], Parameters<typeof outsideScope>[1], object | null][] = [
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
  for (const [caller, attachments, beyond] of rows)
    assert.deepEqual(outsideScope(caller, attachments), beyond)
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

const reads = (variable: string) => ({
  effect: 'allow',
  actions: ['publish'],
  topics: [`sites/\${${variable}}/#`],
})

test('an attribute that a policy reads is a right: a caller that may not give that policy may not set, change or remove it', async () => {
  await using service = await startService({ receiptTimeoutMs: 10 })
  const { boundOperator, boundEnroller, enroller, operator } = await tokens(service.directory)
  await service.call('PUT', '/v1/policies/sites', { name: 'sites', statements: [reads('device.attr.site')] })
  await service.call('PUT', '/v1/policies/sites/attachments/everyone')
  const add = (token: string, id: string, attributes: object) =>
    service.call('POST', '/v1/devices', { id, attributes }, { token })
  for (const token of [boundOperator, boundEnroller, enroller]) {
    assertProblem(await add(token, 'evil', { site: 'theirs' }), 403, 'attribute_forbidden')
  }
  assert.equal((await add(boundOperator, 'pump-1', { floor: '2' })).status, 201)
  assert.equal((await add(enroller, 'valve-1', { floor: '2' })).status, 201)
  assert.equal((await add(operator, 'valve-2', { site: 'north' })).status, 201)
  const change = (attributes: object) =>
    service.call('PATCH', '/v1/devices/pump-1', { attributes }, { token: boundOperator })
  assertProblem(await change({ site: 'theirs' }), 403, 'attribute_forbidden')
  await service.call('PATCH', '/v1/devices/pump-1', { attributes: { site: 'north' } })
  assert.equal((await change({ site: 'north', floor: '3' })).status, 200)
  // Taken away it voids what the policy denies as well.
  assertProblem(await change({ floor: '3' }), 403, 'attribute_forbidden')
  assertProblem(await change({}), 403, 'attribute_forbidden')
})

test('an operator of one group changes no attribute that the policy of another group, a device or an issuer reads', async () => {
  await using service = await startService({ receiptTimeoutMs: 10 })
  const { boundOperator } = await tokens(service.directory)
  for (const name of ['of-pumps', 'of-valves', 'of-device', 'of-issuer']) {
    const statements = [reads(`device.attr.${name}`)]
    await service.call('PUT', `/v1/policies/${name}`, { name, statements })
  }
  const attributes = { 'of-pumps': 'a', 'of-valves': 'a', 'of-device': 'a', 'of-issuer': 'a' }
  const both = { id: 'both', groups: ['pumps', 'valves'], attributes }
  await service.call('POST', '/v1/devices', both)
  await service.call('POST', '/v1/devices', { id: 'pump-1', groups: ['pumps'], attributes })
  const issuer = (await service.call('GET', '/v1/issuers')).body.items[0].id
  for (const [policy, target] of [
    ['of-pumps', 'group/pumps'],
    ['of-valves', 'group/valves'],
    ['of-device', 'device/both'],
    ['of-issuer', `issuer/${issuer}`],
  ] as const) {
    const { status, text } = await service.call('PUT', `/v1/policies/${policy}/attachments/${target}`)
    assert.equal(status, 200, text)
  }
  const change = (id: string, name: string) => {
    const next = { attributes: { ...attributes, [name]: 'b' } }
    return service.call('PATCH', `/v1/devices/${id}`, next, { token: boundOperator })
  }
  for (const name of ['of-valves', 'of-device', 'of-issuer']) {
    assertProblem(await change('both', name), 403, 'attribute_forbidden')
  }
  // The policy of its own group is its own to give; that of a group the device is not in says nothing about it.
  assert.equal((await change('both', 'of-pumps')).status, 200)
  assert.equal((await change('pump-1', 'of-valves')).status, 200)
})

test('a serial number that a policy reads is a right, too: an enroller chooses none with a certificate of his own', async () => {
  await using service = await startService({ receiptTimeoutMs: 10 })
  const { enroller, operator } = await tokens(service.directory)
  await service.call('PUT', '/v1/policies/serials', { name: 'serials', statements: [reads('cert.serial')] })
  await service.call('PUT', '/v1/policies/serials/attachments/everyone')
  await service.call('POST', '/v1/devices', { id: 'pump-1' })
  const order = { certificate: selfSigned('pump-1').certificate, trust: 'pinned' }
  const register = (token: string) =>
    service.call('POST', '/v1/devices/pump-1/certificates', order, { token })
  assertProblem(await register(enroller), 403, 'attribute_forbidden')
  assert.equal((await register(operator)).status, 201)
})
