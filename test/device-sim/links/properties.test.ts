// The properties of MQTT 5 messages as bytes and as digests, and what is said of a message that came with them.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { fidelityOf, givenBy } from '../../../device-sim/fleet/message-properties.ts'
import {
  digestsOf,
  type MessageProperties,
  messageProperties,
  noProperties,
  propertyBytes,
  readProperties,
} from '../../../device-sim/links/properties.ts'

const rich: MessageProperties = {
  utf8: true,
  expirySeconds: 60,
  contentType: 'text/plain',
  responseTopic: 'answers/d1',
  correlation: Buffer.from([0, 255, 1]),
  user: [
    ['a', '1'],
    ['b', '2'],
    ['b', '3'],
  ],
}

const text = fc.string({ maxLength: 30, unit: 'grapheme' })
const properties: fc.Arbitrary<MessageProperties> = fc.record(
  {
    utf8: fc.boolean(),
    expirySeconds: fc.option(fc.integer({ min: 0, max: 4_294_967_295 })),
    contentType: fc.option(text),
    responseTopic: fc.option(text),
    correlation: fc.option(fc.uint8Array({ maxLength: 40 }).map(bytes => Buffer.from(bytes))),
    user: fc.array(fc.tuple(text, text), { maxLength: 6 }),
  },
  { noNullPrototype: true },
)

function written(of: MessageProperties, alias: number): Buffer {
  const bytes = propertyBytes(of, alias)
  const length = bytes.length < 128 ? [bytes.length] : [(bytes.length & 0x7f) | 0x80, bytes.length >> 7]
  return Buffer.concat([Buffer.from(length), bytes])
}

describe('the properties of a message', () => {
  it('come back as they were written, in their order', () => {
    fc.assert(
      fc.property(properties, fc.nat({ max: 65_535 }), (of, alias) => {
        const bytes = written(of, alias)
        const read = readProperties(bytes, 0)
        assert.equal(read?.end, bytes.length)
        assert.deepEqual(messageProperties(read?.list ?? []), { properties: of, alias })
      }),
    )
  })

  it('that are cut off anywhere are none', () => {
    fc.assert(
      fc.property(properties, fc.nat(), (of, at) => {
        const bytes = written(of, 1)
        assert.equal(readProperties(bytes.subarray(0, at % bytes.length), 0), null)
      }),
    )
  })

  it('have another digest once anything of them but the expiry is another', () => {
    fc.assert(
      fc.property(properties, properties, (a, b) => {
        const same = digestsOf(a).ordered === digestsOf(b).ordered
        const alike = propertyBytes({ ...a, expirySeconds: null }, 0).equals(
          propertyBytes({ ...b, expirySeconds: null }, 0),
        )
        assert.equal(same, alike)
      }),
    )
    const [one, two] = [rich.user[0], rich.user[1]] as const
    assert.ok(one && two)
    const swapped = { ...rich, user: [two, one, ...rich.user.slice(2)] }
    assert.notEqual(digestsOf(swapped).ordered, digestsOf(rich).ordered)
    assert.equal(digestsOf(swapped).byName, digestsOf(rich).byName)
  })
})

describe('a message that came', () => {
  const { digests } = givenBy(null, 'lean', given => given)
  const promise = { ...digests, expirySeconds: 60, sentAt: 1_000_000 }
  const came = (left: number | null, waitedMs: number) =>
    fidelityOf(promise, { ...noProperties, expirySeconds: left }, true, promise.sentAt + waitedMs)

  for (const [what, left, waitedMs, altered, expired] of [
    ['at once', 60, 5, false, false],
    ['counted down', 30, 30_900, false, false],
    ['at the end of its time', 0, 61_999, false, false],
    ['after its time', 0, 62_001, false, true],
    ['late and not counted down', 60, 2_001, false, true],
    ['counted down too far', 57, 0, false, true],
    ['with more time than it was given', 61, 0, true, false],
    ['without its expiry', null, 0, true, false],
  ] as const) {
    it(`${what} is ${altered ? 'altered' : expired ? 'expired' : 'as it should be'}`, () => {
      assert.deepEqual(came(left, waitedMs), { altered, expired })
    })
  }

  it('to a receiver that is not in version 5 is not judged', () => {
    assert.deepEqual(fidelityOf(promise, null, true, 0), { altered: false, expired: false })
  })
})
