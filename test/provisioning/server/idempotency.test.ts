// Idempotency-Key: asked again, a request is answered as before and done once; over lost answers and a kill too.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { test } from 'node:test'
import { closeRegistry, createRegistryWriter, openForWriting } from '../../../db/index.ts'
import { ANSWER_KEPT_MS } from '../../../db/keyed-changes.ts'
import { openForReading } from '../../../db/open.ts'
import { until } from '../../harness/until.ts'
import {
  assertProblem,
  makeCsr,
  makeForeignCa,
  type Service,
  startService,
  temporaryDirectory,
} from '../harness.ts'

const keyed = (key: string, more: object = {}) => ({
  headers: { 'idempotency-key': key, 'if-match': '*' },
  ...more,
})

async function inRegistry<T>(
  service: { directory: string },
  work: (sql: (text: string) => unknown[]) => T,
): Promise<T> {
  const registry = openForWriting(join(service.directory, 'registry.db'))
  try {
    return work(text => {
      const statement = registry.sqlite.prepare(text)
      if (statement.reader) return statement.all()
      statement.run()
      return []
    })
  } finally {
    await closeRegistry(registry)
  }
}

/** As if the process had died between the change and the answer. */
const loseAnswers = (service: Service) =>
  inRegistry(service, sql => sql('UPDATE idempotency_keys SET status = NULL, headers = NULL, body = NULL'))

const auditRows = (service: Service) =>
  inRegistry(service, sql => (sql('SELECT count(*) AS n FROM audit')[0] as { n: number }).n)

test('the same request with the same key has the same answer and is done once', async () => {
  await using service = await startService()
  const first = await service.call('POST', '/v1/devices', { id: 'a' }, keyed('k1'))
  await service.call('PATCH', '/v1/devices/a', { attributes: { later: 'yes' } })
  const rows = await auditRows(service)
  const again = await service.call('POST', '/v1/devices', { id: 'a' }, keyed('"k1"'))
  assert.equal(again.status, 201)
  assert.equal(again.text, first.text)
  assert.deepEqual(
    ['location', 'content-type', 'idempotency-replayed'].map(name => again.headers[name]),
    [first.headers['location'], first.headers['content-type'], 'true'],
  )
  assert.equal(first.headers['idempotency-replayed'], undefined)
  assert.equal(await auditRows(service), rows)
  const order = { csr: makeCsr('p256').csr }
  const issued = await service.call('POST', '/v1/devices/a/certificates', order, keyed('k2'))
  const twin = await service.call('POST', '/v1/devices/a/certificates', order, keyed('k2'))
  assert.equal(issued.status, 201)
  assert.equal(twin.text, issued.text)
  assert.equal((await service.call('GET', '/v1/certificates')).body.items.length, 1)
})

test('a key that stood for another request is refused with 422, whatever differs', async () => {
  await using service = await startService({ receiptTimeoutMs: 10 })
  for (const id of ['a', 'b']) await service.call('POST', '/v1/devices', { id })
  await service.call('POST', '/v1/devices/a/suspend', undefined, keyed('k'))
  for (const [method, path, body] of [
    ['POST', '/v1/devices/b/suspend'],
    ['POST', '/v1/devices/a/activate'],
    ['POST', '/v1/devices', { id: 'c' }],
    ['PATCH', '/v1/devices/a', { attributes: {} }],
  ] as const) {
    assertProblem(await service.call(method, path, body, keyed('k')), 422, 'idempotency_key_reused')
  }
  assert.equal((await service.call('GET', '/v1/devices/b')).body.state, 'registered')
})

test('a key belongs to its caller: another caller with the same key is served apart', async () => {
  await using service = await startService()
  const registry = openForWriting(join(service.directory, 'registry.db'))
  const writer = createRegistryWriter(registry)
  const { token } = await writer.createToken(
    { name: 'other', role: 'operator' },
    { name: 'test', kind: 'local' as const },
  )
  await closeRegistry(registry)
  await service.call('POST', '/v1/devices', { id: 'a', attributes: { secret: 'mine' } }, keyed('k'))
  const answer = await service.call('POST', '/v1/devices', { id: 'b' }, keyed('k', { token }))
  assert.equal(answer.body.id, 'b')
  const same = { id: 'a', attributes: { secret: 'mine' } }
  assertProblem(await service.call('POST', '/v1/devices', same, keyed('k2', { token })), 409, 'device_exists')
})

test('a refusal spends no key; the answer to a change is forgotten after a day', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  assertProblem(
    await service.call('POST', '/v1/devices/a/suspend', undefined, keyed('k')),
    404,
    'device_unknown',
  )
  assert.equal((await service.call('POST', '/v1/devices', { id: 'a' }, keyed('k'))).status, 201)
  now += ANSWER_KEPT_MS - 1
  assert.equal((await service.call('POST', '/v1/devices', { id: 'a' }, keyed('k'))).status, 201)
  now += 1
  assertProblem(await service.call('POST', '/v1/devices', { id: 'a' }, keyed('k')), 409, 'device_exists')
})

test('a key that is none is refused, and says nothing about questions', async () => {
  await using service = await startService()
  for (const key of ['', ' ', 'a b', 'a,b', '"a', 'a"b', 'x'.repeat(256), 'ä']) {
    const answer = await service.call(
      'POST',
      '/v1/devices',
      { id: 'a' },
      keyed(Buffer.from(key).toString('latin1')),
    )
    assertProblem(answer, 400, 'request_invalid')
    assert.match(answer.body.errors[0].path, /^header/)
  }
  assert.equal((await service.call('GET', '/v1/whoami', undefined, keyed('a b'))).status, 200)
  assert.equal((await service.call('POST', '/v1/devices', { id: 'a' }, keyed('x'.repeat(255)))).status, 201)
})

test('while the first is being served, the second is told to wait', async () => {
  await using service = await startService({ receiptTimeoutMs: 60_000 })
  await inRegistry(service, sql =>
    sql(`INSERT INTO nodes (id, started_at, seen_at, acknowledged_epoch) VALUES ('slow', 0, 0, 0)`),
  )
  await service.call('POST', '/v1/devices', { id: 'a' })
  const suspend = () => service.call('POST', '/v1/devices/a/suspend', undefined, keyed('k'))
  const three = [suspend(), suspend(), suspend()]
  let refused = 0
  for (const answer of three) void answer.then(({ status }) => (refused += status === 409 ? 1 : 0))
  await until(() => refused === 2)
  // The first is answered once the broker that it waits for has acted.
  await inRegistry(service, sql => sql('UPDATE nodes SET acknowledged_epoch = 1000000'))
  const answers = await Promise.all(three)
  assert.deepEqual(answers.map(answer => answer.status).sort(), [200, 409, 409])
  const waiting = answers.find(answer => answer.status === 409)!
  assertProblem(waiting, 409, 'request_in_flight')
  assert.equal(waiting.headers['retry-after'], '1')
  assert.equal((await suspend()).text, answers.find(answer => answer.status === 200)!.text)
})

test('an answer that was lost after the change is recalled, and the change is not made again', async () => {
  await using service = await startService({ receiptTimeoutMs: 10 })
  const { csr } = makeCsr('p256')
  const { fingerprint } = await service.enroll('gone')
  const { body: issuers } = await service.call('GET', '/v1/issuers')
  const issuer = issuers.items.find((item: { kind: string }) => item.kind === 'issuing').id
  const requests: [string, string, object?][] = [
    ['POST', '/v1/devices', { id: 'a' }],
    ['PATCH', '/v1/devices/a', { attributes: { x: 'y' } }],
    ['POST', '/v1/devices/a/certificates', { csr }],
    ['POST', '/v1/devices/a/suspend'],
    ['POST', '/v1/devices/a/activate'],
    ['POST', '/v1/devices/a/decommission'],
    ['POST', `/v1/certificates/${fingerprint}/revoke`, { reason: 'keyCompromise' }],
    ['POST', `/v1/issuers/${issuer}/disable`],
    ['POST', `/v1/issuers/${issuer}/enable`],
    ['POST', '/v1/issuers', { certificate: makeForeignCa('Lost CA').certificate }],
  ]
  for (const [method, path, body] of requests) {
    const first = await service.call(method, path, body, keyed(path))
    assert.ok(first.status < 300, `${path} ${first.text}`)
    await loseAnswers(service)
    const rows = await auditRows(service)
    const again = await service.call(method, path, body, keyed(path))
    assert.deepEqual([again.status, again.body], [first.status, first.body], path)
    assert.equal(again.headers['location'], first.headers['location'])
    assert.equal(again.headers['idempotency-replayed'], 'true', path)
    assert.equal(await auditRows(service), rows, path)
  }
})

test('what was undone meanwhile is not done again by a late retry', async () => {
  await using service = await startService({ receiptTimeoutMs: 10 })
  await service.call('POST', '/v1/devices', { id: 'a' })
  await service.call('POST', '/v1/devices/a/suspend', undefined, keyed('k'))
  await service.call('POST', '/v1/devices/a/activate')
  for (const _ of [1, 2]) {
    assert.equal((await service.call('POST', '/v1/devices/a/suspend', undefined, keyed('k'))).status, 200)
    assert.equal((await service.call('GET', '/v1/devices/a')).body.state, 'active')
    await loseAnswers(service)
  }
})

test('an intent that nothing came of spends no key: the request is served again', async () => {
  await using service = await startService()
  await service.call('POST', '/v1/devices', { id: 'a' })
  const registry = openForWriting(join(service.directory, 'registry.db'))
  const writer = createRegistryWriter(registry)
  const keyed = { holderId: 'somebody', keyHash: 'k', requestHash: 'r' }
  const issuer = registry.sqlite.prepare<[], string>(`SELECT id FROM issuers WHERE kind = 'issuing'`).pluck()
  const intent = {
    ...{
      serialNumber: '0a',
      issuerId: issuer.get()!,
      deviceId: 'a',
      spkiHash: 'h',
      purpose: 'device' as const,
    },
    ...{ notBefore: 0, notAfter: Date.now() + 60_000 },
  }
  await writer.recordIntent(intent, { name: 'test', kind: 'local' as const, keyed })
  assert.equal(writer.findKeyed(keyed), null)
  await writer.addDevice(
    { id: 'b', attributes: {}, groups: [] },
    { name: 'test', kind: 'local' as const, keyed },
  )
  assert.deepEqual(writer.findKeyed(keyed)?.change?.target, 'b')
  await closeRegistry(registry)
})

test('killed between the change and its answer, the service that follows gives the answer', async t => {
  using folder = temporaryDirectory()
  const child = spawn(
    process.execPath,
    [new URL('../fixtures/serving.ts', import.meta.url).pathname, folder.path, '60000'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  t.after(() => child.kill('SIGKILL'))
  const [line] = await once(child.stdout, 'data')
  const token = readFileSync(join(folder.path, 'admin.token'), 'utf8').trim()
  await inRegistry({ directory: folder.path }, sql => {
    sql(`INSERT INTO nodes (id, started_at, seen_at, acknowledged_epoch) VALUES ('silent', 0, 0, 0)`)
    sql(
      `INSERT INTO devices (id, state, attributes, created_at, updated_at) VALUES ('a', 'registered', '{}', 0, 0)`,
    )
  })
  const lost = new Promise<string>(resolve => {
    const outgoing = request(`${String(line).trim()}/v1/devices/a/suspend`, {
      method: 'POST',
      ca: readFileSync(join(folder.path, 'ca.crt')),
      headers: { authorization: `Bearer ${token}`, 'idempotency-key': 'k', 'if-match': '*' },
    })
    outgoing.on('response', () => resolve('answered'))
    outgoing.on('error', () => resolve('lost'))
    outgoing.end()
  })
  // The change is on disk, and the answer waits for a broker that never speaks.
  const reading = openForReading(join(folder.path, 'registry.db'))
  const state = reading.sqlite.prepare<[], string>(`SELECT state FROM devices`).pluck()
  const end = performance.now() + 20_000
  while (state.get() !== 'suspended' && performance.now() < end)
    await new Promise(resolve => setTimeout(resolve, 5))
  await closeRegistry(reading)
  child.kill('SIGKILL')
  assert.equal(await lost, 'lost')
  await once(child, 'exit')

  await using service = await startService({ data: folder.path, receiptTimeoutMs: 10 })
  const rows = await auditRows(service)
  const answer = await service.call('POST', '/v1/devices/a/suspend', undefined, keyed('k'))
  assert.deepEqual(
    [answer.status, answer.body.state, answer.body.unreachable],
    [200, 'suspended', ['silent']],
  )
  assert.equal(await auditRows(service), rows)
})
