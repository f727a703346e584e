// The lean link's packets against mqtt-packet, which knows them independently, and against nonsense.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { generate, type Packet, parser } from 'mqtt-packet'
import { connectPacket, subscribePacket } from '../../../device-sim/links/connect-packets.ts'
import {
  acknowledgement,
  markDup,
  packetTypes,
  publishPacket,
  readPackets,
  readPublish,
} from '../../../device-sim/links/packets.ts'
import type { Protocol, Qos } from '../../../device-sim/links/session.ts'
import type { Broker } from '../../../device-sim/target.ts'

const message = fc.record({
  topic: fc.string({ minLength: 1, maxLength: 200, unit: 'grapheme' }),
  payload: fc.string({ maxLength: 20_000, unit: 'binary' }),
  qos: fc.constantFrom<Qos>(0, 1, 2),
  retain: fc.boolean(),
  messageId: fc.integer({ min: 1, max: 65_535 }),
})

function parsed(bytes: Buffer): Packet {
  const packets: Packet[] = []
  const reading = parser({ protocolVersion: 4 })
  reading.on('packet', (packet: Packet) => packets.push(packet))
  reading.parse(bytes)
  assert.equal(packets.length, 1)
  return packets[0] as Packet
}

describe('packets of the lean link', () => {
  it('are read by another library as they were meant', () => {
    fc.assert(
      fc.property(message, fc.boolean(), ({ messageId, ...outgoing }, again) => {
        const bytes = publishPacket(outgoing, messageId)
        if (again) markDup(bytes)
        const { topic, payload, qos, retain, dup, ...rest } = parsed(bytes) as Extract<
          Packet,
          { cmd: 'publish' }
        >
        assert.deepEqual(
          [topic, payload.toString(), qos, retain, dup],
          [outgoing.topic, outgoing.payload, outgoing.qos, outgoing.retain, again],
        )
        assert.equal(rest.messageId, qos === 0 ? undefined : messageId)
      }),
    )
    for (const name of ['puback', 'pubrec', 'pubrel', 'pubcomp'] as const) {
      const { cmd, messageId } = parsed(acknowledgement(packetTypes[name], 54_321))
      assert.deepEqual([cmd, messageId], [name, 54_321])
    }
  })

  it('are CONNECT and SUBSCRIBE as another library writes them', () => {
    const text = fc.string({ maxLength: 60, unit: 'grapheme' })
    const will = fc.record({
      topic: fc.string({ minLength: 1, maxLength: 40 }),
      payload: fc.uint8Array({ maxLength: 300 }).map(bytes => Buffer.from(bytes)),
      qos: fc.constantFrom<Qos>(0, 1, 2),
      retain: fc.boolean(),
    })
    const connect = fc.record(
      {
        protocol: fc.constantFrom<Protocol>(3, 4, 5),
        clientId: fc.string({ minLength: 1, maxLength: 60 }),
        clean: fc.boolean(),
        keepAliveSeconds: fc.nat(65_535),
        sessionExpirySeconds: fc.nat(0xffffffff),
        topicAliasMax: fc.nat(65_535),
        username: text,
        password: text,
        will,
      },
      { requiredKeys: ['protocol', 'clientId', 'clean'] },
    )
    fc.assert(
      fc.property(connect, options => {
        const {
          protocol,
          clientId,
          clean,
          keepAliveSeconds = 60,
          sessionExpirySeconds,
          topicAliasMax,
        } = options
        const { username, password, will: ofSession } = options
        // mqtt-packet takes no password without a user name, which MQTT 5 alone has.
        fc.pre(password === undefined || username !== undefined)
        const properties = {
          ...(sessionExpirySeconds ? { sessionExpiryInterval: sessionExpirySeconds } : {}),
          ...(topicAliasMax ? { topicAliasMaximum: topicAliasMax } : {}),
        }
        const expected = generate({
          cmd: 'connect',
          protocolId: protocol === 3 ? 'MQIsdp' : 'MQTT',
          protocolVersion: protocol,
          clientId,
          clean,
          keepalive: keepAliveSeconds,
          ...(username === undefined ? {} : { username }),
          ...(password === undefined ? {} : { password: Buffer.from(password) }),
          ...(ofSession ? { will: ofSession } : {}),
          ...(protocol === 5 ? { properties } : {}),
        })
        const link = { broker: {} as Broker, credentials: null, timeoutMs: 0 }
        assert.deepEqual(connectPacket({ ...link, ...options }), expected)
      }),
    )
    const subscription = fc.record({
      filter: fc.string({ minLength: 1, maxLength: 300 }),
      qos: fc.constantFrom<Qos>(0, 1, 2),
      noLocal: fc.boolean(),
      retainAsPublished: fc.boolean(),
      retainHandling: fc.constantFrom<0 | 1 | 2>(0, 1, 2),
    })
    fc.assert(
      fc.property(subscription, fc.integer({ min: 1, max: 65_535 }), fc.boolean(), (of, messageId, v5) => {
        const { filter: topic, qos, noLocal: nl, retainAsPublished: rap, retainHandling: rh } = of
        const subscriptions = [{ topic, qos, ...(v5 ? { nl, rap, rh } : {}) }]
        const expected = generate(
          { cmd: 'subscribe', messageId, subscriptions },
          { protocolVersion: v5 ? 5 : 4 },
        )
        assert.deepEqual(subscribePacket(of, messageId, v5), expected)
      }),
    )
  })

  it('are read whole, in whatever pieces they come', () => {
    const pieces = fc.array(fc.integer({ min: 1, max: 9_000 }), { minLength: 1 })
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 5 }), pieces, (messages, sizes) => {
        const bytes = Buffer.concat(
          messages.map(one => generate({ cmd: 'publish', dup: false, ...one, messageId: one.messageId })),
        )
        const seen: string[] = []
        const take = (into: string[], first: number, body: Buffer): void => {
          const packet = readPublish(first, body)
          assert.ok(packet)
          into.push(`${packet.topic} ${packet.qos} ${packet.messageId} ${packet.payload}`)
        }
        let left: Buffer | null = null
        // As from a socket: the buffer is another one's as soon as it was handed over.
        for (let from = 0, turn = 0; from < bytes.length; turn++) {
          const piece = Buffer.from(bytes.subarray(from, from + (sizes[turn % sizes.length] ?? 1)))
          from += piece.length
          const rest: Buffer | null | 'malformed' = readPackets(left, piece, seen, take)
          assert.ok(rest !== 'malformed')
          left = rest
          piece.fill(0)
        }
        assert.deepEqual(
          seen,
          messages.map(one => `${one.topic} ${one.qos} ${one.qos === 0 ? 0 : one.messageId} ${one.payload}`),
        )
      }),
      { numRuns: 60 },
    )
  })

  for (const [what, bytes] of [
    ['a length of five bytes', [0x30, 0xff, 0xff, 0xff, 0xff, 0x01]],
    ['256 MB that are announced', [0x30, 0xff, 0xff, 0xff, 0x7f]],
  ] as const) {
    it(`are given up at ${what}, before anything is waited for`, () => {
      const none = () => assert.fail('no packet')
      assert.equal(readPackets(null, Buffer.from(bytes), null, none), 'malformed')
    })
  }

  it('that end before their topic or their number are none', () => {
    for (const [first, body] of [
      [0x36, [0, 1, 0x61, 0, 1]],
      [0x32, [0, 1, 0x61, 0]],
      [0x30, [0, 9, 0x61]],
      [0x30, [0]],
    ] as const) {
      assert.equal(readPublish(first, Buffer.from(body)), null)
    }
  })
})
