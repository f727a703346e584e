// What no client may send ends the connection with the Reason Code that MQTT 5 names: bytes over real TLS, each followed by
// PINGREQ, which is answered where the connection lives.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Identity } from '../../../harness/authority.ts'
import { field, openTls, startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import { packet, packetsOf } from '../../../harness/raw-client.ts'
import { until } from '../../../harness/until.ts'

const PINGREQ = packet(0xc0)
const [CONNACK, PUBACK, PINGRESP, DISCONNECT] = [2, 4, 13, 14]
const ID = Buffer.from([0, 7])
const topic = 'devices/d1/x'
const MALFORMED = 0x81
const PROTOCOL_ERROR = 0x82
const ALIAS_INVALID = 0x94
/** Where the standard forbids and names no code. */
const FORBIDDEN = [MALFORMED, PROTOCOL_ERROR]
const TOPIC_FORBIDDEN = [...FORBIDDEN, 0x90]

const joined = (...parts: (Buffer | readonly number[])[]) =>
  Buffer.concat(parts.map(part => Buffer.from(part)))
const raw = (...bytes: number[]) => Buffer.from([bytes.length >> 8, bytes.length & 0xff, ...bytes])
/** A property list with its length. */
const properties = (...parts: (Buffer | readonly number[])[]) => {
  const all = joined(...parts)
  return joined([all.length], all)
}
const connect = (own: Buffer, flags = 0x02, ...payload: Buffer[]) =>
  packet(0x10, joined(field('MQTT'), [5, flags, 0, 60], own, field('d1'), ...payload))
const publish = (own: Buffer, name = field(topic), payload = Buffer.from('x')) =>
  packet(0x30, joined(name, own, payload))
const publishQos1 = (own: Buffer, payload: Buffer) => packet(0x32, joined(field(topic), ID, own, payload))
const subscribe = (own: Buffer, options: number, filter = field(topic)) =>
  packet(0x82, joined(ID, own, filter, [options]))
const none = properties()

const expiry = [0x02, 0, 0, 0, 9] as const
const format = [0x01, 1] as const
const alias = (value: number) => [0x23, value >> 8, value & 0xff]
const response = (name: string) => joined([0x08], field(name))

type Row = [tag: string, what: string, bytes: Buffer, code: number | readonly number[]]

const rows: Row[] = [
  ['1.5.4-1', 'a topic that is no UTF-8', publish(none, raw(0xff)), MALFORMED],
  ['1.5.4-2', 'U+0000 in a topic', publish(none, field(`${topic}\0`)), MALFORMED],
  [
    '1.5.7-1',
    'a user property that is no UTF-8',
    publish(properties([0x26], raw(0xff), field('v'))),
    MALFORMED,
  ],
  ['1.5.5', 'a property length of five octets', publish(Buffer.from([0x80, 0x80, 0x80, 0x80, 1])), MALFORMED],
  ['2.1.3-1', 'flags that PINGREQ has not', packet(0xc1), MALFORMED],
  ['2.1.3-1', 'flags that PUBACK has not', packet(0x41, ID), MALFORMED],
  ['2.1.2', 'a packet of no kind: 0', packet(0x00), FORBIDDEN],
  ['2.1.2', 'what only a server sends: CONNACK', packet(0x20, Buffer.from([0, 0, 0])), FORBIDDEN],
  [
    '2.2.1-3',
    'PUBLISH of QoS 1 with identifier 0',
    packet(0x32, joined(field(topic), [0, 0], none)),
    FORBIDDEN,
  ],
  ['2.2.2.2', 'a property that there is not', publish(properties([0x7f, 1])), MALFORMED],
  ['2.2.2.2', 'a property of another packet', publish(properties([0x21, 0, 5])), MALFORMED],
  ['2.2.2.2', 'a property list that cuts a property off', publish(Buffer.from([3, 0x02, 0, 0])), MALFORMED],
  [
    '2.2.2.2',
    'a property list beyond its packet',
    publish(Buffer.from([90]), field(topic), Buffer.alloc(2)),
    MALFORMED,
  ],
  ['3.1.0-2', 'a second CONNECT', connect(none), PROTOCOL_ERROR],
  ['3.3.1-4', 'QoS 3', packet(0x36, joined(field(topic), ID, none)), MALFORMED],
  ['3.3.1-2', 'DUP on QoS 0', packet(0x38, joined(field(topic), none)), FORBIDDEN],
  ['3.3.2-2', 'a wildcard in a topic', publish(none, field('devices/d1/+')), TOPIC_FORBIDDEN],
  ['3.3.2.1', 'no topic and no alias', publish(none, field('')), PROTOCOL_ERROR],
  ['3.3.2.3.2', 'the payload format twice', publish(properties(format, format)), PROTOCOL_ERROR],
  ['3.3.2.3.2', 'a payload format of 2', publish(properties([0x01, 2])), FORBIDDEN],
  ['3.3.2.3.3', 'the message expiry twice', publish(properties(expiry, expiry)), PROTOCOL_ERROR],
  ['3.3.2.3.4', 'the topic alias twice', publish(properties(alias(1), alias(1))), PROTOCOL_ERROR],
  ['3.3.2-8', 'topic alias 0', publish(properties(alias(0))), [ALIAS_INVALID, ...FORBIDDEN]],
  ['3.3.2-9', 'a topic alias beyond the maximum', publish(properties(alias(65_535))), ALIAS_INVALID],
  ['3.3.2.3.4', 'an alias that stands for nothing', publish(properties(alias(1)), field('')), PROTOCOL_ERROR],
  [
    '3.3.2.3.5',
    'the response topic twice',
    publish(properties(response('a'), response('b'))),
    PROTOCOL_ERROR,
  ],
  ['3.3.2-14', 'a wildcard in a response topic', publish(properties(response('devices/#'))), TOPIC_FORBIDDEN],
  [
    '3.3.2.3.9',
    'the content type twice',
    publish(properties([0x03], field('a'), [0x03], field('b'))),
    PROTOCOL_ERROR,
  ],
  ['3.3.4-6', 'a subscription identifier from a client', publish(properties([0x0b, 1])), FORBIDDEN],
  ['3.4.2-1', 'PUBACK with a code that is none', packet(0x40, joined(ID, [0x55])), FORBIDDEN],
  ['3.6.1-1', 'PUBREL with other flags', packet(0x60, ID), MALFORMED],
  ['3.8.1-1', 'SUBSCRIBE with other flags', packet(0x80, joined(ID, none, field(topic), [0])), MALFORMED],
  ['3.8.2.1.2', 'subscription identifier 0', subscribe(properties([0x0b, 0]), 0), PROTOCOL_ERROR],
  [
    '3.8.2.1.2',
    'two subscription identifiers',
    subscribe(properties([0x0b, 1], [0x0b, 2]), 0),
    PROTOCOL_ERROR,
  ],
  ['3.8.3-2', 'SUBSCRIBE to nothing', packet(0x82, joined(ID, none)), PROTOCOL_ERROR],
  [
    '3.8.3-4',
    'no-local on a shared subscription',
    subscribe(none, 0x04, field('$share/g/devices/d1/#')),
    PROTOCOL_ERROR,
  ],
  ['3.8.3-5', 'reserved bits of a subscription', subscribe(none, 0x40), MALFORMED],
  ['3.8.3.1', 'a requested QoS of 3', subscribe(none, 0x03), PROTOCOL_ERROR],
  ['3.8.3.1', 'retain handling 3', subscribe(none, 0x30), PROTOCOL_ERROR],
  ['3.10.1-1', 'UNSUBSCRIBE with other flags', packet(0xa0, joined(ID, none, field(topic))), MALFORMED],
  ['3.10.3-2', 'UNSUBSCRIBE from nothing', packet(0xa2, joined(ID, none)), PROTOCOL_ERROR],
  ['3.14.1-1', 'DISCONNECT with other flags', packet(0xe1), MALFORMED],
  ['3.14.2-1', 'DISCONNECT with a code of servers', packet(0xe0, Buffer.from([0x8b])), FORBIDDEN],
  [
    '3.14.2.2.2',
    'a session expiry at the end that there was not at the beginning',
    packet(0xe0, joined([0], properties([0x11, 0, 0, 0, 9]))),
    PROTOCOL_ERROR,
  ],
  ['4.12.0-7', 'AUTH without a method', packet(0xf0, joined([0x19], none)), PROTOCOL_ERROR],
  ['4.7.1-1', 'a filter such as x#', subscribe(none, 0, field(`${topic}#`)), [...FORBIDDEN, 0x8f]],
]

const connects: Row[] = [
  ['3.1.2-3', 'the reserved flag', connect(none, 0x03), MALFORMED],
  ['3.1.2-12', 'a will QoS of 3', connect(none, 0x1e, none, field(topic), field('gone')), MALFORMED],
  [
    '3.1.2.11.2',
    'the session expiry twice',
    connect(properties([0x11, 0, 0, 0, 1], [0x11, 0, 0, 0, 1])),
    PROTOCOL_ERROR,
  ],
  ['3.1.2.11.3', 'a receive maximum of 0', connect(properties([0x21, 0, 0])), PROTOCOL_ERROR],
  ['3.1.2.11.4', 'a maximum packet size of 0', connect(properties([0x27, 0, 0, 0, 0])), PROTOCOL_ERROR],
  ['3.1.2.11.6', 'a request for response information of 2', connect(properties([0x19, 2])), PROTOCOL_ERROR],
  ['3.1.2.11.7', 'a request for problem information of 2', connect(properties([0x17, 2])), PROTOCOL_ERROR],
  [
    '3.1.2.11.10',
    'authentication data without a method',
    connect(properties([0x16], field('x'))),
    PROTOCOL_ERROR,
  ],
  ['4.12.0-1', 'an authentication method', connect(properties([0x15], field('SCRAM-SHA-1'))), 0x8c],
  ['2.2.2.2', 'a property of another packet', connect(properties(alias(1))), MALFORMED],
]

describe('in MQTT 5', () => {
  let t: TestBroker
  let device: Identity
  before(async () => {
    t = await startTestBroker()
    device = await t.roll.enroll('d1')
  })
  after(() => t.close())

  /** What came back: kinds of packets, and the code of the last. Of an answered PINGREQ nothing. */
  async function answersTo(...bytes: Buffer[]) {
    const socket = await openTls(t, { identity: device })
    const packets = packetsOf(socket)
    socket.write(joined(...bytes, PINGREQ))
    await until(() => socket.destroyed || packets.some(({ kind }) => kind === PINGRESP))
    socket.destroy()
    return packets.map(({ kind, bytes }) => ({ kind, body: bytes.subarray(bytes[1]! < 0x80 ? 2 : 3) }))
  }

  for (const [tag, what, bytes, code] of rows)
    test(`[MQTT-${tag}] a connection ends with ${what}, and the device is told`, async () => {
      const [connack, last, ...others] = await answersTo(connect(none), bytes)
      assert.deepEqual([connack?.kind, connack?.body[1]], [CONNACK, 0])
      assert.equal(last?.kind, DISCONNECT, `${last?.kind}`)
      assert.ok([code].flat().includes(last.body[0] ?? 0), `0x${last.body[0]?.toString(16)}`)
      assert.deepEqual(others, [])
    })

  for (const [tag, what, bytes, code] of connects)
    test(`[MQTT-${tag}] CONNECT is refused for ${what}, and the device is told`, async () => {
      const [connack, ...others] = await answersTo(bytes)
      assert.deepEqual([connack?.kind, connack?.body[0], connack?.body[1]], [CONNACK, 0, code])
      assert.deepEqual(others, [])
    })

  test('[MQTT-3.1.4-1] a whole CONNECT whose fields are cut off is refused as malformed', async () => {
    const whole = connect(
      properties([0x11, 0, 0, 0, 9], [0x21, 0, 5]),
      0xc6,
      properties(format),
      field(topic),
      field('gone'),
    )
    const body = whole.subarray(2)
    assert.equal(whole[1], body.length)
    // Up to the keep-alive it is no CONNECT.
    for (let kept = 10; kept < body.length; kept += 4) {
      const [connack, ...others] = await answersTo(packet(0x10, body.subarray(0, kept)))
      assert.deepEqual([connack?.kind, connack?.body[1]], [CONNACK, MALFORMED], `${kept} bytes`)
      assert.deepEqual(others, [])
    }
  })

  test('[MQTT-3.3.2.3.2] a payload that says it is UTF-8 and is none is refused by 0x99, and the connection stays', async () => {
    const answers = await answersTo(connect(none), publishQos1(properties(format), Buffer.from([0xff])))
    assert.deepEqual(
      answers.map(({ kind }) => kind),
      [CONNACK, PUBACK, PINGRESP],
    )
    assert.equal(answers[1]?.body[2], 0x99)
  })
})
