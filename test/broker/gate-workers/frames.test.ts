// The framing between engine and gate: whatever pieces the bytes come in, the same frames come out.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  createFrameParser,
  frameHeader,
  type Kind,
  kinds,
  PAYLOAD_BYTES_MAX,
} from '../../../broker/gate-workers/frames.ts'
import { createReceiptCount, createSendWindow, WINDOW_BYTES } from '../../../broker/gate-workers/window.ts'

test('frames survive any cut of the stream', () => {
  const frame = fc.record(
    {
      kind: fc.constantFrom(...(Object.values(kinds) as Kind[])),
      connection: fc.nat(0xffff_ffff),
      payload: fc.uint8Array({ maxLength: 300 }).map(bytes => Buffer.from(bytes)),
    },
    { noNullPrototype: true },
  )
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 20 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 50 })),
      (sent, steps) => {
        const bytes = Buffer.concat(
          sent.flatMap(({ kind, connection, payload }) => [
            frameHeader(kind, connection, payload.length),
            payload,
          ]),
        )
        const seen: typeof sent = []
        const parse = createFrameParser(({ payload, ...rest }) =>
          seen.push({ ...rest, payload: Buffer.from(payload) }),
        )
        for (let at = 0; at < bytes.length; ) {
          const step = steps.next().value ?? 1
          parse(bytes.subarray(at, at + step))
          at += step
        }
        assert.deepEqual(seen, sent)
      },
    ),
  )
})

test('a length that no frame of ours has is refused before anything is kept for it', () => {
  const parse = createFrameParser(() => assert.fail('no frame'))
  parse(frameHeader(kinds.data, 1, PAYLOAD_BYTES_MAX))
  const other = createFrameParser(() => assert.fail('no frame'))
  assert.throws(() => other(frameHeader(kinds.data, 1, PAYLOAD_BYTES_MAX + 1)), /a frame of/)
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
