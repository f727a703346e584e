// The disk fills up under the session store: what cannot be kept is not acknowledged, everything else goes on, and all is well
// again once there is space.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import mqtt, { type MqttClient } from 'mqtt'
import type { Identity } from '../harness/authority.ts'
import { forkBroker } from '../harness/fork.ts'
import { openInbox } from '../harness/inbox.ts'
import { createRoll } from '../harness/roll.ts'
import { until } from '../harness/until.ts'
import { length } from './length.ts'
import { mountSmallDisk } from './small-disk.ts'

/** What it takes where nothing else runs; beside other tests it is for the machine to say. */
const RECOVERS_MS = length(60_000, 5_000)

test('a full disk acknowledges nothing that is not kept, and stops nobody else', async t => {
  using disk = mountSmallDisk()
  if (disk === null) return t.skip('needs the right to mount a tmpfs')
  process.env['TMPDIR'] = disk.at('')
  const roll = await createRoll()
  delete process.env['TMPDIR']
  const broker = await forkBroker(roll)
  const clients: MqttClient[] = []
  async function connected(id: string, identity: Identity, clean = false) {
    const client = mqtt.connect(`mqtts://127.0.0.1:${broker.port}`, {
      clientId: id,
      clean,
      cert: identity.certificate,
      key: identity.key,
      ca: roll.root.certificate,
      servername: 'localhost',
      reconnectPeriod: 0,
    })
    clients.push(client)
    client.on('error', () => {})
    const inbox = openInbox(client)
    const present = await new Promise<boolean>((resolve, reject) => {
      client.once('connect', ({ sessionPresent }) => resolve(sessionPresent))
      client.once('close', () => reject(new Error(`${id} was not let in`)))
    })
    return { client, inbox, present }
  }
  try {
    const device = await roll.enroll('d1')
    const other = await roll.enroll('d2')
    const third = await roll.enroll('d3')
    const backend = await roll.enroll('b1', { groups: ['backend'] })
    const { client } = await connected('d1', device)
    await client.subscribeAsync('devices/d1/#', { qos: 1 })
    await client.endAsync()
    const live = (await connected('d2', other, true)).client
    await live.subscribeAsync('devices/d2/#', { qos: 1 })

    const acknowledged: string[] = []
    /** Publishes one after the other; gives whether all were acknowledged, or else it was cut off. */
    async function publish(count: number): Promise<boolean> {
      const publisher = (await connected('b1', backend, true)).client
      const cut = new Promise<false>(resolve => publisher.once('close', () => resolve(false)))
      try {
        for (let sent = 0; sent < count; sent += 1) {
          const payload = `${acknowledged.length}:`.padEnd(2_048, 'x')
          const sending = publisher.publishAsync('devices/d1/commands', payload, { qos: 1 })
          const kept = sending.then(() => true).catch(() => false)
          if (!(await Promise.race([kept, cut]))) return false
          acknowledged.push(payload)
        }
        return true
      } finally {
        await publisher.endAsync(true)
      }
    }

    assert.equal(await publish(5), true)
    disk.fill()
    assert.equal(await publish(600), false, 'the publisher is cut off without PUBACK')
    const seen = openInbox(live)
    await live.publishAsync('devices/d2/x', 'to the living', { qos: 1 })
    await seen.message('to the living')
    await connected('b1', backend, true)
    const newcomer = await connected('d3', third)
    assert.equal(newcomer.present, false, 'inside, though its session cannot be begun')
    assert.match((await broker.measure()).metrics, /^rollcall_session_writes_lost_total [1-9]/m)

    disk.free()
    const freed = performance.now()
    await until(() => publish(1), RECOVERS_MS)
    const recoveredMs = performance.now() - freed
    t.diagnostic(`acknowledges again ${Math.round(recoveredMs)} ms after there is space`)
    await newcomer.client.publishAsync('devices/d3/x', 'needs a session', { qos: 2 })
    await newcomer.client.endAsync()
    assert.equal((await connected('d3', third)).present, true, 'begun by what had to be kept')
    const back = await connected('d1', device)
    await back.inbox.message(acknowledged.at(-1)!)
    const arrived = new Set(back.inbox.all.map(({ payload }) => payload))
    assert.deepEqual(
      acknowledged.filter(payload => !arrived.has(payload)).map(payload => payload.slice(0, 5)),
      [],
    )
    assert.equal(live.connected, true)
  } finally {
    for (const client of clients) await client.endAsync(true)
    await broker.close()
    await roll.close()
  }
})
