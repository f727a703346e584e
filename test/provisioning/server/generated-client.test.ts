// A client that somebody else's tool generates from our OpenAPI document: it is type-checked, then enrolls, lists and revokes.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { problems } from '../../../provisioning/server/problem-list.ts'
import { makeCsr, startService, temporaryDirectory } from '../harness.ts'

const run = promisify(execFile)
const modules = new URL('../../../node_modules/', import.meta.url).pathname

/** Written with nothing but the document: no type of ours, no cast. */
const program = `
import { ok } from '@oazapfts/runtime'
import * as rollcall from './client.ts'

rollcall.defaults.baseUrl = process.argv[2]!
rollcall.defaults.headers = { authorization: 'Bearer ' + process.argv[3]! }
const csr: string = process.argv[4]!

const device = await ok(rollcall.postDevices({ id: 'pump-1', attributes: { site: 'north' } }, { idempotencyKey: 'k' }))
const again = await ok(rollcall.postDevices({ id: 'pump-1', attributes: { site: 'north' } }, { idempotencyKey: 'k' }))
const issued = await ok(rollcall.postDevicesByIdCertificates(device.id, { csr, days: 30 }, {}))
const changed = await ok(
  rollcall.patchDevicesById(device.id, { attributes: { floor: '2' } }, { ifMatch: JSON.stringify(device.version) }),
)
const page = await ok(rollcall.getCertificates({ deviceId: device.id, limit: 10 }))
const listed: string[] = page.items.map(item => item.fingerprint)
const notAfter: string | undefined = page.items[0]?.notAfter
const receipt = await ok(rollcall.postCertificatesByFingerprintRevoke(issued.fingerprint, { reason: 'keyCompromise' }, {}))
const suspended = await ok(rollcall.postDevicesByIdSuspend(device.id, {}, {}))
const refused = await rollcall.getDevicesById('nobody')
if (refused.status === 200) throw new Error('a device that is not there')
const reason: string = refused.data.reason
// @ts-expect-error: a role the document does not know
const wrong: Parameters<typeof rollcall.postApiTokens>[0] = { name: 'x', role: 'root' }
const token = await ok(rollcall.postApiTokens({ name: 'ci', role: 'viewer', days: 1 }, {}))

console.log(JSON.stringify({
  same: again.createdAt === device.createdAt,
  floor: changed.attributes['floor'],
  listed: listed.includes(issued.fingerprint) && notAfter === issued.notAfter,
  status: receipt.status,
  state: suspended.state,
  reason,
  wrong: wrong.name,
  token: token.token.slice(0, 3),
}))
`

test('a client generated from the document type-checks, and makes the round from enrolling to revoking', async () => {
  using folder = temporaryDirectory()
  await using service = await startService({ receiptTimeoutMs: 10 })
  const file = (name: string, content: string) => {
    writeFileSync(join(folder.path, name), content)
    return join(folder.path, name)
  }
  symlinkSync(modules, join(folder.path, 'node_modules'))
  const document = file('openapi.json', (await service.call('GET', '/openapi.json')).text)
  await run(process.execPath, [
    join(modules, 'oazapfts/dist/cli.js'),
    document,
    join(folder.path, 'client.ts'),
  ])
  const main = file('main.ts', program)
  const ca = file('ca.crt', service.ca)
  const options = {
    compilerOptions: {
      ...{ strict: true, noEmit: true, noUncheckedIndexedAccess: true, skipLibCheck: true, types: ['node'] },
      ...{ target: 'esnext', module: 'nodenext', allowImportingTsExtensions: true },
      typeRoots: [join(modules, '@types')],
    },
    files: ['main.ts'],
  }
  file('package.json', '{ "type": "module" }')
  const project = file('tsconfig.json', JSON.stringify(options))
  await run(join(modules, '.bin/tsc'), ['-p', project]).catch(error => assert.fail(error.stdout))
  const { stdout } = await run(process.execPath, [main, service.url, service.token, makeCsr('p256').csr], {
    env: { ...process.env, NODE_EXTRA_CA_CERTS: ca },
  })
  assert.deepEqual(JSON.parse(stdout), {
    same: true,
    floor: '2',
    listed: true,
    status: 'revoked',
    state: 'suspended',
    reason: 'device_unknown',
    wrong: 'x',
    token: 'rc_',
  })
})

test('every operation has a name of its own, names the roles that may call it, and refuses with a problem document', async () => {
  await using service = await startService()
  const { body } = await service.call('GET', '/openapi.json')
  const operations = Object.values(
    body.paths as Record<string, Record<string, Record<string, unknown>>>,
  ).flatMap(methods => Object.values(methods))
  const names = operations.map(operation => operation['operationId'])
  assert.equal(new Set(names).size, names.length)
  for (const operation of operations) {
    assert.ok(operation['summary'], `${operation['operationId']}`)
    const responses = operation['responses'] as Record<string, object>
    for (const { status } of Object.values(problems)) {
      assert.deepEqual(responses[status], { $ref: '#/components/responses/Problem' })
    }
    if (operation['security'] !== undefined && 'x-role' in operation)
      assert.ok(operation['x-bound-to-a-group'])
  }
  const { content, headers } = body.components.responses.Problem
  assert.deepEqual(Object.keys(content), ['application/problem+json'])
  assert.ok('ratelimit-limit' in headers && 'retry-after' in headers)
  assert.deepEqual(body.components.schemas.Problem.required.slice(0, 3), ['type', 'title', 'status'])
})
