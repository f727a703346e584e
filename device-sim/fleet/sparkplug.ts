// Sparkplug B payloads as an edge node sends them: birth, data, death, with the numbers that hosts check.
// Writes alone, since Sparkplug's library brings 10 MB to read what is never read here. Does not know MQTT.
import type { SparkplugPlan } from '../scenario/payload-schema.ts'
import { constantOrNamed, type MessageContext } from './template.ts'

/** Of one edge node. `bdSeq` is that of the connection, `seq` of the latest message but NDEATH. */
export type EdgeNode = { bdSeq: number; seq: number }

/** Eclipse Sparkplug 3.0 §6.4.16: the values of a metric's data type that are written here. */
const dataTypes = {
  Int32: 3,
  Int64: 4,
  UInt32: 7,
  UInt64: 8,
  Float: 9,
  Double: 10,
  Boolean: 11,
  String: 12,
  DateTime: 13,
} as const

export type SparkplugType = keyof typeof dataTypes

const WRAP = 256

/** A new connection: its birth and its death carry the same number. §6.4.3, tck-id-topics-ndeath-payload. */
export function beginEdgeNode(node: EdgeNode): void {
  node.bdSeq = (node.bdSeq + 1) % WRAP
  node.seq = WRAP - 1
}

/** Births again in the same session: numbered from 0, with the same bdSeq. tck-id-operational-behavior-data-commands-rebirth-action-3. */
export function beginRebirth(node: EdgeNode): void {
  node.seq = WRAP - 1
}

/** NDEATH: bdSeq alone, and no sequence number. */
export function deathPayload({ bdSeq }: EdgeNode): Buffer {
  return payload(Date.now(), [metric('bdSeq', 'Int64', bdSeq, Date.now())], null)
}

/** Bytes of a message, which take the next sequence number, 0 after 255; a birth begins at 0. */
export function createSparkplug(plan: SparkplugPlan): (message: MessageContext, node: EdgeNode) => Buffer {
  const metrics = (plan.metrics ?? []).map(({ name, type, value }) => {
    return { name, type: type as SparkplugType, value: constantOrNamed(value) }
  })
  if (plan.message === 'NDEATH') return (_message, node) => deathPayload(node)
  // tck-id-payloads-ncmd-seq: a host's command has no sequence number.
  if (plan.message === 'NCMD') {
    return message => {
      const now = Date.now()
      const own = metrics.map(({ name, type, value }) => metric(name, type, value(message), now))
      return payload(now, own, null)
    }
  }
  return (message, node) => {
    const now = Date.now()
    node.seq = (node.seq + 1) % WRAP
    const own = metrics.map(({ name, type, value }) => metric(name, type, value(message), now))
    // §6.4.19: what a host may ask for.
    const first =
      plan.message === 'NBIRTH'
        ? [metric('bdSeq', 'Int64', node.bdSeq, now), metric('Node Control/Rebirth', 'Boolean', false, now)]
        : []
    return payload(now, [...first, ...own], node.seq)
  }
}

// org.eclipse.tahu.protobuf.Payload: timestamp = 1, metrics = 2, seq = 3.
function payload(now: number, metrics: readonly Buffer[], seq: number | null): Buffer {
  return Buffer.concat([
    varintField(1, now),
    ...metrics.map(bytes => bytesField(2, bytes)),
    ...(seq === null ? [] : [varintField(3, seq)]),
  ])
}

// Metric: name = 1, timestamp = 3, datatype = 4, then the value in the field of its type.
function metric(name: string, type: SparkplugType, value: unknown, now: number): Buffer {
  return Buffer.concat([
    bytesField(1, Buffer.from(name)),
    varintField(3, now),
    varintField(4, dataTypes[type]),
    valueField(type, value),
  ])
}

function valueField(type: SparkplugType, value: unknown): Buffer {
  const number = Number(value)
  switch (type) {
    case 'Int32':
    case 'UInt32':
      return varintField(10, Math.round(number) >>> 0)
    case 'Int64':
    case 'UInt64':
    case 'DateTime':
      return varintField(11, Math.round(number))
    case 'Float': {
      const bytes = Buffer.alloc(5, tag(12, 5))
      bytes.writeFloatLE(number, 1)
      return bytes
    }
    case 'Double': {
      const bytes = Buffer.alloc(9, tag(13, 1))
      bytes.writeDoubleLE(number, 1)
      return bytes
    }
    case 'Boolean':
      return varintField(14, value === true || value === 'true' ? 1 : 0)
    case 'String':
      return bytesField(15, Buffer.from(String(value)))
  }
}

function varintField(field: number, value: number): Buffer {
  return Buffer.concat([Buffer.from([tag(field, 0)]), varint(value)])
}

function bytesField(field: number, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([tag(field, 2)]), varint(bytes.length), bytes])
}

/** All fields here are below 16. */
function tag(field: number, wire: number): number {
  return (field << 3) | wire
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, BigInt(value))
  while (rest >= 128n) {
    bytes.push(Number(rest & 127n) | 128)
    rest >>= 7n
  }
  bytes.push(Number(rest))
  return Buffer.from(bytes)
}
