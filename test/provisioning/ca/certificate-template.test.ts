// What is signed from a template is byte for byte what the library lays out for the same order.
import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { createIssuingCa, signItself, signUnder } from '../../../provisioning/ca/issuing-ca.ts'
import { type CaKeyType, generateKey, spkiOf } from '../../../provisioning/ca/keys.ts'
import {
  DAY_MS,
  deviceProfile,
  issuingProfile,
  randomSerialNumber,
  rootProfile,
  serverProfile,
  validityOf,
} from '../../../provisioning/ca/profile.ts'
import { signerOf } from '../../../provisioning/ca/signer.ts'

const now = Date.parse('2031-05-06T07:08:09Z')

async function authority(type: CaKeyType) {
  const rootKey = generateKey('p256')
  const order = { serialNumber: randomSerialNumber(), validity: validityOf(20 * 365, now - DAY_MS) }
  const root = new X509Certificate(
    await signItself(signerOf(rootKey), { ...order, profile: rootProfile('Root') }),
  )
  const key = generateKey(type)
  const signer = signerOf(key)
  const der = await signUnder(
    { certificate: root, signer: signerOf(rootKey) },
    { ...order, profile: issuingProfile('Issuing CA'), spki: spkiOf(key) },
  )
  const certificate = new X509Certificate(der)
  return { ca: createIssuingCa({ root, certificate, signer }), issuer: { certificate, signer } }
}

const deviceKeys: Record<string, () => KeyObject> = {
  p256: () => generateKey('p256'),
  p384: () => generateKey('p384'),
  ed25519: () => generateKey('ed25519'),
  rsa2048: () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
}

// These sign the same bytes the same way every time, so whole certificates can be compared.
for (const type of ['ed25519', 'rsa'] as const) {
  test(`under a CA with an ${type} key, for any ID, key and time`, async () => {
    const { ca, issuer } = await authority(type)
    const keys = Object.values(deviceKeys).flatMap(make => [spkiOf(make()), spkiOf(make())])
    await fc.assert(
      fc.asyncProperty(
        fc.stringMatching(/^[A-Za-z0-9._-]{1,128}$/),
        fc.constantFrom(...keys),
        // Up to 2049 a time is written with two digits of the year (RFC 5280 §4.1.2.5).
        fc.constantFrom(
          now,
          now + DAY_MS,
          Date.parse('2049-12-31T00:00:00Z'),
          Date.parse('2050-06-01T00:00:00Z'),
        ),
        async (deviceId, spki, at) => {
          const validity = validityOf(90, at)
          const order = () => ({
            profile: deviceProfile(deviceId),
            spki,
            serialNumber: randomSerialNumber(),
            validity,
          })
          await ca.sign(order())
          const second = order()
          assert.deepEqual(await ca.sign(second), await signUnder(issuer, second))
        },
      ),
      { numRuns: 60 },
    )
  })
}

test('IDs of one character, and of characters that stand elsewhere in the certificate', async () => {
  const { ca, issuer } = await authority('ed25519')
  const spki = spkiOf(generateKey('p256'))
  for (const deviceId of ['a', 'U', '0', '1', 'Z', 'rollcall', 'device', 'Root', 'x'.repeat(128)]) {
    for (const id of [deviceId, deviceId.replaceAll(/./g, 'q')]) {
      const order = {
        profile: deviceProfile(id),
        spki,
        serialNumber: randomSerialNumber(),
        validity: validityOf(90, now),
      }
      assert.deepEqual(await ca.sign(order), await signUnder(issuer, order), id)
    }
  }
})

for (const type of ['p256', 'p384'] as const) {
  test(`under a CA with a ${type} key, each verifies and says what was ordered`, async () => {
    const { ca } = await authority(type)
    for (const [index, make] of Object.values(deviceKeys).entries()) {
      for (const deviceId of [`pump-${index}0`, `pump-${index}1`, `pump-${index}2`]) {
        const spki = spkiOf(make())
        const serialNumber = randomSerialNumber()
        const der = await ca.sign({
          profile: deviceProfile(deviceId),
          spki,
          serialNumber,
          validity: validityOf(9, now),
        })
        const certificate = new X509Certificate(der)
        assert.ok(certificate.verify(ca.certificate.publicKey))
        assert.equal(certificate.subject, `CN=${deviceId}`)
        assert.equal(certificate.subjectAltName, `URI:urn:rollcall:device:${deviceId}`)
        assert.equal(certificate.serialNumber.toLowerCase(), serialNumber)
        assert.deepEqual(certificate.publicKey.export({ type: 'spki', format: 'der' }), spki)
        assert.equal(certificate.raw.length, der.length)
      }
    }
  })
}

test('a profile without a template goes its own way', async () => {
  const { ca } = await authority('p256')
  const spki = spkiOf(generateKey('p256'))
  const order = { spki, validity: validityOf(9, now), profile: serverProfile(['localhost']) }
  const signed = [
    await ca.sign({ ...order, serialNumber: randomSerialNumber() }),
    await ca.sign({ ...order, serialNumber: randomSerialNumber() }),
  ].map(der => new X509Certificate(der))
  for (const certificate of signed) assert.match(certificate.subjectAltName ?? '', /DNS:localhost/)
})
