// Which certificates of others' making may go on the roll (RFC 5280 §4.1, §4.2.1).
import 'reflect-metadata'
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { before, test } from 'node:test'
import * as x509 from '@peculiar/x509'
import { certificateFacts } from '../../pki/certificate-facts.ts'
import { isDeviceId } from '../../pki/device-id.ts'
import { isAcceptableKey } from '../../pki/key-policy.ts'
import { validateLeaf } from '../../pki/leaf-policy.ts'
import { pemBlocks, toPem } from '../../pki/pem.ts'
import { type Authority, createAuthority, makeKeyPair, selfSigned, usage } from '../harness/authority.ts'
import {
  bits,
  der,
  extension,
  extensionOf,
  forgedCertificate,
  noName,
  sequence,
  usageBits,
} from '../harness/certificate-forge.ts'

let authority: Authority
before(async () => {
  authority = await createAuthority()
})

const paths = (der: Buffer, pinned = false) => validateLeaf(der, { pinned }).map(fault => fault.path)

async function withExtensions(
  extensions: x509.Extension[],
  subject = 'CN=d1',
  serialNumber = '01',
): Promise<Buffer> {
  const keys = await makeKeyPair('p256')
  const certificate = await x509.X509CertificateGenerator.create({
    subject,
    issuer: 'CN=Test Root',
    serialNumber,
    notBefore: new Date(),
    notAfter: new Date(Date.now() + 86_400_000),
    publicKey: keys.publicKey,
    signingKey: authority.keyPair.privateKey,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions,
  })
  return Buffer.from(certificate.rawData)
}

test('every kind of key we name is accepted, weaker and other ones are not', async () => {
  for (const keyType of ['p256', 'p384', 'ed25519', 'rsa2048'] as const) {
    assert.deepEqual(paths((await authority.issue({ name: 'd1', keyType })).der), [], keyType)
  }
  for (const keyType of ['p521', 'rsa1024'] as const) {
    assert.deepEqual(
      paths((await authority.issue({ name: 'd1', keyType })).der),
      ['certificate.subjectPublicKeyInfo'],
      keyType,
    )
  }
  assert.deepEqual(
    ['rsa2047', 'rsa2048', 'rsa8192', 'rsa8193', 'rsa', 'rsa2048x'].map(type => isAcceptableKey(type)),
    [false, true, true, false, false, false],
  )
})

test('CA:TRUE and keyCertSign are refused, but for a pinned self-signed certificate', async () => {
  assert.deepEqual(paths((await authority.issue({ name: 'd1', ca: true })).der), [
    'certificate.basicConstraints',
  ])
  assert.deepEqual(paths((await authority.issue({ name: 'd1', ca: true })).der, true), [
    'certificate.basicConstraints',
  ])
  const own = await selfSigned({ name: 'd1', ca: true })
  assert.deepEqual(paths(own.der), ['certificate.basicConstraints'])
  assert.deepEqual(paths(own.der, true), [])
  const signing = new x509.KeyUsagesExtension(
    x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyCertSign,
  )
  assert.deepEqual(paths(await withExtensions([signing])), ['certificate.keyUsage'])
})

test('extended key usage must permit clientAuth where it is present', async () => {
  assert.deepEqual(paths((await authority.issue({ name: 'd1', usages: null })).der), [])
  assert.deepEqual(
    paths((await authority.issue({ name: 'd1', usages: [usage.serverAuth, usage.clientAuth] })).der),
    [],
  )
  assert.deepEqual(paths((await authority.issue({ name: 'd1', usages: ['2.5.29.37.0'] })).der), [])
  assert.deepEqual(paths((await authority.issue({ name: 'd1', usages: [usage.serverAuth] })).der), [
    'certificate.extendedKeyUsage',
  ])
})

test('a serial number of zero or of more than twenty octets is refused', async () => {
  const zero = await withExtensions([], 'CN=d1', '05')
  zero[zero.indexOf(Buffer.from('020105', 'hex')) + 2] = 0
  assert.deepEqual(paths(zero), ['certificate.serialNumber'])
  assert.deepEqual(paths(await withExtensions([], 'CN=d1', `7f${'00'.repeat(19)}`)), [])
  assert.deepEqual(paths(await withExtensions([], 'CN=d1', `7f${'00'.repeat(20)}`)), [
    'certificate.serialNumber',
  ])
})

test('an empty subject needs a name elsewhere, and no name holds NUL', async () => {
  const san = (value: string, critical = false) =>
    new x509.SubjectAlternativeNameExtension([{ type: 'url', value }], critical)
  assert.deepEqual(paths(await withExtensions([], '')), ['certificate.subject'])
  assert.deepEqual(paths(await withExtensions([san('urn:rollcall:device:d1', true)], '')), [])
  // RFC 5280 §4.1.2.6: a verifier that does not know the extension must not take a certificate that names nobody.
  assert.deepEqual(paths(await withExtensions([san('urn:rollcall:device:d1')], '')), ['certificate.subject'])
  assert.deepEqual(paths(await withExtensions([san('urn:rollcall:device:d1\0x')])), ['certificate.subject'])
  assert.deepEqual(paths((await authority.issue({ name: 'd1\0' })).der), ['certificate.subject'])
})

test('each key usage, alone and beside digitalSignature; each extension of RFC 5280 that is not understood, critical or not', () => {
  const pathsOf = (extension: Uint8Array) => paths(forgedCertificate({ extensions: [extension] }), true)
  const bit = (index: number) => 0x80 >> index
  for (const critical of [true, false]) {
    for (let index = 0; index < 9; index += 1) {
      // decipherOnly is the ninth bit.
      const alone = index < 8 ? usageBits(bit(index)) : bits(7, 0, 0x80)
      const beside = index < 8 ? usageBits(0x80 | bit(index)) : bits(7, 0x80, 0x80)
      const expected = index === 0 ? [] : ['certificate.keyUsage']
      assert.deepEqual(pathsOf(extensionOf.keyUsage(alone, critical)), expected, `bit ${index} alone`)
      // With CA:FALSE keyCertSign must not be there (RFC 5280 §4.2.1.3); a self-signed pin is its key alone.
      assert.deepEqual(pathsOf(extensionOf.keyUsage(beside, critical)), [], `bit ${index}`)
    }
    const strange = [
      '551d24',
      '551d21',
      '551d36',
      '551d2e',
      '551d10',
      '2b06010505070118',
      '2b0601050507300105',
    ]
    for (const id of [...strange, '2b06010401d679020403', '551d63']) {
      const found = pathsOf(extension(id, Buffer.of(5, 0), critical))
      assert.equal(found.length, critical ? 1 : 0, `${id} ${critical} ${found}`)
    }
  }
})

test('an empty issuer is that of a self-signed certificate alone, which is trusted for its key', () => {
  const san = extensionOf.subjectAltName(sequence(der(0x82, Buffer.from('unit-3'))), true)
  // RFC 5280 §4.1.2.4; `openssl req -x509 -subj /` makes the one that is taken.
  assert.deepEqual(paths(forgedCertificate({ issuer: noName, subject: noName, extensions: [san] }), true), [])
  assert.deepEqual(paths(forgedCertificate({ issuer: noName }), true), ['certificate.issuer'])
})

test('X.509 v1 is refused', async () => {
  const v3 = (await authority.issue({ name: 'd1' })).der
  const version = v3.indexOf(Buffer.from('a003020102', 'hex'))
  const v2 = Buffer.from(v3)
  v2[version + 4] = 1
  assert.ok(paths(v2).includes('certificate.version'))
})

test('bytes that are no certificate are one fault, and never an exception', () => {
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from('x'),
    Buffer.from('3080', 'hex'),
    authority.der.subarray(0, 100),
  ]) {
    assert.deepEqual(paths(bytes), ['certificate'])
  }
})

test('facts are read from the DER alone', async () => {
  const leaf = await authority.issue({ name: 'd1', serialNumber: '00a1', usages: [usage.clientAuth] })
  const facts = certificateFacts(leaf.der)
  assert.deepEqual(facts, certificateFacts(leaf.certificate))
  assert.equal(
    facts.fingerprint,
    new X509Certificate(leaf.der).fingerprint256.replaceAll(':', '').toLowerCase(),
  )
  assert.deepEqual(
    [facts.serialNumber, facts.keyType, facts.isCa, facts.clientAuth],
    ['a1', 'p256', false, true],
  )
  assert.throws(() => certificateFacts('no certificate'))
})

test('PEM goes out and comes back, strict in its labels and bounded', () => {
  const der = Buffer.from(Array.from({ length: 200 }, (_, index) => index))
  const pem = toPem(der, 'CERTIFICATE')
  assert.deepEqual(pemBlocks(`words before\n${pem}\n${pem}`, 'CERTIFICATE'), [der, der])
  assert.deepEqual(pemBlocks(pem, 'CERTIFICATE REQUEST'), [])
  assert.ok(pem.split('\n').every(line => line.length <= 64))
  assert.throws(() => pemBlocks('x'.repeat(70_000), 'CERTIFICATE'), RangeError)
})

test('threat 5: an ID is letters, digits, dot, underscore and dash, and no name of an object', () => {
  for (const good of ['a', 'A-1_b.c', '0', 'x'.repeat(128), '...', 'device'])
    assert.equal(isDeviceId(good), true, good)
  for (const bad of [
    '',
    '.',
    '..',
    'x'.repeat(129),
    'a/b',
    'a#',
    '+',
    '$SYS',
    'a\0',
    'ä',
    'a b',
    'a\n',
    '__proto__',
    'constructor',
    'toString',
  ]) {
    assert.equal(isDeviceId(bad), false, bad)
  }
})
