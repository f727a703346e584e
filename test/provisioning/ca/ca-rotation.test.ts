// Handing over from one issuing CA to the next: at once, over restarts and crashes, with an offline root, and its end.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createBrokerNotes } from '../../../db/broker-notes.ts'
import { closeRegistry, openForWriting } from '../../../db/index.ts'
import { turnOf } from '../../../pki/renewal-window.ts'
import { ask } from '../device-requests.ts'
import {
  assertProblem,
  makeCsr,
  openssl,
  type Service,
  selfSigned,
  startService,
  temporaryDirectory,
} from '../harness.ts'
import { crlText, fetchCrl, type Issued, relyingParty } from '../revocation/status.ts'

const DAY_MS = 86_400_000
type Issuing = { id: string; name: string; current: boolean; enabled: boolean; devices: number }

async function issuingOf(service: Service): Promise<Issuing[]> {
  return (await service.call('GET', '/v1/ca')).body.issuing
}

async function rotate(service: Service, body: unknown = {}) {
  const answer = await service.call('POST', '/v1/ca/rotate', body)
  assert.equal(answer.status, 200, answer.text)
  return answer.body
}

async function used(service: Service, deviceId: string, { fingerprint }: Issued): Promise<void> {
  const registry = openForWriting(join(service.directory, 'registry.db'))
  createBrokerNotes(registry).uses([{ fingerprint, deviceId, at: Date.now() }])
  await closeRegistry(registry)
}

function verifies(service: Service, { certificate, chain }: Issued): boolean {
  using party = relyingParty(service)
  const ca = party.file('ca.pem', service.ca)
  const untrusted = party.file('chain.pem', chain.join(''))
  return /OK/.test(
    openssl(['verify', '-CAfile', ca, '-untrusted', untrusted, party.file('leaf.pem', certificate)]),
  )
}

test('after a rotation the new CA issues, the old certificates stay good, and both have CRL and OCSP', async () => {
  await using service = await startService()
  using party = relyingParty(service)
  const before = await service.enroll('pump-1')
  const lost = await service.enroll('pump-2')
  const { issuing } = await rotate(service)
  assert.deepEqual(
    issuing.map(({ name, current, devices }: Issuing) => [name, current, devices]),
    [
      ['Rollcall issuing CA 2', true, 0],
      ['Rollcall issuing CA', false, 2],
    ],
  )
  const after = await service.enroll('pump-3')
  assert.notEqual(after.issuerId, before.issuerId)
  for (const issued of [before, after]) assert.ok(verifies(service, issued))
  const again = await service.call('GET', `/v1/certificates/${before.fingerprint}`)
  assert.deepEqual(again.body.chain, before.chain)
  const server = new X509Certificate(readFileSync(join(service.directory, 'server.crt')))
  assert.ok(server.checkIssued(new X509Certificate(after.chain[0])), 'the server certificate has moved too')
  await service.call('POST', `/v1/certificates/${lost.fingerprint}/revoke`, {})
  await service.running.makeCrls()
  assert.equal((await party.verify(before)).code, 0)
  assert.equal((await party.verify(after)).code, 0)
  assert.match((await party.verify(lost)).output, /certificate revoked/)
  assert.match(crlText(await fetchCrl(after.certificate)), /No Revoked/)
})

test('a former CA is ended once nobody relies on it, or by force; the current one is not', async () => {
  await using service = await startService()
  const [first] = await issuingOf(service)
  const old = await service.enroll('pump-1')
  const retire = (id: string, body: unknown = {}) => service.call('POST', `/v1/ca/issuers/${id}/retire`, body)
  assertProblem(await retire(first?.id ?? ''), 409, 'issuer_current')
  await rotate(service)
  assertProblem(await retire(first?.id ?? ''), 409, 'issuer_in_use')
  await used(service, 'pump-1', old)
  const next = (await service.call('POST', '/v1/devices/pump-1/certificates', { csr: makeCsr('p256').csr }))
    .body
  assertProblem(await retire(first?.id ?? ''), 409, 'issuer_in_use')
  await used(service, 'pump-1', next)
  const done = await retire(first?.id ?? '')
  assert.deepEqual([done.status, done.body.enabled], [200, false])
  assert.match(crlText(await fetchCrl(old.certificate)), /Certificate Revocation List/)
  await service.enroll('pump-2')
  const current = (await issuingOf(service)).find(one => one.current)
  await rotate(service)
  assert.equal((await retire(current?.id ?? '', { force: true })).status, 200)
  assertProblem(await retire('0'.repeat(64)), 404, 'issuer_unknown')
  const [root] = (await service.call('GET', '/v1/issuers')).body.items.filter(
    ({ kind }: { kind: string }) => kind === 'root',
  )
  assertProblem(await retire(root.id, { force: true }), 404, 'issuer_unknown')
})

test('devices of the former CA are told to renew in their turn, just then and not before', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const { csr, key } = makeCsr('p256')
  const device = { ...(await service.enroll('pump-1', csr)), key }
  const shown = async () => (await ask(service, device, 'GET', '/v1/self')).body.renewal
  const normal = (await shown()).opensAt
  const began = now
  await rotate(service, { spreadSeconds: (10 * DAY_MS) / 1_000 })
  const turn = turnOf(device.fingerprint, { at: began, spreadMs: 10 * DAY_MS })
  assert.ok(turn >= began && turn < began + 10 * DAY_MS)
  assert.equal(Date.parse((await shown()).opensAt), turn)
  const renew = () => ask(service, device, 'POST', '/v1/self/certificates', { csr: makeCsr('p256').csr })
  now = turn - 1
  assert.equal((await shown()).open, false)
  assert.equal((await renew()).body.reason, 'renewal_too_early')
  now = turn
  assert.equal((await shown()).open, true)
  const renewed = await renew()
  assert.equal(renewed.status, 201)
  const later = { ...renewed.body, key: device.key }
  assert.ok(Date.parse(normal) > turn && later.issuerId !== device.issuerId)
})

test('turns are spread evenly over the time given', () => {
  const tenths = Array.from({ length: 10 }, () => 0)
  for (let at = 0; at < 10_000; at += 1) {
    const fingerprint = Math.floor((at / 10_000) * 2 ** 32)
      .toString(16)
      .padStart(8, '0')
    const tenth = Math.floor(turnOf(fingerprint, { at: 0, spreadMs: 1_000 }) / 100)
    tenths[tenth] = (tenths[tenth] ?? 0) + 1
  }
  assert.ok(
    tenths.every(count => count >= 990 && count <= 1_010),
    tenths.join(),
  )
  assert.equal(turnOf('f'.repeat(64), { at: 7, spreadMs: 0 }), 7)
})

test('a restart goes on from the last rotation, with encrypted keys too', async () => {
  using world = temporaryDirectory()
  const data = join(world.path, 'data')
  const caPassphraseFile = join(world.path, 'passphrase')
  writeFileSync(caPassphraseFile, 'a passphrase of some length')
  let current: string | undefined
  {
    await using service = await startService({ data, caPassphraseFile })
    await rotate(service)
    await rotate(service)
    current = (await issuingOf(service))[0]?.id
  }
  await using service = await startService({ data, caPassphraseFile })
  const issued = await service.enroll('pump-1')
  assert.equal(issued.issuerId, current)
  assert.ok(verifies(service, issued))
  assert.equal(readFileSync(join(data, 'issuing.crt'), 'utf8'), issued.chain[0])
})

test('kill -9 at any step of a rotation leaves a service that issues, and rotates when it is asked again', async t => {
  const program = new URL('./fixtures/killed-rotation.ts', import.meta.url).pathname
  for (const step of [0, 1, 2, 3]) {
    await t.test(`at rename ${step}`, async () => {
      using folder = temporaryDirectory()
      const killed = () =>
        execFileSync(process.execPath, [program, folder.path, String(step)], { stdio: 'pipe' })
      assert.throws(killed, { signal: 'SIGKILL' })
      await using service = await startService({ data: folder.path })
      const issuing = await issuingOf(service)
      assert.equal(issuing.length, step < 2 ? 1 : 2)
      const issued = await service.enroll('pump-1')
      assert.equal(issued.issuerId, issuing[0]?.id)
      assert.ok(verifies(service, issued))
      await rotate(service)
      const next = await service.enroll('pump-2')
      assert.ok(next.issuerId !== issued.issuerId && verifies(service, next))
    })
  }
})

test('an offline root signs the request of the next CA; any other certificate is refused with what is wrong', async () => {
  await using service = await startService()
  using party = relyingParty(service)
  const rootKey = join(service.directory, 'keys', 'root.key')
  const offline = party.file('root.key', readFileSync(rootKey))
  renameSync(rootKey, `${rootKey}.away`)
  assertProblem(await service.call('POST', '/v1/ca/rotate', {}), 409, 'root_key_offline')
  const { body } = await service.call('POST', '/v1/ca/request')
  assert.match(openssl(['req', '-noout', '-verify', '-subject'], body.csr), /CN = Rollcall issuing CA 2/)
  assert.equal((await service.call('POST', '/v1/ca/request')).body.name, body.name)
  const sign = (extensions: string, csr = body.csr) =>
    openssl([
      ...['x509', '-req', '-in', party.file('request.pem', csr), '-days', '3650', '-set_serial', '77'],
      ...['-CA', join(service.directory, 'ca.crt'), '-CAkey', offline],
      ...['-extfile', party.file('extensions', extensions)],
    ])
  const good =
    'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign,digitalSignature\n' +
    'subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n'
  const bad: [string, RegExp][] = [
    [selfSigned('Somebody').certificate, /not signed by the root/],
    [sign(good, makeCsr('p256').csr), /not for the key of the last request/],
    [sign(good.replace(',pathlen:0', '')), /pathlen:0/],
    [sign(good.replace('CA:TRUE,pathlen:0', 'CA:FALSE')), /CA:TRUE/],
    [sign(good.replace('keyCertSign,cRLSign,', '')), /keyCertSign/],
    ['no certificate', /no readable certificate/],
  ]
  for (const [certificate, says] of bad) {
    const answer = await service.call('POST', '/v1/ca/rotate', { certificate })
    assertProblem(answer, 400, 'certificate_invalid')
    assert.match(answer.text, says)
  }
  await rotate(service, { certificate: sign(good) })
  const issued = await service.enroll('pump-1')
  assert.ok(verifies(service, issued))
  const spent = await service.call('POST', '/v1/ca/rotate', { certificate: sign(good) })
  assertProblem(spent, 400, 'certificate_invalid')
})

test('an issuing CA that has ended is followed by another at the next start, where the root is here', async () => {
  using folder = temporaryDirectory()
  const began = Date.now()
  let now = began
  const start = () => startService({ data: folder.path, now: () => now })
  const first = await start()
  const [{ id } = { id: '' }] = await issuingOf(first)
  await first[Symbol.asyncDispose]()
  now = began + 10.1 * 365 * DAY_MS
  const rootKey = join(folder.path, 'keys', 'root.key')
  renameSync(rootKey, `${rootKey}.away`)
  await assert.rejects(start(), /issuing CA has expired.*keys\/root\.key back for one start/)
  renameSync(`${rootKey}.away`, rootKey)
  await using service = await start()
  const issued = await service.enroll('pump-1')
  assert.notEqual(issued.issuerId, id)
})
