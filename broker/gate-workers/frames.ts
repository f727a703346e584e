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
  /** gate: a handshake ended (outcome, blank, address); a connection ended. */
  handshakeEnded: 8,
  connectionEnded: 9,
  /** gate: what a handshake, and the decision on it, took in ms (a double). */
  handshakeTook: 22,
  admissionTook: 23,
  /** gate: any other call of its observer (JSON: name, values). */
  event: 10,
  /** gate: a stranger whose issuer allows self-registration (JSON). */
  arrival: 18,
  /** gate: an admitted connection (open-frame.ts). The beginning of its CONNECT follows in the same write. */
  open: 11,
  /** both: bytes of the stream; nothing more will come; it is closed. */
  data: 12,
  end: 13,
  close: 14,
  /** both: as many bytes as this were consumed (a double). */
  credit: 15,
  /** gate: end this connection for this reason. */
  drop: 16,
} as const

/** In place of a device ID: the gate could not read the registry. No device has this name. */
export const UNREAD = ''

export type Kind = (typeof kinds)[keyof typeof kinds]

/** `connection` is 0 where the frame concerns the gate as a whole. `payload` lies in a larger buffer: copy what is kept. */
export type Frame = { kind: Kind; connection: number; payload: Buffer }

/** Text as UTF-8, a number as a double. Bytes are written later, so nobody may change them. */
export type Payload = string | number | Buffer

/** Length of the payload (4), kind (1), connection (4). */
const HEADER_BYTES = 9
/** Longer streams are split; a longer frame is invalid. */
export const PAYLOAD_BYTES_MAX = 1024 * 1024
/** Frames are put together in buffers of this size. */
const SLAB_BYTES = 64 * 1024
/** A longer payload is not copied into one. */
const COPIED_MAX = 16 * 1024

type FrameWriter = {
  add(kind: Kind, connection: number, payload: Payload): void
  /** The bytes of all frames since the last call, almost always in one piece. */
  take(): Buffer[]
}

export function createFrameWriter(): FrameWriter {
  // Never written twice: the socket may still hold what was taken.
  let slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
  let begin = 0
  let end = 0
  let whole: Buffer[] = []

  function cut(): void {
    if (end > begin) whole.push(slab.subarray(begin, end))
    begin = end
  }

  return {
    add(kind, connection, payload) {
      const bytes =
        typeof payload === 'number'
          ? 8
          : typeof payload === 'string'
            ? Buffer.byteLength(payload)
            : payload.length
      const isCopied = typeof payload !== 'object' || bytes <= COPIED_MAX
      const needed = HEADER_BYTES + (isCopied ? bytes : 0)
      if (end + needed > slab.length) {
        cut()
        slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, needed))
        begin = end = 0
      }
      end = slab.writeUInt32BE(bytes, end)
      slab[end] = kind
      end = slab.writeUInt32BE(connection, end + 1)
      if (typeof payload === 'number') end = slab.writeDoubleBE(payload, end)
      else if (typeof payload === 'string') end += slab.write(payload, end)
      else if (isCopied) end += payload.copy(slab, end)
      else {
        cut()
        whole.push(payload)
      }
    },
    take() {
      cut()
      const taken = whole
      whole = []
      return taken
    },
  }
}

/** Takes the stream's bytes as they come and gives whole frames. Throws where a length is none of ours. */
export function createFrameParser(onFrame: (frame: Frame) => void): (bytes: Buffer) => void {
  let rest: Buffer[] = []
  let restBytes = 0
  let wanted = HEADER_BYTES
  return bytes => {
    rest.push(bytes)
    restBytes += bytes.length
    if (restBytes < wanted) return
    const buffer = rest.length === 1 ? bytes : Buffer.concat(rest, restBytes)
    let at = 0
    wanted = HEADER_BYTES
    while (buffer.length - at >= wanted) {
      const length = buffer.readUInt32BE(at)
      if (length > PAYLOAD_BYTES_MAX) throw new Error(`a frame of ${length} bytes`)
      wanted = HEADER_BYTES + length
      if (buffer.length - at < wanted) break
      const kind = buffer[at + 4] as Kind
      const connection = buffer.readUInt32BE(at + 5)
      const payload = buffer.subarray(at + HEADER_BYTES, at + wanted)
      at += wanted
      wanted = HEADER_BYTES
      onFrame({ kind, connection, payload })
    }
    restBytes = buffer.length - at
    rest = restBytes === 0 ? [] : [buffer.subarray(at)]
  }
}
