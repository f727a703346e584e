// CONNECT is read without mqtt-packet: what is read is what mqtt-packet reads, and bytes that it refuses are refused.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import mqttPacket from 'mqtt-packet'
import { PacketFault } from '../../../../broker/mqtt/protocol/byte-reader.ts'
import { decodeConnect } from '../../../../broker/mqtt/protocol/decode-connect.ts'
import { frameAt } from '../../../../broker/mqtt/protocol/frames.ts'
import { mqttPacketReads } from '../../../harness/mqtt-packet-reader.ts'

const texts = (minLength: number) =>
  fc
    .string({ unit: 'binary', minLength, maxLength: 20 })
    .filter(text => text.isWellFormed() && !/[\0+#]/.test(text))
const connects = fc
  .record({
    protocolVersion: fc.constantFrom(3 as const, 4 as const, 5 as const),
    clientId: texts(1),
    clean: fc.boolean(),
    keepalive: fc.nat(65_535),
    username: fc.option(texts(1), { nil: undefined }),
    password: fc.option(fc.uint8Array({ minLength: 1, maxLength: 20 }), { nil: undefined }),
    will: fc.option(
      fc.record({
        topic: texts(1),
        payload: fc.uint8Array({ minLength: 1, maxLength: 200 }).map(bytes => Buffer.from(bytes)),
        qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
        retain: fc.boolean(),
      }),
      { nil: undefined },
    ),
  })
  .map(({ username, password, will, ...rest }) => ({
    ...rest,
    cmd: 'connect' as const,
    protocolId: rest.protocolVersion === 3 ? ('MQIsdp' as const) : ('MQTT' as const),
    ...(username === undefined ? {} : { username }),
    ...(username === undefined || password === undefined ? {} : { password: Buffer.from(password) }),
    ...(will === undefined ? {} : { will }),
  }))

function decode(bytes: Buffer) {
  return decodeConnect(bytes, frameAt(bytes, 0)!.body)
}

/** The same of both. */
function outlineOf(packet: ReturnType<typeof decode>) {
  const { version, clientId, clean, keepAliveSeconds, username, hasPassword, will } = packet
  const left =
    will === null ? null : { topic: will.topic, payload: will.payload, qos: will.qos, retain: will.retain }
  return { version, clientId, clean, keepAliveSeconds, username, hasPassword, will: left }
}

function outlineOfPeer({ will, ...packet }: mqttPacket.IConnectPacket) {
  return {
    version: packet.protocolVersion,
    clientId: packet.clientId,
    clean: packet.clean,
    keepAliveSeconds: packet.keepalive,
    username: packet.username,
    hasPassword: (packet.password?.length ?? 0) > 0,
    will:
      will === undefined
        ? null
        : { topic: will.topic, payload: Buffer.from(will.payload), qos: will.qos, retain: will.retain },
  }
}

test('every CONNECT is read as mqtt-packet reads it', () => {
  fc.assert(
    fc.property(connects, packet => {
      const bytes = mqttPacket.generate(packet)
      assert.deepEqual(
        outlineOf(decode(bytes)),
        outlineOfPeer(mqttPacketReads<mqttPacket.IConnectPacket>(bytes)!),
      )
    }),
  )
})

test('a CONNECT with one of its bytes changed, or cut off, is refused as malformed or read as mqtt-packet reads it', () => {
  fc.assert(
    fc.property(connects, fc.nat(), fc.nat(255), fc.boolean(), fc.nat(), (packet, at, octet, isCut, cut) => {
      const whole = mqttPacket.generate(packet)
      const body = Buffer.from(whole.subarray(frameAt(whole, 0)!.body))
      body[at % body.length] = octet
      const kept = isCut ? body.subarray(0, cut % body.length) : body
      const length = kept.length < 128 ? [kept.length] : [(kept.length & 0x7f) | 0x80, kept.length >> 7]
      const bytes = Buffer.concat([Buffer.from([whole[0]!, ...length]), kept])
      let own: ReturnType<typeof decode>
      try {
        own = decode(bytes)
      } catch (error) {
        assert.ok(error instanceof PacketFault, String(error))
        return
      }
      if (own.version < 3 || own.version > 5) return // answered by its version alone
      const peer = mqttPacketReads<mqttPacket.IConnectPacket>(bytes)
      assert.ok(peer !== null, 'mqtt-packet refuses it')
      assert.deepEqual(outlineOf(own), outlineOfPeer(peer))
    }),
    { numRuns: 2_000 },
  )
})
