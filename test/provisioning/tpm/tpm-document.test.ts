// Every command of docs/tpm.md, run as it is written by a shell with a TPM emulator, against a service of its own.
import assert from 'node:assert/strict'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createSoftwareTpm } from '../../../device-sim/enrollment/software-tpm.ts'
import { readPublicArea } from '../../../provisioning/tpm/public-area.ts'
import { createAuthority } from '../../harness/authority.ts'
import { shellBlocksOf } from '../../harness/document.ts'
import { startSwtpm } from '../../harness/swtpm.ts'
import { startResourceManager } from '../../harness/tpm-resource-manager.ts'
import { until } from '../../harness/until.ts'
import { beside } from '../broker-beside.ts'
import { startService } from '../harness.ts'
import { shell } from '../shell.ts'
import { certify } from './tpm-devices.ts'

const main = new URL('../../../cli/main.ts', import.meta.url).pathname

test('every command in the document about TPMs works as it is written', async t => {
  await using tpm = await startSwtpm()
  await using service = await startService({ receiptTimeoutMs: 20 })
  symlinkSync(service.directory, join(tpm.directory, 'data'))
  mkdirSync(join(tpm.directory, 'device'))
  writeFileSync(join(tpm.directory, 'device', 'ca.crt'), service.ca)

  // What the factory does: the certificate of the endorsement key is in the TPM.
  const maker = await createAuthority('TPM Maker')
  writeFileSync(join(tpm.directory, 'maker-ca.crt'), maker.certificate)
  tpm.run('tpm2_createek', '-Q', '-c', 'ek.ctx', '-G', 'ecc', '-u', 'ek.pub')
  const reading = readPublicArea(tpm.read('ek.pub'), 'ek')
  assert.ok('area' in reading)
  const endorsement = await certify(maker, { publicKey: reading.area.key })
  writeFileSync(join(tpm.directory, 'ek.der'), endorsement.der)
  const size = String(endorsement.der.length)
  tpm.run('tpm2_nvdefine', '-Q', '-C', 'o', '-s', size, '-a', 'ownerread|ownerwrite|authread', '0x1c0000a')
  tpm.run('tpm2_nvwrite', '-Q', '-C', 'o', '-i', 'ek.der', '0x1c0000a')
  const other = createSoftwareTpm().endorsement.publicKey
  writeFileSync(join(tpm.directory, 'pump-7-ek.pem'), other.export({ type: 'spki', format: 'pem' }))

  const [operator = '', device = '', clients = '', ...more] = shellBlocksOf('docs/tpm.md')
  assert.equal(more.length, 0)
  // The commands find the TPM as on a machine: behind a resource manager.
  const managed = join(tpm.directory, 'managed')
  await using _manager = await startResourceManager(join(tpm.directory, 'tpm'), managed)
  await using cleanup = new AsyncDisposableStack()
  const broker = cleanup.adopt(await beside(service), running => running.close())
  const begin = `export TPM2TOOLS_TCTI=swtpm:path=${managed} TPM2OPENSSL_TCTI=swtpm:path=${managed}
    rollcall() { node ${main} "$@"; }`
  const set = await shell(
    `${begin}\n${operator.replace('https://127.0.0.1:8443', service.url)}`,
    tpm.directory,
  )
  assert.equal(set.code, 0, set.output)
  assert.match(set.output, /vouchedBy.*operator/)
  const started = performance.now()
  const { output, code } = await shell(
    `${begin}\nexport ROLLCALL_API=${service.url}\n${device}`,
    tpm.directory,
  )
  t.diagnostic(`${Math.round(performance.now() - started)} ms for the script of the device`)
  assert.equal(code, 0, output)
  assert.match(output, /device\.crt: OK/)
  const deviceId = `tpm-${reading.area.spkiHash.slice(0, 32)}`
  const { body } = await service.call('GET', `/v1/devices/${deviceId}/endorsement-key`)
  assert.deepEqual([body.endorsementKey.maker, body.endorsementKey.vouchedBy], ['IBM', 'maker'])
  assert.equal(body.attestations[0].attested, true)

  const used = await shell(
    `${begin}\nexport ROLLCALL_API=${service.url}\n${clients.replace('-p 8883', `-p ${broker.port}`)}`,
    tpm.directory,
  )
  assert.equal(used.code, 0, used.output)
  const answers = used.output.match(new RegExp(`"deviceId":"${deviceId}"`, 'g'))
  assert.equal(answers?.length, 2, `curl and Node were let in: ${used.output}`)
  const seen = (await service.call('GET', `/v1/certificates?deviceId=${deviceId}`)).body.items[0]
  await until(
    async () => (await service.call('GET', `/v1/certificates/${seen.fingerprint}`)).body.status === 'active',
  )
})
