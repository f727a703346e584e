// Packets of MQTT 3.1, 3.1.1 and 5 with every property there is, damaged for a while: the decoder gives a packet or a PacketFault, and
// nothing that the engine could not bear. The same again: ROLLCALL_FAULT_SEED.
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { test } from 'node:test'
import mqttPacket, { type Packet } from 'mqtt-packet'
import { PacketFault } from '../../broker/mqtt/protocol/byte-reader.ts'
import { createDecoder } from '../../broker/mqtt/protocol/decode.ts'
import { frameAt } from '../../broker/mqtt/protocol/frames.ts'
import { checkFirstPacket, createFrameReader } from '../../broker/mqtt/protocol/packet-frames.ts'
import type { Version } from '../../broker/mqtt/protocol/packets.ts'
import { remainingLength } from '../harness/broker.ts'
import { length } from './length.ts'
import { type Chance, createChance, mutatedBytes } from './mutations.ts'

const DURATION_MS = length(500, 10 * 60_000)
const TRIES = 64
const BYTES_MAX = 65_536
const FILTERS_MAX = 4_000
const seed = Number(process.env['ROLLCALL_FAULT_SEED'] ?? randomInt(2 ** 31))
const versions = [3, 4, 5] as const

const userProperties = { a: 'b', c: ['d', 'e'] }
const of5 = <One>(version: Version, properties: One) => (version === 5 ? { properties } : {})

/** One of each that a client sends, with as much in it as the version has. */
function packetsOf(protocolVersion: Version): Buffer[] {
  const subscription = { topic: 'devices/d/#', qos: 1 as const, nl: true, rap: true, rh: 1 }
  const will = {
    ...{ topic: 'devices/d/will', payload: Buffer.from('gone'), qos: 2 as const, retain: true },
    ...of5(protocolVersion, {
      ...{ willDelayInterval: 5, payloadFormatIndicator: true, messageExpiryInterval: 9, contentType: 't' },
      ...{ responseTopic: 'r', correlationData: Buffer.from('c'), userProperties },
    }),
  }
  const packets: object[] = [
    {
      ...{
        cmd: 'connect',
        protocolId: protocolVersion === 3 ? 'MQIsdp' : 'MQTT',
        clientId: 'd',
        clean: false,
      },
      ...{ keepalive: 30, username: 'd', password: Buffer.from('secret'), will },
      ...of5(protocolVersion, {
        ...{ sessionExpiryInterval: 60, receiveMaximum: 10, maximumPacketSize: 9_999, topicAliasMaximum: 4 },
        ...{ requestResponseInformation: true, requestProblemInformation: true, userProperties },
      }),
    },
    {
      ...{ cmd: 'publish', topic: 'devices/d/x', payload: Buffer.from('x'), qos: 2, messageId: 7 },
      ...{ dup: true, retain: true },
      ...of5(protocolVersion, {
        ...{ payloadFormatIndicator: true, messageExpiryInterval: 60, topicAlias: 3, responseTopic: 'r' },
        ...{ correlationData: Buffer.from('c'), contentType: 't', userProperties },
      }),
    },
    ...['puback', 'pubrec', 'pubrel', 'pubcomp'].map(cmd => ({
      ...{ cmd, messageId: 7 },
      ...of5(protocolVersion, { reasonString: 'why', userProperties }),
      ...(protocolVersion === 5 ? { reasonCode: cmd === 'pubrel' || cmd === 'pubcomp' ? 0x92 : 0x10 } : {}),
    })),
    {
      ...{ cmd: 'subscribe', messageId: 8, subscriptions: [subscription, { topic: '$share/g/+/x', qos: 2 }] },
      ...of5(protocolVersion, { subscriptionIdentifier: 268_435_455, userProperties }),
    },
    {
      ...{ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['a', 'b/#'] },
      ...of5(protocolVersion, { userProperties }),
    },
    { cmd: 'pingreq' },
    {
      cmd: 'disconnect',
      ...(protocolVersion === 5 ? { reasonCode: 4 } : {}),
      ...of5(protocolVersion, { sessionExpiryInterval: 1, reasonString: 'why', userProperties }),
    },
  ]
  return packets.map(packet =>
    mqttPacket.generate({ ...packet, protocolVersion } as Packet, { protocolVersion }),
  )
}
const samples = versions.map(version => ({ version, packets: packetsOf(version) }))

/** The octets behind the fixed header damaged, which says their length again for the most part. */
function damaged(packet: Buffer, chance: Chance): Buffer {
  if (chance.sometimes(0.1)) return mutatedBytes(packet, chance)
  let body = packet.subarray(frameAt(packet, 0)!.body)
  for (let damage = 1 + chance.below(3); damage > 0; damage -= 1) body = mutatedBytes(body, chance)
  const first = chance.sometimes(0.1) ? chance.below(256) : packet[0]!
  return Buffer.concat([Buffer.of(first), remainingLength(body.length), body])
}

const decoder = createDecoder({ subscriptionsMax: FILTERS_MAX })

/** Whether it was taken. */
function attempt(chance: Chance): boolean {
  const { version, packets } = chance.pick(samples)
  const bytes = damaged(chance.pick(packets), chance)
  checkFirstPacket(bytes, BYTES_MAX)
  createFrameReader(BYTES_MAX).read(bytes)
  try {
    const frame = frameAt(bytes, 0)
    if (frame === null || frame.end > bytes.length) return false
    const whole = bytes.subarray(0, frame.end)
    if (whole[0]! >> 4 === 1) {
      const { clientId, keepAliveSeconds, will } = decoder.connect(whole, frame.body)
      assert.ok(clientId.isWellFormed() && keepAliveSeconds >= 0 && keepAliveSeconds < 65_536)
      if (will) assert.ok(will.topic !== '' && !/[+#\0]/.test(will.topic) && will.qos <= 2)
      return true
    }
    const packet = decoder.packet(whole, frame.body, version)
    if (packet.cmd === 'publish') assert.ok(packet.qos <= 2 && !/[+#\0]/.test(packet.topic))
    if ('messageId' in packet && packet.cmd !== 'publish')
      assert.ok(packet.messageId > 0 && packet.messageId < 65_536, packet.cmd)
    if (packet.cmd === 'subscribe')
      assert.ok(packet.subscriptions.length > 0 && packet.subscriptions.every(({ qos }) => qos <= 2))
    return true
  } catch (error) {
    if (error instanceof PacketFault) return false
    throw error
  }
}

test('packets of MQTT 3.1, 3.1.1 and 5: each gives a packet or a PacketFault', async t => {
  for (const { version, packets } of samples)
    for (const bytes of packets) {
      const { body } = frameAt(bytes, 0)!
      assert.doesNotThrow(() =>
        bytes[0] === 0x10 ? decoder.connect(bytes, body) : decoder.packet(bytes, body, version),
      )
    }
  const end = performance.now() + DURATION_MS
  let tried = 0
  let read = 0
  for (; performance.now() < end || tried < TRIES; tried += 1) {
    try {
      if (attempt(createChance(seed + tried))) read += 1
    } catch (error) {
      throw new Error(`ROLLCALL_FAULT_SEED=${seed + tried} does it at once`, { cause: error })
    }
    if (tried % 64 === 0) await new Promise(resolve => setImmediate(resolve))
  }
  assert.ok(read > 0, 'some of it still is a packet')
  t.diagnostic(`${tried} tried from seed ${seed}, ${read} read`)
})
