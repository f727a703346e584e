// How many topic filters one packet may have: counted as they are read.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PacketFault } from '../../../../broker/mqtt/protocol/byte-reader.ts'
import { createDecoder } from '../../../../broker/mqtt/protocol/decode.ts'
import { codes } from '../../../../broker/mqtt/protocol/reason-codes.ts'
import { field } from '../../../harness/broker.ts'
import { packet } from '../../../harness/raw-client.ts'

const decoder = createDecoder({ subscriptionsMax: 10 })
/** Behind the type, an octet or three of length. */
const bodyOf = (bytes: Buffer) => bytes.findIndex((octet, at) => at > 0 && octet < 0x80) + 1

/** SUBSCRIBE has an octet of options behind each filter, and version 5 a length of properties before the first. */
function withFilters(first: 0x82 | 0xa2, count: number, version: 4 | 5): Buffer {
  const options = Buffer.alloc(first === 0x82 ? 1 : 0)
  const filters = Array.from({ length: count }, (_, index) => Buffer.concat([field(`a/${index}`), options]))
  return packet(first, Buffer.concat([Buffer.from([0, 1]), Buffer.alloc(version === 5 ? 1 : 0), ...filters]))
}

for (const first of [0x82, 0xa2] as const)
  for (const version of [4, 5] as const)
    test(`packet ${first.toString(16)} of version ${version} has at most as many filters as the bound`, () => {
      const read = (count: number) => {
        const bytes = withFilters(first, count, version)
        return decoder.packet(bytes, bodyOf(bytes), version)
      }
      const decoded = read(4_000)
      const filters =
        decoded.cmd === 'subscribe'
          ? decoded.subscriptions
          : decoded.cmd === 'unsubscribe'
            ? decoded.filters
            : []
      assert.equal(filters.length, 4_000)
      assert.throws(
        () => read(4_001),
        (error: Error) => error instanceof PacketFault && error.code === codes.quotaExceeded,
      )
    })
