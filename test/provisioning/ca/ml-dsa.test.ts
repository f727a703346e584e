// ML-DSA at the provisioning service: requests of the command line and the simulator, a CA of its own with such a key, and none
// of them where the setting refuses them.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { makeKey, makeRequest } from '../../../cli/enrollment/key-pair.ts'
import {
  forgeSelfSigned,
  forgeWithForeignCa,
  identityFrom,
  makeRequest as simulatedRequest,
} from '../../../device-sim/enrollment/identity.ts'
import { keyTypes } from '../../../device-sim/enrollment/signing-keys.ts'
import { pemBlocks } from '../../../pki/pem.ts'
import { mlDsaTypes, pqAuthority, pqKey, pqLeaf } from '../../harness/ml-dsa.ts'
import { startService } from '../harness.ts'

test('keys, requests and forgeries with ML-DSA are made without a warning that they are experimental', async () => {
  const warnings: string[] = []
  const listen = ({ message }: Error) => void warnings.push(message)
  process.on('warning', listen)
  for (const type of mlDsaTypes) {
    await makeRequest(type, await makeKey(type), type)
    const { key, csr } = await simulatedRequest(type, type)
    assert.match(key + csr, /PRIVATE KEY[\s\S]*CERTIFICATE REQUEST/)
  }
  const { certificate, key } = pqLeaf('victim', pqKey('ml-dsa-65'), null)
  const victim = identityFrom('victim', key, [certificate])
  for (const type of keyTypes) {
    for (const forged of [await forgeSelfSigned(victim, type), await forgeWithForeignCa(victim, type)]) {
      const [leaf, issuer = leaf] = pemBlocks(forged.certificates, 'CERTIFICATE').map(
        der => new X509Certificate(der),
      )
      assert.equal(leaf!.verify(issuer!.publicKey), true, type)
    }
  }
  await new Promise(resolve => setImmediate(resolve))
  process.off('warning', listen)
  assert.deepEqual(warnings, [])
})

test('requests of the command line and of simulated devices get certificates with ML-DSA keys', async () => {
  await using service = await startService()
  for (const type of mlDsaTypes) {
    const asked = await makeRequest(type, await makeKey(type), type)
    assert.equal((await service.enroll(type, asked)).keyType, type)
    const { csr } = await simulatedRequest(`sim-${type}`, type)
    assert.equal((await service.enroll(`sim-${type}`, csr)).keyType, type)
  }
})

test('an ML-DSA CA issues for every key, and its server certificate is believed by the root', async () => {
  await using service = await startService({
    pq: 'issue',
    keyTypes: { root: 'ml-dsa-87', issuing: 'ml-dsa-65' },
  })
  for (const type of ['p256', 'ml-dsa-44', 'ml-dsa-65'] as const) {
    const body = await service.enroll(`d-${type}`, await makeRequest('d', await makeKey(type), type))
    const issuing = new X509Certificate(body.chain[0])
    assert.equal(issuing.publicKey.asymmetricKeyType, 'ml-dsa-65')
    assert.equal(new X509Certificate(body.certificate).verify(issuing.publicKey), true)
    assert.equal(issuing.verify(new X509Certificate(service.ca).publicKey), true)
  }
})

test('an ML-DSA CA is made only where the setting says so', async () => {
  await assert.rejects(
    startService({ keyTypes: { root: 'p256', issuing: 'ml-dsa-65' } }),
    /needs --pq issue or ROLLCALL_PQ=issue/,
  )
})

test('with pq off requests, certificates and trust anchors with ML-DSA keys are refused by name', async () => {
  await using service = await startService({ pq: 'off' })
  await service.call('POST', '/v1/devices', { id: 'd1' })
  const csr = await makeRequest('d1', await makeKey('ml-dsa-65'), 'ml-dsa-65')
  const issued = await service.call('POST', '/v1/devices/d1/certificates', { csr })
  assert.deepEqual([issued.status, issued.body.reason], [400, 'key_unacceptable'])
  const { certificate } = pqLeaf('d1', pqKey('ml-dsa-65'), null)
  const order = { certificate, trust: 'pinned' }
  const pinned = await service.call('POST', '/v1/devices/d1/certificates', order)
  assert.match(pinned.text, /ML-DSA-65, which pq: off refuses/)
  const anchor = pqAuthority('Post-quantum CA', pqKey('ml-dsa-65')).certificate
  const added = await service.call('POST', '/v1/issuers', { name: 'pq', certificate: anchor })
  assert.match(added.text, /ML-DSA-65, which pq: off refuses/)
})
