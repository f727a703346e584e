import assert from 'node:assert/strict'
import { createPublicKey, X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { toPem } from '../../pki/pem.ts'
import { BACKDATE_MS, DAY_MS } from '../../provisioning/profile.ts'
import {
  makeCsr,
  makeForeignCa,
  openssl,
  type Service,
  selfSigned,
  signedBy,
  startService,
  type TestKey,
  temporaryDirectory,
} from './harness.ts'

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

test('a pinned foreign certificate goes on the roll without issuer and would be admitted', async () => {
  await using service = await startService()
  await service.call('POST', '/v1/devices', { id: 'legacy' })
  const { certificate } = selfSigned('legacy')
  const chained = await service.call('POST', '/v1/devices/legacy/certificates', { certificate })
  assert.equal(chained.status, 400)
  assert.match(chained.body.detail, /not a trust anchor here.*pinned|CA must be FALSE/)
  const body = { certificate, trust: 'pinned' }
  const pinned = await service.call('POST', '/v1/devices/legacy/certificates', body)
  assert.equal(pinned.status, 201, pinned.text)
  assert.deepEqual([pinned.body.trust, pinned.body.issuerId, pinned.body.ca], ['pinned', null, null])
  const { body: explanation } = await service.call('GET', '/v1/devices/legacy/admission')
  assert.equal(explanation.wouldBeAdmitted, true)
  const twice = await service.call('POST', '/v1/devices/legacy/certificates', body)
  assert.deepEqual([twice.status, twice.body.reason], [409, 'certificate_exists'])
})

test('a certificate under a registered foreign trust anchor is chained to it; a disabled anchor lists nothing', async () => {
  const { closeRegistry, createRegistryWriter, openForWriting } = await import('../../db/index.ts')
  await using service = await startService()
  const ca = makeForeignCa()
  const registry = openForWriting(join(service.directory, 'registry.db'))
  const writer = createRegistryWriter(registry)
  const actor = { name: 'test' }
  const der = new X509Certificate(ca.certificate).raw
  await service.call('POST', '/v1/devices', { id: 'pump-1' })
  const certificate = signedBy(ca, '/CN=pump-1')
  const post = (body: unknown) => service.call('POST', '/v1/devices/pump-1/certificates', body)
  assert.match((await post({ certificate })).body.detail, /not a trust anchor here/)
  const id = await writer.addIssuer({ der, name: 'Foreign CA', kind: 'foreign', parentId: null }, actor)
  const listed = await post({ certificate })
  assert.equal(listed.status, 201, listed.text)
  assert.deepEqual([listed.body.trust, listed.body.issuerId, listed.body.chain], ['chained', id, []])
  assert.equal(listed.body.ca, toPem(der, 'CERTIFICATE'))
  await writer.setIssuerEnabled(id, false, actor)
  assert.match(
    (await post({ certificate: signedBy(ca, '/CN=pump-1') })).body.detail,
    /Foreign CA is disabled/,
  )
  const { body } = await service.call('GET', '/v1/devices/pump-1/admission')
  assert.deepEqual([body.wouldBeAdmitted, body.reason], [false, 'issuer_disabled'])
  await closeRegistry(registry)
})

test('a foreign certificate that names another device is refused, whatever name it uses', async t => {
  await using service = await startService()
  const ca = makeForeignCa()
  for (const id of ['pump-1', 'pump-2']) await service.call('POST', '/v1/devices', { id })
  const usage = 'extendedKeyUsage=clientAuth\nsubjectAltName='
  const rows: [string, string, number][] = [
    ['a SAN URI of another device', signedBy(ca, '/CN=x', `${usage}URI:urn:rollcall:device:pump-2`), 400],
    [
      'a SAN URI of a device nobody registered',
      signedBy(ca, '/CN=x', `${usage}URI:urn:rollcall:device:pump-3`),
      400,
    ],
    ['a SAN URI in capitals', signedBy(ca, '/CN=x', `${usage}URI:URN:ROLLCALL:DEVICE:pump-1`), 400],
    ['the CN of another device', signedBy(ca, '/CN=pump-2'), 400],
    ['a second CN of another device', signedBy(ca, '/CN=pump-1/CN=pump-2'), 400],
    ['a DNS name of another device', signedBy(ca, '/CN=x', `${usage}DNS:pump-2`), 400],
    ['no device at all', signedBy(ca, '/CN=serial 42'), 201],
    ['its own device', signedBy(ca, '/CN=pump-1', `${usage}URI:urn:rollcall:device:pump-1`), 201],
  ]
  for (const [name, certificate, status] of rows) {
    await t.test(name, async () => {
      const answer = await service.call('POST', '/v1/devices/pump-1/certificates', {
        certificate,
        trust: 'pinned',
      })
      assert.equal(answer.status, status, answer.text)
      if (status === 400) assert.match(answer.body.detail, /names the device/)
    })
  }
})

test('what this CA signed and did not list cannot be registered: canaries, CA and server certificates', async t => {
  await using service = await startService()
  await service.call('POST', '/v1/devices', { id: 'pump-1' })
  const canary = await service.call('POST', '/v1/devices/pump-1/canaries', {
    csr: makeCsr('p256').csr,
    kind: 'unlisted',
  })
  assert.equal(canary.status, 201, canary.text)
  const listed = await service.enroll('pump-2')
  const rows: [string, string][] = [
    ['an unlisted canary', canary.body.certificate],
    ['the root', service.ca],
    ['a listed one', listed.certificate],
  ]
  for (const [name, certificate] of rows) {
    for (const trust of ['chained', 'pinned']) {
      await t.test(`${name}, ${trust}`, async () => {
        const answer = await service.call('POST', '/v1/devices/pump-1/certificates', { certificate, trust })
        assert.ok(answer.status === 409 || answer.status === 400, answer.text)
      })
    }
  }
  const { body } = await service.call('GET', '/v1/certificates?deviceId=pump-1')
  assert.deepEqual(body.items, [])
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

test('threat 7: registered leaf certificates with a CA bit, odd serials, v1, foreign usages or weak keys are refused', async t => {
  await using service = await startService()
  await service.call('POST', '/v1/devices', { id: 'pump-1' })
  const ca = makeForeignCa()
  const usage = 'extendedKeyUsage=clientAuth'
  const longSerial = `0x7f${'11'.repeat(20)}`
  const rows: [string, string, RegExp][] = [
    ['CA:TRUE', signedBy(ca, '/CN=x', `${usage}\nbasicConstraints=CA:TRUE`), /CA must be FALSE/],
    ['keyCertSign', signedBy(ca, '/CN=x', `${usage}\nkeyUsage=keyCertSign`), /keyCertSign/],
    ['no clientAuth', signedBy(ca, '/CN=x', 'extendedKeyUsage=serverAuth'), /must contain clientAuth/],
    ['serial zero', signedBy(ca, '/CN=x', usage, ['-days', '30', '-set_serial', '0']), /must not be zero/],
    [
      'a serial of 21 octets',
      signedBy(ca, '/CN=x', usage, ['-days', '30', '-set_serial', longSerial]),
      /20 octets/,
    ],
    ['an empty subject without SAN', signedBy(ca, '/', usage), /empty subject/],
    ['RSA 1024', signedBy(ca, '/CN=x', usage, ['-days', '30'], 'rsa1024'), /rsa1024/],
    ['P-521', signedBy(ca, '/CN=x', usage, ['-days', '30'], 'p521'), /secp521r1/],
  ]
  for (const [name, certificate, words] of rows) {
    await t.test(name, async () => {
      const answer = await service.call('POST', '/v1/devices/pump-1/certificates', {
        certificate,
        trust: 'pinned',
      })
      assert.equal(answer.status, 400, answer.text)
      assert.equal(answer.body.reason, 'certificate_invalid')
      assert.match(answer.body.detail, words)
      assert.match(answer.body.errors[0].path, /^certificate/)
    })
  }
  const { body } = await service.call('GET', '/v1/certificates')
  assert.deepEqual(body.items, [])
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
        (await service.enroll('plain', makeCsr('p256').csr)).certificate,
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
