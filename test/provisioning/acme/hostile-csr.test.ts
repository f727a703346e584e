// Requests for certificates that are none, or ask for what they may not, in an order of ACME.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pemBlocks } from '../../../pki/pem.ts'
import { makeCsr, startService, type TestKey } from '../harness.ts'
import { assertRefused, bindingFor, createAcmeClient } from './acme-client.ts'

test('hostile requests for certificates are refused as badCSR, count as attempts of the token, and leave the order ready', async () => {
  await using service = await startService({ failuresPerMinuteMax: 1_000 })
  const flawed = Buffer.from(makeCsr('p256').csr.replace(/-----.*?-----|\s/g, ''), 'base64')
  flawed[flawed.length - 1]! ^= 1
  const encoded = (type: TestKey) =>
    pemBlocks(makeCsr(type).csr, 'CERTIFICATE REQUEST')[0]!.toString('base64url')
  const cases: [string, RegExp][] = [
    ...['AAAA', 'MAA', 'MIL_____', 'A'.repeat(20_000)].map((csr): [string, RegExp] => [csr, /csr/]),
    [encoded('rsa1024'), /1024|RSA/],
    [encoded('p521'), /P-521/],
    [flawed.toString('base64url'), /signature/],
  ]
  for (const [csr, why] of cases) {
    const client = await createAcmeClient(service)
    const binding = await bindingFor(service, { group: 'g' })
    await client.register(binding)
    const order = await client.order('gateway-1')
    assertRefused(await client.post(client.pathOf(order.body.finalize), { csr }), 400, 'badCSR', why)
    assert.equal(
      (await client.post(client.pathOf(String(order.headers.location)), null)).body.status,
      'ready',
    )
    assert.equal((await service.call('GET', `/v1/enrollment-tokens/${binding.kid}`)).body.attempts, 1)
  }
  const client = await createAcmeClient(service)
  await client.register(await bindingFor(service, { group: 'g' }))
  const order = await client.order('gateway-1')
  for (const csr of [undefined, 7, '', '!', 'AAAA+/='])
    assertRefused(await client.post(client.pathOf(order.body.finalize), { csr }), 400, 'malformed', /csr/)
  // Nothing of its names and extensions is in the certificate.
  const { csr } = makeCsr('p256', [
    ...['-subj', '/CN=admin', '-addext', 'basicConstraints=CA:TRUE', '-addext', 'subjectAltName=DNS:other'],
  ])
  assert.equal((await client.finalize(order, csr)).body.status, 'valid')
  const { items } = (await service.call('GET', '/v1/certificates?deviceId=gateway-1')).body
  assert.deepEqual(
    items.map(({ subject }: { subject: string }) => subject),
    ['CN=gateway-1'],
  )
})
