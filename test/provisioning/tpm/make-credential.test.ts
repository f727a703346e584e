// Credentials made here open in the TPM they are made for, with the key they name, and nowhere else.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { createSoftwareTpm } from '../../../device-sim/enrollment/software-tpm.ts'
import { credentialKeyOf, makeCredential, templateOf } from '../../../provisioning/tpm/make-credential.ts'
import { readPublicArea } from '../../../provisioning/tpm/public-area.ts'

const types = ['p256', 'p384', 'rsa2048'] as const
const tpms = Object.fromEntries(types.map(type => [type, createSoftwareTpm(type)]))

function credentialKey(type: string) {
  const reading = readPublicArea(tpms[type]!.endorsement.area, 'ek')
  assert.ok('area' in reading)
  return credentialKeyOf(reading.area)
}

for (const type of types) {
  test(`a TPM with a ${type} endorsement key gives the secret back`, async () => {
    const tpm = tpms[type]!
    const key = tpm.createKey()
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 32 }), async octets => {
        const secret = Buffer.from(octets)
        const credential = await makeCredential(credentialKey(type), key.name, secret)
        assert.ok(tpm.activate(key, credential).equals(secret))
      }),
      { numRuns: 20 },
    )
  })

  test(`neither another key nor another TPM opens it (${type})`, async () => {
    const tpm = tpms[type]!
    const key = tpm.createKey()
    const credential = await makeCredential(credentialKey(type), key.name, randomBytes(32))
    assert.throws(() => tpm.activate(tpm.createKey(), credential))
    assert.throws(() => createSoftwareTpm(type).activate(key, credential))
    const cut = Buffer.from(credential)
    cut[40]! ^= 1
    assert.throws(() => tpm.activate(key, cut))
  })

  test(`where only the certificate is known, the template says the same of a ${type} key`, () => {
    const known = credentialKey(type)
    const guessed = templateOf(known.key, type)
    assert.deepEqual([guessed?.nameAlg, guessed?.symmetricBits], [known.nameAlg, known.symmetricBits])
  })
}

test('no template is known for other keys', () => {
  assert.equal(templateOf(tpms['p256']!.endorsement.publicKey, 'rsa4096'), null)
})
