// What the service makes and reads, against a TPM emulator and tpm2-tools: credentials both ways, Names, and endorsement keys of each template.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createSoftwareTpm } from '../../../device-sim/enrollment/software-tpm.ts'
import { deviceKeyFaults, endorsementKeyFaults } from '../../../provisioning/tpm/key-rules.ts'
import { credentialKeyOf, makeCredential } from '../../../provisioning/tpm/make-credential.ts'
import { readPublicArea } from '../../../provisioning/tpm/public-area.ts'
import { type Swtpm, startSwtpm } from '../../harness/swtpm.ts'

const SECRET = Buffer.from('0123456789abcdef0123456789abcdef')
const ATTRIBUTES = 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth'
/** The other branch of the policy of high-range endorsement keys (TCG EK Credential Profile 2.5, §B.6.3, PolicyC of SHA-384). */
const POLICY_C =
  'd6032ce61f2fb3c240eb3cf6a33237ef2b6a16f4293c22b455e261cffd217ad5b4947c2d73e63005eed2dc2b3593d165'

function areaOf(tpm: Swtpm, file: string) {
  const reading = readPublicArea(readFileSync(join(tpm.directory, file)), file)
  assert.ok('area' in reading, JSON.stringify(reading))
  return reading.area
}

test('a TPM emulator opens what the service makes, and the service reads what tpm2-tools make', async t => {
  await using tpm = await startSwtpm()
  tpm.run('tpm2_createprimary', '-Q', '-C', 'o', '-g', 'sha256', '-G', 'ecc', '-c', 'parent.ctx')
  const create = (name: string, type: string, attributes: string) => {
    tpm.run(
      'tpm2_create',
      '-Q',
      '-C',
      'parent.ctx',
      '-G',
      type,
      '-u',
      `${name}.pub`,
      '-r',
      `${name}.priv`,
      '-a',
      attributes,
    )
    tpm.run(
      'tpm2_load',
      '-Q',
      '-C',
      'parent.ctx',
      '-u',
      `${name}.pub`,
      '-r',
      `${name}.priv`,
      '-c',
      `${name}.ctx`,
      '-n',
      `${name}.name`,
    )
  }
  create('key', 'ecc256', `${ATTRIBUTES}|sign`)

  for (const type of ['ecc256:ecdsa-sha256', 'ecc384', 'rsa2048:rsapss-sha256:null']) {
    await t.test(`a key of ${type} is read, and its Name is the TPM's`, () => {
      create('other', type, `${ATTRIBUTES}|sign`)
      const area = areaOf(tpm, 'other.pub')
      assert.ok(area.name.equals(readFileSync(join(tpm.directory, 'other.name'))))
      assert.deepEqual(deviceKeyFaults(area, 'key'), [])
    })
  }

  for (const [type, session] of [
    ['ecc', 'sha256'],
    ['rsa', 'sha256'],
    ['ecc384', 'sha384'],
  ] as const) {
    await t.test(`its ${type} endorsement key opens a credential of the service`, async () => {
      tpm.run('tpm2_createek', '-c', 'ek.ctx', '-G', type, '-u', 'ek.pub')
      const ek = areaOf(tpm, 'ek.pub')
      assert.deepEqual(endorsementKeyFaults(ek, 'ek'), [])
      const credential = await makeCredential(credentialKeyOf(ek), areaOf(tpm, 'key.pub').name, SECRET)
      writeFileSync(join(tpm.directory, 'credential'), credential)
      tpm.run('tpm2_startauthsession', '--policy-session', '-g', session, '-S', 's.ctx')
      tpm.run('tpm2_policysecret', '-Q', '-S', 's.ctx', '-c', 'e', '-L', 'a.policy')
      if (session === 'sha384') {
        writeFileSync(join(tpm.directory, 'c.policy'), Buffer.from(POLICY_C, 'hex'))
        tpm.run('tpm2_policyor', '-Q', '-S', 's.ctx', 'sha384:a.policy,c.policy')
      }
      tpm.run(
        'tpm2_activatecredential',
        '-Q',
        '-c',
        'key.ctx',
        '-C',
        'ek.ctx',
        '-i',
        'credential',
        '-o',
        'secret',
        '-P',
        'session:s.ctx',
      )
      tpm.run('tpm2_flushcontext', 's.ctx')
      assert.ok(readFileSync(join(tpm.directory, 'secret')).equals(SECRET))
    })
  }

  await t.test('the software model opens what tpm2_makecredential makes', () => {
    for (const type of ['p256', 'rsa2048'] as const) {
      const model = createSoftwareTpm(type)
      const key = model.createKey()
      writeFileSync(join(tpm.directory, 'model.pub'), model.endorsement.area)
      writeFileSync(join(tpm.directory, 'plain'), SECRET)
      const name = key.name.toString('hex')
      tpm.run('tpm2_makecredential', '-Q', '-u', 'model.pub', '-s', 'plain', '-n', name, '-o', 'made')
      assert.ok(model.activate(key, readFileSync(join(tpm.directory, 'made'))).equals(SECRET))
    }
  })
})
