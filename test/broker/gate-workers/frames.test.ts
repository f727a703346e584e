// The framing between engine and gate: whatever pieces the bytes come in, the same frames come out.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  createFrameParser,
  createFrameWriter,
  type Kind,
  kinds,
  PAYLOAD_BYTES_MAX,
} from '../../../broker/gate-workers/frames.ts'
import { createReceiptCount, createSendWindow, WINDOW_BYTES } from '../../../broker/gate-workers/window.ts'

const bytesOf = (maxLength: number) => fc.uint8Array({ maxLength }).map(bytes => Buffer.from(bytes))
/** Beyond what is copied, and beyond the buffer that frames are put together in. */
const long = fc
  .tuple(fc.integer({ min: 15_000, max: 150_000 }), fc.nat(255))
  .map(([length, octet]) => Buffer.alloc(length, octet))
const payload = fc.oneof(
  { weight: 8, arbitrary: bytesOf(300) },
  { weight: 4, arbitrary: fc.string({ unit: 'binary', maxLength: 300 }) },
  { weight: 4, arbitrary: fc.double() },
  { weight: 1, arbitrary: long },
)
const frame = fc.record({
  kind: fc.constantFrom(...(Object.values(kinds) as Kind[])),
  connection: fc.nat(0xffff_ffff),
  payload,
  /** Whether what was added so far is written behind it. */
  isLast: fc.boolean(),
})

test('frames of every payload survive any gathering and any cut of the stream', () => {
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 40 }),
      fc.infiniteStream(fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 70_000 }))),
      (sent, steps) => {
        const writer = createFrameWriter()
        const pieces: Buffer[] = []
        for (const { kind, connection, payload, isLast } of sent) {
          writer.add(kind, connection, payload)
          if (isLast) pieces.push(...writer.take())
        }
        pieces.push(...writer.take())
        assert.deepEqual(writer.take(), [])
        const bytes = Buffer.concat(pieces)
        const seen: { kind: Kind; connection: number; payload: Buffer }[] = []
        const parse = createFrameParser(({ payload, ...rest }) =>
          seen.push({ ...rest, payload: Buffer.from(payload) }),
        )
        for (let at = 0; at < bytes.length; ) {
          const step = steps.next().value ?? 1
          parse(bytes.subarray(at, at + step))
          at += step
        }
        assert.equal(seen.length, sent.length)
        for (const [index, { kind, connection, payload }] of sent.entries()) {
          const arrived = seen[index]!
          assert.deepEqual([arrived.kind, arrived.connection], [kind, connection])
          if (typeof payload === 'number') assert.ok(Object.is(arrived.payload.readDoubleBE(), payload))
          else assert.ok(arrived.payload.equals(Buffer.from(payload as Buffer)))
        }
      },
    ),
    { numRuns: 60 },
  )
})

test('what is sent in one turn is one buffer, and a longer payload is none of its bytes twice', () => {
  const writer = createFrameWriter()
  for (let connection = 1; connection <= 100; connection += 1) writer.add(kinds.ask, connection, '127.0.0.1')
  assert.equal(writer.take().length, 1)
  const long = Buffer.alloc(100_000)
  writer.add(kinds.data, 1, long)
  assert.equal(writer.take()[1], long)
})

test('a length that no frame of ours has is refused before anything is kept for it', () => {
  const header = (payloadBytes: number) => {
    const bytes = Buffer.alloc(9)
    bytes.writeUInt32BE(payloadBytes)
    return bytes
  }
  const parse = createFrameParser(() => assert.fail('no frame'))
  parse(header(PAYLOAD_BYTES_MAX))
  const other = createFrameParser(() => assert.fail('no frame'))
  assert.throws(() => other(header(PAYLOAD_BYTES_MAX + 1)), /a frame of/)
})

test('no more than a window is ever under way, and what is consumed opens it again', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 20_000 }), { maxLength: 200 }), sizes => {
      const window = createSendWindow()
      const consumed = createReceiptCount()
      let underWay = 0
      let told = 0
      for (const bytes of sizes) {
        const open = window.take(bytes)
        underWay += bytes
        assert.equal(open, underWay < WINDOW_BYTES)
        const credit = consumed(bytes)
        told += credit
        underWay -= credit
        if (credit > 0) assert.equal(window.give(credit), underWay < WINDOW_BYTES)
      }
      const all = sizes.reduce((sum, bytes) => sum + bytes, 0)
      assert.ok(all - told < WINDOW_BYTES / 4, 'what was not told yet never fills the window')
    }),
  )
})
