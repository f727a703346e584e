// The frames between the engine's process and a gate worker: a kind, a payload, and a connection (0 for the gate as a whole).
// Does not interpret them.

/** The kinds of frames; each comment begins with the sender. */
export const kinds = {
  /** engine: settings and TLS ticket keys; the first frame of all (JSON). */
  begin: 1,
  /** gate: it listens (JSON: port), or could not (JSON: code, message). */
  ready: 2,
  failed: 3,
  /** engine: read certificate, key and trust anchors anew and use these ticket keys; use these ticket keys. */
  reload: 4,
  ticketKeys: 17,
  /** engine: the registry changed (JSON: kind, deviceId, fingerprint): check the connections that wait for CONNECT again. */
  changed: 19,
  /** engine: stop accepting; end when the last connection is gone. */
  stop: 5,
  /** gate: may a connection from this address begin? engine: the reason why not, or nothing. */
  ask: 6,
  answer: 7,
  /** gate: how old is the replica? engine: so many ms (a double). One question at a time. */
  askAge: 20,
  age: 21,
  /** gate: a handshake ended (JSON: address, outcome); a connection ended. */
  handshakeEnded: 8,
  connectionEnded: 9,
  /** gate: a call of its observer (JSON). */
  event: 10,
  /** gate: a stranger whose issuer allows self-registration (JSON). */
  arrival: 18,
  /** gate: an admitted connection: its identity and address (JSON). */
  open: 11,
  /** both: bytes of the stream; nothing more will come; it is closed. */
  data: 12,
  end: 13,
  close: 14,
  /** both: as many bytes as this were consumed (a 32-bit number). */
  credit: 15,
  /** gate: end this connection for this reason. */
  drop: 16,
} as const

/** In place of a device ID: the gate could not read the registry. No device has this name. */
export const UNREAD = ''

export type Kind = (typeof kinds)[keyof typeof kinds]

/** `connection` is 0 where the frame concerns the gate as a whole. `payload` lies in a larger buffer: copy what is kept. */
export type Frame = { kind: Kind; connection: number; payload: Buffer }

/** Length of the payload (4), kind (1), connection (4). */
const HEADER_BYTES = 9
/** Longer streams are split; a longer frame is invalid. */
export const PAYLOAD_BYTES_MAX = 1024 * 1024

export function frameHeader(kind: Kind, connection: number, payloadBytes: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES)
  header.writeUInt32BE(payloadBytes, 0)
  header[4] = kind
  header.writeUInt32BE(connection, 5)
  return header
}

/** Takes the stream's bytes as they come and gives whole frames. Throws where a length is none of ours. */
export function createFrameParser(onFrame: (frame: Frame) => void): (bytes: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0)
  return bytes => {
    let buffer = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
    while (buffer.length >= HEADER_BYTES) {
      const length = buffer.readUInt32BE(0)
      if (length > PAYLOAD_BYTES_MAX) throw new Error(`a frame of ${length} bytes`)
      const end = HEADER_BYTES + length
      if (buffer.length < end) break
      const kind = buffer[4] as Kind
      const connection = buffer.readUInt32BE(5)
      const payload = buffer.subarray(HEADER_BYTES, end)
      buffer = buffer.subarray(end)
      onFrame({ kind, connection, payload })
    }
    rest = buffer
  }
}

/** A time in ms; it may be infinite. */
export function agePayload(ms: number): Buffer {
  const payload = Buffer.allocUnsafe(8)
  payload.writeDoubleBE(ms)
  return payload
}
