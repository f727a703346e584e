// Full disks, locked registries and kill -9: what is answered, and what is on record afterwards.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { copyFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { closeRegistry, createRegistryWriter, openForWriting } from '../../db/index.ts'
import { readIssuers } from '../../db/issuers/issuer-store.ts'
import { openForReading } from '../../db/open.ts'
import { renewalOpensAt } from '../../pki/renewal-window.ts'
import { certificateOf, createIssuingCa } from '../../provisioning/ca/issuing-ca.ts'
import { readKey } from '../../provisioning/ca/keys.ts'
import { signerOf } from '../../provisioning/ca/signer.ts'
import { dataDirectory, readText } from '../../provisioning/data-directory.ts'
import { createRegistrationAuthority } from '../../provisioning/enrollment/registration-authority.ts'
import { readCsr } from '../../provisioning/x509/csr.ts'
import { makeCsr, type Service, startService, temporaryDirectory } from './harness.ts'

function issuances(directory: string): { serial_number: string; fingerprint: string | null }[] {
  const registry = openForReading(join(directory, 'registry.db'))
  const rows = registry.sqlite
    .prepare<[], { serial_number: string; fingerprint: string | null }>(
      `SELECT serial_number, fingerprint FROM issuances WHERE purpose = 'device' ORDER BY intended_at`,
    )
    .all()
  registry.sqlite.close()
  return rows
}

test('threat 20: kill -9 before, at and after the signature leaves nothing admitted, and the same CSR works afterwards', async t => {
  const moments = ['before the signature', 'between signature and listing'] as const
  for (const moment of moments) {
    await t.test(moment, async () => {
      using folder = temporaryDirectory()
      const { csr } = makeCsr('p256')
      const first = await startService({ data: folder.path })
      await first.call('POST', '/v1/devices', { id: 'pump-1' })
      await first[Symbol.asyncDispose]()
      writeFileSync(join(folder.path, 'request.pem'), csr)
      assert.throws(
        () =>
          execFileSync(
            process.execPath,
            [
              new URL('./enrollment/fixtures/killed-enrollment.ts', import.meta.url).pathname,
              folder.path,
              moment,
            ],
            { stdio: 'pipe' },
          ),
        (error: { signal?: string; stderr: Buffer }) => {
          assert.equal(error.signal, 'SIGKILL', String(error.stderr))
          return true
        },
      )
      const [intent] = issuances(folder.path)
      assert.ok(intent, 'what was going to be signed is on record')
      assert.equal(intent.fingerprint, null)
      await using service = await startService({ data: folder.path })
      assert.deepEqual((await service.call('GET', '/v1/certificates')).body.items, [])
      const refused = await service.call('GET', '/v1/devices/pump-1/admission')
      assert.equal(refused.body.wouldBeAdmitted, false)
      const again = await service.call('POST', '/v1/devices/pump-1/certificates', { csr })
      assert.equal(again.status, 201, again.text)
      const [, second] = issuances(folder.path)
      assert.notEqual(second?.serial_number, intent.serial_number)
      assert.equal(second?.fingerprint, again.body.fingerprint)
    })
  }
})

test('the authority records before the CA signs, and lists nothing that was not what it intended', async () => {
  using folder = temporaryDirectory()
  const service = await startService({ data: folder.path })
  await service.call('POST', '/v1/devices', { id: 'pump-1' })
  await service[Symbol.asyncDispose]()
  const paths = dataDirectory(folder.path)
  const registry = openForWriting(paths.registry)
  const writer = createRegistryWriter(registry)
  const certificate = certificateOf(readText(paths.issuingCertificate)!, '')
  const root = certificateOf(readText(paths.rootCertificate)!, '')
  const ca = createIssuingCa({ root, certificate, signer: signerOf(readKey(paths.issuingKey)!) })
  const seen: number[] = []
  const authority = createRegistrationAuthority({
    ca: () => ({
      ...ca,
      sign: order => {
        seen.push(registry.sqlite.prepare<[], number>('SELECT count(*) FROM issuances').pluck().get() ?? 0)
        // A CA that signs something else than it was told.
        return ca.sign({
          ...order,
          validity: { ...order.validity, notAfter: order.validity.notAfter + 86_400_000 },
        })
      },
    }),
    writer,
    readCsr,
    issuers: () => readIssuers(registry),
    unusedOf: async () => null,
    keyOf: async () => '00',
    isDevice: async () => false,
    pq: 'accept',
    opensAt: renewalOpensAt,
    onIssued() {},
    now: Date.now,
  })
  const before = registry.sqlite.prepare<[], number>('SELECT count(*) FROM issuances').pluck().get() ?? 0
  const order = { deviceId: 'pump-1', csr: makeCsr('p256').csr, days: 90 }
  await assert.rejects(
    authority.enroll(order, { name: 'test', kind: 'local' as const }),
    /not what was intended/,
  )
  assert.deepEqual(seen, [before + 1])
  assert.equal(registry.sqlite.prepare('SELECT count(*) FROM certificates').pluck().get(), 0)
  await closeRegistry(registry)
})

async function assertServes(service: Service, id: string): Promise<void> {
  const { csr } = makeCsr('p256')
  assert.equal((await service.call('POST', '/v1/devices', { id })).status, 201)
  assert.equal((await service.call('POST', `/v1/devices/${id}/certificates`, { csr })).status, 201)
}

test('a locked registry answers 503 with Retry-After, reads go on, and the event loop is not blocked for long', async () => {
  await using service = await startService()
  await assertServes(service, 'before')
  const locker = new Sqlite(join(service.directory, 'registry.db'))
  locker.exec('BEGIN IMMEDIATE')
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  const writes = ['a', 'b', 'c'].map(id => service.call('POST', '/v1/devices', { id }))
  const read = await service.call('GET', '/v1/devices/before')
  assert.equal(read.status, 200)
  for (const answer of await Promise.all(writes)) {
    assert.deepEqual([answer.status, answer.body.reason], [503, 'registry_busy'], answer.text)
    assert.ok(Number(answer.headers['retry-after']) >= 1)
  }
  delay.disable()
  // A lock is waited for three seconds, in turns of 50 ms: a caller that waits at one go is blocked.
  assert.ok(delay.max / 1e6 < 1_500, `blocked for ${Math.round(delay.max / 1e6)} ms`)
  locker.exec('ROLLBACK')
  locker.close()
  await assertServes(service, 'after')
  const { body } = await service.call('GET', '/v1/devices')
  assert.deepEqual(
    body.items.map((item: { id: string }) => item.id),
    ['after', 'before'],
  )
})

test('a full disk answers 507, nothing is half done, and service resumes without a restart', async t => {
  using disk = mountSmallDisk()
  if (disk === null) return t.skip('needs the right to mount a tmpfs')
  await using service = await startService({ data: join(disk.path, 'data') })
  await assertServes(service, 'before')
  disk.fill()
  const statuses = new Set<number>()
  const acknowledged: string[] = []
  for (let index = 0; index < 200 && !statuses.has(507); index += 1) {
    const id = `d-${index}`
    const answer = await service.call('POST', '/v1/devices', { id, attributes: { x: 'y'.repeat(1_000) } })
    statuses.add(answer.status)
    if (answer.status === 201) acknowledged.push(id)
    else assert.ok(answer.status === 507 || answer.status === 503, answer.text)
  }
  assert.ok(statuses.has(507), `${[...statuses]}`)
  assert.equal((await service.call('GET', '/v1/devices/before/admission')).body.wouldBeAdmitted, true)
  disk.free()
  await assertServes(service, 'after')
  const { body } = await service.call('GET', '/v1/devices?limit=500')
  assert.deepEqual(
    body.items.map((item: { id: string }) => item.id).sort(),
    ['before', 'after', ...acknowledged].sort(),
  )
})

/** A tmpfs of 2 MiB; null where this user may not mount. */
function mountSmallDisk(): (Disposable & { path: string; fill(): void; free(): void }) | null {
  const folder = temporaryDirectory()
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', folder.path], { stdio: 'pipe' })
  } catch {
    folder[Symbol.dispose]()
    return null
  }
  const ballast = join(folder.path, 'ballast')
  return {
    path: folder.path,
    fill() {
      try {
        execFileSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=4k'], { stdio: 'pipe' })
      } catch {
        // Until nothing more fits.
      }
    },
    free: () => execFileSync('rm', [ballast]),
    [Symbol.dispose]() {
      execFileSync('umount', ['-l', folder.path])
      folder[Symbol.dispose]()
    },
  }
}

test('500 devices enroll at full speed from one address without being throttled, each with a serial number of its own', async () => {
  await using service = await startService()
  const { csr } = makeCsr('p256')
  const ids = Array.from({ length: 500 }, (_, index) => `d-${index}`)
  const statuses = new Map<number, number>()
  const count = (status: number) => statuses.set(status, (statuses.get(status) ?? 0) + 1)
  const queue = [...ids]
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
        count((await service.call('POST', '/v1/devices', { id })).status)
      }
    }),
  )
  assert.deepEqual([...statuses], [[201, 500]])
  // The key is the same, the serial numbers are not; a certificate makes room for the next.
  const serialNumbers = new Set<string>()
  for (let round = 0; round < 20; round += 1) {
    const { body } = await service.call('POST', '/v1/devices/d-0/certificates', { csr })
    serialNumbers.add(body.serialNumber)
    await service.call('POST', `/v1/certificates/${body.fingerprint}/revoke`, {})
  }
  assert.equal(serialNumbers.size, 20)
  const issued = await Promise.all(
    Array.from({ length: 50 }, () => service.call('POST', '/v1/devices/d-0/certificates', { csr })),
  )
  const outcomes = issued.map(answer => answer.body.reason ?? answer.status)
  assert.equal(outcomes.filter(outcome => outcome === 201).length, 2, 'two, however many ask at once')
  assert.equal(outcomes.filter(outcome => outcome === 'certificates_exceeded').length, 48)
})

test('a registry that was moved away or replaced takes no change: nothing is acknowledged into a file without a name', async t => {
  for (const happening of ['moved away', 'replaced']) {
    await t.test(happening, async () => {
      using folder = temporaryDirectory()
      await using service = await startService({ data: folder.path })
      const file = join(folder.path, 'registry.db')
      renameSync(file, `${file}.old`)
      if (happening === 'replaced') copyFileSync(`${file}.old`, file)
      const answer = await service.call('POST', '/v1/devices', { id: 'ghost-1' })
      assert.equal(answer.status, 503, answer.text)
      assert.equal(answer.body.reason, 'registry_unavailable')
      const readiness = await service.call('GET', '/readyz')
      assert.equal(readiness.status, 503, readiness.text)
      renameSync(`${file}.old`, file)
      assert.equal(
        (await service.call('POST', '/v1/devices', { id: 'real-1' })).status,
        201,
        'the very file is back',
      )
    })
  }
})
