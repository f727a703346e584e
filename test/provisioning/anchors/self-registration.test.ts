// What becomes of arrivals: every way to come by a name, a key or a place that is not one's own is refused with its
// reason, and the caps hold. Arrivals are noted here as a broker notes them.
import 'reflect-metadata'
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import * as x509 from '@peculiar/x509'
import { closeRegistry, openForWriting, type Registry } from '../../../db/index.ts'
import { prepareArrivalNotes } from '../../../db/issuers/arrivals.ts'
import { fingerprintOf } from '../../../pki/certificate-facts.ts'
import { until } from '../../cli/running.ts'
import { type Authority, createAuthority, type Identity, makeKeyPair } from '../../harness/authority.ts'
import { type Service, startService } from '../harness.ts'

let service: Service
let registry: Registry
let ca: Authority
let issuerId: string
let now = Date.now()
before(async () => {
  service = await startService({ now: () => now, lifecycleJobMs: 50 })
  registry = openForWriting(join(service.directory, 'registry.db'))
  ca = await createAuthority('Maker CA')
  issuerId = fingerprintOf(ca.der)
  await service.call('POST', '/v1/issuers', { certificate: ca.certificate })
  const { body } = await service.call('POST', `/v1/issuers/${issuerId}/challenge`)
  proof = await ca.issue({ name: body.nonce })
  const proven = await service.call('POST', `/v1/issuers/${issuerId}/proof`, {
    certificate: proof.certificate,
  })
  assert.equal(proven.status, 200, proven.text)
})
after(async () => {
  await closeRegistry(registry)
  await service[Symbol.asyncDispose]()
})
let proof: Identity

const set = async (settings: object) => {
  const answer = await service.call('PUT', `/v1/issuers/${issuerId}/registration`, settings)
  assert.equal(answer.status, 200, answer.text)
}
const print = (identity: Identity) => fingerprintOf(new X509Certificate(identity.der).raw)

function note(...arrivals: Identity[]): void {
  const notes = prepareArrivalNotes(registry.sqlite)
  notes(
    arrivals.map(({ der }) => ({
      fingerprint: fingerprintOf(der),
      issuerId,
      der,
      address: '192.0.2.1',
      at: now,
    })),
  )
}

const waiting = () =>
  registry.sqlite.prepare('SELECT count(*) FROM arrivals WHERE decided_at IS NULL').pluck().get() as number
const decided = async () => until(() => waiting() === 0, 'all arrivals are decided')

/** The device it was registered as, or the reason and detail of its refusal. */
async function outcomeOf(arrival: Identity): Promise<string> {
  note(arrival)
  await decided()
  const listed = await service.call('GET', `/v1/certificates/${print(arrival)}`)
  if (listed.status === 200) return `${listed.body.deviceId} ${listed.body.status}`
  const { body } = await service.call('GET', `/v1/issuers/${issuerId}/arrivals?limit=500`)
  const refused = body.items.find((item: { fingerprint: string }) => item.fingerprint === print(arrival))
  return `${refused.reason}: ${refused.detail}`
}

test('names come from the template, exactly, or from nowhere', async t => {
  const sans = (...names: x509.JsonGeneralNames) => new x509.SubjectAlternativeNameExtension(names)
  const rows: [what: string, template: string, leaf: object, outcome: RegExp][] = [
    ['a common name', `m-\${cn}`, { name: 'a1' }, /^m-a1 issued$/],
    [
      'a common name among other parts',
      `\${cn}`,
      { name: '', subject: [{ O: ['x'] }, { CN: ['a2'] }] },
      /^a2 issued$/,
    ],
    [
      'two common names',
      `\${cn}`,
      { name: '', subject: [{ CN: ['a3'] }, { CN: ['b3'] }] },
      /name_invalid.*2 values/,
    ],
    ['two in one RDN', `\${cn}`, { name: '', subject: [{ CN: ['a4', 'b4'] }] }, /name_invalid.*2 values/],
    ['none', `\${cn}`, { name: '', subject: [{ O: ['a5'] }] }, /name_invalid.*no value/],
    ['a slash', `\${cn}`, { name: 'a/6' }, /name_invalid.*is no device ID/],
    ['a wildcard', `\${cn}`, { name: 'a#' }, /name_invalid.*is no device ID/],
    ['what objects inherit', `\${cn}`, { name: '__proto__' }, /name_invalid.*is no device ID/],
    ['a name that looks like a variable', `\${cn}`, { name: `\${serial}` }, /name_invalid.*is no device ID/],
    ['129 characters', `${'x'.repeat(70)}-\${cn}`, { name: 'y'.repeat(60) }, /name_invalid.*is no device ID/],
    ['a NUL', `\${cn}`, { name: 'a7\0b' }, /name_invalid.*is no device ID/],
    [
      'a NUL beside the name',
      `\${cn}`,
      { name: '', subject: [{ CN: ['a8'] }, { O: ['x\0y'] }] },
      /certificate_invalid.*NUL/,
    ],
    ['a right-to-left override', `\${cn}`, { name: 'a\u202e9' }, /name_invalid.*is no device ID/],
    [
      'a DNS name',
      `\${san.dns}`,
      { name: 'x', extensions: [sans({ type: 'dns', value: 'a10.example' })] },
      /^a10.example issued$/,
    ],
    [
      'two DNS names',
      `\${san.dns}`,
      { name: 'x', extensions: [sans({ type: 'dns', value: 'a' }, { type: 'dns', value: 'b' })] },
      /name_invalid.*2 values/,
    ],
    [
      'the end of a URI',
      `u-\${san.uri}`,
      { name: 'x', extensions: [sans({ type: 'url', value: 'urn:dev:mac:0024befffe804ff1' })] },
      /^u-0024befffe804ff1 issued$/,
    ],
    ['a serial number', `s-\${serial}`, { name: 'x', serialNumber: '4a5b' }, /^s-4a5b issued$/],
    [
      'a URI of our own that names another',
      `\${cn}`,
      {
        name: 'a11',
        extensions: [sans({ type: 'url', value: 'urn:rollcall:device:other' })],
      },
      /certificate_invalid.*names the device/,
    ],
  ]
  for (const [what, nameTemplate, leaf, expected] of rows) {
    await t.test(what, async () => {
      await set({ mode: 'active', nameTemplate, perMinuteMax: 1_000 })
      assert.match(await outcomeOf(await ca.issue(leaf as never)), expected)
    })
  }
})

test('nobody comes by what is on record: a name, a key, a certificate that ended, the proof itself', async () => {
  await set({ mode: 'active', nameTemplate: `\${cn}`, perMinuteMax: 1_000 })
  const taken = await service.enroll('taken')
  assert.match(await outcomeOf(await ca.issue({ name: 'taken' })), /^device_exists/)
  const { items } = (await service.call('GET', '/v1/certificates?deviceId=taken')).body
  assert.deepEqual(
    items.map((item: { fingerprint: string }) => item.fingerprint),
    [taken.fingerprint],
  )
  // The CN of another device beside a free name.
  const two = new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'taken' }])
  assert.match(
    await outcomeOf(await ca.issue({ name: 'free', extensions: [two] })),
    /certificate_invalid.*"taken"/,
  )

  const keyPair = await makeKeyPair('p256')
  assert.match(await outcomeOf(await ca.issue({ name: 'first', keyPair })), /^first issued/)
  assert.match(await outcomeOf(await ca.issue({ name: 'second', keyPair })), /^public_key_taken/)
  assert.equal((await service.call('GET', '/v1/devices/second')).status, 404)

  const gone = await ca.issue({ name: 'gone' })
  assert.match(await outcomeOf(gone), /^gone issued/)
  await service.call('POST', `/v1/certificates/${print(gone)}/revoke`)
  assert.match(await outcomeOf(gone), /^gone revoked/)
  assert.match(await outcomeOf(await ca.issue({ name: 'gone' })), /^device_exists/)

  assert.match(await outcomeOf(proof), /^certificate_invalid: it proved possession/)
  const other = await createAuthority('Maker CA')
  assert.match(
    await outcomeOf(await other.issue({ name: 'forged' })),
    /^certificate_invalid.*not a trust anchor/,
  )
  const weak = await ca.issue({ name: 'weak', keyType: 'rsa1024' })
  assert.match(await outcomeOf(weak), /^certificate_invalid.*rsa1024/)
  assert.match(
    await outcomeOf(await ca.issue({ name: 'ca', ca: true })),
    /^certificate_invalid.*CA must be FALSE/,
  )
})

test('explain tells a stranger why it was refused', async () => {
  const refused = await ca.issue({ name: 'taken' })
  await outcomeOf(refused)
  const { body } = await service.call('POST', '/v1/admission', { certificate: refused.certificate })
  assert.equal(body.reason, 'certificate_unlisted')
  assert.match(body.message, /may not register itself \(device_exists\): device taken is registered already/)
})

test('the rate lets the rest wait, the cap refuses them', async () => {
  const before = (await service.call('GET', `/v1/issuers/${issuerId}`)).body.anchor.autoRegistration
  now += 61_000
  await set({
    mode: 'active',
    nameTemplate: `\${cn}`,
    perMinuteMax: 2,
    devicesMax: before.devicesRegistered + 4,
  })
  note(...(await Promise.all(Array.from({ length: 6 }, (_, i) => ca.issue({ name: `r-${i}` })))))
  const registered = async () =>
    (await service.call('GET', '/v1/devices?prefix=r-')).body.items.map((device: { id: string }) => device.id)
  await until(() => waiting() === 4, 'two are registered')
  now += 30_000
  assert.equal((await registered()).length, 2)
  now += 30_001
  await until(() => waiting() === 0, 'two more are registered, the others refused')
  assert.equal((await registered()).length, 4)
  const reasons = registry.sqlite
    .prepare("SELECT count(*) FROM arrivals WHERE reason = 'devices_exceeded'")
    .pluck()
  assert.equal(reasons.get(), 2)
})

test('a flood takes a bounded place, and what was refused is decided anew only after a while', async () => {
  await set({ mode: 'active', nameTemplate: `x-\${cn}`, devicesMax: 10_000, perMinuteMax: 1 })
  now += 61_000
  const identity = await ca.issue({ name: 'flood' })
  const rows = Array.from({ length: 3_000 }, (_, i) => ({
    fingerprint: fingerprintOf(Buffer.from(`${i}`)),
    issuerId,
    der: identity.der,
    address: '192.0.2.1',
    at: now,
  }))
  prepareArrivalNotes(registry.sqlite)(rows)
  assert.ok(waiting() <= 200, `${waiting()} wait`)
  await set({ mode: 'off' })
  assert.equal(waiting(), 0)
  const again = await ca.issue({ name: 'taken' })
  await set({ mode: 'active', nameTemplate: `\${cn}`, perMinuteMax: 100 })
  assert.match(await outcomeOf(again), /^device_exists/)
  note(again)
  assert.equal(waiting(), 0)
  now += 10 * 60_000
  note(again)
  assert.equal(waiting(), 1)
  await decided()
})

test('what an operator gave a device that waits is not left for the next device of its name', async () => {
  await set({ mode: 'pending', nameTemplate: `q-\${cn}`, perMinuteMax: 100 })
  const names = ['policy', 'group', 'token', 'nothing']
  for (const name of names) assert.equal(await outcomeOf(await ca.issue({ name })), `q-${name} pending`)
  const statement = { effect: 'allow', actions: ['publish'], topics: ['plant/#'] }
  await service.call('PUT', '/v1/policies/plant', { name: 'plant', statements: [statement] })
  await service.call('PUT', '/v1/policies/plant/attachments/device/q-policy')
  const { body } = await service.call('GET', '/v1/devices/q-group')
  const headers = { 'if-match': `"${body.version}"` }
  await service.call('PATCH', '/v1/devices/q-group', { groups: ['backend'] }, { headers })
  await service.call('POST', '/v1/enrollment-tokens', { deviceId: 'q-token' })
  now += 7 * 86_400_000
  await until(async () => (await service.call('GET', '/v1/devices/q-nothing')).status === 404, 'one goes')
  for (const name of names.slice(0, 3)) {
    await until(async () => {
      const { items } = (await service.call('GET', `/v1/certificates?deviceId=q-${name}`)).body
      return items.length === 0
    }, 'its certificate goes')
    assert.equal((await service.call('GET', `/v1/devices/q-${name}`)).status, 200, name)
    assert.match(await outcomeOf(await ca.issue({ name })), /^device_exists/, name)
  }
})

test('one that waits for approval is approved, or forgotten after seven days as if it had never come', async () => {
  await set({ mode: 'pending', nameTemplate: `p-\${cn}`, perMinuteMax: 100 })
  const [kept, dropped] = [await ca.issue({ name: 'kept' }), await ca.issue({ name: 'dropped' })]
  assert.equal(await outcomeOf(kept), 'p-kept pending')
  assert.equal(await outcomeOf(dropped), 'p-dropped pending')
  const { body } = await service.call('GET', '/v1/devices/p-kept/admission')
  assert.equal(body.reason, 'certificate_pending')
  const approved = await service.call('POST', `/v1/certificates/${print(kept)}/approve`)
  assert.equal(approved.body.status, 'active', approved.text)
  now += 7 * 86_400_000
  await until(
    async () => (await service.call('GET', '/v1/devices/p-dropped')).status === 404,
    'it is forgotten',
  )
  assert.equal((await service.call('GET', '/v1/devices/p-kept/admission')).body.wouldBeAdmitted, true)
  assert.equal(await outcomeOf(dropped), 'p-dropped pending')
  const audit = await service.call('GET', '/v1/audit?target=p-dropped')
  assert.deepEqual(
    audit.body.items.map((row: { action: string }) => row.action),
    ['device.add', 'device.forget', 'device.add'],
  )
})
