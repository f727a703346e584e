// Certificates that somebody else issued: chained to an anchor or pinned, and what may not be registered.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { test } from 'node:test'
import { toPem } from '../../../pki/pem.ts'
import { makeCsr, makeForeignCa, selfSigned, signedBy, startService } from '../harness.ts'

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
  const { closeRegistry, createRegistryWriter, openForWriting } = await import('../../../db/index.ts')
  await using service = await startService()
  const ca = makeForeignCa()
  const registry = openForWriting(join(service.directory, 'registry.db'))
  const writer = createRegistryWriter(registry)
  const actor = { name: 'test', kind: 'local' } as const
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
    ['P-521', signedBy(ca, '/CN=x', usage, ['-days', '30'], 'p521'), /P-521/],
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
