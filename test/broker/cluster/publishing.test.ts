// What a node that has ended was to give to members of shared subscriptions, looked for in this node's own log.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createEnvelopeCodec } from '../../../broker/mqtt/cluster/message-codec.ts'
import { createPublishing } from '../../../broker/mqtt/cluster/publishing.ts'
import type { LogRow } from '../../../db/cluster/cluster-store.ts'
import { FORMATS } from '../../../db/cluster/formats.ts'

const [ME, ENDED, OTHER] = [1, 2, 3]
const ASKED = '$share/g/a'
const codec = createEnvelopeCodec(FORMATS, () => FORMATS.newest)

/** A message of this node that members at `chosen` were to get. */
function row(number: number, chosen: number): LogRow {
  const message = {
    ...{ topic: 'a', payload: Buffer.from(String(number)), qos: 2 as const, retain: false },
    ...{ publisher: 'p', properties: null, expiresAt: null },
  }
  const shares = new Map([[ASKED, chosen]])
  return {
    number,
    message: codec.encode({ publisherNode: ME, number, message, principal: null, onlyShared: false, shares }),
  }
}

function publishing(published: () => number, kept: () => Promise<void>, inLog: () => readonly LogRow[]) {
  const placed: string[] = []
  const parts = {
    me: ME,
    codec,
    place: (_asked: string, { message }: { message: { payload: Buffer } }) =>
      void placed.push(String(message.payload)),
    hasEnded: (node: number) => node === ENDED,
    writer: { published },
    kept,
    readOwnLog: async (after: number, upTo: number) =>
      inLog().filter(({ number }) => number > after && number <= upTo),
  }
  return { placed, ...createPublishing(parts as never) }
}

test('messages on their way into the log when a node ends go to others, too', async () => {
  const log = [row(1, ENDED), row(2, OTHER)]
  const { placed, placeAnew } = publishing(
    () => 3,
    async () => void log.push(row(3, ENDED)),
    () => log,
  )
  await placeAnew(ENDED, 0)
  assert.deepEqual(placed, ['1', '3'])
})

test('a look that failed goes on where it was, and leaves out what was published since', async () => {
  const log = [row(1, ENDED), row(2, ENDED)]
  let last = 2
  let isDown = true
  const { placed, placeAnew } = publishing(
    () => last,
    async () => {
      if (isDown) throw new Error('PostgreSQL is away')
    },
    () => log,
  )
  await assert.rejects(placeAnew(ENDED, 0), /away/)
  log.push(row(3, ENDED)) // placed as it was published
  last = 3
  isDown = false
  await placeAnew(ENDED, 0)
  assert.deepEqual(placed, ['1', '2'])
})
