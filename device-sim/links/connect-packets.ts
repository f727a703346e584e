// CONNECT and SUBSCRIBE as bytes, MQTT 3.1, 3.1.1 and 5. Does not know when they are sent.
import { lengthBytes, writeLength } from './packets.ts'
import { prefixed, propertyIds } from './properties.ts'
import type { LinkOptions, Subscription } from './session.ts'

/** [MQTT-3.1.2-1] */
export function connectPacket(options: LinkOptions): Buffer {
  const { clientId, keepAliveSeconds = 60, clean = true, protocol = 4, sessionExpirySeconds = 0 } = options
  const { topicAliasMax = 0, username, password, will } = options
  const v5 = protocol === 5
  const flags =
    (clean ? 0x02 : 0) |
    (will ? 0x04 | (will.qos << 3) | (will.retain ? 0x20 : 0) : 0) |
    (typeof password === 'string' ? 0x40 : 0) |
    (typeof username === 'string' ? 0x80 : 0)
  const properties = [
    ...(sessionExpirySeconds > 0 ? [propertyIds.sessionExpiry, ...four(sessionExpirySeconds)] : []),
    ...(topicAliasMax > 0 ? [propertyIds.topicAliasMaximum, ...two(topicAliasMax)] : []),
  ]
  return packet(0x10, [
    prefixed(protocol === 3 ? 'MQIsdp' : 'MQTT'),
    Buffer.from([
      protocol,
      flags,
      ...two(keepAliveSeconds),
      ...(v5 ? [properties.length, ...properties] : []),
    ]),
    prefixed(clientId),
    ...(will ? [Buffer.from(v5 ? [0] : []), prefixed(will.topic), prefixed(will.payload)] : []),
    ...(typeof username === 'string' ? [prefixed(username)] : []),
    ...(typeof password === 'string' ? [prefixed(password)] : []),
  ])
}

/** [MQTT-3.8.1-1] */
export function subscribePacket(subscription: Subscription, messageId: number, v5: boolean): Buffer {
  const { filter, qos, noLocal = false, retainAsPublished = false, retainHandling = 0 } = subscription
  const options = v5 ? (noLocal ? 0x04 : 0) | (retainAsPublished ? 0x08 : 0) | (retainHandling << 4) : 0
  const head = Buffer.from([...two(messageId), ...(v5 ? [0] : [])])
  return packet(0x82, [head, prefixed(filter), Buffer.from([qos | options])])
}

function packet(first: number, parts: readonly Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const head = Buffer.allocUnsafe(1 + lengthBytes(length))
  head[0] = first
  writeLength(head, length)
  return Buffer.concat([head, ...parts])
}

function two(value: number): number[] {
  return [(value >> 8) & 0xff, value & 0xff]
}

function four(value: number): number[] {
  return [...two(value >>> 16), ...two(value & 0xffff)]
}
