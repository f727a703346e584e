// An acknowledgement of another kind than is due ends the connection, and a kept session loses nothing of what it was sent
// [MQTT-4.8.0-1].
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { Identity } from '../../../harness/authority.ts'
import { startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import {
  acknowledgement,
  ended,
  packetsOf,
  publishQos1,
  publishQos2,
  type RawPacket,
  rawSession,
  subscribePacket,
} from '../../../harness/raw-client.ts'
import { until } from '../../../harness/until.ts'

const PUBLISH = 3
const PUBACK = 4 as const
const PUBREC = 5 as const
const PUBCOMP = 7 as const
const SUBACK = 9
const topic = 'devices/d1/x'

const idOf = ({ bytes }: RawPacket) => bytes.readUInt16BE(2 + 2 + topic.length)

describe('a connection ends, and nothing is lost, with', () => {
  let t: TestBroker
  let device: Identity
  beforeEach(async () => {
    t = await startTestBroker()
    device = await t.roll.enroll('d1')
  })
  afterEach(() => t.close())

  const wrong: [what: string, qos: 1 | 2, answers: (4 | 5 | 7)[]][] = [
    ['PUBREC of QoS 1', 1, [PUBREC]],
    ['PUBCOMP of QoS 1', 1, [PUBCOMP]],
    ['PUBACK of QoS 2', 2, [PUBACK]],
    ['PUBCOMP before PUBREC', 2, [PUBCOMP]],
    ['PUBACK after PUBREC', 2, [PUBREC, PUBACK]],
  ]
  for (const [what, qos, answers] of wrong)
    test(`${what}`, async () => {
      const first = await rawSession(t, device, { clientId: 'd1', clean: false })
      const before = packetsOf(first)
      first.write(subscribePacket(1, [topic], 2))
      await until(() => before.some(({ kind }) => kind === SUBACK))
      first.write(qos === 1 ? publishQos1(topic, 7, 'kept') : publishQos2(topic, 7, 'kept'))
      await until(() => before.some(({ kind }) => kind === PUBLISH))
      const id = idOf(before.find(({ kind }) => kind === PUBLISH)!)
      for (const kind of answers) first.write(acknowledgement(kind, id))
      await ended(first)
      const second = await rawSession(t, device, { clientId: 'd1', clean: false })
      const after = packetsOf(second)
      await until(() => after.length > 0)
      const owed = after[0]!
      if (answers.includes(PUBREC) && qos === 2) assert.deepEqual(owed.bytes, acknowledgement(6, id))
      else assert.deepEqual([owed.kind, idOf(owed), owed.bytes[0]! & 0x08], [PUBLISH, id, 0x08])
      second.destroy()
    })
})
