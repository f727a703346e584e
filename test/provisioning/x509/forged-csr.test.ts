// CSRs that somebody made on purpose: keys that prove nothing, structures that should break a parser, wishes that are not
// granted. Each is refused with what to do, or gets exactly what the profile says.
import 'reflect-metadata'
import assert from 'node:assert/strict'
import { generateKeyPairSync, sign, X509Certificate } from 'node:crypto'
import { after, before, test } from 'node:test'
import * as x509 from '@peculiar/x509'
import { toPem } from '../../../pki/pem.ts'
import { assertProblem, makeCsr, type Service, startService } from '../harness.ts'
import {
  attribute,
  commonNames,
  compressedPoint,
  der,
  ed25519Signature,
  ed25519Spki,
  extension,
  extensions,
  type Forgery,
  forged,
  forgedPem,
  oid,
  p256Spki,
  requesting,
  rocaModulus,
  rsaSpki,
  sequence,
  sha256WithRsa,
  spkiOf,
} from './csr-forge.ts'

let service: Service
before(async () => {
  service = await startService()
  await service.call('POST', '/v1/devices', { id: 'pump-1' })
  await service.enroll('victim')
})
after(() => service[Symbol.asyncDispose]())

const post = (csr: string, device = 'pump-1') =>
  service.call('POST', `/v1/devices/${device}/certificates`, { csr })
const pem = (content: Buffer) => toPem(content, 'CERTIFICATE REQUEST')
const rsa = (modulus: bigint, exponent?: bigint): Forgery => ({
  spki: rsaSpki(modulus, exponent),
  algorithm: sha256WithRsa,
  signature: Buffer.alloc(256, 1),
})
const ed25519 = (point: string, signature = Buffer.alloc(64)): Forgery => ({
  spki: ed25519Spki(Buffer.from(point, 'hex')),
  algorithm: ed25519Signature,
  signature,
})
const ec = (namedCurve: string) => ({ key: generateKeyPairSync('ec', { namedCurve }).privateKey })
const random = (bits: number) => BigInt(`0x${'c5'.repeat(bits / 8 - 1)}c1`)
const identity = Buffer.concat([Buffer.from(`01${'00'.repeat(31)}`, 'hex'), Buffer.alloc(32)])
const nested = (levels: number) => {
  let inner: Buffer = Buffer.of(5, 0)
  for (let level = 0; level < levels; level += 1) inner = sequence(inner)
  return inner
}

const weak: [what: string, csr: () => string, words: RegExp][] = [
  ['RSA with exponent 1', () => forgedPem(rsa(random(2048), 1n)), /exponent is 1|no public key/],
  [
    'RSA with an even exponent',
    () => forgedPem(rsa(random(2048) | 1n, 65_538n)),
    /exponent is even|no public key/,
  ],
  ['an even RSA modulus', () => forgedPem(rsa(random(2048) - 1n)), /divisible by 2|no public key/],
  ['an RSA modulus of many threes', () => forgedPem(rsa(3n ** 1_292n)), /divisible by 3/],
  [
    'an RSA modulus with the factor 997',
    () => forgedPem(rsa(997n * (2n ** 2_040n + 1_009n))),
    /divisible by/,
  ],
  ['an RSA modulus of ROCA', () => forgedPem(rsa(rocaModulus())), /ROCA/],
  ['an RSA modulus of nothing', () => forgedPem(rsa(0n)), /rsa0|no public key/],
  ['RSA of 16384 bits', () => forgedPem(rsa(random(16_384))), /rsa16384/],
  ['an all-zero Ed25519 key', () => forgedPem(ed25519('00'.repeat(32))), /small order/],
  // The signature (identity, 0) verifies for every message under the identity as key.
  [
    'an Ed25519 key that signs anything',
    () => forgedPem(ed25519(`01${'00'.repeat(31)}`, identity)),
    /small order/,
  ],
  ['an Ed25519 key above the field', () => forgedPem(ed25519(`ee${'ff'.repeat(30)}7f`)), /small order/],
  [
    'an Ed25519 key of order eight',
    () => forgedPem(ed25519('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05')),
    /small order/,
  ],
  [
    'an all-zero point',
    () => forgedPem({ spki: p256Spki(Buffer.from(`04${'00'.repeat(64)}`, 'hex')) }),
    /no public key/,
  ],
  [
    'the point at infinity',
    () => forgedPem({ spki: p256Spki(Buffer.of(0)) }),
    /cannot be written down again/,
  ],
  [
    'a point beside the curve',
    () => forgedPem({ spki: p256Spki(Buffer.from(`04${'11'.repeat(64)}`, 'hex')) }),
    /no public key/,
  ],
  ['P-224', () => forgedPem(ec('secp224r1')), /secp224r1/],
  ['a Brainpool curve', () => forgedPem(ec('brainpoolP256r1')), /brainpoolP256r1/],
  ['a curve over a binary field', () => forgedPem(ec('sect283r1')), /sect283r1/],
  [
    'a curve with parameters of its own',
    () => makeCsr('p256', ['-subj', '/CN=x', '-pkeyopt', 'ec_param_enc:explicit']).csr,
    /does not name its curve/,
  ],
  ['a compressed point', () => compressedPoint(), /compressed/],
  ['Ed448', () => otherKey('ed448'), /Ed448/],
  ['X25519', () => forgedPem({ spki: spkiOf('x25519') }), /x25519/],
  ['DSA', () => forgedPem({ spki: spkiOf('dsa') }), /dsa/],
  ['an RSA key for PSS alone', () => forgedPem({ spki: spkiOf('rsa-pss') }), /rsa-pss/],
]

const malformed: [what: string, csr: () => string, words: RegExp][] = [
  ['nothing but a tag', () => pem(Buffer.of(0x30)), /not a PKCS #10/],
  [
    'an indefinite length',
    () => pem(Buffer.concat([Buffer.of(0x30, 0x80), forged().subarray(4), Buffer.alloc(2)])),
    /not a PKCS #10/,
  ],
  [
    'a length of four gigabytes',
    () => pem(Buffer.concat([Buffer.from('3084ffffffff', 'hex'), forged()])),
    /not a PKCS #10/,
  ],
  [
    'a length that is longer than it need be',
    () => pem(Buffer.concat([Buffer.from('3083000', 'hex'), forged().subarray(4)])),
    /not a PKCS #10/,
  ],
  ['three thousand nested sequences', () => pem(nested(3_000)), /not a PKCS #10/],
  [
    'nested attributes under a good signature',
    () => forgedPem({ attributes: [attribute('2a0304', nested(1_500))] }),
    /not a PKCS #10/,
  ],
  ['an empty signature', () => forgedPem({ signature: Buffer.alloc(0) }), /signature does not verify/],
  [
    'the signature of another key',
    () =>
      forgedPem({
        signature: sign(
          'sha256',
          Buffer.from('x'),
          generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
        ),
      }),
    /signature does not verify/,
  ],
  [
    'a signature of another kind than the key',
    () => forgedPem({ algorithm: sha256WithRsa }),
    /signature does not verify/,
  ],
  [
    'a signature of no kind',
    () => forgedPem({ algorithm: sequence(oid('2a0304')) }),
    /signature does not verify/,
  ],
  ['an MD5 signature', () => makeCsr('rsa2048', ['-subj', '/CN=x', '-md5']).csr, /signed with MD5/],
  ['no subject public key', () => forgedPem({ spki: sequence() }), /not a PKCS #10|no public key/],
  [
    'a version that is not there',
    () => pem(sequence(sequence(), sequence(), Buffer.of(3, 1, 0))),
    /not a PKCS #10/,
  ],
  [
    'a thousand beginnings',
    () => '-----BEGIN CERTIFICATE REQUEST-----\n'.repeat(440),
    /exactly one PEM block/,
  ],
  [
    'a request that begins within another',
    () => `-----BEGIN CERTIFICATE REQUEST-----\n${forgedPem()}`,
    /exactly one PEM block|not a PKCS #10/,
  ],
  [
    'headers as of an encrypted key',
    () => forgedPem().replace('-----\n', '-----\nProc-Type: 4,ENCRYPTED\n\n'),
    /exactly one PEM block/,
  ],
  [
    'a label of another kind',
    () => forgedPem().replaceAll('CERTIFICATE REQUEST', 'PUBLIC KEY'),
    /exactly one PEM block/,
  ],
  ['a NUL in the PEM', () => forgedPem().replace('\n', '\n\0'), /exactly one PEM block/],
  [
    'an encrypted private key with it',
    () => `${forgedPem()}-----BEGIN ENCRYPTED PRIVATE KEY-----\nMA==\n-----END`,
    /private key/,
  ],
  [
    'an EC private key with it',
    () => `-----BEGIN EC PRIVATE KEY-----\nMA==\n-----END EC PRIVATE KEY-----\n${forgedPem()}`,
    /private key/,
  ],
]

for (const [reason, rows] of [
  ['key_unacceptable', weak],
  ['csr_invalid', malformed],
] as const) {
  for (const [what, csr, words] of rows) {
    test(`refuses ${what}, and says what to do`, async () => {
      const answer = await post(csr())
      // A key that cannot even be read is no key: the request is at fault.
      const { body } = answer
      assertProblem(answer, 400, body.reason === 'csr_invalid' ? 'csr_invalid' : reason)
      assert.match(body.errors[0].message, words)
      assert.match(body.errors[0].path, /^csr/)
      assert.ok(body.hint.length > 20)
      assert.doesNotMatch(answer.text, /-----BEGIN|MA==/)
    })
  }
}

test('refuses a megabyte of attributes by its length alone', async () => {
  const big = forgedPem({ attributes: [attribute('2a0304', der(0x04, Buffer.alloc(1_000_000)))] })
  assertProblem(await post(big), 413, 'body_too_large')
  const bearable = forgedPem({ attributes: [attribute('2a0304', der(0x04, Buffer.alloc(30_000)))] })
  assertProblem(await post(bearable), 400, 'request_invalid')
})

const wishes: [what: string, forgery: Forgery][] = [
  ['to be a CA', { attributes: [requesting(extensions.ca, extensions.keyCertSign)] }],
  [
    'to be another device, in the SAN',
    { attributes: [requesting(extensions.uri('urn:rollcall:device:victim'))] },
  ],
  ['to be another device, in the subject', { subject: commonNames('victim') }],
  ['to be two', { subject: commonNames('victim', 'whoever') }],
  ['to be a server', { attributes: [requesting(extensions.serverAuth, extensions.dns('broker.example'))] }],
  ['any usage', { attributes: [requesting(extensions.anyUsage)] }],
  ['the same extension twice', { attributes: [requesting(extensions.dns('a'), extensions.dns('victim'))] }],
  ['two lists of extensions', { attributes: [requesting(extensions.dns('a')), requesting(extensions.ca)] }],
  [
    'an extension nobody knows, critically',
    { attributes: [requesting(extension('2a0304', Buffer.of(5, 0), true))] },
  ],
  [
    'an extension that is garbage',
    { attributes: [requesting(extension('551d13', Buffer.from('ffff', 'hex'), true))] },
  ],
  [
    'a challenge password',
    { attributes: [attribute('2a864886f70d010907', der(0x0c, Buffer.from('secret')))] },
  ],
  ['a name with a NUL', { subject: commonNames('victim\0.example') }],
  ['a name that reads backwards', { subject: commonNames('\u202emitciv') }],
  ['a name that is no UTF-8', { subject: commonNames(Buffer.from('ff00fe', 'hex')) }],
  ['three hundred names', { subject: commonNames(...Array.from({ length: 300 }, (_, i) => `n${i}`)) }],
  ['no name', { subject: sequence() }],
  ['a name that objects inherit', { subject: commonNames('__proto__') }],
  ['a page of script', { subject: commonNames('<script>alert(1)</script>') }],
]

for (const [at, [what, forgery]] of wishes.entries()) {
  test(`grants nothing to a request for ${what}`, async () => {
    const id = `wish-${at}`
    await service.call('POST', '/v1/devices', { id })
    const answer = await post(forgedPem(forgery), id)
    assert.equal(answer.status, 201, answer.text)
    const certificate = new X509Certificate(answer.body.certificate)
    assert.equal(certificate.subject, `CN=${id}`)
    assert.equal(certificate.subjectAltName, `URI:urn:rollcall:device:${id}`)
    assert.equal(certificate.ca, false)
    assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.2'])
    const known = new x509.X509Certificate(answer.body.certificate).extensions.map(({ type }) => type)
    assert.equal(new Set(known).size, known.length)
    assert.ok(!known.includes('1.2.3.4') && !known.includes('1.2.840.113549.1.9.7'))
  })
}

function otherKey(type: 'ed448'): string {
  const { privateKey } = generateKeyPairSync(type)
  return forgedPem({ key: privateKey, algorithm: sequence(oid('2b6571')), signature: Buffer.alloc(114) })
}
