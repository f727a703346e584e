// CRLs of others, read: whatever a CA signs, reading it ends in a list or in a fault with words, never in anything else.
import assert from 'node:assert/strict'
import { KeyObject, sign, X509Certificate } from 'node:crypto'
import { before, test } from 'node:test'
import fc from 'fast-check'
import { DerError, elementAt, elementsOf, encodingOf } from '../../pki/der-reader.ts'
import { CrlError, type Revocation, readRevocationList } from '../../pki/revocation-list.ts'
import { type Authority, createAuthority } from '../harness/authority.ts'
import { commonNames, der, extension, oid, sequence } from '../provisioning/x509/csr-forge.ts'

let ca: Authority
let issuer: X509Certificate
let key: KeyObject
before(async () => {
  ca = await createAuthority('Maker CA')
  issuer = new X509Certificate(ca.certificate)
  key = KeyObject.from(ca.keyPair.privateKey as never)
})

const ecdsaWithSha256 = sequence(oid('2a8648ce3d040302'))
const utc = (text: string) => der(0x17, Buffer.from(text))
const entry = (serial: string, ...extensions: Uint8Array[]) =>
  sequence(
    der(0x02, Buffer.from(serial, 'hex')),
    utc('260102030405Z'),
    ...(extensions.length > 0 ? [sequence(...extensions)] : []),
  )

function tbs(entries: Uint8Array[], extensions: Uint8Array[] = []): Buffer {
  return sequence(
    Buffer.of(2, 1, 1),
    ecdsaWithSha256,
    commonNames('Maker CA'),
    utc('260101000000Z'),
    der(0x18, Buffer.from('20500101000000Z')),
    ...(entries.length > 0 ? [sequence(...entries)] : []),
    ...(extensions.length > 0 ? [der(0xa0, sequence(...extensions))] : []),
  )
}

const signed = (content: Buffer) =>
  sequence(content, ecdsaWithSha256, der(0x03, Buffer.of(0), sign('sha256', content, key)))
const read = (content: Buffer) => readRevocationList(signed(content), issuer)
const entriesIn = async (...entries: Uint8Array[]): Promise<Revocation[]> => [
  ...(await read(tbs(entries))).entries(),
]

test('reads numbers, times, reasons and serial numbers as OpenSSL writes them', async () => {
  const list = await read(tbs([], [extension('551d14', Buffer.from('02020100', 'hex'))]))
  assert.deepEqual(
    [list.number, list.thisUpdate, list.nextUpdate, list.scope, [...list.entries()]],
    ['100', Date.UTC(2026, 0, 1), Date.UTC(2050, 0, 1), '', []],
  )
  const reason = (code: number) => extension('551d15', Buffer.of(10, 1, code))
  const found = await entriesIn(entry('00ab'), entry('01', reason(1)), entry('ff'), entry('7fff', reason(6)))
  assert.deepEqual(
    found.map(({ serialNumber, reason: why }) => [serialNumber, why]),
    [
      ['ab', 'unspecified'],
      ['01', 'keyCompromise'],
      ['-01', 'unspecified'],
      ['7fff', 'certificateHold'],
    ],
  )
})

test('the signature of a long list is verified beside the event loop', async () => {
  const long = signed(
    tbs(Array.from({ length: 20_000 }, (_, index) => entry((0x10000 + index).toString(16).padStart(6, '0')))),
  )
  let turns = 0
  const counting = setImmediate(() => {
    turns += 1
  })
  const list = await readRevocationList(long, issuer)
  clearImmediate(counting)
  assert.ok(turns > 0, 'others had their turn')
  assert.equal([...list.entries()].length, 20_000)
})

test('refuses entries that take back, or that say what is not understood', async () => {
  const rows: [Uint8Array, RegExp][] = [
    [entry('01', extension('551d15', Buffer.of(10, 1, 8))), /delta/],
    [entry('01', extension('551d1d', sequence(), true)), /critical extension/],
    [entry(''), /serial number is empty/],
    [sequence(Buffer.of(2, 1, 1), utc('261301000000Z')), /time/],
    [sequence(Buffer.of(2, 1, 1), utc('2601010000Z')), /time/],
    [sequence(Buffer.of(5, 0), utc('260101000000Z')), /cannot be read/],
    [sequence(), /cannot be read/],
  ]
  for (const [bad, words] of rows)
    await assert.rejects(
      entriesIn(entry('01'), bad),
      error => error instanceof CrlError && words.test(error.message),
      String(words),
    )
})

test('whatever is signed, reading it ends in a list or in a fault', async () => {
  const good = tbs(
    [entry('01', extension('551d15', Buffer.of(10, 1, 1))), entry('0203')],
    [extension('551d14', Buffer.of(2, 1, 1)), extension('551d1c', sequence(), true)],
  )
  const changes = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 })
  await fc.assert(
    fc.asyncProperty(changes, fc.nat(good.length), async (changed, cut) => {
      const bytes = Buffer.from(good)
      for (const [at, value] of changed) bytes[at] = value
      for (const content of [bytes, bytes.subarray(0, cut)]) {
        try {
          for (const { serialNumber } of (await readRevocationList(signed(content), issuer)).entries())
            assert.match(serialNumber, /^-?([0-9a-f]{2})+$/)
        } catch (error) {
          assert.ok(error instanceof CrlError, String((error as Error).stack))
        }
      }
    }),
    { numRuns: 300 },
  )
})

test('walks any DER it is given, or throws a DerError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), array => {
      const bytes = Buffer.from(array)
      try {
        const outer = elementAt(bytes, 0)
        for (const inner of elementsOf(bytes, outer)) assert.ok(encodingOf(bytes, inner).length >= 2)
      } catch (error) {
        assert.ok(error instanceof DerError, String(error))
      }
    }),
  )
})
