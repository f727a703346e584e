// Every route once as it is meant to be used.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { createBrokerNotes } from '../../../db/broker-notes.ts'
import { prepareChangeReader } from '../../../db/change-feed.ts'
import { closeRegistry } from '../../../db/index.ts'
import { openForNotes } from '../../../db/open.ts'
import { until } from '../../harness/until.ts'
import { makeCsr, makeForeignCa, selfSigned, signedBy, startService } from '../harness.ts'

test('a device is registered, read, changed, suspended, activated and decommissioned', async () => {
  await using service = await startService()
  const { call } = service
  const body = { id: 'pump-1', attributes: { site: 'north' }, groups: ['b', 'a'] }
  const made = await call('POST', '/v1/devices', body)
  assert.equal(made.status, 201)
  assert.equal(made.headers['location'], '/v1/devices/pump-1')
  assert.deepEqual(
    { ...made.body, createdAt: null, updatedAt: null, version: null },
    {
      ...body,
      groups: ['a', 'b'],
      state: 'registered',
      createdAt: null,
      updatedAt: null,
      connected: false,
      lastSeen: null,
      certificate: null,
      version: null,
    },
  )
  assert.match(made.body.createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  const again = await call('POST', '/v1/devices', body)
  assert.deepEqual([again.status, again.body.reason], [409, 'device_exists'])
  const changed = await call('PATCH', '/v1/devices/pump-1', { attributes: { floor: '2' } })
  assert.deepEqual([changed.body.attributes, changed.body.groups], [{ floor: '2' }, ['a', 'b']])
  const suspended = await call('POST', '/v1/devices/pump-1/suspend')
  assert.equal(suspended.status, 200)
  assert.deepEqual(
    { ...suspended.body, epoch: 0 },
    {
      epoch: 0,
      nodesTotal: 0,
      nodesAcknowledged: 0,
      sessionsCut: 0,
      unreachable: [],
      deviceId: 'pump-1',
      state: 'suspended',
    },
  )
  assert.equal((await call('POST', '/v1/devices/pump-1/suspend', {})).body.epoch, suspended.body.epoch)
  assert.equal((await call('POST', '/v1/devices/pump-1/activate')).body.state, 'active')
  assert.equal((await call('POST', '/v1/devices/pump-1/decommission')).body.state, 'decommissioned')
  const dead = await call('POST', '/v1/devices/pump-1/activate')
  assert.deepEqual([dead.status, dead.body.reason], [409, 'device_state_forbids'])
  assert.equal((await call('GET', '/v1/devices/pump-1')).body.state, 'decommissioned')
})

test('lists come page by page, each item once, filtered as asked; a cursor of another list is refused', async () => {
  await using service = await startService()
  const { call } = service
  for (let index = 0; index < 7; index += 1) {
    await call('POST', '/v1/devices', { id: `d-${index}`, groups: index % 2 ? ['odd'] : [] })
  }
  await call('POST', '/v1/devices', { id: 'e-0' })
  await call('POST', '/v1/devices/d-3/suspend')
  const all = async (path: string, key: string) => {
    const seen: string[] = []
    let cursor: string | null = null
    do {
      const answer = await call('GET', `${path}${cursor === null ? '' : `&cursor=${cursor}`}`)
      assert.equal(answer.status, 200, answer.text)
      seen.push(...answer.body.items.map((item: Record<string, string>) => item[key]))
      cursor = answer.body.nextCursor
    } while (cursor !== null)
    return seen
  }
  const ids = ['d-0', 'd-1', 'd-2', 'd-3', 'd-4', 'd-5', 'd-6', 'e-0']
  for (const limit of [1, 3, 7, 8, 9]) assert.deepEqual(await all(`/v1/devices?limit=${limit}`, 'id'), ids)
  assert.deepEqual(await all('/v1/devices?limit=1&group=odd', 'id'), ['d-1', 'd-3', 'd-5'])
  assert.deepEqual(await all('/v1/devices?limit=2&prefix=d-', 'id'), ids.slice(0, 7))
  assert.deepEqual(await all('/v1/devices?limit=2&state=suspended', 'id'), ['d-3'])
  const issued = [await service.enroll('d-0'), await service.enroll('d-0'), await service.enroll('d-1')]
  const prints = issued.map(certificate => certificate.fingerprint).sort()
  assert.deepEqual(await all('/v1/certificates?limit=1', 'fingerprint'), prints)
  assert.equal((await all('/v1/certificates?limit=1&deviceId=d-0', 'fingerprint')).length, 2)
  await call('POST', `/v1/certificates/${prints[0]}/revoke`)
  assert.deepEqual(await all('/v1/certificates?limit=1&status=revoked', 'fingerprint'), [prints[0]])
  const { body } = await call('GET', '/v1/devices?limit=1')
  for (const path of [
    `/v1/certificates?cursor=${body.nextCursor}`,
    '/v1/devices?cursor=%00',
    '/v1/devices?cursor=Li4',
    '/v1/devices?cursor=ZA%3D%3D',
  ]) {
    const answer = await call('GET', path)
    assert.deepEqual([answer.status, answer.body.reason], [400, 'cursor_invalid'], path)
  }
})

test('a revocation is answered with the nodes that acknowledged; again it gives the same epoch and changes nothing', async () => {
  await using service = await startService({ receiptTimeoutMs: 30_000 })
  const issued = await service.enroll('pump-1')
  const registry = openForNotes(join(service.directory, 'registry.db'))
  const notes = createBrokerNotes(registry)
  const feed = prepareChangeReader(registry)
  notes.enter('node-1', feed.latestEpoch(), Date.now())
  // A broker as it should be: follows the feed and acknowledges, having cut three sessions.
  const from = feed.latestEpoch()
  const follower = setInterval(() => {
    for (const { epoch } of feed.changesAfter(from, 10)) {
      notes.acknowledge('node-1', [{ epoch, sessionsCut: 3, at: Date.now() }])
    }
  }, 5)
  const path = `/v1/certificates/${issued.fingerprint}/revoke`
  const receipt = await service.call('POST', path, { reason: 'keyCompromise' })
  clearInterval(follower)
  assert.equal(receipt.status, 200)
  assert.deepEqual(
    { ...receipt.body, epoch: 0 },
    {
      epoch: 0,
      nodesTotal: 1,
      nodesAcknowledged: 1,
      sessionsCut: 3,
      unreachable: [],
      fingerprint: issued.fingerprint,
      status: 'revoked',
      revoked: [{ fingerprint: issued.fingerprint, deviceId: 'pump-1', because: 'named' }],
      stillAdmitting: [],
    },
  )
  const again = await service.call('POST', path, { reason: 'superseded' })
  assert.deepEqual(again.body, receipt.body)
  const read = await service.call('GET', `/v1/certificates/${issued.fingerprint}`)
  assert.deepEqual([read.body.status, read.body.revocationReason], ['revoked', 'keyCompromise'])
  await closeRegistry(registry)
})

test('a broker that does not acknowledge in time is named in the receipt, and the revocation stands', async () => {
  await using service = await startService({ receiptTimeoutMs: 30 })
  const issued = await service.enroll('pump-1')
  const registry = openForNotes(join(service.directory, 'registry.db'))
  createBrokerNotes(registry).enter('node-9', 0, Date.now())
  const receipt = await service.call('POST', `/v1/certificates/${issued.fingerprint}/revoke`)
  assert.deepEqual(
    [receipt.body.nodesTotal, receipt.body.nodesAcknowledged, receipt.body.unreachable],
    [1, 0, ['node-9']],
  )
  const { body } = await service.call('GET', '/v1/devices/pump-1/admission')
  assert.deepEqual([body.wouldBeAdmitted, body.reason], [false, 'certificate_revoked'])
  await closeRegistry(registry)
})

test('explanations name the first failed check for every way to be refused', async t => {
  await using service = await startService()
  const { call } = service
  const reasonOf = async (path: string) => {
    const { body } = await call('GET', path)
    const failed = body.checks.find((check: { outcome: string }) => check.outcome === 'failed')
    assert.equal(body.reason, failed?.reason ?? null)
    return body.reason
  }
  await call('POST', '/v1/devices', { id: 'empty' })
  await t.test('a device without certificates', async () => {
    const { body } = await call('GET', '/v1/devices/empty/admission')
    assert.equal(body.wouldBeAdmitted, false)
    assert.match(body.message, /empty is registered and has no certificate on the roll/)
    assert.match(body.hint, /rollcall device enroll empty/)
    assert.deepEqual(body.certificates, [])
  })
  const issued = await service.enroll('pump-1')
  await t.test('a device that would be admitted', async () => {
    const { body } = await call('GET', '/v1/devices/pump-1/admission')
    const { wouldBeAdmitted, reason, hint, answer } = body
    assert.deepEqual([wouldBeAdmitted, reason, hint, answer], [true, null, null, null])
    assert.equal(body.certificates.length, 1)
    assert.ok(body.checks.every((check: { outcome: string }) => check.outcome === 'passed'))
  })
  await t.test('suspended, then one of two certificates revoked, then both', async () => {
    await call('POST', '/v1/devices/pump-1/suspend')
    assert.equal(await reasonOf('/v1/devices/pump-1/admission'), 'device_suspended')
    const suspended = await call('GET', '/v1/devices/pump-1/admission')
    assert.deepEqual(suspended.body.answer, { mqtt5: '0x8a', mqtt311: 5 })
    await call('POST', '/v1/devices/pump-1/activate')
    const second = await service.enroll('pump-1')
    await call('POST', `/v1/certificates/${issued.fingerprint}/revoke`)
    assert.equal(await reasonOf('/v1/devices/pump-1/admission'), null)
    assert.equal(await reasonOf(`/v1/certificates/${issued.fingerprint}/admission`), 'certificate_revoked')
    await call('POST', `/v1/certificates/${second.fingerprint}/revoke`)
    assert.equal(await reasonOf('/v1/devices/pump-1/admission'), 'certificate_revoked')
  })
  await t.test('certificates never seen', async () => {
    const ask = async (certificate: string) => (await call('POST', '/v1/admission', { certificate })).body
    const foreign = await ask(signedBy(makeForeignCa('Acme CA'), '/CN=pump-1'))
    assert.equal(foreign.reason, 'issuer_unknown')
    assert.match(foreign.message, /its issuer "CN=Acme CA" is not a trust anchor/)
    assert.equal((await ask(selfSigned('pump-1').certificate)).reason, 'certificate_self_signed')
    const own = await service.enroll('pump-2')
    assert.equal((await ask(own.certificate + own.chain.join(''))).wouldBeAdmitted, true)
  })
  await t.test('refusals that a broker noted are shown, newest first', async () => {
    const registry = openForNotes(join(service.directory, 'registry.db'))
    const note = {
      fingerprint: issued.fingerprint,
      deviceId: 'pump-1',
      reason: 'certificate_revoked',
      address: '192.0.2.7',
    }
    createBrokerNotes(registry).refusals([
      { ...note, at: 1_000, count: 1 },
      { ...note, at: 2_000, count: 4 },
    ])
    await closeRegistry(registry)
    const { body } = await call('GET', '/v1/devices/pump-1/admission')
    assert.deepEqual(
      body.refusals.map((refusal: { count: number }) => refusal.count),
      [4, 1],
    )
    assert.equal(body.refusals[0].at, '1970-01-01T00:00:02.000Z')
    assert.deepEqual([body.refusals[0].mqtt5, body.refusals[0].mqtt311], ['0x8a', 5])
  })
})

test('the OpenAPI document is 3.1; the page that shows it needs no network', async () => {
  await using service = await startService()
  const open = (path: string) => service.call('GET', path, undefined, { token: null })
  const { body, status } = await open('/openapi.json')
  assert.equal(status, 200)
  assert.match(body.openapi, /^3\.1\./)
  assert.equal(
    body.paths['/v1/devices'].post.requestBody.content['application/json'].schema.additionalProperties,
    false,
  )
  assert.deepEqual(body.paths['/v1/devices'].post.security, [
    { token: [] },
    { session: [] },
    { operatorCertificate: [] },
  ])
  const page = await open('/docs/')
  assert.doesNotMatch(page.text, /Swagger UI|favicon-/, 'it has no name and no logo of another project')
  assert.equal(page.status, 200)
  const links = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(match => match[1]!)
  assert.ok(links.length > 3)
  for (const link of links) {
    assert.match(link, /^\.\//)
    assert.equal((await open(`/docs/${link.slice(2)}`)).status, 200, link)
  }
  assert.match(page.headers['content-security-policy'] ?? '', /default-src 'self'/)
  for (const path of ['/livez', '/readyz']) assert.equal((await open(path)).status, 200)
})

test('answers carry a request ID, the rate limit and no cache; the counters count', async () => {
  await using service = await startService()
  const answer = await service.call('GET', '/v1/whoami')
  const { id, ...caller } = answer.body
  assert.ok(id)
  assert.deepEqual(caller, {
    kind: 'token',
    name: 'admin.token',
    role: 'admin',
    group: null,
    expiresAt: null,
  })
  assert.match(answer.headers['x-request-id'] ?? '', /^[0-9a-f-]{36}$/)
  assert.equal(answer.headers['cache-control'], 'no-store')
  assert.ok(Number(answer.headers['ratelimit-limit']) > 10_000)
  assert.ok(answer.headers['ratelimit-remaining'] && answer.headers['ratelimit-reset'])
  await service.enroll('pump-1', makeCsr('p256').csr)
  // An answer is counted once it is sent, which its caller may see first.
  const counted = /rollcall_api_request_seconds_count\{[^}]*route="\/v1\/devices\/:id\/certificates"[^}]*\} 1/
  await until(async () => counted.test(await service.running.metrics()))
  const metrics = await service.running.metrics()
  assert.match(metrics, /rollcall_registry_changes_total\{change="certificate_issued"\} 1/)
  assert.doesNotMatch(metrics, /pump-1/)
})
