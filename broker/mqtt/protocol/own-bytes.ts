// Bytes that are kept for long are copied into memory of their own. A part of what was read at once, or of the pool from which Node
// takes `Buffer.from` and `Buffer.concat` (64 KiB), keeps all of it in memory: a hundred octets then cost 64 KiB.

export function ownBytes(bytes: Buffer): Buffer {
  const own = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(own)
  return own
}

/** The same pieces as one. */
export function ownConcat(pieces: readonly Buffer[], length: number): Buffer {
  const own = Buffer.allocUnsafeSlow(length)
  let at = 0
  for (const piece of pieces) at += piece.copy(own, at)
  return own
}

/** A message that is kept in memory. */
export function ownMessage<Kept extends { payload: Buffer; properties: Buffer | null }>(message: Kept): Kept {
  const { payload, properties } = message
  return { ...message, payload: ownBytes(payload), properties: properties && ownBytes(properties) }
}
