// An account of a claim is one device's, whatever it asks for at once.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeCsr, startService } from '../harness.ts'
import { assertRefused, createAcmeClient } from './acme-client.ts'

test('an account of a claim enrolls one device, however many orders are finalized at once, or wait', async () => {
  await using service = await startService()
  const claim = { csr: makeCsr('p256').csr, quota: 10, days: 1, acme: true }
  const devices = async () =>
    (await service.call('GET', '/v1/devices')).body.items.map(({ id }: { id: string }) => id)
  const made = await service.call('POST', '/v1/claims', { ...claim, name: 'batch' })
  const client = await createAcmeClient(service)
  await client.register(made.body.acme)
  const orders = []
  for (const name of ['gw-1', 'gw-2', 'gw-3']) orders.push(await client.order(name))
  const answers = await Promise.all(orders.map(order => client.finalize(order, makeCsr('p256').csr)))
  assert.equal(answers.filter(({ body }) => body.status === 'valid').length, 1)
  assert.equal((await devices()).length, 1)

  const waiting = await service.call('POST', '/v1/claims', {
    ...{ ...claim, csr: makeCsr('p256').csr },
    ...{ name: 'approved', approval: true },
  })
  const patient = await createAcmeClient(service)
  await patient.register(waiting.body.acme)
  const first = await patient.finalize(await patient.order('gw-4'), makeCsr('p256').csr)
  assert.equal(first.body.status, 'processing', first.bytes.toString())
  const other = await patient.finalize(await patient.order('gw-5'), makeCsr('p256').csr)
  assertRefused(other, 503, 'serverInternal', /another order of this account/)
  assert.equal((await devices()).length, 2)
})
