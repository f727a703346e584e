// What one item throws is that item's failure: every loop of the service goes on with the next, and does so again after a
// restart. Faults are injected where they stay over a restart: as triggers and damaged rows of the registry and the event log.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { createBrokerNotes } from '../../db/broker-notes.ts'
import { closeRegistry, openForWriting, type Registry } from '../../db/index.ts'
import { prepareArrivalNotes } from '../../db/issuers/arrivals.ts'
import { FAILED_STEP_MS } from '../../db/roll/deadlines.ts'
import { fingerprintOf } from '../../pki/certificate-facts.ts'
import { until } from '../cli/running.ts'
import { createAuthority } from '../harness/authority.ts'
import { makeCrlAuthority } from './anchors/crl-authority.ts'
import { type Service, startService, temporaryDirectory } from './harness.ts'
import { imported, lines, told, upload } from './jobs/uploads.ts'
import { startReceiver } from './webhooks/receiver.ts'

const DAY_MS = 86_400_000

async function withRegistry<T>(directory: string, work: (registry: Registry) => T): Promise<Awaited<T>> {
  const registry = openForWriting(join(directory, 'registry.db'))
  try {
    return await work(registry)
  } finally {
    await closeRegistry(registry)
  }
}

/** Whatever the registry is asked to write there fails from now on. */
const poison = (directory: string, name: string, on: string, when: string) =>
  withRegistry(directory, ({ sqlite }) =>
    sqlite.exec(
      `CREATE TRIGGER ${name} BEFORE ${on} WHEN ${when} BEGIN SELECT RAISE(ABORT, 'injected'); END`,
    ),
  )
const heal = (directory: string, name: string) =>
  withRegistry(directory, ({ sqlite }) => sqlite.exec(`DROP TRIGGER ${name}`))

test('imports: a row that the service fails at is named, and rows and jobs behind it go on', async () => {
  using folder = temporaryDirectory()
  const rows = ['a', 'poison', 'b'].map(deviceId => ({ deviceId }))
  const outcomes = [
    ['a', 'registered'],
    ['poison', 'row_failed'],
    ['b', 'registered'],
  ]
  {
    await using service = await startService({ data: folder.path })
    await poison(folder.path, 'no_device', 'INSERT ON devices', "NEW.id = 'poison'")
    const { job, results } = await imported(service, rows)
    assert.deepEqual(told(results), outcomes)
    assert.deepEqual([job.state, job.counts.refused], ['done', 1])
    const second = await upload(service, lines([{ deviceId: 'poison' }, { deviceId: 'c' }]))
    assert.equal(second.status, 202)
  }
  // Stopped with a job under way, or just done: either way it ends, with the same results.
  await using again = await startService({ data: folder.path })
  await until(async () => {
    const { body } = await again.call('GET', '/v1/jobs')
    return body.items.every(({ state }: { state: string }) => state === 'done')
  }, 'all jobs are done')
  assert.equal((await again.call('GET', '/v1/devices/c')).status, 200)
  await heal(folder.path, 'no_device')
  assert.deepEqual(told((await imported(again, rows)).results), [
    ['a', 'unchanged'],
    ['poison', 'registered'],
    ['b', 'unchanged'],
  ])
})

test('exports: a device that cannot be written down has a line that says so', async () => {
  await using service = await startService()
  for (const id of ['a', 'b', 'c']) await service.call('POST', '/v1/devices', { id })
  await withRegistry(service.directory, ({ sqlite }) =>
    sqlite.prepare("UPDATE devices SET created_at = 9000000000000000 WHERE id = 'b'").run(),
  )
  const json = await service.call('GET', '/v1/export')
  const devices = json.text.trim().split('\n')
  assert.equal(devices.length, 3)
  assert.match(devices[1]!, /^\{"deviceId":"b","error":"it cannot be exported/)
  const csv = (await service.call('GET', '/v1/export?format=csv')).text.trim().split('\r\n')
  assert.deepEqual(
    csv.map(line => line.split(',')[0]),
    ['deviceId', 'a', 'b', 'c'],
  )
  // Nobody takes it for a device without groups and attributes.
  assert.deepEqual(told((await imported(service, `${devices[1]}\n`)).results), [['b', 'row_invalid']])
})

test('registrar: an arrival that the service fails at is refused at last, and others register themselves', async () => {
  using folder = temporaryDirectory()
  const ca = await createAuthority('Maker CA')
  const issuerId = fingerprintOf(ca.der)
  const leaves = await Promise.all(['poison', 'a', 'b'].map(name => ca.issue({ name })))
  const arrive = (...ders: Buffer[]) =>
    withRegistry(folder.path, ({ sqlite }) =>
      prepareArrivalNotes(sqlite)(
        ders.map((der, index) => ({
          ...{ fingerprint: fingerprintOf(der), issuerId, der, address: '192.0.2.1' },
          at: Date.now() - 5_000 + index,
        })),
      ),
    )
  const ids = async (service: Service) =>
    (await service.call('GET', '/v1/devices')).body.items.map(({ id }: { id: string }) => id)
  {
    await using service = await startService({ data: folder.path })
    await service.call('POST', '/v1/issuers', { certificate: ca.certificate })
    const { body } = await service.call('POST', `/v1/issuers/${issuerId}/challenge`)
    const { certificate } = await ca.issue({ name: body.nonce })
    await service.call('POST', `/v1/issuers/${issuerId}/proof`, { certificate })
    const settings = { mode: 'active', nameTemplate: '$'.concat('{cn}') }
    await service.call('PUT', `/v1/issuers/${issuerId}/registration`, settings)
    await poison(folder.path, 'no_device', 'INSERT ON devices', "NEW.id = 'poison'")
    await arrive(leaves[0]!.der, leaves[1]!.der)
    await until(async () => (await ids(service)).includes('a'), 'the device behind it is registered')
  }
  await using again = await startService({ data: folder.path })
  await arrive(leaves[2]!.der)
  await until(async () => (await ids(again)).includes('b'), 'another registers itself after a restart')
  await until(async () => {
    const { body } = await again.call('GET', `/v1/issuers/${issuerId}/arrivals`)
    return body.items.some(({ reason }: { reason: string }) => reason === 'internal_error')
  }, 'the arrival is refused with what it was')
})

test('sweep: a step that fails is put off, and those behind it are taken', async () => {
  using folder = temporaryDirectory()
  let now = Date.UTC(2026, 5, 1)
  const devices = Array.from({ length: 12 }, (_, index) => `pump-${index}`)
  const old = new Map<string, string>()
  const statusOf = async (service: Service, id: string) =>
    (await service.call('GET', `/v1/certificates/${old.get(id)}`)).body.status
  {
    await using service = await startService({ data: folder.path, now: () => now })
    for (const id of devices) {
      old.set(id, (await service.enroll(id)).fingerprint)
      const { fingerprint } = await service.enroll(id)
      await withRegistry(folder.path, registry => {
        const notes = createBrokerNotes(registry)
        for (const used of [old.get(id)!, fingerprint])
          notes.uses([{ fingerprint: used, deviceId: id, at: now }])
      })
    }
    const [first] = devices
    await poison(
      folder.path,
      'no_retire',
      'UPDATE ON certificates',
      `NEW.status = 'retired' AND NEW.fingerprint = '${old.get(first!)}'`,
    )
  }
  now += DAY_MS
  await using again = await startService({ data: folder.path, now: () => now })
  await again.running.lifecycleJob()
  assert.deepEqual(
    await Promise.all(devices.map(id => statusOf(again, id))),
    devices.map((_, index) => (index === 0 ? 'superseded' : 'retired')),
  )
  await heal(folder.path, 'no_retire')
  await again.running.lifecycleJob()
  assert.equal(await statusOf(again, devices[0]!), 'superseded', 'it is put off')
  now += FAILED_STEP_MS
  await again.running.lifecycleJob()
  assert.equal(await statusOf(again, devices[0]!), 'retired')
})

test('CRL fetch: an issuer whose list the service fails at keeps no other from its list', async () => {
  using first = makeCrlAuthority('CA 0')
  using second = makeCrlAuthority('CA 1')
  const authorities = [first, second]
  const lists = authorities.map(authority => authority.crl({}))
  const server = createServer((request, response) => response.end(lists[Number(request.url?.at(-1))]))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  try {
    await using service = await startService({ crlLookMs: 50, crlPrivateAddresses: true })
    const ids: string[] = []
    for (const [index, { ca }] of authorities.entries()) {
      const { body } = await service.call('POST', '/v1/issuers', { certificate: ca.certificate })
      ids.push(body.id)
      if (index === 0)
        await poison(service.directory, 'no_crl', 'INSERT ON issuer_crls', `NEW.issuer_id = '${body.id}'`)
      const url = `http://127.0.0.1:${port}/${index}`
      const set = await service.call('PUT', `/v1/issuers/${body.id}/crl/source`, { url })
      assert.ok(set.status < 300, set.text)
    }
    const shown = (id: string) =>
      withRegistry(service.directory, ({ sqlite }) =>
        sqlite
          .prepare<[string], { error: string | null; inForce: number | null }>(
            `SELECT crl_error AS error, (SELECT crl_id FROM issuers WHERE id = issuer_id) AS inForce
             FROM trust_anchors WHERE issuer_id = ?`,
          )
          .get(id),
      )
    await until(async () => (await shown(ids[1]!))?.inForce != null, 'the other has its list')
    await until(async () => (await shown(ids[0]!))?.error != null, 'the failure is on record')
    assert.match((await shown(ids[0]!))?.error ?? '', /its log says at what/)
  } finally {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  }
})

test('news and webhooks: an audit row or an event that nothing can be told of is left out, the next is told', async () => {
  using folder = temporaryDirectory()
  await using receiver = await startReceiver((_, response) => response.end())
  const options = {
    data: folder.path,
    webhookPrivateAddresses: true,
    webhookTiming: { firstMs: 20, mostMs: 40, givesUpMs: 60_000, lookMs: 20 },
  }
  const toldOf = (id: string) => receiver.taken.some(({ data }) => data.deviceId === id)
  {
    await using service = await startService(options)
    const made = await service.call('POST', '/v1/webhooks', { url: receiver.url })
    receiver.keys.secret = made.body.secret
    await service.enroll('before')
    await until(async () => toldOf('before'), 'the webhook is told')
    const log = new Sqlite(join(folder.path, 'events.db'))
    // A moment that no date can name, and a detail that is no JSON.
    const insert = log.prepare("INSERT INTO events (at, kind, detail) VALUES (?, 'enrolled', ?)")
    insert.run(9_000_000_000_000_000, '{}')
    log.exec(`CREATE TRIGGER no_event BEFORE INSERT ON events WHEN NEW.device_id = 'poison'
      BEGIN SELECT RAISE(ABORT, 'injected'); END`)
    log.close()
    await service.enroll('poison')
    await service.enroll('behind')
    await until(async () => toldOf('behind'), 'the event behind it is told')
  }
  await using again = await startService(options)
  await again.enroll('poison-2')
  await again.enroll('after')
  await until(async () => toldOf('after'), 'after a restart, too')
  assert.equal(toldOf('poison'), false)
})

test('audit sealer and server certificate: what cannot be signed now is signed when it can be', async () => {
  using folder = temporaryDirectory()
  let now = Date.UTC(2026, 5, 1)
  const options = { data: folder.path, now: () => now, sealing: { rows: 1, intervalMs: 50 } }
  const checkpoints = () =>
    withRegistry(folder.path, ({ sqlite }) =>
      sqlite.prepare('SELECT max(seq) FROM audit_checkpoints').pluck().get(),
    )
  {
    await using _ = await startService(options)
    await poison(folder.path, 'no_checkpoint', 'INSERT ON audit_checkpoints', 'true')
    await poison(folder.path, 'no_server', 'INSERT ON issuances', "NEW.purpose = 'server'")
  }
  // Two thirds of its life are over: the service starts with the one there is, and serves.
  now += 61 * DAY_MS
  {
    await using service = await startService(options)
    assert.equal((await service.call('GET', '/v1/whoami')).status, 200)
    await service.running.renewServerCertificate()
    await service.running.keepResponders()
    assert.equal((await service.call('POST', '/v1/devices', { id: 'a' })).status, 201)
    await heal(folder.path, 'no_checkpoint')
    await heal(folder.path, 'no_server')
    await until(async () => Number(await checkpoints()) > 0, 'what waited is sealed')
    const shown = () => readFileSync(join(folder.path, 'server.crt'), 'utf8')
    const before = shown()
    await service.running.renewServerCertificate()
    assert.notEqual(shown(), before)
  }
})

test('CRLs of our own: a CA whose list cannot be made keeps no other from its list', async () => {
  using folder = temporaryDirectory()
  const entries = (issuerId: string) =>
    withRegistry(folder.path, ({ sqlite }) =>
      sqlite.prepare('SELECT entries FROM crls WHERE issuer_id = ?').pluck().get(issuerId),
    )
  let old = ''
  {
    await using service = await startService({ data: folder.path })
    const enrolled = await service.enroll('pump-1')
    old = enrolled.issuerId
    await service.call('POST', `/v1/certificates/${enrolled.fingerprint}/revoke`, {})
    await service.running.makeCrls()
    assert.equal(await entries(old), 1)
    const second = await service.enroll('pump-2')
    await poison(folder.path, 'no_list', 'INSERT ON crls', `NEW.issuer_id <> '${old}'`)
    const rotated = await service.call('POST', '/v1/ca/rotate', {})
    assert.ok(rotated.status < 300, rotated.text)
    await service.call('POST', `/v1/certificates/${second.fingerprint}/revoke`, {})
    await until(async () => (await entries(old)) === 2, 'the list of the other CA is made anew')
  }
  await using again = await startService({ data: folder.path })
  const third = await again.enroll('pump-3')
  assert.notEqual(third.issuerId, old)
  await heal(folder.path, 'no_list')
  await until(async () => (await entries(third.issuerId)) !== undefined, 'its own is made when it can be')
})
