// What time does to certificates: just before, at and just after each boundary, across restarts and clock jumps.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { createBrokerNotes } from '../../db/broker-notes.ts'
import { closeRegistry, createRegistryWriter, openForWriting, type Registry } from '../../db/index.ts'
import { nothingCounted } from '../../db/roll/roll-count.ts'
import { renewalCriticalAt, renewalOpensAt } from '../../pki/renewal-window.ts'
import { startLifecycleJob } from '../../provisioning/lifecycle-job.ts'
import { createAuthority } from '../harness/authority.ts'
import { makeCsr, type Service, sample, startService, temporaryDirectory } from './harness.ts'

const DAY_MS = 86_400_000
const WEEK_MS = 7 * DAY_MS
const START = Math.floor(Date.now() / 1000) * 1000

async function withRegistry<T>(
  service: Service,
  work: (registry: Registry) => T | Promise<T>,
): Promise<Awaited<T>> {
  const registry = openForWriting(join(service.directory, 'registry.db'))
  try {
    return await work(registry)
  } finally {
    await closeRegistry(registry)
  }
}

const use = (service: Service, deviceId: string, fingerprint: string, at: number) =>
  withRegistry(service, registry => createBrokerNotes(registry).uses([{ fingerprint, deviceId, at }]))

const statusOf = async (service: Service, fingerprint: string) => {
  const { status, body } = await service.call('GET', `/v1/certificates/${fingerprint}`)
  return status === 404 ? 'gone' : body.status
}

test('the old certificate is superseded by the first CONNECT of the new, and retired a day later', async () => {
  let now = START
  await using service = await startService({ now: () => now })
  const old = await service.enroll('pump-1')
  await use(service, 'pump-1', old.fingerprint, now)
  const fresh = await service.enroll('pump-1')
  assert.equal(await statusOf(service, old.fingerprint), 'active', 'issuing alone ends nothing')
  await use(service, 'pump-1', fresh.fingerprint, now)
  const { body } = await service.call('GET', `/v1/certificates/${old.fingerprint}`)
  assert.deepEqual([body.status, body.graceUntil], ['superseded', new Date(now + DAY_MS).toISOString()])
  const third = await service.call('POST', '/v1/devices/pump-1/certificates', { csr: makeCsr('p256').csr })
  assert.equal(third.body.reason, 'certificates_exceeded', 'grace counts')
  const admission = `/v1/certificates/${old.fingerprint}/admission`
  for (const [at, reason, status] of [
    [START + DAY_MS - 1, null, 'superseded'],
    [START + DAY_MS, 'certificate_retired', 'retired'],
    [START + DAY_MS + 1, 'certificate_retired', 'retired'],
  ] as const) {
    now = at
    if (status === 'retired' && at === START + DAY_MS) {
      // Not swept yet: it is refused all the same.
      assert.equal((await service.call('GET', admission)).body.reason, 'certificate_superseded')
    }
    await service.running.lifecycleJob()
    assert.equal((await service.call('GET', admission)).body.reason, reason)
    assert.equal(await statusOf(service, old.fingerprint), status)
  }
  assert.equal(await sample(service, 'rollcall_certificate_deadlines_total{kind="retire"}'), 1)
  await service.enroll('pump-1')
})

test('a renewal that nobody used lapses after seven days; a first certificate and a used one do not', async () => {
  let now = START
  await using service = await startService({ now: () => now })
  const first = await service.enroll('pump-1')
  const used = await service.enroll('pump-2')
  await use(service, 'pump-2', used.fingerprint, now)
  const renewal = await service.enroll('pump-2')
  const other = await service.enroll('pump-3')
  await use(service, 'pump-3', other.fingerprint, now)
  const taken = await service.enroll('pump-3')
  await use(service, 'pump-3', taken.fingerprint, now)
  now = START + WEEK_MS - 1
  await service.running.lifecycleJob()
  assert.equal(await statusOf(service, renewal.fingerprint), 'issued')
  now = START + WEEK_MS
  await service.running.lifecycleJob()
  assert.equal(await statusOf(service, renewal.fingerprint), 'lapsed')
  assert.equal(await statusOf(service, first.fingerprint), 'issued')
  assert.equal(await statusOf(service, used.fingerprint), 'active')
  assert.equal(await statusOf(service, taken.fingerprint), 'active')
})

test('what waits for approval is taken off the roll after seven days, with all that was on record for it', async () => {
  let now = START
  await using service = await startService({ now: () => now })
  await service.call('POST', '/v1/devices', { id: 'pump-1' })
  const { der } = await (await createAuthority()).issue({ name: 'pump-1' })
  const listing = {
    der,
    deviceId: 'pump-1',
    issuerId: null,
    trust: 'pinned',
    status: 'pending',
    action: 'certificate.register',
  } as const
  const fingerprint = await withRegistry(service, registry =>
    createRegistryWriter(registry, () => now).listCertificate(listing, {
      name: 'test',
      kind: 'local' as const,
    }),
  )
  now = START + WEEK_MS - 1
  await service.running.lifecycleJob()
  assert.equal(await statusOf(service, fingerprint), 'pending')
  now = START + WEEK_MS
  await service.running.lifecycleJob()
  assert.equal(await statusOf(service, fingerprint), 'gone')
  await withRegistry(service, ({ sqlite }) => {
    assert.equal(sqlite.prepare('SELECT count(*) FROM deadlines').pluck().get(), 0)
    const audited = sqlite.prepare("SELECT action FROM audit WHERE actor = 'time'").pluck().all()
    assert.deepEqual(audited, ['certificate.forget'])
  })
})

test('a certificate is told as expiring and critical once each, and counted by what it has left', async () => {
  let now = START
  await using service = await startService({ now: () => now })
  const { notBefore, notAfter } = await service.enroll('pump-1')
  const period = { notBefore: Date.parse(notBefore), notAfter: Date.parse(notAfter) }
  const told = async () => [
    await sample(service, 'rollcall_certificate_deadlines_total{kind="expiring"}'),
    await sample(service, 'rollcall_certificate_deadlines_total{kind="critical"}'),
  ]
  for (const [at, expected] of [
    [renewalOpensAt(period) - 1, [0, 0]],
    [renewalOpensAt(period), [1, 0]],
    [renewalCriticalAt(period) - 1, [1, 0]],
    [renewalCriticalAt(period), [1, 1]],
    // A clock that steps back repeats nothing.
    [START, [1, 1]],
    [period.notAfter, [1, 1]],
  ] as const) {
    now = at
    await service.running.lifecycleJob()
    assert.deepEqual(await told(), expected, new Date(at).toISOString())
  }
  const left = async () =>
    Promise.all(
      ['24h', '7d', '30d'].map(within =>
        sample(service, `rollcall_device_certificates_expiring{within="${within}"}`),
      ),
    )
  for (const [ms, expected] of [
    [31 * DAY_MS, [0, 0, 0]],
    [30 * DAY_MS, [0, 0, 1]],
    [7 * DAY_MS, [0, 1, 1]],
    [DAY_MS, [1, 1, 1]],
    [0, [0, 0, 0]],
  ] as const) {
    now = period.notAfter - ms
    await service.running.lifecycleJob()
    assert.deepEqual(await left(), expected, `${ms / DAY_MS} days left`)
  }
  assert.equal(await sample(service, 'rollcall_devices{state="registered"}'), 1)
  assert.equal(await sample(service, 'rollcall_device_certificates{status="issued"}'), 1)
})

test('a restart after years makes up for everything, in bounded steps', async () => {
  using folder = temporaryDirectory()
  let now = START
  const open = () => startService({ data: folder.path, now: () => now })
  const renewals: string[] = []
  {
    await using service = await open()
    for (let index = 0; index < 60; index += 1) {
      const first = await service.enroll(`pump-${index}`)
      await use(service, `pump-${index}`, first.fingerprint, now)
      renewals.push((await service.enroll(`pump-${index}`)).fingerprint)
    }
  }
  now = START + 2 * 365 * DAY_MS
  await using service = await open()
  await service.running.lifecycleJob()
  for (const fingerprint of renewals) assert.equal(await statusOf(service, fingerprint), 'lapsed')
  await withRegistry(service, ({ sqlite }) =>
    assert.equal(
      sqlite.prepare('SELECT count(*) FROM deadlines WHERE due_at <= ?').pluck().get(now),
      0,
      'nothing is left to do',
    ),
  )
})

test('a registry that fails delays a step and loses none', async () => {
  let failing = true
  const taken: string[] = []
  const failures: unknown[] = []
  const lifecycleJob = startLifecycleJob({
    async passDeadlines() {
      if (failing) throw new Error('locked')
      const passed = { kind: 'retire', fingerprint: 'f', deviceId: 'd', notAfter: 0 } as const
      return { passed: taken.length > 0 ? [] : [passed], failed: [] }
    },
    countExpiring: () => 0,
    countRoll: nothingCounted,
    now: () => 0,
    everyMs: 60_000,
    onPassed: ({ kind }) => taken.push(kind),
    onStepFailed() {},
    onCounted() {},
    onRollCounted() {},
    onFailed: error => failures.push(error),
  })
  await lifecycleJob.look()
  assert.equal(failures.length, 2, 'the run at the start, and the one that was asked for')
  failing = false
  await lifecycleJob.look()
  assert.deepEqual(taken, ['retire'])
  await lifecycleJob.stop()
})
