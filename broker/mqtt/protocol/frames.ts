// Cuts a stream of bytes into whole packets by their fixed headers (MQTT 5 §2.1). Holds what has come of the next one, and no more.
import { PacketFault } from './byte-reader.ts'
import { ownBytes, ownConcat } from './own-bytes.ts'

/** `body` is where the fixed header ends, `end` where the packet does. */
export type Frame = { body: number; end: number }

const LENGTH_OCTETS_MAX = 4

/** Where the packet that begins at `at` ends; null where its fixed header has not come whole. */
export function frameAt(bytes: Buffer, at: number): Frame | null {
  let length = 0
  for (let octets = 1; octets <= LENGTH_OCTETS_MAX; octets += 1) {
    const octet = bytes[at + octets]
    if (octet === undefined) return null
    length += (octet & 0x7f) * 128 ** (octets - 1)
    if ((octet & 0x80) === 0) return { body: at + octets + 1, end: at + octets + 1 + length }
  }
  throw new PacketFault('the length of a packet has more than four bytes') // [MQTT-1.5.5-1]
}

/** What has come and is not a whole packet yet, with how many bytes it takes to become one. */
export type Unread = { pieces: Buffer[]; bytes: number; wanted: number }

/** A packet may come octet by octet, and each piece costs an object: beyond so many they become one. */
const PIECES_MAX = 64

export function addPiece(unread: Unread, piece: Buffer): void {
  unread.pieces.push(piece)
  unread.bytes += piece.length
  if (unread.pieces.length > PIECES_MAX) unread.pieces = [ownConcat(unread.pieces, unread.bytes)]
}

/** More is needed than has come; pieces are put together once they are enough. */
export function joined(unread: Unread | null, chunk: Buffer): Buffer | null {
  if (unread === null) return chunk
  addPiece(unread, chunk)
  if (unread.bytes < unread.wanted) return null
  return unread.pieces.length === 1 ? unread.pieces[0]! : Buffer.concat(unread.pieces, unread.bytes)
}

/** A few bytes of a chunk would keep all of it in memory. */
const COPIED_MAX = 4_096

export function leftOf(bytes: Buffer, at: number): Unread | null {
  if (at >= bytes.length) return null
  const rest = bytes.subarray(at)
  const frame = frameAt(bytes, at)
  const own = rest.length <= COPIED_MAX ? ownBytes(rest) : rest
  return { pieces: [own], bytes: own.length, wanted: frame === null ? own.length + 1 : frame.end - at }
}
