// Draining brokers over the API: the rights it takes, what is answered, how far it is, and what is on record.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gone } from '../../harness/inbox.ts'
import { until } from '../../harness/until.ts'
import { beside, connect } from '../broker-beside.ts'
import { assertProblem, startService } from '../harness.ts'

test('a broker is drained and resumed, and every look at it tells how far it is', async () => {
  await using service = await startService()
  const broker = await beside(service)
  try {
    const { client, again } = await connect(service, broker.port, 'd1')
    const node = async () => (await service.call('GET', '/v1/nodes')).body.items[0]
    await until(async () => (await node())?.sessions === 1)
    assert.equal((await node()).drain, null)

    const order = { overSeconds: 0, serverReference: 'mqtt-2.example:8883' }
    const first = await service.call('POST', '/v1/nodes/broker/drain', order)
    const { changed, name, node: shown } = first.body
    assert.deepEqual([first.status, changed, name, shown.node], [200, true, 'broker', 'broker'])
    assert.deepEqual([shown.drain.state, shown.drain.serverReference], ['draining', order.serverReference])
    await gone(client)
    await until(async () => (await node()).drain.state === 'drained')
    assert.equal((await node()).sessions, 0)
    const overview = (await service.call('GET', '/v1/overview')).body.nodes[0]
    assert.equal(overview.drain.state, 'drained')
    await assert.rejects(again(), /Server unavailable/)
    assert.equal((await service.call('POST', '/v1/nodes/broker/drain', order)).body.changed, false)

    const resumed = await service.call('POST', '/v1/nodes/broker/resume')
    assert.deepEqual([resumed.status, resumed.body.changed, resumed.body.node.drain], [200, true, null])
    await until(() => broker.ready())
    await (await again()).endAsync()
    assert.equal((await service.call('POST', '/v1/nodes/broker/resume')).body.changed, false)

    const audited = (await service.call('GET', '/v1/audit?action=node.*')).body.items
    assert.deepEqual(
      audited.map((row: { action: string; target: string }) => [row.action, row.target]),
      [
        ['node.resume', 'broker'],
        ['node.drain', 'broker'],
      ],
    )
    const told = async (kind: string) => (await service.call('GET', `/v1/events?kind=${kind}`)).body.items
    for (const kind of ['node_draining', 'node_drained', 'node_resumed'])
      await until(async () => (await told(kind)).length === 1)
    assert.equal((await told('node_draining'))[0].detail.name, 'broker')
    assert.equal((await told('node_drained'))[0].node, 'broker')
  } finally {
    await broker.close()
  }
})

test('one Idempotency-Key drains once, and a broker that was stopped can be resumed', async () => {
  await using service = await startService()
  const broker = await beside(service)
  const headers = { 'idempotency-key': 'drain-1' }
  for (const _ of [1, 2]) {
    const { status, body } = await service.call('POST', '/v1/nodes/broker/drain', {}, { headers })
    assert.deepEqual([status, body.changed], [200, true])
  }
  await broker.close()
  const { status, body } = await service.call('POST', '/v1/nodes/broker/resume')
  assert.deepEqual([status, body], [200, { name: 'broker', node: null, changed: true }])
})

test('only operators of the whole fleet may, and what is wrong is said', async () => {
  await using service = await startService()
  const broker = await beside(service)
  try {
    const drain = (node: string, body: object = {}, token = service.token) =>
      service.call('POST', `/v1/nodes/${node}/drain`, body, { token })
    const unknown = await drain('brokr')
    assertProblem(unknown, 404, 'node_unknown')
    assert.equal(unknown.body.detail, 'no broker is called brokr: there are broker')
    for (const serverReference of ['http://mqtt-2', 'mqtt-2:99999', 'a b '.repeat(20)])
      assertProblem(await drain('broker', { serverReference }), 400, 'request_invalid')
    for (const overSeconds of [-1, 1.5, 86_401, '5'])
      assertProblem(await drain('broker', { overSeconds }), 400, 'request_invalid')
    const tokens = [
      { name: 'viewer', role: 'viewer' },
      { name: 'pumps', role: 'operator', group: 'pumps' },
    ]
    for (const role of tokens) {
      const { token } = (await service.call('POST', '/v1/api-tokens', role)).body
      assert.equal((await drain('broker', {}, token)).status, 403)
      assert.equal((await service.call('POST', '/v1/nodes/broker/resume', undefined, { token })).status, 403)
    }
    assert.equal((await service.call('GET', '/v1/nodes')).body.items[0].drain, null)
  } finally {
    await broker.close()
  }
})
