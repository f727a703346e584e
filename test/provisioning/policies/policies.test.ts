// Policies over the API: versions, faults with their paths, attachments, what binds a device, and a change before it is one.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createBrokerNotes } from '../../../db/broker-notes.ts'
import { closeRegistry } from '../../../db/index.ts'
import { openForNotes, openForReading } from '../../../db/open.ts'
import { assertProblem, type Service, startService } from '../harness.ts'

const allow = (actions: string[], topics: string[], more = {}) => ({
  effect: 'allow',
  actions,
  topics,
  ...more,
})
const deny = (actions: string[], topics: string[]) => ({ effect: 'deny', actions, topics })

describe('the policy routes', () => {
  let service: Service
  before(async () => {
    service = await startService({ receiptTimeoutMs: 20 })
  })
  after(() => service[Symbol.asyncDispose]())

  const put = (name: string, statements: unknown, headers: Record<string, string> = {}) =>
    service.call('PUT', `/v1/policies/${name}`, { name, statements }, { headers })
  const rows = (sql: string) => {
    const registry = openForReading(`${service.directory}/registry.db`)
    const found = registry.sqlite.prepare(sql).all()
    void closeRegistry(registry)
    return found as Record<string, unknown>[]
  }

  test('store, read, list, and replace only the version that was read', async () => {
    const made = await put('p', [allow(['publish'], ['a/#'])])
    assert.equal(made.status, 201, made.text)
    const etag = made.headers['etag']!
    assert.equal(etag, `"${made.body.version}"`)
    const read = await service.call('GET', '/v1/policies/p')
    assert.equal(read.headers['etag'], etag)
    assert.deepEqual(read.body.document, { name: 'p', statements: [allow(['publish'], ['a/#'])] })
    assert.equal(
      (await put('p', [allow(['publish'], ['a/#'])])).status,
      200,
      'the same again needs no version',
    )
    assertProblem(await put('p', []), 428, 'version_required')
    assertProblem(await put('p', [], { 'if-match': '"0"' }), 412, 'policy_changed')
    const replaced = await put('p', [], { 'if-match': etag })
    assert.equal(replaced.status, 200, replaced.text)
    assert.notEqual(replaced.headers['etag'], etag)
    assertProblem(await put('p', [allow(['will'], ['w'])], { 'if-match': etag }), 412, 'policy_changed')
    assert.equal((await put('p', [allow(['will'], ['w'])], { 'if-match': '*' })).status, 200)
    assertProblem(await put('unmade', [], { 'if-match': '*' }), 412, 'policy_changed')
    const { body } = await service.call('GET', '/v1/policies?limit=2')
    assert.deepEqual(
      body.items.map((item: { name: string }) => item.name),
      ['backend', 'default'],
    )
    const rest = await service.call('GET', `/v1/policies?limit=2&cursor=${body.nextCursor}`)
    assert.deepEqual([rest.body.items[0].name, rest.body.items[0].statementsTotal], ['p', 1])
    assert.equal(rest.body.nextCursor, null)
  })

  test('a stored document that did not change writes neither audit row nor change row', async () => {
    await put('same', [])
    const before = rows('SELECT (SELECT max(seq) FROM audit) AS a, (SELECT max(epoch) FROM changes) AS c')
    const reordered = '{"statements":[],"name":"same"}'
    const again = await service.call('PUT', '/v1/policies/same', undefined, { raw: reordered })
    assert.equal(again.status, 200)
    assert.deepEqual(
      rows('SELECT (SELECT max(seq) FROM audit) AS a, (SELECT max(epoch) FROM changes) AS c'),
      before,
    )
  })

  test('every fault of a document is said at once, with its path', async () => {
    const bad = await put('bad', [
      { effect: 'permit', actions: ['fly'], topics: ['a#', `\${device.nme}/x`], extra: 1 },
      { effect: 'allow', actions: ['publish'], topics: [], when: { qosMax: 3 } },
    ])
    assertProblem(bad, 400, 'policy_invalid')
    const paths = bad.body.errors.map((fault: { path: string }) => fault.path).sort()
    assert.deepEqual(paths, [
      'body.statements[0].actions',
      'body.statements[0].effect',
      'body.statements[0].extra',
      'body.statements[0].topics[0]',
      'body.statements[0].topics[1]',
      'body.statements[1].topics',
      'body.statements[1].when.qosMax',
    ])
    for (const body of [[], 'text', { name: 'other', statements: [] }, { statements: [] }, { name: 'bad' }])
      assertProblem(await service.call('PUT', '/v1/policies/bad', body), 400, 'policy_invalid')
    assertProblem(await service.call('GET', '/v1/policies/bad'), 404, 'policy_unknown')
    const draft = { deviceId: 'd1', checks: [{ action: 'publish', topic: 'a' }], document: { name: 'bad' } }
    const simulated = await service.call('POST', '/v1/policies/bad/simulate', draft)
    await service.call('POST', '/v1/devices', { id: 'd1' })
    const again = await service.call('POST', '/v1/policies/bad/simulate', draft)
    assertProblem(simulated, 404, 'device_unknown')
    assertProblem(again, 400, 'policy_invalid')
    assert.equal(again.body.errors[0].path, 'body.document.statements')
  })

  test('the OpenAPI document shows the whole schema of a document', async () => {
    const { body } = await service.call('GET', '/openapi.json')
    const taken = body.paths['/v1/policies/{name}'].put.requestBody.content['application/json'].schema
    assert.deepEqual(taken.properties.statements.items.properties.effect.enum, ['allow', 'deny'])
    const simulated = body.paths['/v1/policies/{name}/simulate'].post.requestBody
    assert.ok(simulated.content['application/json'].schema.properties.document.properties.statements)
  })

  test('attach and detach, once each, with audit and change rows, and refuse what is not there', async () => {
    await put('att', [])
    await service.call('POST', '/v1/devices', { id: 'd2', groups: ['g'] })
    const [issuer] = rows("SELECT id FROM issuers WHERE kind = 'issuing'")
    const targets = ['everyone', 'device/d2', 'group/g', `issuer/${issuer?.['id']}`]
    const last = () => rows('SELECT max(epoch) AS epoch FROM changes')[0]?.['epoch']
    for (const target of targets) {
      const path = `/v1/policies/att/attachments/${target}`
      const first = await service.call('PUT', path)
      assert.equal(first.status, 200, first.text)
      assert.equal(first.body.epoch, last())
      const before = last()
      assert.equal((await service.call('PUT', path)).status, 200)
      assert.equal(last(), before)
    }
    const listed = await service.call('GET', '/v1/policies/att/attachments?limit=3')
    const more = await service.call('GET', `/v1/policies/att/attachments?cursor=${listed.body.nextCursor}`)
    assert.deepEqual(
      [...listed.body.items, ...more.body.items].map(({ kind }: { kind: string }) => kind),
      ['device', 'everyone', 'group', 'issuer'],
    )
    assertProblem(await service.call('DELETE', '/v1/policies/att'), 409, 'policy_attached')
    for (const target of targets) {
      const path = `/v1/policies/att/attachments/${target}`
      const gone = await service.call('DELETE', path)
      assert.deepEqual([gone.status, gone.body.epoch], [200, last()])
      assertProblem(await service.call('DELETE', path), 404, 'attachment_unknown')
    }
    const changes = rows('SELECT kind, device_id FROM changes ORDER BY epoch DESC LIMIT 3')
    assert.deepEqual(changes[2], { kind: 'policy', device_id: 'd2' }, 'one device alone must look again')
    assertProblem(await service.call('PUT', '/v1/policies/none/attachments/everyone'), 404, 'policy_unknown')
    assertProblem(await service.call('PUT', '/v1/policies/att/attachments/device/no'), 404, 'device_unknown')
    assertProblem(await service.call('PUT', '/v1/policies/att/attachments/issuer/no'), 404, 'issuer_unknown')
    assertProblem(await service.call('PUT', '/v1/policies/att/attachments/x/y'), 400, 'request_invalid')
    const wrong = { headers: { 'if-match': '"0"' } }
    assertProblem(await service.call('DELETE', '/v1/policies/att', undefined, wrong), 412, 'policy_changed')
    assert.equal((await service.call('DELETE', '/v1/policies/att')).status, 200)
    assertProblem(await service.call('DELETE', '/v1/policies/att'), 404, 'policy_unknown')
    const actions = rows('SELECT action FROM audit ORDER BY seq DESC LIMIT 10').map(row => row['action'])
    assert.equal(actions[0], 'policy.delete')
    assert.equal(actions.filter(action => action === 'policy.attach').length, 4)
    assert.equal(actions.filter(action => action === 'policy.detach').length, 4)
  })

  test('what binds a device is shown with its variables filled in, and what voids a statement is named', async () => {
    await service.enroll('d3')
    await service.call('PATCH', '/v1/devices/d3', { attributes: { site: 'north' }, groups: ['backend'] })
    await put('sites', [
      allow(['publish'], [`s/\${device.attr.site}/\${device.id}`, `r/\${device.attr.rack}/#`]),
      allow(['subscribe'], [`c/\${cert.serial}`], { when: { qosMax: 1 } }),
    ])
    await service.call('PUT', '/v1/policies/sites/attachments/device/d3')
    const { body } = await service.call('GET', '/v1/devices/d3/policy')
    assert.deepEqual(
      body.policies.map((policy: { name: string }) => policy.name),
      ['default', 'sites', 'backend'],
    )
    assert.deepEqual(body.policies[2].through, [{ kind: 'group', target: 'backend' }])
    const [first, second] = body.statements.filter((one: { policy: string }) => one.policy === 'sites')
    assert.equal(first.topics[0].bound, 's/north/d3')
    assert.deepEqual(first.topics[1], {
      written: `r/\${device.attr.rack}/#`,
      bound: null,
      missing: ['device.attr.rack'],
    })
    assert.equal(second.topics[0].bound, `c/${body.variables['cert.serial']}`)
    assert.equal(second.qosMax, 1)
    assert.match(body.certificate, /^[0-9a-f]{64}$/)
    assert.equal(body.refused, null)
    assertProblem(await service.call('GET', '/v1/devices/none/policy'), 404, 'device_unknown')
    const other = `/v1/devices/d3/policy?certificate=${'0'.repeat(64)}`
    assertProblem(await service.call('GET', other), 404, 'certificate_unknown')
    await put('strict', [deny(['will'], [`x/\${device.attr.rack}`])])
    await service.call('PUT', '/v1/policies/strict/attachments/device/d3')
    const refused = await service.call('GET', '/v1/devices/d3/policy')
    assert.deepEqual(refused.body.refused, {
      policy: 'strict',
      statement: 0,
      topic: `x/\${device.attr.rack}`,
    })
  })

  test('a draft is judged for a device before it is saved, and the deciding statement is named', async () => {
    await service.call('POST', '/v1/devices', { id: 'd4' })
    const document = { name: 'draft', statements: [deny(['publish'], ['devices/+/secret'])] }
    const checks = [
      { action: 'publish', topic: 'devices/d4/secret' },
      { action: 'publish', topic: 'devices/d4/open', retain: true, qos: 2 },
      { action: 'subscribe', topic: 'devices/#' },
    ]
    const asked = { deviceId: 'd4', document, checks }
    const { status, body, text } = await service.call('POST', '/v1/policies/draft/simulate', asked)
    assert.equal(status, 200, text)
    assert.equal(body.holds, false)
    const [secret, open, all] = body.results
    assert.deepEqual([secret.now.verdict, secret.draft.verdict], ['allowed', 'denied'])
    assert.deepEqual(secret.draft.decidedBy, { policy: 'draft', statement: 0, topic: 'devices/+/secret' })
    assert.deepEqual([open.draft.allowed, open.draft.decidedBy.policy], [true, 'default'])
    assert.deepEqual([all.draft.verdict, all.draft.decidedBy], ['nothing_allows', null])
    assertProblem(await service.call('GET', '/v1/policies/draft'), 404, 'policy_unknown')
    const stored = await service.call('POST', '/v1/policies/draft/simulate', { deviceId: 'd4', checks })
    assertProblem(stored, 404, 'policy_unknown')
    const unknown = await service.call('POST', '/v1/policies/draft/simulate', { ...asked, save: true })
    assertProblem(unknown, 400, 'request_invalid')
  })

  test('limits of a draft are told beside those of today, for one device and for the fleet', async () => {
    await service.call('POST', '/v1/devices', { id: 'd5' })
    const limited = (limits: object) => ({ name: 'limited', statements: [], limits })
    await service.call('PUT', '/v1/policies/limited', limited({ sessionExpiryMaxSeconds: 3600 }))
    await service.call('PUT', '/v1/policies/limited/attachments/device/d5')
    const document = limited({ qosMax: 1, sessionExpiryMaxSeconds: 60 })
    const checks = [{ action: 'publish', topic: 'devices/d5/x', qos: 2 }]
    const one = await service.call('POST', '/v1/policies/limited/simulate', {
      deviceId: 'd5',
      document,
      checks,
    })
    const now = { qosMax: 2, sessionExpiryMaxSeconds: 3600 }
    assert.deepEqual(one.body.limits, { now, draft: document.limits })
    assert.equal(one.body.results[0].draft.verdict, 'qos_exceeded')
    const fleet = (draft: object) =>
      service.call('POST', '/v1/policies/limited/simulate/fleet', { document: draft })
    const shorter = (await fleet(limited({ sessionExpiryMaxSeconds: 60 }))).body
    assert.deepEqual([shorter.devicesTotal, shorter.devicesLosing, shorter.devicesGaining], [1, 1, 0])
    const item = shorter.items[0]
    assert.deepEqual([item.lost, item.gained], [[], []])
    assert.deepEqual(item.limits, { now, draft: { qosMax: 2, sessionExpiryMaxSeconds: 60 } })
    const none = (await fleet(limited({}))).body
    assert.deepEqual([none.devicesLosing, none.devicesGaining], [0, 1])
    assert.deepEqual(none.items[0].limits.draft, { qosMax: 2, sessionExpiryMaxSeconds: null })
    const same = (await fleet(limited({ sessionExpiryMaxSeconds: 3600 }))).body
    assert.deepEqual([same.devicesLosing, same.devicesGaining, same.items], [0, 0, []])
    await service.call('DELETE', '/v1/policies/limited/attachments/device/d5')
  })

  test('a draft is tried on the fleet: the rights lost, live subscriptions included', async () => {
    const fingerprint = (await service.enroll('f1')).fingerprint
    await service.call('POST', '/v1/devices', { id: 'f2' })
    const notes = openForNotes(`${service.directory}/registry.db`)
    const broker = createBrokerNotes(notes)
    broker.enter('n1', 0, Date.now())
    broker.subscriptions('n1', [
      { deviceId: 'f1', fingerprint, filters: ['devices/f1/#', 'devices/f1/commands'] },
    ])
    const statements = [
      allow(['publish', 'retain', 'will'], [`devices/\${device.id}/#`]),
      allow(['subscribe', 'receive'], [`devices/\${device.id}/commands`, 'news/#']),
    ]
    const document = { name: 'default', statements }
    const tried = await service.call('POST', '/v1/policies/default/simulate/fleet', { document })
    assert.equal(tried.status, 200, tried.text)
    const { items, ...figures } = tried.body
    const total = rows('SELECT count(*) AS total FROM devices')[0]?.['total'] as number
    assert.equal(figures.devicesTotal, total)
    // All but d3: another policy denies it everything before and after.
    assert.deepEqual([figures.devicesLosing, figures.devicesGaining], [total - 1, total - 1])
    assert.deepEqual([figures.subscriptionsNoted, figures.subscriptionsLost, figures.nodesTotal], [2, 1, 1])
    const f1 = items.find((item: { deviceId: string }) => item.deviceId === 'f1')
    assert.deepEqual(f1.subscriptionsLost, ['devices/f1/#'])
    assert.deepEqual([f1.connected, f1.subscriptionsComplete], [true, true])
    assert.deepEqual(f1.lost[0], { action: 'subscribe', filter: 'devices/f1/#', extent: 'part' })
    assert.ok(f1.gained.some((won: { filter: string }) => won.filter === 'news/#'))
    assert.equal(items.find((item: { deviceId: string }) => item.deviceId === 'f2').connected, false)
    const detached = await service.call('POST', '/v1/policies/default/simulate/fleet', {
      attachments: [{ kind: 'device', target: 'f2' }],
      limit: 1,
    })
    assert.deepEqual([detached.body.items.length, detached.body.truncated], [1, true])
    assert.equal(detached.body.subscriptionsLost, 2)
    const odd = { attachments: [{ kind: 'everyone', target: 'x' }] }
    const refused = await service.call('POST', '/v1/policies/default/simulate/fleet', odd)
    assertProblem(refused, 400, 'request_invalid')
    broker.leave('n1')
    const left = await service.call('POST', '/v1/policies/default/simulate/fleet', { document })
    assert.deepEqual([left.body.subscriptionsNoted, left.body.nodesTotal], [0, 0])
    await closeRegistry(notes)
  })
})
