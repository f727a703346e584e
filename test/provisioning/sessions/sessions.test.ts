// Sessions over the API: the list with its filters, and kicks with their receipts, for operators of all and of one group.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gone } from '../../harness/inbox.ts'
import { until } from '../../harness/until.ts'
import { beside, connect } from '../broker-beside.ts'
import { startService } from '../harness.ts'

test('lists connected and kept sessions, and kicks them with a receipt', async () => {
  await using service = await startService({ receiptTimeoutMs: 5_000 })
  const broker = await beside(service)
  const list = async (query = '') =>
    (await service.call('GET', `/v1/sessions${query}`)).body.items.map(
      ({ deviceId }: { deviceId: string }) => deviceId,
    )
  try {
    const here = await connect(service, broker.port, 'here')
    await (await connect(service, broker.port, 'gone')).client.endAsync()
    const away = await connect(service, broker.port, 'away', { clean: false })
    await away.client.subscribeAsync('devices/away/commands', { qos: 1 })
    await away.client.endAsync()
    await until(async () => (await list()).length === 2 && (await list('?connected=true')).length === 1)

    assert.deepEqual(await list(), ['away', 'here'])
    assert.deepEqual(await list('?connected=true'), ['here'])
    assert.deepEqual(await list('?connected=false'), ['away'])
    assert.deepEqual(await list('?kept=true'), ['away'])
    assert.deepEqual(await list('?sort=-deviceId'), ['here', 'away'])
    assert.deepEqual(await list('?prefix=h'), ['here'])
    const { body } = await service.call('GET', '/v1/sessions?limit=1&total=true')
    assert.deepEqual([body.total, body.items.length], [{ count: 2, exact: true }, 1])
    const [item] = body.items
    assert.deepEqual(
      [item.connected, item.kept, item.node, item.protocol, item.messagesWaiting],
      [false, true, null, '3.1.1', 0],
    )
    const next = await service.call('GET', `/v1/sessions?limit=1&cursor=${body.nextCursor}`)
    assert.deepEqual([next.body.items[0].deviceId, next.body.items[0].node], ['here', 'broker'])

    await service.call('PATCH', '/v1/devices/away', { groups: ['pumps'] })
    const role = { name: 'pumps', role: 'viewer', group: 'pumps' }
    const { token } = (await service.call('POST', '/v1/api-tokens', role)).body
    const bound = (await service.call('GET', '/v1/sessions', undefined, { token })).body.items
    assert.deepEqual(
      bound.map((session: { deviceId: string }) => session.deviceId),
      ['away'],
    )

    const kicked = await service.call('POST', '/v1/devices/here/sessions/kick')
    const { sessionsCut, nodesAcknowledged, unreachable, deviceId, cleared } = kicked.body
    assert.deepEqual(
      [kicked.status, sessionsCut, nodesAcknowledged, unreachable, deviceId, cleared],
      [200, 1, 1, [], 'here', false],
    )
    await gone(here.client)
    await service.call('POST', '/v1/devices/away/sessions/kick', { clear: true })
    await until(async () => (await list()).length === 0)
    const seen = (await service.call('GET', '/v1/devices/here')).body.lastSeen
    assert.equal(seen.reason, 'session_kicked')

    const { items } = (await service.call('GET', '/v1/audit?action=session.kick')).body
    assert.deepEqual(
      items.map((row: { target: string; detail: object }) => [row.target, row.detail]),
      [
        ['away', { clear: true }],
        ['here', { clear: false }],
      ],
    )
    const receipts = (await service.call('GET', '/v1/overview')).body.receipts
    assert.deepEqual(
      receipts.slice(0, 2).map(({ kind }: { kind: string }) => kind),
      ['stored_session', 'session'],
    )
  } finally {
    await broker.close()
  }
})

test('a kick is for operators, of their group alone, and of devices that there are', async () => {
  await using service = await startService()
  await service.call('POST', '/v1/devices', { id: 'pump-1', groups: ['pumps'] })
  await service.call('POST', '/v1/devices', { id: 'fan-1', groups: ['fans'] })
  const tokenOf = async (role: string, group?: string) =>
    (
      await service.call('POST', '/v1/api-tokens', {
        name: `${role}-${group}`,
        role,
        ...(group && { group }),
      })
    ).body.token as string
  const kick = async (id: string, token?: string, body?: object) =>
    (await service.call('POST', `/v1/devices/${id}/sessions/kick`, body, token ? { token } : {})).body
  const viewer = await tokenOf('viewer')
  const pumps = await tokenOf('operator', 'pumps')
  assert.equal((await kick('nobody')).reason, 'device_unknown')
  assert.equal((await kick('pump-1', viewer)).reason, 'role_insufficient')
  assert.equal((await kick('fan-1', pumps)).reason, 'device_unknown')
  assert.equal((await kick('pump-1', pumps)).deviceId, 'pump-1')
  assert.equal((await kick('pump-1', pumps, { clean: true })).reason, 'request_invalid')
  const again = async () =>
    (
      await service.call(
        'POST',
        '/v1/devices/pump-1/sessions/kick',
        { clear: true },
        {
          headers: { 'idempotency-key': 'once', 'content-type': 'application/json' },
        },
      )
    ).body
  assert.deepEqual(await again(), await again())
})
