// Devices that come with a certificate of a batch or of their maker, and sign ir with its key.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fingerprintOf } from '../../../pki/certificate-facts.ts'
import { createAuthority } from '../../harness/authority.ts'
import { makeCsr, startService } from '../harness.ts'
import { createCmpClient } from './cmp-client.ts'

test('a claim certificate signs ir, and the request names the device', async () => {
  await using service = await startService()
  using client = createCmpClient(service)
  const { csr, key } = makeCsr('p256')
  const { body: claim } = await service.call('POST', '/v1/claims', {
    name: 'batch',
    group: 'g',
    quota: 1,
    csr,
  })
  client.write('claim.crt', claim.certificate)
  client.write('claim.key', key)
  const signer = ['-cert', 'claim.crt', '-key', 'claim.key']
  const asked = ['-newkey', client.key('device.key'), '-subject', '/CN=pump-4', '-certout', 'device.crt']
  const { code, output } = await client.run('ir', [...signer, ...asked])
  assert.equal(code, 0, output)
  assert.equal(client.certificate('device.crt').subject, 'CN=pump-4')
  assert.equal((await client.onRoll('device.crt')).deviceId, 'pump-4')
})

test("an IDevID signs ir, and gives the device its name, whatever the request's subject says", async () => {
  await using service = await startService()
  using client = createCmpClient(service)
  const maker = await createAuthority('Maker')
  const id = fingerprintOf(maker.der)
  await service.call('POST', '/v1/issuers', { certificate: maker.certificate })
  const { nonce } = (await service.call('POST', `/v1/issuers/${id}/challenge`)).body
  const proof = await maker.issue({ name: nonce })
  await service.call('POST', `/v1/issuers/${id}/proof`, { certificate: proof.certificate })
  await service.call('PUT', `/v1/issuers/${id}/enrollment`, { mode: 'active', group: 'pumps' })
  const idevid = await maker.issue({ name: 'model', subject: [{ CN: ['model'] }, { '2.5.4.5': ['SN-1'] }] })
  client.write('idevid.crt', idevid.certificate)
  client.write('idevid.key', idevid.key)
  const signer = ['-cert', 'idevid.crt', '-key', 'idevid.key']
  const asked = [
    '-newkey',
    client.key('device.key'),
    '-subject',
    '/CN=somebody-else',
    '-certout',
    'device.crt',
  ]
  const { code, output } = await client.run('ir', [...signer, ...asked], '/p/pumps')
  assert.equal(code, 0, output)
  assert.match(output, /granted with modifications/)
  assert.match(output, /received PKICONF/)
  assert.equal((await client.onRoll('device.crt')).deviceId, 'SN-1')
})
