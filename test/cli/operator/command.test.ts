// Tokens and operators' certificates from the command line, against a real service.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createClient } from '../../../client/index.ts'
import { type Service, selfSigned, startService } from '../../provisioning/harness.ts'
import { rollcall } from '../running.ts'

/** A command on this service, with all rights. */
const run = (service: Service, ...args: string[]) =>
  rollcall([...args, '--api', service.url, '--data', service.directory])

const json = (ran: { stdout: string; stderr: string }) => {
  assert.ok(ran.stdout, ran.stderr)
  return JSON.parse(ran.stdout)
}

test('a token is made into a file of its own, used, listed and revoked by name', async () => {
  await using service = await startService()
  const file = join(service.directory, 'line.token')
  const create = [
    'api-token',
    'create',
    'line',
    '--role',
    'enroller',
    '--group',
    'pumps',
    '--days',
    '7',
    '--out',
    file,
  ]
  const made = await run(service, ...create, '-o', 'json')
  assert.equal(made.code, 0, made.stderr)
  assert.deepEqual([json(made).group, json(made).file, 'token' in json(made)], ['pumps', file, false])
  assert.equal(statSync(file).mode & 0o777, 0o600)
  const as = (...args: string[]) => run(service, ...args, '--token-file', file, '-o', 'json')
  const added = json(await as('device', 'add', 'pump-1'))
  assert.deepEqual(added.groups, ['pumps'])
  const refused = await as('device', 'add', 'x', '--group', 'backend')
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /registers devices into group pumps alone/)
  // The same again would write over the file, and the name is taken.
  assert.equal((await run(service, ...create)).code, 1)
  const listed = await run(service, 'api-token', 'list')
  assert.match(listed.stdout, /line +enroller +pumps +accepted/)
  assert.doesNotMatch(listed.stdout, /rc_/)
  const revoked = await run(service, 'api-token', 'revoke', 'line')
  assert.equal(revoked.code, 0, revoked.stderr)
  assert.equal((await as('device', 'list')).code, 1)
  const again = await run(service, 'api-token', 'revoke', 'line')
  assert.match(again.stderr, /no API token of the name line is accepted/)
})

test('without --out the token is on stdout, once, and told to be', async () => {
  await using service = await startService()
  const made = await run(service, 'api-token', 'create', 'ci', '--role', 'viewer', '-o', 'json')
  assert.match(json(made).token, /^rc_/)
  assert.match(made.stderr, /never again/)
})

test('an operator calls with certificate and key, and no token', async () => {
  await using service = await startService()
  const alice = selfSigned('alice')
  const [certificate, key] = ['alice.crt', 'alice.key'].map(name => join(service.directory, name)) as [
    string,
    string,
  ]
  writeFileSync(certificate, alice.certificate)
  writeFileSync(key, alice.key, { mode: 0o600 })
  const added = await run(
    service,
    'operator',
    'add',
    'alice',
    certificate,
    '--role',
    'operator',
    '-o',
    'json',
  )
  assert.equal(added.code, 0, added.stderr)
  const where = ['--api', service.url, '--ca', join(service.directory, 'ca.crt')]
  const as = (...args: string[]) => rollcall([...args, ...where, '--certificate', certificate, '--key', key])
  assert.equal((await as('device', 'add', 'pump-1')).code, 0)
  assert.equal((await as('audit', 'verify')).code, 0)
  assert.match((await run(service, 'operator', 'list')).stdout, /alice +operator/)
  const half = await rollcall(['device', 'list', ...where, '--certificate', certificate])
  assert.deepEqual([half.code, /--certificate and --key go together/.test(half.stderr)], [2, true])

  using client = Object.assign(createClient({ api: service.url, ca: service.ca, identity: alice }), {
    [Symbol.dispose]: () => client.close(),
  })
  assert.equal((await client.whoami()).name, 'alice')
  assert.equal((await run(service, 'operator', 'revoke', certificate)).code, 0)
  const refused = await as('device', 'list')
  assert.deepEqual([refused.code, /is no operator/.test(refused.stderr)], [1, true])
})

test('the last admin token lost, a user that may write the registry makes another, on the record', async () => {
  await using service = await startService()
  const file = join(service.directory, 'admin.token')
  rmSync(file)
  const lost = await run(service, 'device', 'list')
  assert.equal(lost.code, 1)
  assert.match(lost.stderr, /api-token create NAME --role admin --local/)
  const rescue = ['api-token', 'create', 'rescue', '--role', 'admin', '--local', '--out', file]
  const made = await run(service, ...rescue, '-o', 'json')
  assert.equal(made.code, 0, made.stderr)
  assert.equal((await run(service, 'device', 'list')).code, 0)
  const { body } = await service.call('GET', `/v1/audit?target=${json(made).id}`)
  assert.deepEqual(
    [body.items[0].action, body.items[0].actor],
    ['token.create', `local:${execFileSync('id', ['-un'], { encoding: 'utf8' }).trim()}`],
  )
  assert.equal((await service.call('GET', '/v1/audit/verification')).body.outcome, 'intact')
  const nowhere = await rollcall([
    'api-token',
    'create',
    'x',
    '--role',
    'admin',
    '--local',
    '--data',
    join(service.directory, 'none'),
  ])
  assert.equal(nowhere.code, 1)
  assert.equal(existsSync(join(service.directory, 'none')), false)
  assert.equal((await rollcall(['api-token', 'create', 'x', '--role', 'admin', '--local'])).code, 2)
  assert.equal(readFileSync(file, 'utf8').startsWith('rc_'), true)
})
