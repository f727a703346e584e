// From a CSR to a certificate on the roll, as openssl sees it.
import assert from 'node:assert/strict'
import { createPublicKey, X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { BACKDATE_MS, DAY_MS } from '../../../provisioning/ca/profile.ts'
import { makeCsr, openssl, type Service, startService, type TestKey, temporaryDirectory } from '../harness.ts'

function verify(service: Service, certificate: string, chain: string[]): string {
  using folder = temporaryDirectory()
  const file = (name: string, content: string) => {
    writeFileSync(join(folder.path, name), content)
    return join(folder.path, name)
  }
  const [ca, above, leaf] = [file('ca', service.ca), file('chain', chain.join('')), file('leaf', certificate)]
  return openssl([
    'verify',
    '-x509_strict',
    '-purpose',
    'sslclient',
    '-CAfile',
    ca,
    '-untrusted',
    above,
    leaf,
  ])
}

test('a CSR of each key type becomes a certificate that openssl verifies as a client', async t => {
  await using service = await startService()
  const types: [TestKey, string][] = [
    ['p256', 'p256'],
    ['p384', 'p384'],
    ['ed25519', 'ed25519'],
    ['rsa2048', 'rsa2048'],
  ]
  for (const [type, keyType] of types) {
    await t.test(type, async () => {
      const { csr, key } = makeCsr(type)
      const issued = await service.enroll(`device-${type}`, csr)
      assert.equal(issued.keyType, keyType)
      assert.equal(issued.status, 'issued')
      assert.equal(issued.ca, service.ca)
      assert.match(verify(service, issued.certificate, issued.chain), /OK/)
      const leaf = new X509Certificate(issued.certificate)
      assert.ok(leaf.publicKey.equals(createPublicKey(key)))
      assert.equal(leaf.fingerprint256.replaceAll(':', '').toLowerCase(), issued.fingerprint)
      const read = await service.call('GET', `/v1/certificates/${issued.fingerprint}`)
      assert.deepEqual(read.body, issued)
    })
  }
})

test('the profile: names, usages, identifiers, serial number and validity as openssl reads them', async () => {
  const now = Date.parse('2031-05-06T07:08:09.123Z')
  await using service = await startService({ now: () => now })
  const issued = await service.enroll('pump_1.a-B')
  const text = openssl(['x509', '-noout', '-text'], issued.certificate)
  assert.match(text, /Version: 3/)
  assert.match(text, /Subject: CN = pump_1\.a-B\n/)
  assert.match(text, /X509v3 Basic Constraints: critical\s+CA:FALSE/)
  assert.match(text, /X509v3 Key Usage: critical\s+Digital Signature\n/)
  assert.match(text, /X509v3 Extended Key Usage:\s+TLS Web Client Authentication\n/)
  assert.match(text, /X509v3 Subject Alternative Name:\s+URI:urn:rollcall:device:pump_1\.a-B\n/)
  assert.match(text, /X509v3 Subject Key Identifier:/)
  assert.match(text, /X509v3 Authority Key Identifier:/)
  assert.match(issued.serialNumber, /^[4-7][0-9a-f]{39}$/)
  assert.equal(Date.parse(issued.notBefore), Math.floor((now - BACKDATE_MS) / 1000) * 1000)
  assert.equal(Date.parse(issued.notAfter), Math.floor((now + 90 * DAY_MS) / 1000) * 1000)
})

test('days are honoured up to the end of the issuing CA, and no further', async () => {
  let now = Date.parse('2031-05-06T07:08:09Z')
  await using service = await startService({ now: () => now })
  const enroll = async (id: string, days: number) => {
    await service.call('POST', '/v1/devices', { id })
    return service.call('POST', `/v1/devices/${id}/certificates`, { csr: makeCsr('p256').csr, days })
  }
  const short = await enroll('short', 1)
  assert.equal(Date.parse(short.body.notAfter), now + DAY_MS)
  const issuingEnds = Date.parse(new X509Certificate(short.body.chain[0]).validTo)
  now = issuingEnds - 10 * DAY_MS
  assert.equal(Date.parse((await enroll('before', 9)).body.notAfter), now + 9 * DAY_MS)
  assert.equal(Date.parse((await enroll('at', 10)).body.notAfter), issuingEnds)
  assert.equal(Date.parse((await enroll('after', 11)).body.notAfter), issuingEnds)
  now = issuingEnds
  const late = await enroll('late', 1)
  assert.equal(late.status, 503)
  assert.equal(late.body.reason, 'ca_expired')
  assert.equal((await service.call('GET', '/readyz')).status, 503)
})

test('a public key of one device is refused for another, and accepted again for its own', async () => {
  await using service = await startService()
  const { csr } = makeCsr('p256')
  const first = await service.enroll('pump-1', csr)
  const again = await service.enroll('pump-1', csr)
  assert.notEqual(again.serialNumber, first.serialNumber)
  await service.call('POST', '/v1/devices', { id: 'pump-2' })
  const other = await service.call('POST', '/v1/devices/pump-2/certificates', { csr })
  assert.equal(other.status, 409)
  assert.equal(other.body.reason, 'public_key_taken')
  await service.call('POST', `/v1/certificates/${first.fingerprint}/revoke`, { reason: 'keyCompromise' })
  const compromised = await service.call('POST', '/v1/devices/pump-1/certificates', { csr })
  assert.equal(compromised.status, 409)
  assert.equal(compromised.body.reason, 'public_key_compromised')
})

test('no certificate for a device that is unknown or decommissioned', async () => {
  await using service = await startService()
  const { csr } = makeCsr('p256')
  const unknown = await service.call('POST', '/v1/devices/nobody/certificates', { csr })
  assert.deepEqual([unknown.status, unknown.body.reason], [404, 'device_unknown'])
  await service.call('POST', '/v1/devices', { id: 'old' })
  await service.call('POST', '/v1/devices/old/decommission')
  const gone = await service.call('POST', '/v1/devices/old/certificates', { csr })
  assert.deepEqual([gone.status, gone.body.reason], [409, 'device_state_forbids'])
  const canary = await service.call('POST', '/v1/devices/old/canaries', { csr, kind: 'unlisted' })
  assert.equal(canary.status, 409)
})

test('canaries are really signed, on record, and never admitted', async () => {
  await using service = await startService()
  await service.call('POST', '/v1/devices', { id: 'pump-1' })
  const make = async (kind: string) =>
    (await service.call('POST', '/v1/devices/pump-1/canaries', { csr: makeCsr('p256').csr, kind })).body
  const unlisted = await make('unlisted')
  assert.match(verify(service, unlisted.certificate, unlisted.chain), /OK/)
  assert.equal((await service.call('GET', `/v1/certificates/${unlisted.fingerprint}`)).status, 404)
  const asked = await service.call('POST', '/v1/admission', { certificate: unlisted.certificate })
  assert.deepEqual([asked.body.wouldBeAdmitted, asked.body.reason], [false, 'certificate_unlisted'])
  const expired = await make('expired')
  assert.ok(Date.parse(new X509Certificate(expired.certificate).validTo) < Date.now())
  const explained = await service.call('GET', `/v1/certificates/${expired.fingerprint}/admission`)
  assert.deepEqual([explained.body.wouldBeAdmitted, explained.body.reason], [false, 'certificate_expired'])
})

test('threat 17: nothing of a CSR but its key is copied, whatever it asks for', async t => {
  await using service = await startService()
  const asks: [string, string[]][] = [
    [
      'CA:TRUE',
      ['-subj', '/CN=x', '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=keyCertSign'],
    ],
    [
      'the name of another device',
      ['-subj', '/CN=pump-9', '-addext', 'subjectAltName=URI:urn:rollcall:device:pump-9'],
    ],
    [
      'server names',
      [
        '-subj',
        '/O=Rollcall/CN=localhost',
        '-addext',
        'subjectAltName=DNS:localhost,IP:127.0.0.1',
        '-addext',
        'extendedKeyUsage=serverAuth',
      ],
    ],
    [
      'another subject and a policy',
      ['-subj', '/C=XX/O=Evil/CN=Rollcall root CA', '-addext', 'certificatePolicies=1.2.3.4'],
    ],
    ['no subject at all', ['-subj', '/']],
  ]
  for (const [index, [name, more]] of asks.entries()) {
    await t.test(name, async () => {
      const id = `pump-${index}`
      const issued = await service.enroll(id, makeCsr('p256', more).csr)
      const text = openssl(['x509', '-noout', '-text'], issued.certificate)
      const plain = openssl(
        ['x509', '-noout', '-text'],
        (await service.enroll(`plain-${index}`, makeCsr('p256').csr)).certificate,
      )
      const extensions = (shown: string) => [...shown.matchAll(/X509v3 [A-Za-z ]+/g)].map(match => match[0])
      assert.deepEqual(extensions(text), extensions(plain))
      assert.equal(issued.subject, `CN=${id}`)
      assert.match(text, /CA:FALSE/)
      assert.match(text, new RegExp(`URI:urn:rollcall:device:${id}\\n`))
      assert.doesNotMatch(text, /Server Authentication|Certificate Sign|pump-9|Evil|localhost/)
    })
  }
})
