// The properties of MQTT 5 as bytes: what a device sends with a message, what it reads from its broker, and a digest by
// which a receiver checks whether a message has the properties that its sender gave it. Does not know packets.

/** Of a message. MQTT 5 §3.3.2.3; what a broker hands on unaltered [MQTT-3.3.2-4, -15 to -20], and its expiry. */
export type MessageProperties = {
  /** The Payload Format Indicator says UTF-8. */
  utf8: boolean
  expirySeconds: number | null
  contentType: string | null
  responseTopic: string | null
  correlation: Buffer | null
  /** In order; a name may come more than once. */
  user: readonly (readonly [name: string, value: string])[]
}

export const noProperties: MessageProperties = {
  utf8: false,
  expirySeconds: null,
  contentType: null,
  responseTopic: null,
  correlation: null,
  user: [],
}

/** Identifiers of MQTT 5 §2.2.2.2. */
export const propertyIds = {
  payloadFormat: 0x01,
  messageExpiry: 0x02,
  contentType: 0x03,
  responseTopic: 0x08,
  correlation: 0x09,
  subscription: 0x0b,
  sessionExpiry: 0x11,
  serverKeepAlive: 0x13,
  receiveMaximum: 0x21,
  topicAliasMaximum: 0x22,
  topicAlias: 0x23,
  maximumQos: 0x24,
  retainAvailable: 0x25,
  user: 0x26,
  maximumPacketSize: 0x27,
} as const

type Kind = 'byte' | 'two' | 'four' | 'varint' | 'text' | 'binary' | 'pair'
export type Value = number | string | Buffer | readonly [string, string]

const kinds: Readonly<Record<number, Kind>> = {
  1: 'byte',
  2: 'four',
  3: 'text',
  8: 'text',
  9: 'binary',
  11: 'varint',
  17: 'four',
  18: 'text',
  19: 'two',
  21: 'text',
  22: 'binary',
  23: 'byte',
  24: 'four',
  25: 'byte',
  26: 'text',
  28: 'text',
  31: 'text',
  33: 'two',
  34: 'two',
  35: 'two',
  36: 'byte',
  37: 'byte',
  38: 'pair',
  39: 'four',
  40: 'byte',
  41: 'byte',
  42: 'byte',
}

const none: readonly (readonly [number, Value])[] = []

/**
 * The property list that begins at `at`, in its order, and where it ends. Null where it is none: cut off, of an unknown
 * identifier, or with a property twice that may come once [MQTT-2.2.2-1].
 */
export function readProperties(
  body: Buffer,
  at: number,
): { list: readonly (readonly [id: number, value: Value])[]; end: number } | null {
  const length = readVarint(body, at)
  if (!length) return null
  const end = length.end + length.value
  if (end > body.length) return null
  if (length.value === 0) return { list: none, end }
  const list: [number, Value][] = []
  const seen = new Set<number>()
  for (let next = length.end; next < end; ) {
    const id = body[next] as number
    const kind = kinds[id]
    if (!kind || (seen.has(id) && kind !== 'pair' && kind !== 'varint')) return null
    seen.add(id)
    const read = readValue(body, next + 1, kind)
    if (!read || read.end > end) return null
    list.push([id, read.value])
    next = read.end
  }
  return { list, end }
}

function readValue(body: Buffer, at: number, kind: Kind): { value: Value; end: number } | null {
  if (kind === 'varint') return readVarint(body, at)
  if (kind === 'pair') {
    const name = readValue(body, at, 'text')
    const value = name && readValue(body, name.end, 'text')
    return value && { value: [name.value as string, value.value as string], end: value.end }
  }
  const size = kind === 'byte' ? 1 : kind === 'four' ? 4 : 2
  if (at + size > body.length) return null
  const number = body.readUIntBE(at, size)
  if (kind === 'byte' || kind === 'two' || kind === 'four') return { value: number, end: at + size }
  const end = at + 2 + number
  if (end > body.length) return null
  const bytes = body.subarray(at + 2, end)
  return { value: kind === 'text' ? bytes.toString() : Buffer.from(bytes), end }
}

/** MQTT 5 §1.5.5. Null where it is cut off or has more than four bytes. */
export function readVarint(body: Buffer, at: number): { value: number; end: number } | null {
  let value = 0
  for (let index = 0; index < 4; index++) {
    const byte = body[at + index]
    if (byte === undefined) return null
    value += (byte & 0x7f) * 128 ** index
    if (byte < 0x80) return { value, end: at + index + 1 }
  }
  return null
}

/** Of a PUBLISH that was read; `alias` is 0 where it has none. */
export function messageProperties(list: readonly (readonly [number, Value])[]): {
  properties: MessageProperties
  alias: number
} {
  if (list.length === 0) return { properties: noProperties, alias: 0 }
  const properties = { ...noProperties, user: [] as (readonly [string, string])[] }
  let alias = 0
  for (const [id, value] of list) {
    if (id === propertyIds.payloadFormat) properties.utf8 = value === 1
    else if (id === propertyIds.messageExpiry) properties.expirySeconds = value as number
    else if (id === propertyIds.contentType) properties.contentType = value as string
    else if (id === propertyIds.responseTopic) properties.responseTopic = value as string
    else if (id === propertyIds.correlation) properties.correlation = value as Buffer
    else if (id === propertyIds.topicAlias) alias = value as number
    else if (id === propertyIds.user) properties.user.push(value as readonly [string, string])
  }
  return { properties, alias }
}

const NOTHING = Buffer.alloc(0)

/** The bytes of a PUBLISH's properties, without their length; `alias` 0 for none. */
export function propertyBytes(properties: MessageProperties | null, alias: number): Buffer {
  const { utf8, expirySeconds, contentType, responseTopic, correlation, user } = properties ?? noProperties
  const parts: Buffer[] = []
  if (utf8) parts.push(Buffer.from([propertyIds.payloadFormat, 1]))
  if (expirySeconds !== null) {
    const bytes = Buffer.alloc(5)
    bytes[0] = propertyIds.messageExpiry
    bytes.writeUInt32BE(expirySeconds, 1)
    parts.push(bytes)
  }
  if (alias > 0) parts.push(Buffer.from([propertyIds.topicAlias, alias >> 8, alias & 0xff]))
  if (contentType !== null) parts.push(Buffer.from([propertyIds.contentType]), prefixed(contentType))
  if (responseTopic !== null) parts.push(Buffer.from([propertyIds.responseTopic]), prefixed(responseTopic))
  if (correlation !== null) parts.push(Buffer.from([propertyIds.correlation]), prefixed(correlation))
  for (const [name, value] of user)
    parts.push(Buffer.from([propertyIds.user]), prefixed(name), prefixed(value))
  return parts.length === 0 ? NOTHING : Buffer.concat(parts)
}

/** A string or binary data behind its length. @throws RangeError where two bytes cannot say its length. */
export function prefixed(data: string | Buffer): Buffer {
  const bytes = Buffer.from(data as string)
  if (bytes.length > 65_535) throw new RangeError(`a field of ${bytes.length} bytes; 65,535 are the most`)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes])
}

/** Digests of the properties that must arrive unchanged; not of the expiry, which counts down. */
export type Digests = {
  /** User properties in their order [MQTT-3.3.2-18]. */
  ordered: string
  /** By name, for receivers whose library keeps the order of equal names alone. */
  byName: string
}

export function digestsOf(properties: MessageProperties): Digests {
  if (properties === noProperties) return digestsOfNothing
  const { utf8, contentType, responseTopic, correlation, user } = properties
  const rest = [utf8, contentType, responseTopic, correlation?.toString('hex') ?? null]
  // Sorting is stable: what has the same name keeps its order.
  const byName = user.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return { ordered: fnv(JSON.stringify([...rest, user])), byName: fnv(JSON.stringify([...rest, byName])) }
}

/** FNV-1a, 32 bits. */
function fnv(text: string): string {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193) >>> 0
  }
  return hash.toString(16).padStart(8, '0')
}

const digestsOfNothing = digestsOf({ ...noProperties })
