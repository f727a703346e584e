// Reads PUBLISH (MQTT 5 §3.3, MQTT 3.1.1 §3.3). Of all that a client sends this alone is read without mqtt-packet, which took a fifth
// of the CPU of a message.
import { isUtf8 } from 'node:buffer'
import type { QoS } from '../message.ts'
import { PacketFault, readBytes } from './byte-reader.ts'
import type { Publish, Version } from './packets.ts'
import { none, readProperties } from './properties.ts'
import { codes } from './reason-codes.ts'

const TOPIC_ALIAS = 0x23
/** What a topic may not hold, or what stands in it for bytes that are no UTF-8. */
const SUSPECT = /[\0+#\ufffd]/

/**
 * One whole packet; `body` is where its fixed header ends. The payload shares the memory of the packet.
 * @throws {PacketFault}
 */
export function decodePublish(bytes: Buffer, body: number, version: Version): Publish {
  const first = bytes[0]!
  const dup = (first & 0x08) !== 0
  const qos = (first >> 1) & 3
  if (qos === 3) throw new PacketFault('the QoS is 3') // [MQTT-3.3.1-4]
  if (dup && qos === 0) throw new PacketFault('DUP is set on QoS 0') // [MQTT-3.3.1-2]

  if (body + 2 > bytes.length) throw cutOff()
  const topicEnd = body + 2 + bytes.readUInt16BE(body)
  let at = qos > 0 ? topicEnd + 2 : topicEnd
  if (at > bytes.length) throw cutOff()
  const topic = bytes.toString('utf8', body + 2, topicEnd)
  if (SUSPECT.test(topic)) assertTopic(topic, bytes.subarray(body + 2, topicEnd))
  const messageId = qos > 0 ? bytes.readUInt16BE(topicEnd) : 0
  if (qos > 0 && messageId === 0) throw new PacketFault('the packet identifier is 0') // [MQTT-2.3.1-1]

  let properties = none
  if (version === 5) {
    if (bytes[at] === 0) at += 1
    else {
      const reader = readBytes(bytes, at)
      properties = readProperties(bytes, reader, 'publish')
      at = reader.position()
    }
  }
  if (topic === '' && !properties.has(TOPIC_ALIAS))
    throw new PacketFault('neither a topic nor an alias', codes.protocolError) // [MQTT-3.3.2-8]
  return {
    cmd: 'publish',
    topic,
    payload: bytes.subarray(at),
    qos: qos as QoS,
    retain: (first & 0x01) !== 0,
    dup,
    messageId,
    properties,
  }
}

function assertTopic(topic: string, bytes: Buffer): void {
  if (topic.includes('\0')) throw new PacketFault('a topic holds U+0000') // [MQTT-1.5.3-2]
  if (!isUtf8(bytes)) throw new PacketFault('a topic is not UTF-8') // [MQTT-1.5.3-1]
  if (/[+#]/.test(topic)) throw new PacketFault('a topic holds a wildcard', codes.topicNameInvalid) // [MQTT-3.3.2-2]
}

function cutOff(): PacketFault {
  return new PacketFault('the packet ends within a field')
}
