// A device is decommissioned while it subscribes, retains, leaves a will and takes its own session over, at another moment each time:
// once that is acknowledged nothing it says arrives any more, and nothing it said is left.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { awaitReceipt } from '../../db/change-feed.ts'
import { longTimeouts, mqttClient, startTestBroker } from '../harness/broker.ts'
import { openInbox } from '../harness/inbox.ts'
import { publishQos1, rawSession, subscribePacket } from '../harness/raw-client.ts'
import { tester } from '../harness/roll.ts'

const ROUNDS = 50
const ACKNOWLEDGED_MS = 30_000
const RETAIN = 1

for (const gates of [0, 1])
  test(`in ${ROUNDS} races of speaking and decommissioning nothing is left, ${gates} gates`, async t => {
    const own = await startTestBroker({ settings: { ...longTimeouts, gates, registryPollMs: 5 } })
    try {
      const backend = await mqttClient(own, 'b1', await own.roll.enroll('b1', { groups: ['backend'] }))
      const inbox = openInbox(backend)
      await backend.subscribeAsync('devices/+/#', { qos: 1 })
      let spoke = 0
      for (let round = 0; round < ROUNDS; round += 1) {
        const id = `d${round}`
        const identity = await own.roll.enroll(id)
        const will = { topic: `devices/${id}/will`, payload: 'gone', retain: true }
        const connect = { clientId: id, clean: false, keepalive: 0, will }
        const first = await rawSession(own, identity, connect)
        first.on('error', () => {})
        let stop = false
        const speaking = (async () => {
          for (let sent = 1; !stop && !first.destroyed; sent += 1) {
            const packet = publishQos1(`devices/${id}/${sent % 20}`, 1 + (sent % 65_535), 'x')
            packet[0]! |= RETAIN
            first.write(
              Buffer.concat([subscribePacket(1 + (sent % 65_535), [`devices/${id}/${sent}`], 1), packet]),
            )
            await new Promise(resolve => setImmediate(resolve))
          }
        })()
        for (let turn = 0; turn < (round * 7) % 40; turn += 1)
          await new Promise(resolve => setImmediate(resolve))
        const taking = rawSession(own, identity, connect).catch(() => null)
        const change = await own.roll.writer.setDeviceState(id, 'decommissioned', tester)
        assert.ok(change !== null)
        await awaitReceipt(own.roll.registry, change, ACKNOWLEDGED_MS)
        // A mark behind whatever was on its way, then whatever still comes is of after the acknowledgement.
        await backend.publishAsync('devices/mark/x', `mark ${round}`, { qos: 1 })
        await inbox.message(`mark ${round}`)
        const count = inbox.all.length
        if (inbox.all.some(({ topic }) => topic.startsWith(`devices/${id}/`))) spoke += 1
        await backend.publishAsync('devices/mark/x', `again ${round}`, { qos: 1 })
        await inbox.message(`again ${round}`)
        const late = inbox.all.slice(count).filter(({ topic }) => topic.startsWith(`devices/${id}/`))
        assert.deepEqual(late, [], `round ${round}`)
        stop = true
        await speaking
        first.destroy()
        ;(await taking)?.destroy()
        assert.ok(!inbox.all.some(({ topic }) => topic === `devices/${id}/will`), 'its will is not sent')
      }
      const late = await mqttClient(own, 'b2', await own.roll.enroll('b2', { groups: ['backend'] }))
      const left = openInbox(late)
      await late.subscribeAsync('devices/+/#', { qos: 1 })
      await late.publishAsync('devices/end/x', 'end', { qos: 1 })
      await left.message('end')
      assert.deepEqual(
        left.all.map(({ topic }) => topic),
        ['devices/end/x'],
        'nothing that they retained is left',
      )
      t.diagnostic(`${spoke} of ${ROUNDS} had said something`)
      assert.ok(spoke > ROUNDS / 4)
      await backend.endAsync(true)
      await late.endAsync(true)
    } finally {
      await own.close()
    }
  })
