// "Would it be admitted, and if not, why" for what the registry has never seen: certificates of any making, fingerprints
// on nobody's record, devices that are called otherwise.
import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { formatExplanation } from '../../../cli/explain/command.ts'
import type { Check, Issuer } from '../../../client/types.ts'
import { createBrokerNotes } from '../../../db/broker-notes.ts'
import { closeRegistry, createRegistryWriter, openForWriting } from '../../../db/index.ts'
import { openForNotes } from '../../../db/open.ts'
import {
  assertProblem,
  makeCsr,
  makeForeignCa,
  type Service,
  selfSigned,
  signedBy,
  startService,
} from '../harness.ts'

let service: Service
before(async () => {
  service = await startService()
  for (const id of ['pump-1', 'sensor-0042', 'gateway']) await service.call('POST', '/v1/devices', { id })
})
after(() => service[Symbol.asyncDispose]())

const ca = makeForeignCa('Acme Devices')
const explained = async (certificate: string) => {
  const answer = await service.call('POST', '/v1/admission', { certificate })
  assert.equal(answer.status, 200, answer.text)
  return answer.body
}
const fingerprintOf = (pem: string) => createHash('sha256').update(new X509Certificate(pem).raw).digest('hex')

test('a stranger is told its issuer, the nearest device, and what else is wrong with it', async () => {
  const pem = signedBy(ca, '/O=Acme/CN=pump-2', 'extendedKeyUsage=serverAuth', ['-days', '30'], 'rsa1024')
  const body = await explained(pem)
  assert.equal(body.reason, 'issuer_unknown')
  assert.match(
    body.message,
    /: its issuer "CN=Acme Devices" is not a trust anchor; nearest device by name: pump-1 \(registered\)$/,
  )
  assert.deepEqual(body.nearestDevice, { id: 'pump-1', state: 'registered', name: 'pump-2', distance: 1 })
  const outcomes = Object.fromEntries(body.checks.map((check: Check) => [check.name, check.outcome]))
  assert.partialDeepStrictEqual(outcomes, {
    certificate_presented: 'passed',
    on_the_roll: 'failed',
    certificate_status: 'skipped',
    device_state: 'skipped',
    validity: 'passed',
    issuer: 'skipped',
    issuer_crl: 'skipped',
    chain: 'skipped',
    end_entity: 'passed',
    key_usage: 'failed',
    key: 'failed',
  })
  const inputs = (name: string) => body.checks.find((check: Check) => check.name === name).inputs
  assert.deepEqual(
    [inputs('on_the_roll').subject, inputs('on_the_roll').issuer],
    ['O=Acme, CN=pump-2', 'CN=Acme Devices'],
  )
  assert.equal(inputs('key').keyType, 'rsa1024')
  assert.equal(inputs('validity').notAfter, new Date(new X509Certificate(pem).validTo).toISOString())
  assert.equal(body.refusals.length, 0)
})

test('names in the subjectAltName count as well', async () => {
  const near = async (extensions: string) =>
    (await explained(signedBy(ca, '/CN=unit', `extendedKeyUsage=clientAuth\nsubjectAltName=${extensions}`)))
      .nearestDevice?.id
  assert.equal(await near('DNS:sensor-0043.plant.example'), 'sensor-0042')
  assert.equal(await near('URI:urn:rollcall:device:gatewax'), 'gateway')
  assert.equal(await near('URI:spiffe://acme/devices/GATEWAY'), 'gateway')
  assert.equal(await near('IP:192.0.2.1'), undefined)
})

test('a namesake of an issuer is told apart from it, and an issuer from a device', async () => {
  const { body: issuers } = await service.call('GET', '/v1/issuers')
  const issuing = issuers.items.find((issuer: Issuer) => issuer.kind === 'issuing')
  const namesake = signedBy(makeForeignCa(issuing.name), '/CN=pump-1')
  assert.match((await explained(namesake)).message, /a trust anchor is called .* but its key did not sign/)
  const root = await explained(service.ca)
  assert.deepEqual(
    [root.wouldBeAdmitted, /it is the certificate of the issuer/.test(root.message)],
    [false, true],
  )
  const known = await service.call('GET', `/v1/certificates/${issuing.id}/admission`)
  assert.match(known.body.message, /^This is the certificate of the issuer/)
})

test('a certificate of ours that was never listed shows its issuer', async () => {
  const { body } = await service.call('POST', '/v1/devices/pump-1/canaries', {
    csr: makeCsr('p256').csr,
    kind: 'unlisted',
  })
  const unlisted = await explained(body.certificate)
  assert.equal(unlisted.reason, 'certificate_unlisted')
  const { outcome, inputs } = unlisted.checks.find((check: Check) => check.name === 'issuer')
  assert.deepEqual([outcome, inputs.enabled, typeof inputs.name], ['passed', true, 'string'])
})

test('a device shows what its policies denied, and by which statement', async () => {
  const notes = openForNotes(join(service.directory, 'registry.db'))
  const at = Date.now()
  createBrokerNotes(notes).denials([
    {
      ...{ deviceId: 'pump-1', action: 'publish', topic: 'devices/other/x', qos: 1, retain: false, count: 3 },
      ...{
        verdict: 'nothing_allows',
        decidedBy: null,
        fingerprint: 'f'.repeat(64),
        address: '192.0.2.1',
        at,
      },
    },
  ])
  await closeRegistry(notes)
  const { body } = await service.call('GET', '/v1/devices/pump-1/admission')
  assert.deepEqual(body.denials, [
    {
      ...{ action: 'publish', topic: 'devices/other/x', qos: 1, retain: false, count: 3 },
      ...{ verdict: 'nothing_allows', decidedBy: null, fingerprint: 'f'.repeat(64), address: '192.0.2.1' },
      ...{ at: new Date(at).toISOString(), firstAt: new Date(at).toISOString() },
    },
  ])
  assert.match(
    formatExplanation(body),
    /Denied lately:\n {2}\S+ publish devices\/other\/x at QoS 1: nothing_allows, 3 times\n/,
  )
})

test('a fingerprint on no record shows its refusals', async () => {
  const nobody = 'ab'.repeat(32)
  const path = `/v1/certificates/${nobody}/admission`
  const before = await service.call('GET', path)
  assert.deepEqual(
    [before.status, before.body.reason, before.body.refusals.length],
    [200, 'certificate_unlisted', 0],
  )
  const notes = openForNotes(join(service.directory, 'registry.db'))
  const seen = {
    fingerprint: nobody,
    deviceId: null,
    reason: 'issuer_unknown',
    address: '192.0.2.7',
    at: 1_700_000_000_000,
    count: 3,
  }
  createBrokerNotes(notes).refusals([seen])
  await closeRegistry(notes)
  const { body } = await service.call('GET', path)
  assert.deepEqual([body.reason, body.wouldBeAdmitted], ['issuer_unknown', false])
  assert.deepEqual(body.refusals, [
    {
      at: '2023-11-14T22:13:20.000Z',
      reason: 'issuer_unknown',
      address: '192.0.2.7',
      fingerprint: nobody,
      count: 3,
      mqtt5: null,
      mqtt311: null,
    },
  ])
})

test('a device that is called otherwise', async () => {
  const answer = await service.call('GET', '/v1/devices/PUMP-1/admission')
  assertProblem(answer, 404, 'device_unknown')
  assert.equal(
    answer.body.detail,
    'no device PUMP-1 is registered; nearest device by name: pump-1 (registered)',
  )
})

test('of several certificates the first counts; a private key is refused and repeated nowhere', async () => {
  const leaf = signedBy(ca, '/CN=pump-1')
  const both = await explained(`subject=CN\n${leaf}\n${ca.certificate}`)
  assert.equal(both.subject.id, fingerprintOf(leaf))
  const device = selfSigned('pump-1')
  for (const text of [device.key + device.certificate, device.certificate + device.key, device.key]) {
    const refused = await service.call('POST', '/v1/admission', { certificate: text })
    assertProblem(refused, 400, 'certificate_invalid')
    assert.match(refused.body.detail, /private key/)
    assert.ok(!refused.text.includes(device.key.split('\n')[1]!))
  }
})

test('hostile certificates are explained or refused, and never break the service', async () => {
  const odd = [
    signedBy(ca, '/CN=\u202epump-1\u0007'),
    signedBy(ca, '/CN=__proto__'),
    signedBy(ca, `/CN=${'x'.repeat(64)}/OU=a\\/b`),
    signedBy(ca, '/CN=pump-1', 'subjectAltName=DNS:*.example,URI:::::,email:a@b'),
    selfSigned('a', [], 'secp256k1').certificate,
  ]
  for (const pem of odd) assert.equal((await explained(pem)).wouldBeAdmitted, false)
  for (const text of [
    '',
    '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----',
    'x'.repeat(20_000),
  ]) {
    assert.equal((await service.call('POST', '/v1/admission', { certificate: text })).status, 400)
  }
  assert.equal(
    (
      await service.call('POST', '/v1/admission', undefined, {
        raw: `{"certificate":"${'A'.repeat(70_000)}"}`,
      })
    ).status,
    413,
  )
})

test('the hint tells nobody of devices that their role does not show', async () => {
  const ask = (token: string | null) => [
    service.call('POST', '/v1/admission', { certificate: service.ca }, { token }),
    service.call('GET', '/v1/devices/PUMP-1/admission', undefined, { token }),
  ]
  for (const token of [null, 'x']) {
    for (const answer of await Promise.all(ask(token))) assert.equal(answer.status, 401)
  }
  const registry = openForWriting(join(service.directory, 'registry.db'))
  const bound = { name: 'bound', role: 'operator', scope: 'valves' } as const
  const { token } = await createRegistryWriter(registry).createToken(bound, {
    name: 'test',
    kind: 'local' as const,
  })
  await closeRegistry(registry)
  for (const answer of await Promise.all(ask(token))) {
    assert.ok(answer.status === 403 || answer.status === 404, answer.text)
    assert.doesNotMatch(answer.text, /pump-1/)
  }
})
