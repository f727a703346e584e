// Revoking a key in the record: what falls together, what was being issued meanwhile, and what older registries hold.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { createBrokerNotes } from '../../../db/broker-notes.ts'
import { createRegistryWriter, type RegistryWriter } from '../../../db/index.ts'
import {
  compromisedCertificatesSql,
  readCompromisedCertificates,
} from '../../../db/roll/compromised-certificates.ts'
import { certificateFacts, fingerprintOf } from '../../../pki/certificate-facts.ts'
import { type LeafOptions, makeKeyPair } from '../../harness/authority.ts'
import { createRoll, type Roll, tester } from '../../harness/roll.ts'

let roll: Roll
let now: number
let writer: RegistryWriter
beforeEach(async () => {
  roll = await createRoll()
  now = Date.now()
  writer = createRegistryWriter(roll.registry, () => now)
})
afterEach(() => roll.close())

type Issued = Awaited<ReturnType<typeof issue>>
/** A certificate that is not listed yet. */
async function issue(options: LeafOptions) {
  const identity = await roll.issuing.issue(options)
  return { ...identity, fingerprint: fingerprintOf(identity.der) }
}

const statusOf = (fingerprint: string) =>
  roll.registry.sqlite
    .prepare<[string], string>('SELECT status FROM certificates WHERE fingerprint = ?')
    .pluck()
    .get(fingerprint)
const run = (text: string, ...values: unknown[]) => roll.registry.sqlite.prepare(text).run(...values)
const authenticatorOf = ({ fingerprint, der }: Issued) => ({
  fingerprint,
  spkiHash: certificateFacts(der).spkiHash,
})
const listingOf = (identity: Issued, more: object = {}) => ({
  ...{ der: identity.der, deviceId: 'd1', issuerId: roll.issuerId, trust: 'chained' as const },
  ...{ status: 'issued' as const, action: 'certificate.register' as const },
  ...more,
})

test('a certificate that a key was about to obtain is not listed once that key is revoked', async () => {
  const device = await roll.enroll('d1')
  const next = await issue({ name: 'd1' })
  const authenticator = authenticatorOf(device)
  const serialNumber = certificateFacts(next.der).serialNumber
  const intent = {
    ...{ serialNumber, issuerId: roll.issuerId, deviceId: 'd1', purpose: 'device' as const },
    ...{
      spkiHash: certificateFacts(next.der).spkiHash,
      notBefore: now,
      notAfter: now + 1_000,
      authenticator,
    },
  }
  await writer.recordIntent(intent, tester)
  await writer.revokeCertificate(device.fingerprint, 'keyCompromise', tester)
  const listed = writer.listCertificate(
    listingOf(next, { authenticator, action: 'certificate.issue' }),
    tester,
  )
  await assert.rejects(listed, { code: 'public_key_compromised' })
  assert.equal(statusOf(next.fingerprint), undefined)
  await assert.rejects(writer.recordIntent({ ...intent, serialNumber: '0f' }, tester), {
    code: 'public_key_compromised',
  })
})

test('what is suspended or revoked obtains nothing any more, for whatever reason', async () => {
  for (const [id, end] of [
    ['d1', (fingerprint: string) => writer.suspendCertificate(fingerprint, tester)],
    ['d2', (fingerprint: string) => writer.revokeCertificate(fingerprint, 'superseded', tester)],
  ] as const) {
    const device = await roll.enroll(id)
    createBrokerNotes(roll.registry).uses([{ fingerprint: device.fingerprint, deviceId: id, at: now }])
    await end(device.fingerprint)
    const next = await issue({ name: id })
    const order = listingOf(next, { deviceId: id, authenticator: authenticatorOf(device) })
    await assert.rejects(writer.listCertificate(order, tester), { code: 'certificate_status_forbids' })
  }
})

test('every certificate of a key and of what it obtained has its audit row and its change row, in one commit', async () => {
  const keyPair = await makeKeyPair('p256')
  const first = await issue({ name: 'd1', keyPair })
  await roll.list('d1', first)
  const second = await issue({ name: 'd1', keyPair })
  await roll.list('d1', second)
  const pending = await issue({ name: 'd1' })
  const authenticator = authenticatorOf(second)
  await writer.listCertificate(listingOf(pending, { status: 'pending', authenticator }), tester)
  const before = roll.registry.sqlite.prepare('SELECT max(epoch) FROM changes').pluck().get() as number
  const epoch = await writer.revokeCertificate(first.fingerprint, 'keyCompromise', tester)
  const fingerprints = [first, second, pending].map(one => one.fingerprint)
  assert.deepEqual(fingerprints.map(statusOf), ['revoked', 'revoked', 'revoked'])
  assert.equal(epoch, before + 3, 'brokers that acted on the last epoch have acted on all')
  for (const table of ["audit WHERE action = 'certificate.revoke' AND target", 'changes WHERE fingerprint']) {
    for (const fingerprint of fingerprints) {
      const text = `SELECT count(*) FROM ${table} = ?${table.startsWith('changes') ? ` AND epoch > ${before}` : ''}`
      assert.equal(roll.registry.sqlite.prepare(text).pluck().get(fingerprint), 1, table)
    }
  }
  assert.equal(await writer.revokeCertificate(first.fingerprint, 'keyCompromise', tester), epoch)
})

test('no statement, whichever verb wrote it, lists or readmits a compromised key', async () => {
  const device = await roll.enroll('d1')
  await writer.revokeCertificate(device.fingerprint, 'keyCompromise', tester)
  for (const status of ['issued', 'active', 'superseded']) {
    const text = 'UPDATE certificates SET status = ?, revocation_reason = NULL WHERE fingerprint = ?'
    assert.throws(() => run(text, status, device.fingerprint), /revoked as compromised/)
  }
  const columns = `device_id, trust, status, serial_number, subject, key_type, spki_hash, client_auth, is_ca, not_before,
    not_after, der, issued_at`
  const copy = `INSERT INTO certificates (fingerprint, ${columns})
    SELECT replace(fingerprint, substr(fingerprint, 1, 1), '0'), device_id, 'pinned', 'issued', 'ff', subject, key_type, spki_hash,
      client_auth, is_ca, not_before, not_after, der, issued_at FROM certificates WHERE fingerprint = ?`
  assert.throws(() => run(copy, device.fingerprint), /revoked as compromised/)
})

test('a cloned certificate is suspended with all others of its key; each is let go by itself, within its grace', async () => {
  const keyPair = await makeKeyPair('p256')
  const first = await issue({ name: 'd1', keyPair })
  await roll.list('d1', first)
  const notes = createBrokerNotes(roll.registry)
  notes.uses([{ fingerprint: first.fingerprint, deviceId: 'd1', at: now }])
  const second = await issue({ name: 'd1', keyPair })
  await roll.list('d1', second)
  notes.uses([{ fingerprint: second.fingerprint, deviceId: 'd1', at: now }])
  const other = await roll.enroll('d2')
  notes.suspendCloned({
    ...{ fingerprint: second.fingerprint, deviceId: 'd1', kind: 'takeover_storm' },
    ...{ takeovers: 12, addresses: [], at: now },
  })
  const statuses = () => [first, second, other].map(one => statusOf(one.fingerprint))
  assert.deepEqual(statuses(), ['suspended', 'suspended', 'issued'])
  await writer.activateCertificate(first.fingerprint, tester)
  await writer.activateCertificate(second.fingerprint, tester)
  assert.deepEqual(statuses(), ['superseded', 'active', 'issued'], 'grace is neither lost nor made longer')
  now += 86_400_000
  await writer.passDeadlines(10)
  assert.equal(statusOf(first.fingerprint), 'retired')
})

test('what an older version left admitted beside a revoked key is found, and goes when the revocation is said again', async () => {
  const keyPair = await makeKeyPair('p256')
  const first = await issue({ name: 'd1', keyPair })
  await roll.list('d1', first)
  const second = await issue({ name: 'd1', keyPair })
  await roll.list('d1', second)
  // As the older version revoked, and as the migration notes it.
  const revoke =
    "UPDATE certificates SET status = 'revoked', revocation_reason = 'keyCompromise', revoked_at = ?"
  run(`${revoke} WHERE fingerprint = ?`, now, first.fingerprint)
  const { spkiHash } = authenticatorOf(first)
  run('INSERT INTO compromised_keys VALUES (?, ?, ?)', spkiHash, first.fingerprint, now)
  assert.equal(statusOf(second.fingerprint), 'issued', 'an upgrade changes nothing by itself')
  assert.deepEqual(readCompromisedCertificates(roll.registry.sqlite), [second.fingerprint])
  createBrokerNotes(roll.registry).uses([{ fingerprint: second.fingerprint, deviceId: 'd1', at: now }])
  assert.equal(statusOf(second.fingerprint), 'active', 'it is used as before')
  await writer.revokeCertificate(first.fingerprint, 'keyCompromise', tester)
  assert.equal(statusOf(second.fingerprint), 'revoked')
  assert.deepEqual(readCompromisedCertificates(roll.registry.sqlite), [])
})

test('what compromised keys have is found from the keys on, however many certificates there are', () => {
  const plan = roll.registry.sqlite
    .prepare<[], { detail: string }>(`EXPLAIN QUERY PLAN ${compromisedCertificatesSql}`)
    .all()
  const details = plan.map(({ detail }) => detail)
  assert.ok(details.includes('SEARCH c USING INDEX certificates_by_device (device_id=?)'), details.join('\n'))
})
