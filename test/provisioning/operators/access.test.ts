// Every route against every role and against callers bound to a group, generated from the table of access.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { closeRegistry, createRegistryWriter, openForWriting } from '../../../db/index.ts'
import type { Role } from '../../../db/schema.ts'
import { accessTable, includesRole, rightTo } from '../../../provisioning/operators/access.ts'
import { enrollmentProofs } from '../enrollment/enrollment-proofs.ts'
import { assertProblem, makeCsr, type Service, startService } from '../harness.ts'

const roles: Role[] = ['viewer', 'enroller', 'operator', 'admin']
const rows = Object.entries(accessTable).map(([route, right]) => {
  const [method, url] = route.split(' ') as [string, string]
  return { route, method, url, right }
})

let service: Service
let tokenOf: (role: Role, scope?: string) => string
let outside: { fingerprint: string; inside: string }

before(async () => {
  service = await startService({ receiptTimeoutMs: 10, failuresPerMinuteMax: 10_000 })
  const registry = openForWriting(join(service.directory, 'registry.db'))
  const writer = createRegistryWriter(registry)
  const tokens = new Map<string, string>()
  for (const role of roles) {
    for (const scope of [null, 'pumps']) {
      const { token } = await writer.createToken(
        { name: `${role} ${scope}`, role, scope },
        { name: 'test', kind: 'local' as const },
      )
      tokens.set(`${role} ${scope}`, token)
    }
  }
  await closeRegistry(registry)
  tokenOf = (role, scope) => tokens.get(`${role} ${scope ?? null}`)!
  await service.call('POST', '/v1/devices', { id: 'pump-1', groups: ['pumps'] })
  const [{ fingerprint }, { fingerprint: inside }] = [
    await service.enroll('valve-1'),
    await service.enroll('pump-1'),
  ]
  outside = { fingerprint, inside }
})
after(() => service[Symbol.asyncDispose]())

/** A path of the route on things that are not there. */
function pathOf(url: string, id = 'nobody', fingerprint = 'f'.repeat(64)): string {
  return url
    .replace(':id', id)
    .replace(':fingerprint', fingerprint)
    .replace(/:(issuer|operator)/, 'e'.repeat(64))
    .replace(':token', '00000000-0000-0000-0000-000000000000')
    .replace(':kind', 'group')
    .replace(/:\w+/g, 'nothing')
}

/** Bodies without which a route is not reached. A new route of scope `device` or `certificate` that takes one adds its. */
const bodies: Record<string, object> = {
  'POST /v1/devices/:id/try/publish': { topic: 'a' },
  'POST /v1/devices/:id/try/subscribe': { filter: 'a' },
  'PATCH /v1/devices/:id': { attributes: {} },
  'POST /v1/devices/:id/certificates': { csr: makeCsr('p256').csr },
  'POST /v1/devices/:id/canaries': { csr: makeCsr('p256').csr, kind: 'unlisted' },
}

test('every route of the service is in the table, and no other', async () => {
  const { body } = await service.call('GET', '/openapi.json')
  const served = Object.entries(body.paths as Record<string, object>).flatMap(([path, methods]) =>
    Object.keys(methods).map(method => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`),
  )
  assert.deepEqual(Object.keys(accessTable).sort(), served.sort())
})

test('a route that is in no table keeps the service from starting', () => {
  assert.throws(() => rightTo('GET', '/v1/new'), /GET \/v1\/new has no row/)
  assert.throws(() => rightTo('TRACE', '/v1/devices'), /no row/)
  assert.throws(() => rightTo('GET', 'constructor'), /no row/)
  assert.deepEqual(rightTo('HEAD', '/v1/devices'), rightTo('GET', '/v1/devices'))
})

for (const { route, method, url, right } of rows) {
  if ('access' in right) continue
  for (const role of roles) {
    test(`${role}: ${route}`, async () => {
      const answer = await service.call(method, pathOf(url), bodies[route], { token: tokenOf(role) })
      if (includesRole(role, right.role)) assert.ok(![401, 403].includes(answer.status), answer.text)
      else assertProblem(answer, 403, 'role_insufficient')
    })
  }

  test(`nobody: ${route}`, async () => {
    assertProblem(
      await service.call(method, pathOf(url), bodies[route], { token: null }),
      401,
      'token_missing',
    )
  })

  const { scope } = right
  if (scope === 'none') {
    test(`bound to a group: ${route} is refused`, async () => {
      const token = tokenOf('admin', 'pumps')
      assertProblem(
        await service.call(method, pathOf(url), bodies[route], { token }),
        403,
        'scope_insufficient',
      )
    })
  }
  if (scope === 'device' || scope === 'certificate') {
    test(`bound to a group: ${route} knows nothing of another`, async () => {
      const token = tokenOf('admin', 'pumps')
      const path = pathOf(url, 'valve-1', outside.fingerprint)
      assertProblem(await service.call(method, path, bodies[route], { token }), 404, `${scope}_unknown`)
    })
  }
}

/** What proves that a narrowed route is. A new one adds its proof. */
const narrowed: Record<string, () => Promise<void>> = {
  ...enrollmentProofs(() => ({ service, token: tokenOf('operator', 'pumps') })),
  'GET /v1/devices': async () => {
    const token = tokenOf('viewer', 'pumps')
    const ids = async (query: string) =>
      (await service.call('GET', `/v1/devices${query}`, undefined, { token })).body.items.map(
        (item: { id: string }) => item.id,
      )
    assert.deepEqual(await ids(''), ['pump-1'])
    assert.deepEqual(await ids('?prefix=valve'), [])
    assert.deepEqual(await ids('?group=valves'), [])
  },
  'POST /v1/devices': async () => {
    const token = tokenOf('enroller', 'pumps')
    const add = (body: object) => service.call('POST', '/v1/devices', body, { token })
    assert.deepEqual((await add({ id: 'pump-2' })).body.groups, ['pumps'])
    assert.deepEqual((await add({ id: 'pump-3', groups: ['pumps'] })).body.groups, ['pumps'])
    for (const groups of [[], ['valves'], ['pumps', 'valves'], ['backend']]) {
      assertProblem(await add({ id: 'pump-4', groups }), 403, 'group_forbidden')
    }
    await service.call('POST', '/v1/devices/pump-2/decommission')
    await service.call('POST', '/v1/devices/pump-3/decommission')
  },
  'GET /v1/certificates': async () => {
    const token = tokenOf('viewer', 'pumps')
    for (const query of ['', '?deviceId=pump-1', '?status=issued']) {
      const { body } = await service.call('GET', `/v1/certificates${query}`, undefined, { token })
      assert.deepEqual(
        body.items.map((item: { fingerprint: string }) => item.fingerprint),
        [outside.inside],
      )
    }
    const { body } = await service.call('GET', '/v1/certificates?deviceId=valve-1', undefined, { token })
    assert.deepEqual(body.items, [])
  },
}

/** Tested elsewhere for callers bound to a group: the operators that they make (api-tokens.test.ts, operators.test.ts), what they see (overview.test.ts, events.test.ts, sessions.test.ts, groups.test.ts, retained.test.ts). */
const provedElsewhere = [
  'GET /v1/overview',
  'GET /v1/sessions',
  'GET /v1/retained',
  'POST /v1/retained/clear',
  'GET /v1/groups',
  'GET /v1/events',
  'GET /v1/events/stream',
  'POST /v1/api-tokens',
  'GET /v1/api-tokens',
  'POST /v1/api-tokens/:token/revoke',
  'POST /v1/operators',
  'GET /v1/operators',
  'POST /v1/operators/:operator/revoke',
]

test('every narrowed route is proved to be', async t => {
  const named = rows
    .filter(({ right }) => 'scope' in right && right.scope === 'narrowed')
    .map(row => row.route)
  assert.deepEqual([...Object.keys(narrowed), ...provedElsewhere].sort(), named.sort())
  for (const [route, proof] of Object.entries(narrowed)) await t.test(route, proof)
})

test('within its group a bound token does what its role says', async () => {
  const token = tokenOf('operator', 'pumps')
  for (const path of [
    '/v1/devices/pump-1',
    '/v1/devices/pump-1/policy',
    `/v1/certificates/${outside.inside}`,
  ]) {
    assert.equal((await service.call('GET', path, undefined, { token })).status, 200)
  }
  assert.equal((await service.call('POST', '/v1/devices/pump-1/suspend', undefined, { token })).status, 200)
  assert.equal((await service.call('POST', '/v1/devices/pump-1/activate', undefined, { token })).status, 200)
})

const callers: Record<string, string> = {
  open: 'anyone',
  device: 'the device',
  enrollment: 'an enrollment credential',
}

test('the API document shows the same table', () => {
  const text = readFileSync(new URL('../../../docs/api.md', import.meta.url), 'utf8')
  const groups = text.matchAll(/^\| ([\w ]+) \| ([\w –]+) \| (`[A-Z]+ \/.*`) \|$/gm)
  const shown = [...groups].flatMap(([, caller, scope, routes]) =>
    [...routes!.matchAll(/`(.+?)`/g)].map(([, route]) => [route, caller, scope]),
  )
  const expected = rows.map(({ method, url, right }) => [
    `${method} ${url.replace(/:(\w+)/g, '{$1}')}`,
    'role' in right ? right.role : (callers[right.access] ?? right.access),
    'scope' in right ? right.scope : '–',
  ])
  assert.deepEqual(shown.sort(), expected.sort())
})
