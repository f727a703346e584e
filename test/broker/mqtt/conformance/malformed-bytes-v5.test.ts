// What a client of MQTT 5 may not send ends its connection with the reason code that the standard names, bytes over real TLS.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Identity } from '../../../harness/authority.ts'
import { field, startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import { speak5 } from '../../../harness/mqtt5-client.ts'
import { packet } from '../../../harness/raw-client.ts'

const topic = field('devices/d1/x')
const joined = (...parts: (Buffer | number[])[]) => Buffer.concat(parts.map(part => Buffer.from(part)))
const MALFORMED = 0x81
const PROTOCOL_ERROR = 0x82

describe('a connection of MQTT 5 ends with', () => {
  let t: TestBroker
  let device: Identity
  before(async () => {
    t = await startTestBroker()
    device = await t.roll.enroll('d1')
  })
  after(() => t.close())

  /** PUBLISH of QoS 0 with these properties. */
  const publish = (...properties: number[]) =>
    packet(0x30, joined(topic, [properties.length, ...properties], [0x78]))
  const subscribe = (options: number, ...properties: number[]) =>
    packet(0x82, joined([0, 7, properties.length, ...properties], topic, [options]))

  const rows: [code: number, what: string, bytes: Buffer][] = [
    [PROTOCOL_ERROR, 'a content type that stands twice', publish(3, 0, 1, 97, 3, 0, 1, 98)],
    [PROTOCOL_ERROR, 'a message expiry that stands twice', publish(2, 0, 0, 0, 1, 2, 0, 0, 0, 1)],
    [PROTOCOL_ERROR, 'a payload format of 2', publish(1, 2)],
    [PROTOCOL_ERROR, 'a subscription identifier in PUBLISH', publish(0x0b, 1)],
    [0x94, 'topic alias 0', publish(0x23, 0, 0)],
    [0x94, 'a topic alias beyond the maximum', publish(0x23, 0, 17)],
    [MALFORMED, 'a property of another packet', publish(0x21, 0, 5)],
    [MALFORMED, 'a property that is none', publish(0x7f, 1)],
    [
      MALFORMED,
      'a property length that cuts a property',
      packet(0x30, joined(topic, [3, 3, 0, 5], [97, 97])),
    ],
    [MALFORMED, 'properties longer than the packet', packet(0x30, joined(topic, [100, 3, 0]))],
    [MALFORMED, 'a response topic with a wildcard', publish(8, 0, 1, 0x2b)],
    [PROTOCOL_ERROR, 'neither topic nor alias', packet(0x30, joined([0, 0, 0], [0x78]))],
    [PROTOCOL_ERROR, 'an alias that stands for nothing', packet(0x30, joined([0, 0, 3, 0x23, 0, 5], [0x78]))],
    [0x90, 'a wildcard in a topic', packet(0x30, joined(field('devices/d1/#'), [0]))],
    [PROTOCOL_ERROR, 'subscription identifier 0', subscribe(1, 0x0b, 0)],
    [PROTOCOL_ERROR, 'two subscription identifiers', subscribe(1, 0x0b, 1, 0x0b, 2)],
    [MALFORMED, 'reserved bits in subscription options', subscribe(0x41)],
    [PROTOCOL_ERROR, 'Retain Handling 3', subscribe(0x31)],
    [PROTOCOL_ERROR, 'QoS 3', subscribe(0x03)],
    [
      PROTOCOL_ERROR,
      'No Local on a shared subscription',
      packet(0x82, joined([0, 7, 0], field('$share/g/devices/d1/x'), [0x05])),
    ],
    [PROTOCOL_ERROR, 'SUBSCRIBE to nothing', packet(0x82, Buffer.from([0, 7, 0]))],
    [MALFORMED, 'reserved bits in PUBREL', packet(0x60, Buffer.from([0, 7]))],
    [PROTOCOL_ERROR, 'a second CONNECT', packet(0x10, joined(field('MQTT'), [5, 2, 0, 60, 0], field('d1')))],
    [PROTOCOL_ERROR, 'what only a server sends', packet(0xd0)],
  ]
  for (const [code, what, bytes] of rows)
    test(`0x${code.toString(16)}: ${what}`, async () => {
      const one = await speak5(t, device, { clientId: 'd1' })
      one.raw(bytes)
      await one.closed()
      assert.deepEqual(
        one.heard.slice(1).map(({ cmd, reasonCode }) => [cmd, reasonCode]),
        [['disconnect', code]],
      )
    })

  const connect = (flags: number, properties: number[], ...payload: Buffer[]) =>
    packet(0x10, joined(field('MQTT'), [5, flags, 0, 60, properties.length, ...properties], ...payload))
  const id = field('d1')
  const connects: [code: number, what: string, bytes: Buffer][] = [
    [PROTOCOL_ERROR, 'Receive Maximum 0', connect(2, [0x21, 0, 0], id)],
    [PROTOCOL_ERROR, 'Maximum Packet Size 0', connect(2, [0x27, 0, 0, 0, 0], id)],
    [PROTOCOL_ERROR, 'two session expiries', connect(2, [0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1], id)],
    [PROTOCOL_ERROR, 'Request Problem Information 2', connect(2, [0x17, 2], id)],
    [PROTOCOL_ERROR, 'authentication data without method', connect(2, [0x16, 0, 1, 1], id)],
    [MALFORMED, 'a property of another packet', connect(2, [3, 0, 1, 97], id)],
    [MALFORMED, 'the reserved flag', connect(3, [], id)],
    [MALFORMED, 'more than its flags say', connect(2, [], id, field('more'))],
    [MALFORMED, 'less than its flags say', connect(0x82, [], id)],
  ]
  for (const [code, what, bytes] of connects)
    test(`CONNACK 0x${code.toString(16)}: ${what}`, async () => {
      const one = await speak5(t, device, bytes)
      await one.closed()
      assert.deepEqual(
        one.heard.map(({ cmd, reasonCode }) => [cmd, reasonCode]),
        [['connack', code]],
      )
    })

  test('nothing where the packets are in order: an empty AUTH apart, all properties there are pass', async () => {
    const one = await speak5(t, device, { clientId: 'd1' })
    const all = [1, 1, 2, 0, 0, 0, 9, 3, 0, 1, 97, 8, 0, 1, 97, 9, 0, 1, 0xff, 0x23, 0, 16, 0x26, 0, 0, 0, 0]
    one.raw(Buffer.concat([publish(...all), publish(0x26, 0, 1, 97, 0, 1, 98, 0x26, 0, 1, 97, 0, 1, 98)]))
    await one.ask({ cmd: 'pingreq' }, 'pingresp')
    assert.equal(one.isClosed(), false)
    await one.cut()
  })
})
