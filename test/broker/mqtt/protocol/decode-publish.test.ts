// PUBLISH is read without mqtt-packet: what is read is what mqtt-packet reads, and bytes that it refuses are refused.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import mqttPacket from 'mqtt-packet'
import { PacketFault } from '../../../../broker/mqtt/protocol/byte-reader.ts'
import { createDecoder } from '../../../../broker/mqtt/protocol/decode.ts'
import { frameAt } from '../../../../broker/mqtt/protocol/frames.ts'
import type { Publish, Version } from '../../../../broker/mqtt/protocol/packets.ts'
import { mqttPacketReads } from '../../../harness/mqtt-packet-reader.ts'

const decoder = createDecoder({ subscriptionsMax: 10 })
const decode = (bytes: Buffer, version: Version) =>
  decoder.packet(bytes, frameAt(bytes, 0)!.body, version) as Publish

const versions = fc.constantFrom<Version>(3, 4, 5)
const topics = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 40 })
  .filter(topic => topic.isWellFormed() && !/[\0+#]/.test(topic))
const publishes = fc.record({
  topic: topics,
  payload: fc.uint8Array({ maxLength: 300 }).map(bytes => Buffer.from(bytes)),
  qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
  retain: fc.boolean(),
  messageId: fc.integer({ min: 1, max: 65_535 }),
  contentType: fc.option(fc.string({ minLength: 1, maxLength: 10 }), { nil: undefined }),
})

function encode(publish: Record<string, unknown>, version: Version): Buffer {
  const { contentType, ...rest } = publish
  const properties = version === 5 && contentType !== undefined ? { properties: { contentType } } : {}
  return mqttPacket.generate({ cmd: 'publish', dup: false, ...rest, ...properties } as mqttPacket.Packet, {
    protocolVersion: version,
  })
}

test('every PUBLISH is read as mqtt-packet reads it', () => {
  fc.assert(
    fc.property(publishes, versions, (publish, version) => {
      const bytes = encode(publish, version)
      const { topic, payload, qos, retain, dup, messageId } = decode(bytes, version)
      const peer = mqttPacketReads<mqttPacket.IPublishPacket>(bytes, version)!
      assert.deepEqual(
        { topic, payload, qos, retain, dup, messageId },
        {
          topic: peer.topic,
          payload: peer.payload,
          qos: peer.qos,
          retain: peer.retain,
          dup: peer.dup,
          messageId: peer.messageId ?? 0,
        },
      )
    }),
  )
})

test('a PUBLISH with any of its bytes changed, or cut off, is refused as malformed or read as mqtt-packet reads it', () => {
  fc.assert(
    fc.property(
      publishes,
      versions,
      fc.nat(),
      fc.integer({ min: 0, max: 255 }),
      fc.nat(),
      (publish, version, at, octet, cut) => {
        const whole = encode(publish, version)
        const begin = frameAt(whole, 0)!.body
        const body = Buffer.from(whole.subarray(begin))
        if (body.length > 0) body[at % body.length] = octet
        const kept = body.subarray(0, body.length - (cut % 4 === 0 ? cut % (body.length + 1) : 0))
        const length = kept.length
        const header = length < 128 ? [length] : [(length & 0x7f) | 0x80, length >> 7]
        const bytes = Buffer.concat([Buffer.from([whole[0]!, ...header]), kept])
        let own: Publish
        try {
          own = decode(bytes, version)
        } catch (error) {
          assert.ok(error instanceof PacketFault, String(error))
          return
        }
        const peer = mqttPacketReads<mqttPacket.IPublishPacket>(bytes, version)
        assert.ok(peer !== null, 'mqtt-packet refuses it')
        assert.deepEqual(
          [own.topic, own.payload, own.messageId],
          [peer.topic, peer.payload, peer.messageId ?? 0],
        )
      },
    ),
    { numRuns: 2_000 },
  )
})

test('an acknowledgement with flags that are reserved, or of identifier 0, is refused', () => {
  for (const [name, bytes] of Object.entries({
    'PUBACK with a flag': [0x41, 2, 0, 1],
    'PUBREL without its flag': [0x60, 2, 0, 1],
    'PUBACK of 0': [0x40, 2, 0, 0],
    'PUBACK cut off': [0x40, 1, 0],
  }))
    for (const version of [3, 4, 5] as const)
      assert.throws(() => decode(Buffer.from(bytes), version), PacketFault, `${name}, version ${version}`)
})
