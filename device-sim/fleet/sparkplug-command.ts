// What a Sparkplug host commands an edge node: whether a message asks for its births again. Reads no more of a payload than that.
// Bounded by the message; bytes that are no payload ask for nothing.

const REBIRTH = 'Node Control/Rebirth'
const COMMAND_TOPIC = /^spBv1\.0\/[^/]+\/NCMD\/[^/]+$/

/** NCMD with the metric `Node Control/Rebirth` true. Sparkplug 3.0, tck-id-operational-behavior-data-commands-rebirth-name, -value. */
export function asksForRebirth(topic: string, payload: Buffer): boolean {
  if (!topic.startsWith('spBv1.0/') || !COMMAND_TOPIC.test(topic)) return false
  try {
    // Payload: metrics = 2. Metric: name = 1, boolean_value = 14.
    return fieldsOf(payload).some(
      field => field.number === 2 && field.bytes !== null && isRebirth(fieldsOf(field.bytes)),
    )
  } catch {
    return false
  }
}

function isRebirth(metric: readonly Field[]): boolean {
  const name = metric.find(({ number }) => number === 1)?.bytes
  return name?.toString() === REBIRTH && metric.some(({ number, value }) => number === 14 && value === 1n)
}

/** `bytes` of a field with a length, `value` of a number without; null for the other. */
type Field = { number: number; bytes: Buffer | null; value: bigint | null }

const FIELDS_MAX = 1_000

/** @throws RangeError for bytes that end within a field, or for more fields than a command has. */
function fieldsOf(bytes: Buffer): Field[] {
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes.readUInt8(at++)
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return value
    }
    throw new RangeError('a number has at most ten bytes')
  }
  const take = (length: number): Buffer => {
    if (at + length > bytes.length) throw new RangeError('a field is longer than its message')
    at += length
    return bytes.subarray(at - length, at)
  }
  const fields: Field[] = []
  while (at < bytes.length) {
    if (fields.length >= FIELDS_MAX) throw new RangeError('too many fields')
    const key = Number(varint())
    const [number, wire] = [Math.floor(key / 8), key % 8]
    if (wire === 0) fields.push({ number, bytes: null, value: varint() })
    else if (wire === 2) fields.push({ number, bytes: take(Number(varint())), value: null })
    else fields.push({ number, bytes: take(wire === 1 ? 8 : 4), value: null })
  }
  return fields
}
