// The overview and connections: the numbers are those of the registry and of a real broker, and a group sees its own alone.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until } from '../../harness/until.ts'
import { beside, connect } from '../broker-beside.ts'
import { assertProblem, startService } from '../harness.ts'

test('counts devices and certificates as they come, move and go', async () => {
  await using service = await startService()
  const { call, enroll } = service
  for (const id of ['a', 'b', 'c']) await enroll(id)
  await call('POST', '/v1/devices', { id: 'd' })
  await call('POST', '/v1/devices/a/suspend')
  await call('POST', '/v1/devices/b/decommission')
  const look = async () => {
    // An answer may be a second old.
    const end = performance.now() + 30_000
    for (;;) {
      const { body } = await call('GET', '/v1/overview')
      if (body.devices.decommissioned === 1 || performance.now() > end) return body
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }
  const body = await look()
  assert.deepEqual(body.devices, { registered: 2, active: 0, suspended: 1, decommissioned: 1 })
  assert.equal(body.certificates.byStatus.issued + body.certificates.byStatus.revoked, 3)
  assert.deepEqual(
    body.certificates.expiring.map((window: { withinSeconds: number }) => window.withinSeconds),
    [86_400, 7 * 86_400, 30 * 86_400],
  )
  assert.equal(body.ca.issuers.length, 1)
  assert.equal(body.ca.issuers[0].current, true)
  assert.ok(body.ca.server.names.includes('127.0.0.1'))
  assert.deepEqual(body.nodes, [])
  const [last] = body.receipts
  assert.deepEqual([last.kind, last.deviceId, last.nodesTotal, last.milliseconds], ['device', 'b', 0, null])
})

for (const gates of [0, 1]) {
  test(`shows a device's connection, its transport, and no more once it is gone; gates ${gates}`, async () => {
    await using service = await startService()
    const broker = await beside(service, gates)
    try {
      const { client, fingerprint } = await connect(service, broker.port, 'pump-1')
      await service.call('POST', '/v1/devices', { id: 'pump-2' })
      await client.subscribeAsync('devices/pump-1/commands')
      const sessions = async () => (await service.call('GET', '/v1/devices/pump-1/sessions')).body.items
      await until(async () => (await sessions())[0]?.subscriptions.length === 1)
      const [session] = await sessions()
      const { since, cipher, ...rest } = session
      assert.ok(Math.abs(Date.parse(since) - Date.now()) < 60_000)
      assert.match(cipher, /^TLS_/)
      assert.deepEqual(rest, {
        node: 'broker',
        clientId: 'pump-1',
        fingerprint,
        address: '127.0.0.1',
        protocol: '3.1.1',
        transport: 'tls',
        tlsVersion: 'TLSv1.3',
        resumed: false,
        keepAliveSeconds: 30,
        clean: true,
        username: null,
        subscriptions: ['devices/pump-1/commands'],
      })
      const ids = async (query: string) =>
        (await service.call('GET', `/v1/devices?${query}`)).body.items.map((item: { id: string }) => item.id)
      assert.deepEqual([await ids('connected=true'), await ids('connected=false')], [['pump-1'], ['pump-2']])
      assert.equal((await service.call('GET', '/v1/devices/pump-1')).body.connected, true)
      await until(async () => (await service.call('GET', '/v1/overview')).body.connected === 1)
      const [node] = (await service.call('GET', '/v1/overview')).body.nodes
      assert.deepEqual([node.node, node.sessions, node.healthy, node.version], ['broker', 1, true, '0.1.0'])
      assert.deepEqual([node.unhealthySince, node.replica, node.busConnected], [null, null, null])

      await service.call('POST', '/v1/devices/pump-1/suspend')
      await until(async () => (await ids('connected=true')).length === 0)
      assert.deepEqual(await sessions(), [])
      await until(async () => {
        const [cut] = (await service.call('GET', '/v1/overview')).body.receipts
        return cut.deviceId === 'pump-1' && cut.sessionsCut === 1 && cut.milliseconds >= 0
      })
      await client.endAsync(true)
    } finally {
      await broker.close()
    }
  })
}

test('a broker that is gone without a word has nobody connected', async () => {
  let clock = Date.now()
  await using service = await startService({ now: () => clock })
  const broker = await beside(service)
  const { client } = await connect(service, broker.port, 'pump-1')
  try {
    await until(async () => (await service.call('GET', '/v1/devices/pump-1')).body.connected)
    clock = Date.now() + 60_000
    assert.equal((await service.call('GET', '/v1/devices/pump-1')).body.connected, false)
    assert.deepEqual((await service.call('GET', '/v1/devices?connected=true')).body.items, [])
    const node = async () => (await service.call('GET', '/v1/overview')).body.nodes[0]
    await until(async () => !(await node()).healthy)
    const { lastSeen, unhealthySince } = await node()
    assert.equal(unhealthySince, lastSeen)
  } finally {
    await client.endAsync(true)
    await broker.close()
  }
})

test('somebody bound to a group is shown the numbers of that group and nothing of the service', async () => {
  await using service = await startService()
  const { call, enroll } = service
  await call('POST', '/v1/devices', { id: 'pump-1', groups: ['pumps'] })
  await enroll('pump-1')
  await enroll('valve-1')
  await call('POST', '/v1/devices/valve-1/suspend')
  await call('POST', '/v1/devices/pump-1/suspend')
  const { token } = (await call('POST', '/v1/api-tokens', { name: 'eve', role: 'viewer', group: 'pumps' }))
    .body
  const { body } = await call('GET', '/v1/overview', undefined, { token })
  assert.deepEqual(body.devices, { registered: 0, active: 0, suspended: 1, decommissioned: 0 })
  assert.equal(body.certificates.byStatus.issued, 1)
  assert.deepEqual([body.perMinute, body.ca, body.nodes, body.jobs], [null, null, null, null])
  assert.deepEqual(
    body.receipts.map((receipt: { deviceId: string }) => receipt.deviceId),
    ['pump-1'],
  )
  assertProblem(
    await call('GET', '/v1/devices/valve-1/sessions', undefined, { token }),
    404,
    'device_unknown',
  )
})
