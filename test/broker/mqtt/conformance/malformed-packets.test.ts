// What no client may send ends the connection, clause by clause of MQTT 3.1.1: bytes over real TLS, each followed by PINGREQ, which
// is answered where the connection lives.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Identity } from '../../../harness/authority.ts'
import { connectPacket, field, openTls, startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import {
  acknowledgement,
  packet,
  packetsOf,
  publishPacket,
  publishQos1,
  publishQos2,
  subscribePacket,
} from '../../../harness/raw-client.ts'
import { until } from '../../../harness/until.ts'

const PINGREQ = packet(0xc0)
const PINGRESP = 13
const ID = Buffer.from([0, 7])
const topic = 'devices/d1/x'
/** As `field`, of any bytes. */
const raw = (...bytes: number[]) => Buffer.from([bytes.length >> 8, bytes.length & 0xff, ...bytes])
const within = (...bytes: number[]) => raw(...Buffer.from('devices/d1/'), ...bytes)
const joined = (...parts: (Buffer | number[])[]) => Buffer.concat(parts.map(part => Buffer.from(part)))

/** CONNECT of any flags and payload. */
function connect(flags: number, ...payload: Buffer[]): Buffer {
  return packet(0x10, joined(field('MQTT'), [4, flags, 0, 60], ...payload))
}

describe('a connection ends with', () => {
  let t: TestBroker
  let device: Identity
  before(async () => {
    t = await startTestBroker()
    device = await t.roll.enroll('d1')
  })
  after(() => t.close())

  /** The kinds of packets that came back, before the connection was closed or PINGREQ answered. */
  async function answersTo(bytes: Buffer, behind?: Buffer, expected = 0): Promise<number[]> {
    const socket = await openTls(t, { identity: device })
    const packets = packetsOf(socket)
    if (behind !== undefined) {
      socket.write(bytes)
      await until(() => packets.length > 0)
    }
    socket.write(Buffer.concat([behind ?? bytes, PINGREQ]))
    await until(
      () => socket.destroyed || (packets.length >= expected && packets.some(({ kind }) => kind === PINGRESP)),
    )
    socket.destroy()
    return packets.map(({ kind }) => kind)
  }

  const rows: [tag: string, what: string, bytes: Buffer][] = [
    ['1.5.3-1', 'a surrogate in a topic', packet(0x30, within(0xed, 0xa0, 0x80))],
    ['1.5.3-1', 'bytes that are no UTF-8 in a topic', packet(0x30, within(0xff))],
    ['1.5.3-1', 'an overlong form in a topic', packet(0x30, within(0xc0, 0xaf))],
    ['1.5.3-1', 'no UTF-8 in a filter', packet(0x82, joined(ID, within(0xfe), [0]))],
    ['1.5.3-1', 'no UTF-8 in a filter to leave', packet(0xa2, joined(ID, within(0xfe)))],
    ['1.5.3-2', 'U+0000 in a topic', publishPacket(`${topic}\0`, 'x')],
    ['1.5.3-2', 'U+0000 in a filter', subscribePacket(7, [`${topic}\0`])],
    ['2.2.2-2', 'flags that PUBACK has not', packet(0x42, ID)],
    ['2.2.2-2', 'flags that PINGREQ has not', packet(0xc1)],
    ['2.3.1-1', 'PUBLISH of QoS 1 with identifier 0', publishQos1(topic, 0, 'x')],
    ['2.3.1-1', 'PUBLISH of QoS 2 with identifier 0', publishQos2(topic, 0)],
    ['2.3.1-1', 'SUBSCRIBE with identifier 0', subscribePacket(0, [topic])],
    ['2.3.1-1', 'UNSUBSCRIBE with identifier 0', packet(0xa2, joined([0, 0], field(topic)))],
    ['2.2.3', 'a length of five octets', Buffer.from([0x30, 0x80, 0x80, 0x80, 0x80, 1])],
    ['2.2.1', 'a packet of no kind: 0', packet(0x00)],
    ['2.2.1', 'a packet of no kind: 15', packet(0xf0)],
    ['2.2.1', 'what only a server sends: CONNACK', packet(0x20, Buffer.from([0, 0]))],
    ['2.2.1', 'what only a server sends: SUBACK', packet(0x90, joined(ID, [0]))],
    ['2.2.1', 'what only a server sends: UNSUBACK', packet(0xb0, ID)],
    ['2.2.1', 'what only a server sends: PINGRESP', packet(0xd0)],
    ['3.1.0-2', 'a second CONNECT', connectPacket({ clientId: 'd1' })],
    ['3.3.1-2', 'DUP on QoS 0', packet(0x38, field(topic))],
    ['3.3.1-4', 'QoS 3', packet(0x36, joined(field(topic), ID))],
    ['3.3.2-1', 'PUBLISH without a topic', packet(0x30)],
    ['3.3.2-1', 'a topic longer than its packet', packet(0x30, Buffer.from([0, 9, 97]))],
    ['3.3.2-2', '+ in the topic of PUBLISH', publishPacket('devices/d1/+', 'x')],
    ['3.3.2-2', '# in the topic of PUBLISH', publishPacket('devices/d1/#', 'x')],
    ['3.3.2', 'PUBLISH of QoS 1 without identifier', packet(0x32, field(topic))],
    ['3.3.2', 'PUBLISH of QoS 2 with half an identifier', packet(0x34, joined(field(topic), [1]))],
    ['3.4.2', 'PUBACK without identifier', packet(0x40)],
    ['3.5.2', 'PUBREC with half an identifier', packet(0x50, Buffer.from([1]))],
    ['3.6.1-1', 'PUBREL with other flags', packet(0x60, ID)],
    ['3.6.2', 'PUBREL longer than its identifier', packet(0x62, joined(ID, [0]))],
    ['3.7.2', 'PUBCOMP longer than its identifier', packet(0x70, joined(ID, [0]))],
    ['3.8.1-1', 'SUBSCRIBE with other flags', packet(0x80, joined(ID, field(topic), [0]))],
    ['3.8.3-3', 'SUBSCRIBE to nothing', packet(0x82, ID)],
    ['3.8.3-4', 'a requested QoS of 3', subscribePacket(7, [topic], 3)],
    ['3.8.3-4', 'a requested QoS with more bits', subscribePacket(7, [topic], 4)],
    ['3.8.3', 'a filter without QoS', packet(0x82, joined(ID, field(topic)))],
    ['3.10.1-1', 'UNSUBSCRIBE with other flags', packet(0xa0, joined(ID, field(topic)))],
    ['3.10.3-2', 'UNSUBSCRIBE from nothing', packet(0xa2, ID)],
    ['3.12.1', 'PINGREQ with a payload', packet(0xc0, Buffer.from([0]))],
    ['3.14.1-1', 'DISCONNECT with other flags', packet(0xe1)],
    ['3.14.1', 'DISCONNECT with a payload', packet(0xe0, Buffer.from([0]))],
    ['4.7.1-2', 'a filter such as x#', subscribePacket(7, [`${topic}#`])],
    ['4.7.1-2', 'a filter such as x# of two characters', subscribePacket(7, ['x#'])],
    ['4.7.1-2', 'a filter with # before its end', subscribePacket(7, ['devices/d1/#/x'])],
    ['4.7.1-3', 'a filter such as x+', subscribePacket(7, [`${topic}+`])],
    ['4.7.1-3', 'a filter such as +x of two characters', subscribePacket(7, ['+x'])],
    ['4.7.1-3', 'a filter to leave such as x+', packet(0xa2, joined(ID, field('x+')))],
    ['4.7.3-3', 'a topic beyond topicBytesMax', publishPacket(`devices/d1/${'x'.repeat(1_014)}`, 'x')],
    ['4.7.3-3', 'a topic beyond topicLevelsMax', publishPacket(`devices/d1${'/x'.repeat(63)}`, 'x')],
    ['4.7.3-3', 'a filter beyond topicLevelsMax', subscribePacket(7, [`devices/d1${'/x'.repeat(63)}`])],
    ['4.7.3-1', 'an empty topic', publishPacket('', 'x')],
    ['4.7.3-1', 'an empty filter', subscribePacket(7, [''])],
    ['4.7.3-1', 'an empty filter to leave', packet(0xa2, joined(ID, field('')))],
  ]
  for (const [tag, what, bytes] of rows)
    test(`[MQTT-${tag}] ${what}`, async () => {
      assert.deepEqual(await answersTo(connectPacket({ clientId: 'd1' }), bytes), [2])
    })

  const will = (text: Buffer | string) => [typeof text === 'string' ? field(text) : text, field('gone')]
  const id = field('d1')
  const connects: [tag: string, what: string, bytes: Buffer][] = [
    ['3.1.0-1', 'another packet than CONNECT first', PINGREQ],
    ['3.1.2-1', 'another protocol name', packet(0x10, joined(field('MQTS'), [4, 2, 0, 60], id))],
    ['3.1.2-3', 'the reserved flag', connect(0x03, id)],
    ['3.1.2-11', 'a will QoS without will', connect(0x0a, id)],
    ['3.1.2-15', 'a will to retain without will', connect(0x22, id)],
    ['3.1.2-14', 'a will QoS of 3', connect(0x1e, id, ...will(topic))],
    ['3.1.2-9', 'a will without topic and message', connect(0x06, id)],
    ['3.1.2-19', 'no username where one is flagged', connect(0x82, id)],
    ['3.1.2-22', 'a password without username', connect(0x42, id, field('secret'))],
    ['3.1.3-3', 'no client ID', connect(0x02)],
    ['3.1.3-4', 'a client ID that is no UTF-8', connect(0x02, raw(0xff))],
    ['3.1.3-10', 'a will topic that is no UTF-8', connect(0x06, id, ...will(within(0xff)))],
    ['3.1.3-11', 'a username that is no UTF-8', connect(0x82, id, raw(0xff))],
    ['1.5.3-2', 'U+0000 in a client ID', connect(0x02, field('d1\0'))],
    ['1.5.3-2', 'U+0000 in a will topic', connect(0x06, id, ...will(`${topic}\0`))],
    ['4.7.1-1', 'a will topic with wildcards', connect(0x06, id, ...will('devices/d1/#'))],
    ['4.7.3-1', 'an empty will topic', connect(0x06, id, ...will(''))],
    ['3.1.4-1', 'more than its flags say', connect(0x02, id, field('more'))],
    ['3.1.1', 'other flags of CONNECT', joined([0x11], connect(0x02, id).subarray(1))],
  ]
  for (const [tag, what, bytes] of connects)
    test(`[MQTT-${tag}] CONNECT: ${what}, and no CONNACK`, async () => {
      assert.deepEqual(await answersTo(bytes), [])
    })

  test('[MQTT-3.1.4-1] a whole CONNECT whose fields are cut off is refused at once, not when connectTimeoutMs is over', async () => {
    const [type, length, ...body] = connect(0xc6, id, ...will(topic), field('d1'), field('x'))
    assert.equal(length, body.length)
    t.lines.length = 0
    for (let kept = 0; kept < body.length; kept += 3)
      assert.deepEqual(await answersTo(packet(type!, Buffer.from(body.slice(0, kept)))), [])
    const reasons = t.lines.filter(({ msg }) => msg === 'refused').map(({ reason }) => reason)
    assert.equal(reasons.length, Math.ceil(body.length / 3))
    assert.deepEqual([...new Set(reasons)].toSorted(), ['packet_malformed'])
  })

  const versions: [name: string, level: number][] = [
    ...[0, 1, 2, 3, 6, 127, 128, 0x84, 255].map((level): [string, number] => ['MQTT', level]),
    ['MQIsdp', 4],
  ]
  for (const [name, level] of versions)
    test(`[MQTT-3.1.2-2] CONNACK 1 to ${name} of level ${level}`, async () => {
      const { connack, closed } = await judged(packet(0x10, joined(field(name), [level, 2, 0, 60], id)))
      assert.equal(connack, '20020001')
      assert.ok(closed)
    })

  /** What CONNECT is answered, and whether the connection was closed by itself. */
  async function judged(bytes: Buffer): Promise<{ connack: string; closed: boolean }> {
    const socket = await openTls(t, { identity: device })
    const packets = packetsOf(socket)
    socket.write(bytes)
    await until(() => socket.destroyed)
    return { connack: packets[0]?.bytes.toString('hex') ?? '', closed: socket.destroyed }
  }

  const good: [tag: string, what: string, bytes: Buffer, answers: number[]][] = [
    ['1.5.3-3', 'U+FEFF and U+FFFD in a topic', publishQos1('devices/d1/\ufeff\ufffd', 7, 'x'), [4]],
    ['1.5.3', 'U+10FFFF in a topic', publishQos1('devices/d1/\u{10ffff}', 7, 'x'), [4]],
    ['3.3.3', 'a payload of no bytes, and of any', publishQos1(topic, 7, '\0'), [4]],
    ['4.7.3-3', 'a topic of 1,024 bytes', publishQos1(`devices/d1/${'x'.repeat(1_013)}`, 7, 'x'), [4]],
    ['4.7.3-3', 'a topic of 64 levels', publishQos1(`devices/d1${'/x'.repeat(62)}`, 7, 'x'), [4]],
    [
      '4.7.3-3',
      'a filter beyond topicBytesMax',
      subscribePacket(7, [`devices/d1/${'x'.repeat(1_014)}`]),
      [9],
    ],
    ['3.4.4', 'PUBACK of what was never sent', acknowledgement(4, 7), []],
    ['3.5.4', 'PUBREC of what was never sent', acknowledgement(5, 7), [6]],
    ['3.6.4', 'PUBREL of what was never sent', acknowledgement(6, 7), [7]],
    ['3.10.4-5', 'UNSUBSCRIBE from what was never subscribed', packet(0xa2, joined(ID, field('x'))), [11]],
    ['3.3.1-3', 'DUP on what is new', packet(0x3a, joined(field(topic), ID)), [4]],
  ]
  for (const [tag, what, bytes, answers] of good)
    for (const clean of [true, false])
      test(`[MQTT-${tag}] not ${what}, ${clean ? 'clean' : 'kept'}`, async () => {
        const expected = [2, ...answers, PINGRESP].toSorted() // PINGRESP waits for no disk
        const connect = connectPacket({ clientId: 'd1', clean })
        assert.deepEqual((await answersTo(connect, bytes, expected.length)).toSorted(), expected)
      })
})
