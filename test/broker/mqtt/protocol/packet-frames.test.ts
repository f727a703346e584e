// Fixed headers of a stream, however it is cut into chunks.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  checkFirstPacket,
  createFrameReader,
  refusingConnack,
} from '../../../../broker/mqtt/protocol/packet-frames.ts'
import { connectPacket, remainingLength } from '../../../harness/broker.ts'

const BYTES_MAX = 300

const packet = fc.record({ type: fc.integer({ min: 1, max: 15 }), length: fc.integer({ min: 0, max: 600 }) })

function encode({ type, length }: { type: number; length: number }): Buffer {
  return Buffer.concat([Buffer.from([type << 4]), remainingLength(length), Buffer.alloc(length, 0xff)])
}

/** Cuts bytes at the given points. */
function chunked(bytes: Buffer, cuts: number[]): Buffer[] {
  const points = [...new Set([0, ...cuts.map(cut => cut % (bytes.length + 1)), bytes.length])].sort(
    (a, b) => a - b,
  )
  return points.slice(1).map((end, index) => bytes.subarray(points[index], end))
}

test('packets within bounds pass, however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(packet, { maxLength: 8 }),
      fc.array(fc.nat(), { maxLength: 20 }),
      (packets, cuts) => {
        const bytes = Buffer.concat(packets.map(encode))
        const reader = createFrameReader(600)
        for (const chunk of chunked(bytes, cuts)) assert.equal(reader.read(chunk), null)
      },
    ),
  )
})

test('the first packet that declares too much is refused at its header, however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(packet, { minLength: 1, maxLength: 8 }),
      fc.array(fc.nat(), { maxLength: 20 }),
      (packets, cuts) => {
        const tooLarge = packets.findIndex(({ length }) => length > BYTES_MAX)
        const before = Buffer.concat(packets.slice(0, tooLarge === -1 ? undefined : tooLarge).map(encode))
        const head =
          tooLarge === -1
            ? Buffer.alloc(0)
            : encode(packets[tooLarge]!).subarray(0, 1 + remainingLength(packets[tooLarge]!.length).length)
        const reader = createFrameReader(BYTES_MAX)
        const reasons = chunked(Buffer.concat([before, head]), cuts).map(chunk => reader.read(chunk))
        assert.equal(
          reasons.findIndex(reason => reason !== null),
          tooLarge === -1 ? -1 : reasons.length - 1,
        )
        if (tooLarge !== -1) assert.equal(reasons.at(-1), 'packet_too_large')
      },
    ),
  )
})

test('a packet of exactly the limit passes, one byte more does not', () => {
  for (const [length, reason] of [
    [BYTES_MAX, null],
    [BYTES_MAX + 1, 'packet_too_large'],
  ] as const) {
    assert.equal(createFrameReader(BYTES_MAX).read(encode({ type: 3, length })), reason)
  }
})

test('a remaining length of five octets is malformed [MQTT-2.2.3]', () => {
  assert.equal(createFrameReader(BYTES_MAX).read(Buffer.from('30ffffffff01', 'hex')), 'packet_malformed')
})

test('the first packet is judged as soon as its bytes suffice, and the same at every length after', () => {
  fc.assert(
    fc.property(fc.integer({ min: 3, max: 5 }), fc.string({ maxLength: 30 }), (level, clientId) => {
      const bytes = connectPacket({ clientId, level })
      const verdicts = Array.from(bytes, (_, index) => checkFirstPacket(bytes.subarray(0, index + 1), 65_536))
      const first = verdicts.findIndex(({ verdict }) => verdict !== 'incomplete')
      assert.ok(first > 0 && first < 13)
      for (const verdict of verdicts.slice(first))
        assert.deepEqual(verdict, { verdict: 'connect', protocolLevel: level })
    }),
  )
})

test('whatever the first bytes are, the verdict never changes once it is given', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ maxLength: 20 }), (bytes, more) => {
      const verdict = checkFirstPacket(bytes, 256)
      if (verdict.verdict === 'incomplete') return
      assert.deepEqual(checkFirstPacket(Buffer.concat([bytes, more]), 256), verdict)
    }),
    { numRuns: 1_000 },
  )
})

test('a CONNECT whose declared length ends before its protocol level is refused as soon as the length is known', () => {
  const malformed = { verdict: 'refused', reason: 'packet_malformed' }
  for (const length of [0, 1, 6])
    assert.deepEqual(checkFirstPacket(Buffer.from([0x10, length]), 256), malformed)
  const named = (length: number, name: string) =>
    Buffer.concat([Buffer.from([0x10, length, 0, name.length]), Buffer.from(name), Buffer.from([4])])
  assert.equal(checkFirstPacket(named(7, 'MQTT'), 256).verdict, 'connect')
  assert.deepEqual(checkFirstPacket(named(8, 'MQIsdp'), 256), malformed)
  assert.equal(checkFirstPacket(named(9, 'MQIsdp'), 256).verdict, 'connect')
})

test('a CONNECT of exactly the limit is heard, one byte more is not', () => {
  const declaring = (length: number) =>
    Buffer.concat([Buffer.from([0x10]), remainingLength(length), Buffer.from('00044d51545404', 'hex')])
  assert.equal(checkFirstPacket(declaring(65_536), 65_536).verdict, 'connect')
  assert.deepEqual(checkFirstPacket(declaring(65_537), 65_536), {
    verdict: 'refused',
    reason: 'packet_too_large',
  })
})

test('a refusal speaks the version it was asked in', () => {
  assert.equal(refusingConnack(4, 'certificate_revoked').toString('hex'), '20020005')
  const answer = refusingConnack(5, 'certificate_revoked')
  assert.equal(answer.subarray(2, 4).toString('hex'), '008a')
  assert.ok(answer.includes('certificate_revoked: '))
})
