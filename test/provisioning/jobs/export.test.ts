// Exports over the API, and what an import makes of them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeRequests } from '../../../bench/requests.ts'
import { startService } from '../harness.ts'
import { imported, type Line, told } from './uploads.ts'

test('an export is of one moment, and an empty registry takes it back with its certificates pinned', async () => {
  await using service = await startService()
  const requests = await makeRequests('ex', 30)
  const rows = requests.map(({ deviceId, csr }, index) => ({
    deviceId,
    csr,
    attributes: { n: String(index) },
    groups: index % 2 === 0 ? ['even'] : [],
  }))
  await imported(service, [...rows, { deviceId: '-minus', attributes: { formula: '=1+1' } }])
  await service.call('POST', '/v1/devices/ex-0000001/suspend')
  await service.call('POST', '/v1/devices/ex-0000003/decommission')
  const exported = await service.call('GET', '/v1/export')
  assert.equal(exported.headers['content-type'], 'application/x-ndjson')
  assert.equal(exported.text.trim().split('\n').length, 31)
  const even = await service.call('GET', '/v1/export?group=even&pem=false')
  assert.equal(even.text.trim().split('\n').length, 15)
  assert.doesNotMatch(even.text, /BEGIN CERTIFICATE/)
  assert.equal((await service.call('GET', '/v1/export?status=revoked')).text, '')
  const csv = await service.call('GET', '/v1/export?format=csv')
  assert.match(csv.text, /\r\n'-minus,registered,/)
  assert.deepEqual(
    told((await imported(service, exported.text)).results)
      .map(([, outcome]) => outcome)
      .filter(outcome => outcome !== 'unchanged'),
    [],
  )

  await using empty = await startService()
  const back = await imported(empty, exported.text, '?pin=true')
  assert.deepEqual(back.job.counts, {
    registered: 1,
    enrolled: 0,
    listed: 30,
    changed: 0,
    unchanged: 0,
    refused: 0,
  })
  const facts = (text: string) =>
    text
      .trim()
      .split('\n')
      .map(line => {
        const { deviceId, state, attributes, groups, certificates } = JSON.parse(line)
        return { deviceId, state, attributes, groups, held: certificates.map((c: Line) => c.fingerprint) }
      })
  assert.deepEqual(facts((await empty.call('GET', '/v1/export')).text), facts(exported.text))
})

test('an operator runs one export at a time, and keeps no other from his', async () => {
  await using service = await startService()
  const requests = await makeRequests('slot', 200)
  await imported(
    service,
    requests.map(({ deviceId, csr }) => ({ deviceId, csr, attributes: { a: 'v'.repeat(1_000) } })),
  )
  const tokenOf = async (name: string) =>
    (await service.call('POST', '/v1/api-tokens', { name, role: 'admin' })).body.token as string
  const [ann, bob] = [await tokenOf('ann'), await tokenOf('bob')]
  const both = await Promise.all([
    service.call('GET', '/v1/export', undefined, { token: ann }),
    service.call('GET', '/v1/export', undefined, { token: ann }),
    service.call('GET', '/v1/export', undefined, { token: bob }),
  ])
  assert.deepEqual(
    both.map(({ status }) => status),
    [200, 503, 200],
  )
  assert.equal(both[1]?.body.reason, 'registry_busy')
  assert.equal((await service.call('GET', '/v1/export', undefined, { token: ann })).status, 200)
})
