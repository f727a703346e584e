// Verbs of the registry writer: what each refuses, and that a change, its audit row and its epoch are one.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { revocationReasons } from '../../pki/revocation-reason.ts'
import { type Identity, makeKeyPair } from '../harness/authority.ts'
import { createRoll, type Roll, tester } from '../harness/roll.ts'

let roll: Roll
beforeEach(async () => {
  roll = await createRoll()
})
afterEach(() => roll.close())

const count = (table: string) =>
  roll.registry.sqlite.prepare(`SELECT count(*) FROM ${table}`).pluck().get() as number
const lastAudit = () =>
  roll.registry.sqlite.prepare('SELECT * FROM audit ORDER BY seq DESC LIMIT 1').get() as Record<
    string,
    unknown
  >
const device = (id: string) => ({ id, attributes: {}, groups: [] })

function listing(deviceId: string, identity: Identity) {
  return {
    der: identity.der,
    deviceId,
    issuerId: roll.issuerId,
    trust: 'chained',
    status: 'issued',
    action: 'certificate.register',
  } as const
}

test('a device is registered once, also where two ask at the same time', async () => {
  const outcomes = await Promise.allSettled([1, 2, 3].map(() => roll.writer.addDevice(device('d1'), tester)))
  assert.deepEqual(outcomes.map(outcome => outcome.status).sort(), ['fulfilled', 'rejected', 'rejected'])
  await assert.rejects(roll.writer.addDevice(device('d1'), tester), {
    name: 'Conflict',
    code: 'device_exists',
  })
})

test('states lead where the table says, and nowhere from decommissioned', async () => {
  const { writer } = roll
  await writer.addDevice(device('d1'), tester)
  await assert.rejects(writer.setDeviceState('nobody', 'active', tester), { code: 'device_unknown' })
  const suspended = await writer.setDeviceState('d1', 'suspended', tester)
  assert.equal(
    await writer.setDeviceState('d1', 'suspended', tester),
    suspended,
    'the same again changes nothing',
  )
  assert.ok((await writer.setDeviceState('d1', 'active', tester)) > suspended)
  await writer.setDeviceState('d1', 'decommissioned', tester)
  for (const state of ['active', 'suspended'] as const) {
    await assert.rejects(writer.setDeviceState('d1', state, tester), { code: 'device_state_forbids' })
  }
  const identity = await roll.issuing.issue({ name: 'd1' })
  await assert.rejects(writer.listCertificate(listing('d1', identity), tester), {
    code: 'device_state_forbids',
  })
})

test('a certificate is listed once, and so are its issuer and serial number together', async () => {
  const serialNumber = '4242'.repeat(8)
  const identity = await roll.enroll('d1', { serialNumber })
  await assert.rejects(roll.list('d1', identity), { code: 'certificate_exists' })
  const twin = await roll.issuing.issue({ name: 'd1', serialNumber })
  await assert.rejects(roll.list('d1', twin), { code: 'certificate_exists' })
  await assert.rejects(roll.writer.listCertificate(listing('nobody', twin), tester), {
    code: 'device_unknown',
  })
})

test('a public key belongs to one device for ever, and is barred once it was compromised', async () => {
  const keyPair = await makeKeyPair('p256')
  const first = await roll.enroll('d1', { keyPair })
  const forOther = await roll.issuing.issue({ name: 'd2', keyPair })
  await assert.rejects(roll.list('d2', forOther), { code: 'public_key_taken' })
  const again = await roll.issuing.issue({ name: 'd1', keyPair })
  await roll.list('d1', again)
  await roll.writer.revokeCertificate(first.fingerprint, 'keyCompromise', tester)
  const third = await roll.issuing.issue({ name: 'd1', keyPair })
  await assert.rejects(roll.list('d1', third), { code: 'public_key_compromised' })
  await assert.rejects(roll.list('d2', forOther), { code: 'public_key_taken' })
  const intent = {
    serialNumber: '01',
    issuerId: roll.issuerId,
    deviceId: 'd1',
    purpose: 'device',
    notBefore: 0,
    notAfter: 1,
  } as const
  const { spki_hash: spkiHash } = roll.registry.sqlite
    .prepare("SELECT spki_hash FROM public_keys WHERE device_id = 'd1'")
    .get() as { spki_hash: string }
  await assert.rejects(roll.writer.recordIntent({ ...intent, spkiHash }, tester), {
    code: 'public_key_compromised',
  })
})

test('a revocation is final, tells its epoch again, and keeps its first reason, unless the key is compromised', async () => {
  const { fingerprint } = await roll.enroll('d1')
  const epoch = await roll.writer.revokeCertificate(fingerprint, 'superseded', tester)
  const again = () => roll.registry.sqlite.prepare('SELECT status, revocation_reason FROM certificates').get()
  assert.equal(await roll.writer.revokeCertificate(fingerprint, 'unspecified', tester), epoch)
  assert.deepEqual(again(), { status: 'revoked', revocation_reason: 'superseded' })
  const later = await roll.writer.revokeCertificate(fingerprint, 'keyCompromise', tester)
  assert.ok(later > epoch)
  for (const reason of ['keyCompromise', 'superseded'] as const) {
    assert.equal(await roll.writer.revokeCertificate(fingerprint, reason, tester), later)
    assert.deepEqual(again(), { status: 'revoked', revocation_reason: 'keyCompromise' })
  }
  await assert.rejects(roll.writer.revokeCertificate('0'.repeat(64), 'unspecified', tester), {
    code: 'certificate_unknown',
  })
  assert.equal(revocationReasons.includes('certificateHold' as never), false, 'a hold is a suspension')
})

for (const status of ['pending', 'rejected', 'retired', 'lapsed']) {
  test(`a ${status} certificate cannot be revoked`, async () => {
    const { fingerprint } = await roll.enroll('d1')
    roll.registry.sqlite.prepare('UPDATE certificates SET status = ?').run(status)
    await assert.rejects(roll.writer.revokeCertificate(fingerprint, 'unspecified', tester), {
      code: 'certificate_status_forbids',
    })
  })
}

test('an intent is completed once, by the certificate that came of it', async () => {
  const identity = await roll.issuing.issue({ name: 'd1', serialNumber: 'abcd'.repeat(8) })
  await roll.writer.addDevice(device('d1'), tester)
  const issued = { ...listing('d1', identity), action: 'certificate.issue' } as const
  await assert.rejects(roll.writer.listCertificate(issued, tester), /no open issuance/)
  assert.equal(count('certificates'), 0)
})

/** Each verb, and the action its audit row names. */
const verbs: [action: string, run: (fingerprint: string) => Promise<unknown>, changes: number][] = [
  ['device.add', () => roll.writer.addDevice(device('d2'), tester), 0],
  [
    'device.change',
    () => roll.writer.changeDevice('d1', { attributes: { a: 'b' }, groups: ['g'] }, tester),
    1,
  ],
  ['device.suspend', () => roll.writer.setDeviceState('d1', 'suspended', tester), 1],
  ['device.decommission', () => roll.writer.setDeviceState('d1', 'decommissioned', tester), 1],
  ['certificate.revoke', fingerprint => roll.writer.revokeCertificate(fingerprint, 'unspecified', tester), 1],
  ['issuer.disable', () => roll.writer.setIssuerEnabled(roll.issuerId, false, tester), 1],
  ['policy.put', () => roll.writer.putPolicy('p', { name: 'p', statements: [] }, tester), 1],
  ['policy.attach', () => roll.writer.attachPolicy('backend', 'device', 'd1', tester), 1],
  ['token.create', () => roll.writer.createToken({ name: 't', role: 'viewer' }, tester), 0],
]

for (const [action, run, changes] of verbs) {
  test(`${action} writes one audit row and ${changes} change row, or nothing at all`, async () => {
    const { fingerprint } = await roll.enroll('d1')
    const before = [count('audit'), count('changes')]
    const content = contentOfRegistry()
    roll.registry.sqlite.exec(
      "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no audit') ; END",
    )
    await assert.rejects(run(fingerprint), /no audit/)
    roll.registry.sqlite.exec('DROP TRIGGER full')
    assert.deepEqual(contentOfRegistry(), content, 'no row, no change')
    await run(fingerprint)
    assert.deepEqual([count('audit'), count('changes')], [before[0]! + 1, before[1]! + changes])
    assert.deepEqual([lastAudit()['action'], lastAudit()['actor']], [action, tester.name])
  })
}

test('audit rows are never changed or removed', async () => {
  await roll.enroll('d1')
  for (const sql of ["UPDATE audit SET actor = 'x'", 'DELETE FROM audit', 'UPDATE audit SET seq = seq + 1']) {
    assert.throws(() => roll.registry.sqlite.exec(sql), /append-only/)
  }
})

test('an unknown issuer, policy or device is a conflict, not a change', async () => {
  await assert.rejects(roll.writer.setIssuerEnabled('x', false, tester), { code: 'issuer_unknown' })
  await assert.rejects(roll.writer.attachPolicy('x', 'everyone', '', tester), { code: 'policy_unknown' })
  await assert.rejects(roll.writer.changeDevice('x', {}, tester), { code: 'device_unknown' })
})

test('an issuer that is known already stays as it is', async () => {
  const before = count('audit')
  const issuer = { der: roll.root.der, name: 'again', kind: 'root', parentId: null } as const
  assert.equal(await roll.writer.addIssuer(issuer, tester), roll.rootId)
  assert.equal(count('audit'), before)
})

/** Every row of every table. */
function contentOfRegistry(): Record<string, unknown[]> {
  const { sqlite } = roll.registry
  const tables = sqlite
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
    .pluck()
    .all() as string[]
  return Object.fromEntries(tables.map(table => [table, sqlite.prepare(`SELECT * FROM ${table}`).all()]))
}
