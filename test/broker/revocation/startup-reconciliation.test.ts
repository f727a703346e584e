// What devices left before the broker died, judged after its next start by what the registry says then.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import mqtt, { type MqttClient } from 'mqtt'
import type { Identity } from '../../harness/authority.ts'
import { type ForkedBroker, forkBroker } from '../../harness/fork.ts'
import { type Inbox, openInbox } from '../../harness/inbox.ts'
import { createRoll, type Roll, tester } from '../../harness/roll.ts'
import { until } from '../../harness/until.ts'

type Enrolled = Identity & { fingerprint: string }

describe('after the broker was killed', () => {
  let roll: Roll
  let broker: ForkedBroker
  let backendIdentity: Enrolled
  const clients: MqttClient[] = []

  beforeEach(async () => {
    roll = await createRoll()
    backendIdentity = await roll.enroll('b1', { groups: ['backend'] })
    broker = await forkBroker(roll)
  })
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.endAsync(true)
    await broker.close()
    await roll.close()
  })

  async function connected(id: string, identity: Identity, will = '') {
    const client = mqtt.connect(`mqtts://127.0.0.1:${broker.port}`, {
      clientId: id,
      clean: false,
      cert: identity.certificate,
      key: identity.key,
      ca: roll.root.certificate,
      servername: 'localhost',
      reconnectPeriod: 0,
      ...(will === ''
        ? {}
        : { will: { topic: `devices/${id}/will`, payload: Buffer.from(will), qos: 1, retain: false } }),
    })
    clients.push(client)
    const inbox = openInbox(client)
    client.on('error', () => {})
    const sessionPresent = await new Promise<boolean>((resolve, reject) => {
      client.once('connect', connack => resolve(connack.sessionPresent))
      client.once('close', () => reject(new Error(`${id} was not let in`)))
    })
    return { client, inbox, sessionPresent }
  }

  /** A session with a subscription, a retained message and a will, cut off by the death of the broker. */
  async function leave(id: string): Promise<Enrolled> {
    const identity = await roll.enroll(id)
    const { client } = await connected(id, identity, 'will')
    await client.subscribeAsync(`devices/${id}/#`, { qos: 1 })
    await client.publishAsync(`devices/${id}/state`, id, { qos: 1, retain: true })
    return identity
  }

  /** Whatever comes from now on waits. */
  async function allLeave(): Promise<void> {
    for (const client of clients.splice(0)) await client.endAsync()
    await until(async () => /^rollcall_sessions 0$/m.test((await broker.measure()).metrics))
  }

  async function backend(): Promise<{ client: MqttClient; inbox: Inbox }> {
    const { client, inbox } = await connected('b1', backendIdentity)
    await client.subscribeAsync('devices/#', { qos: 1 })
    return { client, inbox }
  }

  async function killed(meanwhile: () => Promise<unknown> = async () => {}): Promise<void> {
    await broker.kill()
    for (const client of clients.splice(0)) await client.endAsync(true)
    await meanwhile()
    broker = await forkBroker(roll)
  }

  const topics = (inbox: Inbox, part: string) =>
    inbox.all.filter(({ topic }) => topic.endsWith(part)).map(({ topic }) => topic.split('/')[1])

  test('wills are sent and retained messages shown only of devices that may still enter', async () => {
    await backend() // its session gets the wills, whenever they are sent
    const revoked = await leave('revoked')
    for (const id of ['decommissioned', 'suspended', 'fine']) await leave(id)
    await killed(async () => {
      await roll.writer.revokeCertificate(revoked.fingerprint, 'keyCompromise', tester)
      await roll.writer.setDeviceState('decommissioned', 'decommissioned', tester)
      await roll.writer.setDeviceState('suspended', 'suspended', tester)
    })
    const { client, inbox } = await backend()
    await until(() => topics(inbox, '/will').length > 0)
    await client.publishAsync('devices/b1/marker', 'marker', { qos: 1 })
    await inbox.message('marker')
    assert.deepEqual(topics(inbox, '/will'), ['fine'])
    assert.deepEqual(
      topics(inbox, '/state')
        .sort()
        .filter((id, at, all) => all.indexOf(id) === at),
      ['fine', 'suspended'],
    )
  })

  test('the will of the connection that took over is sent, though the one before had a will too', async () => {
    const { inbox } = await backend()
    const identity = await roll.enroll('d1')
    await connected('d1', identity, 'of the first')
    const second = await connected('d1', identity, 'of the second')
    await inbox.message('of the first')
    // By then whatever its end brings along is written.
    await second.client.subscribeAsync('devices/d1/#', { qos: 1 })
    await killed()
    await (await backend()).inbox.message('of the second')
  })

  test('a session is there for a device that may still enter, and gone for one that was decommissioned', async () => {
    const identity = await leave('d1')
    await leave('d2')
    await allLeave()
    const { client } = await backend()
    for (const id of ['d1', 'd2']) await client.publishAsync(`devices/${id}/commands`, 'waits', { qos: 1 })
    await killed(() => roll.writer.setDeviceState('d2', 'decommissioned', tester))
    const back = await connected('d1', identity)
    assert.equal(back.sessionPresent, true)
    await back.inbox.message('waits')
    await (await backend()).client.publishAsync('devices/d2/commands', 'x', { qos: 1 })
    const queued = async () => /^rollcall_queued_messages (\d+)$/m.exec((await broker.measure()).metrics)?.[1]
    await until(async () => (await queued()) === '0') // nor is anything kept for the other any more
  })

  test('a policy that changed meanwhile holds before anything is delivered', async () => {
    const identity = await leave('d1')
    await allLeave()
    const { client } = await backend()
    await client.publishAsync('devices/d1/secret', 'no more', { qos: 1 })
    await client.publishAsync('devices/d1/commands', 'still', { qos: 1 })
    const deny = { effect: 'deny', actions: ['receive'], topics: ['devices/+/secret'] }
    await killed(async () => {
      await roll.writer.putPolicy('quiet', { name: 'quiet', statements: [deny] }, tester)
      await roll.writer.attachPolicy('quiet', 'everyone', '', tester)
    })
    const { inbox } = await connected('d1', identity)
    await inbox.message('still')
    assert.deepEqual(
      inbox.all.map(({ payload }) => payload).filter(payload => payload === 'no more'),
      [],
    )
  })

  test('a damaged store is set aside, said aloud, and the broker starts', async () => {
    const identity = await leave('d1')
    await killed(async () => {
      for (const part of ['sessions.db', 'sessions.db-wal'])
        writeFileSync(join(roll.data, part), Buffer.alloc(16_384, 'x'))
    })
    const { sessionPresent } = await connected('d1', identity)
    assert.equal(sessionPresent, false)
    assert.match((await broker.measure()).metrics, /^rollcall_session_store_damaged_total 1$/m)
  })
})
