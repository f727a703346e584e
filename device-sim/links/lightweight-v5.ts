// MQTT 5 on the lightweight link: CONNACK with its properties, topic aliases both ways, reason codes.
// Does not know when anything is sent.
import { type ReadPublish, readPublish } from './packets.ts'
import { propertyIds, readProperties, readVarint } from './properties.ts'
import { type Limits, noLimits, type Outgoing, type Qos } from './session.ts'

/** Of one connection. */
export type V5 = {
  /** Aliases that the broker takes, and those in use. */
  aliasMax: number
  aliases: Map<string, number> | null
  /** Aliases that the broker was allowed, and what it gave them. */
  receivedAliasMax: number
  receivedAliases: Map<number, string> | null
}

export function beginV5(topicAliasMax = 0): V5 {
  return { aliasMax: 0, aliases: null, receivedAliasMax: topicAliasMax, receivedAliases: null }
}

/** What CONNACK says beside its code; null where its properties are none. */
export function readConnack(
  body: Buffer,
  keepAliveMs: number,
): { limits: Limits; aliasMax: number; keepAliveMs: number } | null {
  const own = readProperties(body, 2)
  if (own?.end !== body.length) return null
  const limits = { ...noLimits }
  const said = { limits, aliasMax: 0, keepAliveMs }
  for (const [id, value] of own.list) {
    if (id === propertyIds.receiveMaximum) limits.inFlightMax = value as number
    else if (id === propertyIds.maximumQos) limits.qosMax = value as Qos
    else if (id === propertyIds.retainAvailable) limits.retain = value === 1
    else if (id === propertyIds.maximumPacketSize) limits.packetBytesMax = value as number
    else if (id === propertyIds.topicAliasMaximum) said.aliasMax = value as number
    // [MQTT-3.1.2-21]
    else if (id === propertyIds.serverKeepAlive) said.keepAliveMs = (value as number) * 1000
  }
  return said
}

/**
 * The alias for a message that will never be sent again, and the topic that then need not be. What may be sent again on
 * another connection carries its topic, since aliases end with the connection [MQTT-3.3.2-7].
 */
export function withAlias(v5: V5, message: Outgoing): { message: Outgoing; alias: number } {
  if (v5.aliasMax === 0) return { message, alias: 0 }
  v5.aliases ??= new Map()
  const known = v5.aliases.get(message.topic)
  if (known !== undefined) return { message: { ...message, topic: '' }, alias: known }
  if (v5.aliases.size >= v5.aliasMax) return { message, alias: 0 }
  const alias = v5.aliases.size + 1
  v5.aliases.set(message.topic, alias)
  return { message, alias }
}

/** A PUBLISH with its topic, sent as text or as an alias. Null for a malformed one. */
export function readPublishV5(v5: V5, first: number, body: Buffer): ReadPublish | null {
  const message = readPublish(first, body, true)
  if (!message) return null
  const { topic, alias } = message
  if (alias === 0) return topic === '' ? null : message
  if (alias > v5.receivedAliasMax) return null
  v5.receivedAliases ??= new Map()
  if (topic !== '') v5.receivedAliases.set(alias, topic)
  const meant = v5.receivedAliases.get(alias)
  return meant === undefined ? null : { ...message, topic: meant }
}

/** The codes of SUBACK: behind its properties in version 5, behind the identifier before. Null where there are none. */
export function subackCodes(body: Buffer, v5: boolean): Buffer | null {
  if (!v5) return body.length > 2 ? body.subarray(2) : null
  const length = readVarint(body, 2)
  const from = length ? length.end + length.value : body.length
  return from < body.length ? body.subarray(from) : null
}
