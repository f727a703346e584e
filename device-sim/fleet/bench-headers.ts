// The binary headers that emqtt-bench puts in front of a payload with `--payload-hdrs`, for runs beside it: each 64 bits, big-endian.
// Its subscriber and ours read each other's. Does not know what follows them.
import type { BenchHeader } from '../scenario/group-plan.ts'

/** `cnt64` counts the publisher's messages from 0, `ts` is the wall clock in milliseconds. */
export function withBenchHeaders(
  headers: readonly BenchHeader[],
  count: number,
  body: string | Buffer,
): Buffer {
  const head = Buffer.alloc(8 * headers.length)
  for (const [index, header] of headers.entries()) {
    head.writeBigUInt64BE(BigInt(header === 'ts' ? Date.now() : count), 8 * index)
  }
  return Buffer.concat([head, Buffer.from(body)])
}

/** Null where the payload is too short to have them. */
export function readBenchHeaders(
  headers: readonly BenchHeader[],
  payload: Buffer,
): { count: number | null; sentAt: number | null } | null {
  if (payload.length < 8 * headers.length) return null
  const read = (header: BenchHeader): number | null => {
    const index = headers.indexOf(header)
    return index < 0 ? null : Number(payload.readBigUInt64BE(8 * index))
  }
  return { count: read('cnt64'), sentAt: read('ts') }
}
