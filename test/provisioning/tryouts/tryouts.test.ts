// Trying out what a device may, over the API and through a real broker: its rights decide, every order is on record, and nothing of it is a
// session of the device.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, connect as netConnect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { openInbox } from '../../harness/inbox.ts'
import { until } from '../../harness/until.ts'
import { beside, connect } from '../broker-beside.ts'
import { type Service, startService } from '../harness.ts'

const tried = (service: Service, id: string, what: string, body: object, token?: string) =>
  service.call('POST', `/v1/devices/${id}/try/${what}`, body, token === undefined ? {} : { token })

test('publishes by the rights of the device, marked, on record and never retained', async () => {
  await using service = await startService()
  const broker = await beside(service)
  try {
    await service.enroll('pump-1')
    await service.call('POST', '/v1/devices', { id: 'backend-1', groups: ['backend'] })
    const reader = await connect(service, broker.port, 'backend-1', { protocolVersion: 5 })
    const inbox = openInbox(reader.client)
    const marks: unknown[] = []
    reader.client.on('message', (_topic, _payload, { properties }) => marks.push(properties?.userProperties))
    await reader.client.subscribeAsync('devices/#', { qos: 1 })
    const sent = await tried(service, 'pump-1', 'publish', {
      topic: 'devices/pump-1/telemetry',
      payload: 'ü',
    })
    assert.deepEqual(
      [sent.status, sent.body],
      [200, { deviceId: 'pump-1', topic: 'devices/pump-1/telemetry', receivers: 1 }],
    )
    const { retain, qos } = await inbox.message('ü')
    const { name } = (await service.call('GET', '/v1/whoami')).body
    assert.deepEqual([retain, qos, { ...(marks[0] as object) }], [false, 1, { 'rollcall-tried-by': name }])

    const denied = await tried(service, 'pump-1', 'publish', { topic: 'devices/pump-2/telemetry' })
    assert.deepEqual([denied.status, denied.body.reason], [403, 'tryout_denied'])
    for (const topic of ['a/+', '$SYS/x'])
      assert.equal((await tried(service, 'pump-1', 'publish', { topic })).body.reason, 'request_invalid')
    const large = { topic: 'a', payloadBase64: Buffer.alloc(32_769).toString('base64') }
    assert.equal((await tried(service, 'pump-1', 'publish', large)).body.reason, 'request_invalid')
    const { items } = (await service.call('GET', '/v1/audit?action=tryout.publish')).body
    assert.deepEqual(items.at(-1).detail, { publish: 'devices/pump-1/telemetry', qos: 1, bytes: 2 })
    assert.equal((await service.call('GET', '/v1/devices/pump-1')).body.lastSeen, null, 'it never connected')
    await reader.client.endAsync()
  } finally {
    await broker.close()
  }
})

test('shows what the device would be sent, until its right ends', async () => {
  await using service = await startService()
  const broker = await beside(service)
  try {
    await service.enroll('pump-1')
    await service.call('POST', '/v1/devices', { id: 'backend-1', groups: ['backend'] })
    const { client } = await connect(service, broker.port, 'backend-1')
    await client.publishAsync('devices/pump-1/commands', 'kept', { qos: 1, retain: true })
    const filter = 'devices/pump-1/#'
    const asked = tried(service, 'pump-1', 'subscribe', { filter, messages: 2, seconds: 60 })
    const sending = setInterval(() => client.publish('devices/pump-1/commands', Buffer.from([0xff])), 20)
    const { body } = await asked
    clearInterval(sending)
    assert.equal(body.ended, 'messages')
    const [kept, live] = body.messages
    assert.deepEqual([kept.payload, kept.retained, kept.bytes], ['kept', true, 4])
    assert.deepEqual([live.payload, live.payloadBase64, live.retained], [null, '/w==', false])

    const denied = await tried(service, 'pump-1', 'subscribe', { filter: 'devices/pump-2/#' })
    assert.equal(denied.body.reason, 'tryout_denied')
    const quiet = await tried(service, 'pump-1', 'subscribe', {
      filter: 'devices/pump-1/nothing',
      seconds: 1,
    })
    assert.deepEqual([quiet.body.messages, quiet.body.ended], [[], 'time'])

    const cut = tried(service, 'pump-1', 'subscribe', { filter, seconds: 60 })
    const rows = async () => (await service.call('GET', '/v1/audit?action=tryout.subscribe')).body.items
    await until(async () => (await rows()).length === 4)
    await service.call('POST', '/v1/devices/pump-1/suspend')
    assert.equal((await cut).body.ended, 'right_ended')
    const suspended = await tried(service, 'pump-1', 'publish', { topic: 'devices/pump-1/telemetry' })
    assert.deepEqual([suspended.status, suspended.body.reason], [409, 'device_not_admitted'])
    await client.endAsync()
  } finally {
    await broker.close()
  }
})

test('is for operators of the device, so much a minute, and with a broker alone', async () => {
  let clock = Date.now()
  await using service = await startService({ now: () => clock })
  await service.enroll('pump-1')
  const order = { topic: 'devices/pump-1/telemetry' }
  const alone = await tried(service, 'pump-1', 'publish', order)
  assert.deepEqual([alone.status, alone.body.reason], [503, 'broker_unreachable'])
  const tokenOf = async (role: string, group?: string) =>
    (await service.call('POST', '/v1/api-tokens', { name: role, role, ...(group && { group }) })).body.token
  const enroller = await tokenOf('enroller')
  assert.equal((await tried(service, 'pump-1', 'publish', order, enroller)).body.reason, 'role_insufficient')
  const fans = await tokenOf('operator', 'fans')
  assert.equal((await tried(service, 'pump-1', 'publish', order, fans)).body.reason, 'device_unknown')
  clock += 60_000
  for (let n = 0; n < 30; n += 1) await tried(service, 'pump-1', 'publish', order)
  const beyond = await tried(service, 'pump-1', 'publish', order)
  assert.deepEqual([beyond.status, beyond.body.reason], [429, 'tryouts_exceeded'])
})

const kept = (payload: Buffer, n: number) => ({ topic: `devices/pump-1/state/${n}`, payload })

test('lends a caller bound to a group no rights that it may not hand on, and none of a device that left the group', async () => {
  await using service = await startService()
  const broker = await beside(service)
  try {
    const { token } = (
      await service.call('POST', '/v1/api-tokens', { name: 'bound', role: 'operator', group: 'pumps' })
    ).body
    await service.enroll('pump-1')
    const groups = (...names: string[]) =>
      service.call('PATCH', '/v1/devices/pump-1', { groups: ['pumps', ...names] })
    await groups()
    const own = { topic: 'devices/pump-1/telemetry' }
    assert.equal((await tried(service, 'pump-1', 'publish', own, token)).status, 200)
    // A policy is attached to this group.
    await groups('backend')
    for (const [what, order] of [
      ['publish', { topic: 'devices/pump-2/commands' }],
      ['publish', own],
      ['subscribe', { filter: '#', seconds: 1 }],
    ] as const)
      assert.equal((await tried(service, 'pump-1', what, order, token)).body.reason, 'group_forbidden')

    for (const change of [
      () => groups('backend'),
      () => service.call('PATCH', '/v1/devices/pump-1', { groups: [] }),
    ]) {
      await groups()
      const rows = async () =>
        (await service.call('GET', '/v1/audit?action=tryout.subscribe')).body.items.length
      const before = await rows()
      const order = { filter: 'devices/pump-1/#', seconds: 60 }
      const listens = tried(service, 'pump-1', 'subscribe', order, token)
      await until(async () => (await rows()) > before)
      await change()
      assert.equal((await listens).body.ended, 'right_ended')
    }
  } finally {
    await broker.close()
  }
})

test('shows as many as are wanted of much that is retained', async () => {
  await using service = await startService()
  const broker = await beside(service)
  try {
    await service.call('POST', '/v1/devices', { id: 'backend-1', groups: ['backend'] })
    await service.enroll('pump-1')
    const { client } = await connect(service, broker.port, 'backend-1')
    const sent = Array.from({ length: 900 }, (_, n) => kept(Buffer.alloc(4_096, 1), n))
    await Promise.all(
      sent.map(({ topic, payload }) => client.publishAsync(topic, payload, { qos: 1, retain: true })),
    )
    const order = { filter: 'devices/pump-1/#', seconds: 60 }
    const { body } = await tried(service, 'pump-1', 'subscribe', order)
    assert.deepEqual([body.messages.length, body.ended], [100, 'messages'])
    await client.endAsync()
  } finally {
    await broker.close()
  }
})

test('does not call undone what a broker may have done that gave no answer, and a broker does no order that is too late', async () => {
  await using service = await startService()
  await service.enroll('pump-1')
  const file = join(service.directory, 'broker.sock')
  const silent = createServer(socket => socket.once('data', () => socket.destroy()))
  await once(silent.listen(file), 'listening')
  const order = { topic: 'devices/pump-1/telemetry' }
  const lost = await tried(service, 'pump-1', 'publish', order)
  assert.deepEqual([lost.status, lost.body.reason], [409, 'answer_lost'])
  silent.close()
  await once(silent, 'close')

  const broker = await beside(service)
  try {
    const principal = { deviceId: 'pump-1', issuerId: null, serialNumber: '01' }
    const late = { do: 'publish', principal, by: 'test', ...order, payload: '', qos: 1 }
    const answer = async (until: number) => {
      const socket = netConnect(file)
      socket.write(`${JSON.stringify({ ...late, until })}\n`)
      return await text(socket).catch(() => '')
    }
    assert.equal(await answer(Date.now() + 60_000), '{"receivers":0}\n')
    assert.equal(await answer(Date.now() - 1), '')
  } finally {
    await broker.close()
  }
})

test('is for topics and filters that the device could name', async () => {
  await using service = await startService()
  const broker = await beside(service)
  try {
    await service.enroll('pump-1')
    const topic = 'devices/pump-1/telemetry'
    for (const wrong of [topic + '/x'.repeat(100), `${topic}/\ud800`, `${topic}/${'x'.repeat(1_024)}`]) {
      assert.equal(
        (await tried(service, 'pump-1', 'publish', { topic: wrong })).body.reason,
        'request_invalid',
      )
      const filter = { filter: wrong, seconds: 1 }
      assert.equal((await tried(service, 'pump-1', 'subscribe', filter)).body.reason, 'request_invalid')
    }
  } finally {
    await broker.close()
  }
})
