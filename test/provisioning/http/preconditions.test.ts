// If-Match: no operator undoes what another just did; a request without the version that it saw replaces nothing.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertProblem, type Service, startService } from '../harness.ts'

const having = (version: string) => ({ headers: { 'if-match': version } })
const tagOf = async (service: Service, path: string) => (await service.call('GET', path)).headers['etag']!

test('replacing what a device has takes the version that was seen: 428 without, 412 with an old one', async () => {
  await using service = await startService()
  const added = await service.call('POST', '/v1/devices', { id: 'a' })
  const first = added.headers['etag']!
  assert.match(first, /^"[0-9a-f]{32}"$/)
  assert.equal(await tagOf(service, '/v1/devices/a'), first)
  assert.equal(`"${added.body.version}"`, first)
  const change = (attributes: object, more: object) =>
    service.call('PATCH', '/v1/devices/a', { attributes }, more)
  assertProblem(await change({ x: '1' }, { headers: {} }), 428, 'version_required')
  const changed = await change({ x: '1' }, having(first))
  assert.equal(changed.status, 200)
  const second = changed.headers['etag']!
  assert.notEqual(second, first)
  for (const old of [first, `W/${second}`, second.replaceAll('"', "'"), '"x"', `${first}, ${second}`]) {
    assertProblem(await change({ x: '2' }, having(old)), 412, 'device_changed')
  }
  assert.deepEqual((await service.call('GET', '/v1/devices/a')).body.attributes, { x: '1' })
  assert.equal((await change({ x: '3' }, having(second))).status, 200)
  assert.equal((await change({ x: '4' }, having('*'))).status, 200)
  assertProblem(
    await service.call('PATCH', '/v1/devices/b', { groups: [] }, having('*')),
    404,
    'device_unknown',
  )
})

test('of two operators that saw the same version, one changes it', async () => {
  await using service = await startService()
  const tag = (await service.call('POST', '/v1/devices', { id: 'a' })).headers['etag']!
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, index) =>
      service.call('PATCH', '/v1/devices/a', { attributes: { winner: `${index}` } }, having(tag)),
    ),
  )
  assert.deepEqual(answers.map(answer => answer.status).sort(), [200, ...Array(7).fill(412)])
  const winner = answers.findIndex(answer => answer.status === 200)
  assert.equal((await service.call('GET', '/v1/devices/a')).body.attributes.winner, `${winner}`)
})

test('a move may say which version was seen, and needs not', async () => {
  await using service = await startService({ receiptTimeoutMs: 10 })
  const { fingerprint } = await service.enroll('a')
  const { body: issuers } = await service.call('GET', '/v1/issuers')
  const issuer = issuers.items.find((item: { kind: string }) => item.kind === 'issuing').id
  const moves: [thing: string, path: string, there: string, back: string | null, reason: string][] = [
    ['device', '/v1/devices/a', 'suspend', 'activate', 'device_changed'],
    ['issuer', `/v1/issuers/${issuer}`, 'disable', 'enable', 'issuer_changed'],
    ['certificate', `/v1/certificates/${fingerprint}`, 'revoke', null, 'certificate_changed'],
  ]
  for (const [thing, path, there, back, reason] of moves) {
    const before = await tagOf(service, path)
    assertProblem(await service.call('POST', `${path}/${there}`, undefined, having('"other"')), 412, reason)
    assert.equal(await tagOf(service, path), before, thing)
    assert.equal(
      (await service.call('POST', `${path}/${there}`, undefined, having(before))).status,
      200,
      thing,
    )
    const after = await tagOf(service, path)
    assert.notEqual(after, before, thing)
    if (back === null) continue
    assertProblem(await service.call('POST', `${path}/${back}`, undefined, having(before)), 412, reason)
    assert.equal((await service.call('POST', `${path}/${back}`)).status, 200, thing)
  }
})

test('the list of issuers goes page by page to its end', async () => {
  await using service = await startService()
  const { body: all } = await service.call('GET', '/v1/issuers')
  assert.equal(all.items.length, 2)
  const { body: first } = await service.call('GET', '/v1/issuers?limit=1')
  const { body: second } = await service.call('GET', `/v1/issuers?limit=1&cursor=${first.nextCursor}`)
  assert.deepEqual([...first.items, ...second.items], all.items)
  assert.equal(second.nextCursor, null)
})
