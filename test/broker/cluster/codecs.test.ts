// What nodes send each other, as bytes: there and back exactly, and whatever bytes come lead to a message or to nothing.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  decodeControl,
  decodeHandedOver,
  decodeHandOver,
  encodeControl,
  encodeHandedOver,
  encodeHandOver,
} from '../../../broker/mqtt/cluster/control.ts'
import { decodeEnvelope, type Envelope, encodeEnvelope } from '../../../broker/mqtt/cluster/message-codec.ts'

const number = fc.integer({ min: 0, max: 2 ** 48 - 1 })
const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
const topic = text.map(each => each.replace(/[\0+#$]/g, 'x')).filter(each => each.isWellFormed())
/** Content Type and two User Properties (MQTT 5 §2.2.2.2). */
const properties = fc.constantFrom(
  null,
  Buffer.from([3, 0, 1, 65]),
  Buffer.from([38, 0, 1, 65, 0, 0, 38, 0, 1, 65, 0, 1, 66]),
)
const plain = { noNullPrototype: true }
const principal = fc.record(
  {
    deviceId: topic,
    issuerId: fc.option(topic),
    serialNumber: topic,
    isBackend: fc.boolean(),
  },
  plain,
)
const envelope: fc.Arbitrary<Envelope> = fc.record(
  {
    publisherNode: number,
    number,
    message: fc.record(
      {
        topic,
        payload: fc.uint8Array({ maxLength: 100 }).map(each => Buffer.from(each)),
        qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
        retain: fc.boolean(),
        publisher: fc.option(topic),
        properties,
        expiresAt: fc.option(number),
      },
      plain,
    ),
    principal: fc.option(principal),
    onlyShared: fc.boolean(),
    shares: fc.array(fc.tuple(topic, number), { maxLength: 3 }).map(each => new Map(each)),
  },
  plain,
)

describe('messages as bytes', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(envelope, each => {
        assert.deepEqual(decodeEnvelope(encodeEnvelope(each)), each)
      }),
      { numRuns: 1_000 },
    )
  })

  it('have the format that all nodes write, and are nothing to one that does not know it', () => {
    fc.assert(
      fc.property(envelope, each => {
        const bytes = encodeEnvelope(each, 2)
        assert.equal(decodeEnvelope(bytes), null)
        assert.deepEqual(decodeEnvelope(bytes, { oldest: 1, newest: 2 }), each)
        assert.equal(decodeEnvelope(encodeEnvelope(each), { oldest: 2, newest: 3 }), null)
      }),
      { numRuns: 20 },
    )
  })

  it('are nothing, and never throw, where bytes are missing, changed or made up', () => {
    fc.assert(
      fc.property(
        envelope,
        fc.nat(),
        fc.nat({ max: 255 }),
        fc.uint8Array({ maxLength: 60 }),
        (each, at, byte, noise) => {
          const bytes = encodeEnvelope(each)
          decodeEnvelope(Buffer.from(noise))
          decodeEnvelope(Buffer.from([1, ...noise]))
          const cut = bytes.subarray(0, at % bytes.length)
          const head = bytes.length - each.message.payload.length
          if (cut.length < head) assert.equal(decodeEnvelope(cut), null)
          bytes[at % bytes.length] = byte
          const found = decodeEnvelope(bytes)
          if (found !== null) assert.match(found.message.topic, /^[^$+#\0][^+#\0]*$/s)
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it('carry no properties that no client could have sent', () => {
    const base = {
      publisherNode: 1,
      number: 1,
      message: {
        topic: 'a',
        payload: Buffer.alloc(0),
        qos: 0,
        retain: false,
        publisher: null,
        expiresAt: null,
      },
      principal: null,
      onlyShared: false,
      shares: new Map(),
    } as const
    for (const bytes of [[0], [3, 0, 5, 65], [11, 1], [3, 0, 1, 65, 3, 0, 1, 65], [35, 0, 1, 255]])
      assert.equal(
        decodeEnvelope(
          encodeEnvelope({ ...base, message: { ...base.message, properties: Buffer.from(bytes) } }),
        ),
        null,
      )
  })
})

describe('what nodes tell each other', () => {
  it('comes back as it was', () => {
    const inline = Buffer.from([0, 255])
    for (const control of [
      { kind: 'hello', from: 1 },
      { kind: 'groups', from: 2, startsAnew: true, joined: ['$share/g/a', '$share/ä/#'], left: [] },
      { kind: 'groups', from: 2, startsAnew: false, joined: [], left: ['$share/g/a'] },
      {
        kind: 'digest',
        from: 3,
        first: 7,
        entries: [
          { topic: 'a/b', retained: null, nodes: [] },
          { topic: 'a/c', retained: null, nodes: [4, 5] },
          { topic: 'r', retained: { version: 5, inline }, nodes: [] },
          { topic: 'r', retained: { version: 0, inline: null }, nodes: [1] },
        ],
      },
    ] as const)
      assert.deepEqual(decodeControl(encodeControl(control as never)), control)
    const by = { fingerprint: 'f', address: '::1' }
    const asked = { clientId: 'ä', to: 3, by }
    assert.deepEqual(decodeHandOver(encodeHandOver(asked)), asked)
    const past = { takeovers: [{ from: '::1', to: '::2', agoMs: 3 }], toldAgoMs: 2 }
    const answer = { isDone: true, ended: by, past, tokens: { messages: -2.5, bytes: 0, agoMs: 7 } }
    assert.deepEqual(decodeHandedOver(encodeHandedOver(answer)), answer)
    for (const isDone of [true, false])
      assert.deepEqual(decodeHandedOver(Uint8Array.of(isDone ? 1 : 0)), {
        ...{ isDone, ended: null, past: null, tokens: null },
      })
    for (const tokens of [
      {},
      [],
      5,
      { messages: 1, bytes: -1e300, agoMs: 0 },
      { messages: 1, bytes: 1, agoMs: -1 },
    ])
      assert.equal(decodeHandedOver(encodeHandedOver({ ...answer, tokens } as never)).tokens, null)
  })

  it('is nothing, and never throws, whatever comes', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map(each => Buffer.from(each)),
        ),
        bytes => {
          assert.equal(decodeControl(bytes), null)
          assert.equal(decodeHandOver(bytes), null)
          const { ended, past, tokens } = decodeHandedOver(bytes)
          assert.deepEqual({ ended, past, tokens }, { ended: null, past: null, tokens: null })
        },
      ),
    )
    for (const value of [
      { kind: 'digest', from: 1, first: 1, entries: [1] },
      { kind: 'digest', from: 1, first: 1, entries: [['a', -1, null]] },
      { kind: 'digest', from: -1, first: 1, entries: [] },
      { kind: 'groups', from: 1, startsAnew: true, joined: [1], left: [] },
      { kind: 'groups', from: 1, startsAnew: 1, joined: [], left: [] },
      { kind: 'groups', from: 1, startsAnew: true, joined: [] },
      { kind: 'other', from: 1 },
    ])
      assert.equal(decodeControl(Buffer.from(JSON.stringify(value))), null)
  })
})
