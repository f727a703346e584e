// API tokens: made by nobody weaker, shown once, ended by time and by hand, and what is seen of their use.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { test } from 'node:test'
import { closeRegistry } from '../../../db/index.ts'
import { openForReading } from '../../../db/open.ts'
import { Problem } from '../../../provisioning/http/problem.ts'
import { delegate } from '../../../provisioning/operators/delegation.ts'
import { until } from '../../harness/until.ts'
import { assertProblem, type Service, startService } from '../harness.ts'

const DAY_MS = 86_400_000

test('nobody makes anybody stronger than himself', () => {
  const now = 1_000_000
  const admin = { role: 'admin', scope: null, expiresAt: null } as const
  const bound = { ...admin, scope: 'pumps' }
  const brief = { ...admin, expiresAt: now + DAY_MS }
  const made = (maker: Parameters<typeof delegate>[0], wanted: Parameters<typeof delegate>[1]) => {
    try {
      const { role, scope, expiresAt } = delegate(maker, wanted, now)
      return [role, scope, (expiresAt - now) / DAY_MS]
    } catch (error) {
      assert.ok(error instanceof Problem && error.reason === 'delegation_exceeded')
      return error.errors[0]!.path
    }
  }
  const rows: [Parameters<typeof made>[0], Parameters<typeof made>[1], unknown][] = [
    [admin, { role: 'admin' }, ['admin', null, 90]],
    [admin, { role: 'viewer', group: 'pumps', days: 366 }, ['viewer', 'pumps', 366]],
    [{ ...admin, role: 'operator' }, { role: 'admin' }, 'body.role'],
    [{ ...admin, role: 'operator' }, { role: 'operator' }, ['operator', null, 90]],
    [bound, { role: 'admin' }, ['admin', 'pumps', 90]],
    [bound, { role: 'viewer', group: 'pumps' }, ['viewer', 'pumps', 90]],
    [bound, { role: 'viewer', group: 'valves' }, 'body.group'],
    [brief, { role: 'viewer' }, ['viewer', null, 1]],
    [brief, { role: 'viewer', days: 1 }, ['viewer', null, 1]],
    [brief, { role: 'viewer', days: 2 }, 'body.days'],
  ]
  for (const [maker, wanted, outcome] of rows) assert.deepEqual(made(maker, wanted), outcome)
})

test('a token is shown once, opens what its role says, and ends when it is revoked', async () => {
  const now = Date.now()
  await using service = await startService({ now: () => now })
  const made = await service.call('POST', '/v1/api-tokens', { name: 'ci', role: 'viewer', days: 1 })
  assert.equal(made.status, 201)
  const { id, token } = made.body
  assert.match(token, /^rc_[A-Za-z0-9_-]{43}$/)
  const listed = await service.call('GET', '/v1/api-tokens')
  assert.doesNotMatch(listed.text, /rc_|hash/)
  const shown = listed.body.items.find((item: { id: string }) => item.id === id)
  assert.deepEqual([shown.name, shown.role, shown.state, shown.group], ['ci', 'viewer', 'accepted', null])
  assert.equal(shown.createdBy, 'admin.token')
  assert.equal(Date.parse(shown.expiresAt) - Date.parse(shown.createdAt), DAY_MS)
  const whoami = await service.call('GET', '/v1/whoami', undefined, { token })
  assert.deepEqual(
    [whoami.body.name, whoami.body.role, whoami.body.kind, whoami.body.id],
    ['ci', 'viewer', 'token', id],
  )
  assertProblem(
    await service.call('POST', '/v1/api-tokens', { name: 'x', role: 'viewer' }, { token }),
    403,
    'role_insufficient',
  )

  const revoked = await service.call('POST', `/v1/api-tokens/${id}/revoke`)
  assert.equal(revoked.body.state, 'revoked')
  const ended = await service.call('GET', '/v1/whoami', undefined, { token })
  assertProblem(ended, 401, 'token_refused')
  assert.equal(ended.body.detail, `this token was revoked at ${revoked.body.revokedAt}`)
  const never = await service.call('GET', '/v1/whoami', undefined, { token: `rc_${'A'.repeat(43)}` })
  assert.equal(never.body.detail, 'no such token is accepted')
  assert.equal(
    (await service.call('POST', `/v1/api-tokens/${id}/revoke`)).body.revokedAt,
    revoked.body.revokedAt,
  )
  const unknown = id.replace(/^./, (first: string) => (first === '0' ? '1' : '0'))
  assertProblem(await service.call('POST', `/v1/api-tokens/${unknown}/revoke`), 404, 'token_unknown')
  const { body: audit } = await service.call('GET', `/v1/audit?target=${id}`)
  assert.deepEqual(
    audit.items.map((row: { action: string; actor: string }) => [row.action, row.actor]),
    [
      ['token.revoke', 'admin.token'],
      ['token.create', 'admin.token'],
    ],
  )
  assert.doesNotMatch(JSON.stringify(audit), /rc_/)
})

test('a token ends at its expiry, to the millisecond', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const { token, expiresAt } = (await service.call('POST', '/v1/api-tokens', { name: 'ci', role: 'viewer' }))
    .body
  now = Date.parse(expiresAt) - 1
  assert.equal((await service.call('GET', '/v1/whoami', undefined, { token })).status, 200)
  now += 1
  const expired = await service.call('GET', '/v1/whoami', undefined, { token })
  assertProblem(expired, 401, 'token_refused')
  assert.match(expired.body.detail, /^this token expired at \d{4}-.*Z$/)
  const { body } = await service.call('GET', '/v1/api-tokens')
  assert.equal(body.items.find((item: { name: string }) => item.name === 'ci').state, 'expired')
  // A year later it is listed no more.
  now += 366 * DAY_MS + 1
  await service.call('POST', '/v1/api-tokens', { name: 'next', role: 'viewer' })
  const { body: later } = await service.call('GET', '/v1/api-tokens')
  assert.deepEqual(later.items.map((item: { name: string }) => item.name).sort(), ['admin.token', 'next'])
})

test('no two operators have one name, and none has a name of the service', async () => {
  await using service = await startService()
  const make = (name: string) => service.call('POST', '/v1/api-tokens', { name, role: 'viewer' })
  const { id } = (await make('ci')).body
  assertProblem(await make('ci'), 409, 'operator_name_taken')
  // A log is read by people: names that differ in case alone are one.
  assertProblem(await make('Ci'), 409, 'operator_name_taken')
  for (const name of ['system', 'admin.token']) assertProblem(await make(name), 409, 'operator_name_taken')
  for (const name of ['device:a', 'local:root', 'a b', '', '__proto__'])
    assertProblem(await make(name), 400, 'request_invalid')
  await service.call('POST', `/v1/api-tokens/${id}/revoke`)
  assert.equal((await make('ci')).status, 201)
})

test('what is asked for is bounded', async () => {
  await using service = await startService()
  for (const more of [
    { days: 0 },
    { days: 367 },
    { role: 'root' },
    { scope: 'x' },
    { group: 'a/b' },
    { expiresAt: 'never' },
  ]) {
    assertProblem(
      await service.call('POST', '/v1/api-tokens', { name: 'a', role: 'viewer', ...more }),
      400,
      'request_invalid',
    )
  }
})

test('an admin bound to a group makes, sees and revokes tokens of that group alone', async () => {
  await using service = await startService()
  const make = (token: string | undefined, body: object) =>
    service.call('POST', '/v1/api-tokens', body, token === undefined ? {} : { token })
  const { token } = (await make(undefined, { name: 'pumps-admin', role: 'admin', group: 'pumps' })).body
  const other = (await make(undefined, { name: 'other', role: 'viewer' })).body
  assertProblem(await make(token, { name: 'a', role: 'viewer', group: 'valves' }), 403, 'delegation_exceeded')
  const mine = (await make(token, { name: 'line', role: 'enroller' })).body
  assert.equal(mine.group, 'pumps')
  const { body } = await service.call('GET', '/v1/api-tokens', undefined, { token })
  assert.deepEqual(body.items.map((item: { name: string }) => item.name).sort(), ['line', 'pumps-admin'])
  const revoke = (id: string) => service.call('POST', `/v1/api-tokens/${id}/revoke`, undefined, { token })
  assertProblem(await revoke(other.id), 404, 'token_unknown')
  assert.equal((await revoke(mine.id)).status, 200)
})

test('the list goes page by page to its end', async () => {
  await using service = await startService()
  for (const name of ['a', 'b', 'c', 'd'])
    await service.call('POST', '/v1/api-tokens', { name, role: 'viewer' })
  const seen: string[] = []
  let cursor = ''
  do {
    const { body } = await service.call('GET', `/v1/api-tokens?limit=2${cursor}`)
    assert.ok(body.items.length <= 2)
    seen.push(...body.items.map((item: { name: string }) => item.name))
    cursor = body.nextCursor === null ? '' : `&cursor=${body.nextCursor}`
  } while (cursor !== '')
  assert.deepEqual(seen.sort(), ['a', 'admin.token', 'b', 'c', 'd'])
  assertProblem(await service.call('GET', '/v1/api-tokens?cursor=eA'), 400, 'cursor_invalid')
})

test('last use is noted at most once a minute, with the address', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const { id, token } = (await service.call('POST', '/v1/api-tokens', { name: 'ci', role: 'viewer' })).body
  const lastUse = async () => {
    const { body } = await service.call('GET', '/v1/api-tokens')
    const { lastUsedAt, lastUsedAddress } = body.items.find((item: { id: string }) => item.id === id)
    return [lastUsedAt, lastUsedAddress]
  }
  const use = () => service.call('GET', '/v1/whoami', undefined, { token })
  const is = (at: number) => async () => (await lastUse())[0] === new Date(at).toISOString()
  assert.deepEqual(await lastUse(), [null, null])
  const first = now
  await use()
  await until(is(first))
  assert.equal((await lastUse())[1], '127.0.0.1')
  now = first + 59_999
  await use()
  now = first + 60_000
  await use()
  await until(is(first + 60_000))
})

test('the answer that showed a token can be asked for again while nobody used it; no copy of it is kept', async () => {
  await using service = await startService()
  const create = () =>
    service.call(
      'POST',
      '/v1/api-tokens',
      { name: 'ci', role: 'viewer' },
      { headers: { 'idempotency-key': 'k' } },
    )
  const first = (await create()).body
  const reading = openForReading(join(service.directory, 'registry.db'))
  assert.doesNotMatch(JSON.stringify(reading.sqlite.prepare('SELECT * FROM idempotency_keys').all()), /rc_/)
  await closeRegistry(reading)
  for (const file of ['registry.db', 'registry.db-wal']) {
    assert.equal(readFileSync(join(service.directory, file)).includes(first.token), false, file)
  }
  const again = (await create()).body
  assert.equal(again.id, first.id)
  assert.notEqual(again.token, first.token)
  const whoami = (token: string) => service.call('GET', '/v1/whoami', undefined, { token })
  assertProblem(await whoami(first.token), 401, 'token_refused')
  const third = (await create()).body
  assert.equal((await whoami(third.token)).status, 200)
  await until(async () => (await create()).status === 409)
  assertProblem(await create(), 409, 'answer_lost')
  assert.equal((await whoami(third.token)).status, 200)
})

test('a token that is revoked while a body arrives changes nothing', async () => {
  await using service = await startService()
  const { id, token } = (await service.call('POST', '/v1/api-tokens', { name: 'slow', role: 'enroller' }))
    .body
  const status = new Promise<number>((resolve, reject) => {
    const body = JSON.stringify({ id: 'late' })
    const outgoing = request(`${service.url}/v1/devices`, {
      method: 'POST',
      ca: service.ca,
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        'content-length': body.length,
      },
    })
    outgoing.on('response', response => resolve(response.resume().statusCode ?? 0))
    outgoing.on('error', reject)
    outgoing.write(body.slice(0, 5))
    void usedOnce(service, id)
      .then(() => service.call('POST', `/v1/api-tokens/${id}/revoke`))
      .then(() => outgoing.end(body.slice(5)))
  })
  assert.equal(await status, 401)
  assertProblem(await service.call('GET', '/v1/devices/late'), 404, 'device_unknown')
})

/** The request was authenticated, so its use was noted. */
async function usedOnce(service: Service, id: string): Promise<void> {
  await until(async () => {
    const { body } = await service.call('GET', '/v1/api-tokens')
    return body.items.find((item: { id: string }) => item.id === id).lastUsedAt !== null
  })
}
