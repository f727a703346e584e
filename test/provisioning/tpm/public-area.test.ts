// Reading public areas of TPM keys: what is read of good ones, and every kind of bad one refused with its cause.
import assert from 'node:assert/strict'
import { createHash, createPublicKey } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { createSoftwareTpm, SIGNING_KEY } from '../../../device-sim/enrollment/software-tpm.ts'
import { attributeNames, deviceKeyFaults, endorsementKeyFaults } from '../../../provisioning/tpm/key-rules.ts'
import { readPublicArea, type TpmPublic } from '../../../provisioning/tpm/public-area.ts'

const tpm = createSoftwareTpm()
const good = tpm.createKey().area
/** As swtpm 0.7.1 with tpm2_create 5.4 made them, with the Name that tpm2_load told. */
const fromSwtpm = Buffer.from(
  '00560023000b00040072000000100010000300100020' +
    '96f18774c1195b833ecc9e414ee1a8a062765f8960e1044e5d1b6869c28114d20020' +
    '3866217c9b40894268d9916d4f637b9060d1f96c7826c6d47577270e98b5c3b0',
  'hex',
)
const NAME = '000b2b86ca1daf105f4f4a70146cf01f397021f21db8a662749f1b6959cf5786768b'

function areaOf(bytes: Buffer): TpmPublic {
  const reading = readPublicArea(bytes, 'key')
  assert.ok('area' in reading, JSON.stringify(reading))
  return reading.area
}

/** The good area with other octets from `at` on; counted in the TPM2B. */
function changed(at: number, hex: string, of = good): Buffer {
  const copy = Buffer.from(of)
  Buffer.from(hex, 'hex').copy(copy, at)
  return copy
}

/** With another content, and the size that belongs to it. */
function resized(content: Buffer): Buffer {
  const size = Buffer.alloc(2)
  size.writeUInt16BE(content.length)
  return Buffer.concat([size, content])
}

test('a key that tpm2_create made is read, and has the Name that the TPM gives it', () => {
  const area = areaOf(fromSwtpm)
  assert.equal(area.name.toString('hex'), NAME)
  assert.deepEqual([area.keyType, area.nameAlg, area.symmetric], ['p256', 'sha256', null])
  const names = ['fixedTPM', 'fixedParent', 'sensitiveDataOrigin', 'userWithAuth', 'sign']
  assert.deepEqual(attributeNames(area.attributes), names)
  assert.deepEqual(deviceKeyFaults(area, 'key'), [])
  const spki = area.key.export({ type: 'spki', format: 'der' })
  assert.equal(area.spkiHash, createHash('sha256').update(spki).digest('hex'))
})

test('endorsement keys of each template are read, and are no keys of a device', () => {
  for (const type of ['p256', 'p384', 'rsa2048'] as const) {
    const area = areaOf(createSoftwareTpm(type).endorsement.area)
    assert.equal(area.keyType, type)
    assert.deepEqual(endorsementKeyFaults(area, 'ek'), [], type)
    assert.match(deviceKeyFaults(area, 'key')[0]?.message ?? '', /sign must be set/)
  }
  assert.match(endorsementKeyFaults(areaOf(good), 'ek')[0]?.message ?? '', /restricted must be set/)
})

test('a coordinate without its leading zeros is the same point', () => {
  // The x of this point begins with a zero octet.
  const jwk = { kty: 'EC', crv: 'P-256', x: '', y: '' }
  for (;;) {
    const found = tpm.createKey().publicKey.export({ format: 'jwk' })
    if (!found.x?.startsWith('AA') || Buffer.from(found.x, 'base64url')[0] !== 0) continue
    Object.assign(jwk, found)
    break
  }
  const [x, y] = [Buffer.from(jwk.x, 'base64url').subarray(1), Buffer.from(jwk.y, 'base64url')]
  const area = areaOf(resized(Buffer.concat([good.subarray(2, 20), resized(x), resized(y)])))
  assert.ok(area.key.equals(createPublicKey({ key: jwk, format: 'jwk' })))
})

const smallRsa = (modulus: Buffer, bits = modulus.length * 8, exponent = '00000000') =>
  resized(
    Buffer.concat([
      Buffer.from('0001000b00040072000000100010', 'hex'),
      Buffer.from(bits.toString(16).padStart(4, '0') + exponent, 'hex'),
      resized(modulus),
    ]),
  )
const rsa2048 = Buffer.concat([Buffer.of(0xc1), Buffer.alloc(254, 7), Buffer.of(0x0b)])

const bad: [string, Buffer, RegExp][] = [
  ['nothing', Buffer.alloc(0), /size.*cut off/],
  ['one octet', Buffer.of(0), /size.*cut off/],
  ['a size of zero', Buffer.of(0, 0), /type.*cut off/],
  ['length ffff', changed(0, 'ffff'), /size of 65535 octets/],
  ['a size beyond the end', changed(0, '0057'), /cut off/],
  ['trailing octets', Buffer.concat([good, Buffer.of(0)]), /1 octets follow its end/],
  ['trailing octets inside', resized(Buffer.concat([good.subarray(2), Buffer.of(0, 0)])), /2 octets follow/],
  ['a keyed hash', changed(2, '0008'), /neither RSA .* nor ECC/],
  ['an unknown hash', changed(4, '0012'), /none of SHA-256/],
  ['SHA-1', changed(4, '0004'), /SHA-1/],
  [
    'a policy of the wrong size',
    resized(Buffer.concat([good.subarray(2, 10), Buffer.of(0, 1, 9), good.subarray(12)])),
    /no digest/,
  ],
  ['a policy of ffff octets', changed(10, 'ffff'), /size of 65535/],
  ['another cipher', changed(12, '0026'), /neither AES/],
  ['a scheme of RSA', changed(14, '0014'), /no scheme/],
  ['P-521', changed(16, '0005'), /neither P-256/],
  ['an unknown curve', changed(16, 'ffff'), /neither P-256/],
  ['a long coordinate', changed(20, '0021'), /more than 32/],
  ['a point off the curve', changed(24, good[24] === 1 ? '02' : '01'), /no point of P-256/],
  ['the point at infinity', changed(22, `${'00'.repeat(32)}0020${'00'.repeat(32)}`), /no point of P-256/],
  ['RSA of 1024 bits', smallRsa(rsa2048.subarray(128)), /RSA of 2048/],
  ['RSA that says another size', smallRsa(rsa2048, 4096), /keyBits says 4096/],
  ['RSA with the exponent 3', smallRsa(rsa2048, 2048, '00000003'), /exponent is 3/],
  [
    'RSA divisible by 3',
    smallRsa(Buffer.from(rsa2048.map((octet, at) => (at === 255 ? divisible(rsa2048) : octet)))),
    /divisible/,
  ],
]

/** The last octet that makes the number odd and divisible by 3: the sum of its octets decides. */
function divisible(number: Buffer): number {
  const sum = number.subarray(0, -1).reduce((total, octet) => total + octet, 0)
  return [1, 3, 5].find(last => (sum + last) % 3 === 0)!
}

for (const [name, bytes, message] of bad) {
  test(`a public area is refused: ${name}`, () => {
    const reading = readPublicArea(bytes, 'key')
    assert.ok('fault' in reading, 'it was read')
    assert.match(`${reading.fault.path}: ${reading.fault.message}`, message)
    assert.match(reading.fault.path, /^key/)
  })
}

test('every cut of a good public area is refused', () => {
  for (const type of ['p256', 'rsa2048'] as const) {
    const { area } = createSoftwareTpm(type).endorsement
    for (let length = 0; length < area.length; length += 1)
      assert.ok('fault' in readPublicArea(area.subarray(0, length), 'key'), `${type}, ${length} octets`)
  }
})

test('whatever octets arrive are read or refused, and what is read is written one way only', () => {
  const change = fc.tuple(fc.nat(good.length - 1), fc.nat(255))
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), changes => {
      const bytes = Buffer.from(good)
      for (const [at, octet] of changes) bytes[at] = octet
      const reading = readPublicArea(bytes, 'key')
      if ('fault' in reading) return
      const name = createHash(reading.area.nameAlg).update(bytes.subarray(2)).digest()
      assert.ok(reading.area.name.subarray(2).equals(name))
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), octets => {
      readPublicArea(Buffer.from(octets), 'key')
    }),
  )
})

const wrong: [string, number, RegExp][] = [
  ['not fixed to its TPM', SIGNING_KEY & ~0x02, /fixedTPM must be set/],
  ['not fixed to its parent', SIGNING_KEY & ~0x10, /fixedParent must be set/],
  ['imported', SIGNING_KEY & ~0x20, /made elsewhere and imported/],
  ['not for signing', SIGNING_KEY & ~0x40000, /sign must be set/],
  ['restricted', SIGNING_KEY | 0x10000, /restricted must be clear/],
  ['also for decryption', SIGNING_KEY | 0x20000, /decrypt must be clear/],
  ['for X.509 alone', SIGNING_KEY | 0x80000, /x509sign must be clear/],
  ['with a reserved bit', SIGNING_KEY | 0x100, /reserved bits/],
]
for (const [name, attributes, message] of wrong) {
  test(`a key that is ${name} is no key of a device`, () => {
    const faults = deviceKeyFaults(areaOf(tpm.createKey(attributes).area), 'key')
    assert.equal(faults.length, 1)
    assert.match(faults[0]!.message, message)
    assert.equal(faults[0]!.path, 'key.objectAttributes')
  })
}
