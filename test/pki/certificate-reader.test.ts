// What a certificate says, read from its DER (RFC 5280 §4.1): a value or a reason, for whatever bytes.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { validateAnchor } from '../../pki/anchor-policy.ts'
import { readAsn1Time } from '../../pki/asn1-time.ts'
import { CertificateUnreadable, certificateFacts } from '../../pki/certificate-facts.ts'
import { readCertificate } from '../../pki/certificate-reader.ts'
import { validateLeaf } from '../../pki/leaf-policy.ts'
import { namesOf } from '../../pki/names.ts'
import { createAuthority } from '../harness/authority.ts'
import {
  commonNames,
  der,
  extensionOf,
  forgedCertificate,
  generalizedTime,
  isCa,
  noName,
  oid,
  sequence,
  utcTime,
} from '../harness/certificate-forge.ts'

const hex = (text: string) => Buffer.from(text, 'hex')
const faultOf = (bytes: Buffer) => {
  const reading = readCertificate(bytes)
  return 'problem' in reading ? reading.problem : null
}
const pinnedFaults = (bytes: Buffer) => validateLeaf(bytes, { pinned: true })

test('a time is the moment that it names, in years as they stand, or nothing', () => {
  const at = (tag: number, text: string) => {
    const read = readAsn1Time(tag, Buffer.from(text))
    return read === null ? null : new Date(read).toISOString()
  }
  const [utc, generalized] = [0x17, 0x18]
  const rows: [tag: number, text: string, at: string | null][] = [
    [utc, '491231235959Z', '2049-12-31T23:59:59.000Z'],
    [utc, '500101000000Z', '1950-01-01T00:00:00.000Z'],
    [generalized, '99991231235959Z', '9999-12-31T23:59:59.000Z'],
    [generalized, '20500229000000Z', null],
    [generalized, '20480229000000Z', '2048-02-29T00:00:00.000Z'],
    // Not 2049, and not 1949.
    [generalized, '00491231235959Z', '0049-12-31T23:59:59.000Z'],
    [generalized, '00000101000000Z', '0000-01-01T00:00:00.000Z'],
    [generalized, '20350101240000Z', null],
    [generalized, '20350101236000Z', null],
    [generalized, '20350101235960Z', null],
    [generalized, '20351301000000Z', null],
    [generalized, '20350001000000Z', null],
    [generalized, '20350431000000Z', null],
    [generalized, '20350100000000Z', null],
    [generalized, '20350101000000', null],
    [generalized, '203501010000Z', null],
    [generalized, '20350101000000.5Z', null],
    [generalized, '20350101000000+0100', null],
    [utc, '3501010000Z', null],
    [utc, '20350101000000Z', null],
    [generalized, '', null],
    [0x0c, '20350101000000Z', null],
  ]
  for (const [tag, text, expected] of rows) assert.equal(at(tag, text), expected, text)
})

test('a time that is no date makes a certificate unreadable, whichever end it is at', () => {
  for (const field of ['notBefore', 'notAfter'] as const) {
    const bytes = forgedCertificate({ [field]: generalizedTime('20350101240000Z') })
    // OpenSSL reads it, and JavaScript makes NaN of what OpenSSL prints.
    assert.ok(new X509Certificate(bytes))
    assert.deepEqual(faultOf(bytes), {
      path: 'certificate.validity',
      message: `${field} is no date as RFC 5280 §4.1.2.5 has it`,
    })
    assert.equal(pinnedFaults(bytes)[0]?.path, 'certificate.validity')
    assert.throws(() => certificateFacts(bytes), CertificateUnreadable)
  }
  const ancient = certificateFacts(forgedCertificate({ notAfter: generalizedTime('00491231235959Z') }))
  assert.equal(new Date(ancient.notAfter).getUTCFullYear(), 49)
})

test('what BER permits and DER does not is no certificate: another TRUE than 0xFF, a length in more octets than it needs', () => {
  const usage = (critical: number) =>
    sequence(oid('551d0f'), Buffer.of(1, 1, critical), der(4, hex('03020780')))
  const constraints = (isCa: number) => extensionOf.basicConstraints(sequence(Buffer.of(1, 1, isCa)))
  assert.equal(faultOf(forgedCertificate({ extensions: [usage(0xff), constraints(0xff)] })), null)
  assert.match(faultOf(forgedCertificate({ extensions: [usage(1)] }))?.path ?? '', /keyUsage/)
  assert.match(faultOf(forgedCertificate({ extensions: [constraints(1)] }))?.path ?? '', /basicConstraints/)
  const whole = forgedCertificate()
  assert.deepEqual([...whole.subarray(0, 2)], [0x30, 0x82])
  const longer = Buffer.concat([hex('308300'), whole.subarray(2)])
  assert.match(faultOf(longer)?.message ?? '', /length/)
  const short = extensionOf.subjectAltName(hex('308103820161'))
  assert.match(faultOf(forgedCertificate({ extensions: [short] }))?.message ?? '', /length/)
})

test('names of every form in a subjectAltName are read, and none that is malformed', () => {
  const rows: [name: string, value: string, expected: string | RegExp][] = [
    ['an ediPartyName', '3007a505a1030c0178', 'edi'],
    ['an otherName', '3010a00e06082b06010505070804a0020500', 'other'],
    ['an x400Address', '3002a300', 'x400'],
    ['a directoryName', '3010a40e300c310a3008060355040313016e', 'directory'],
    ['a registeredID', '300488022a03', 'id'],
    ['an IPv6 address', `30128710${'20010db8'.padEnd(32, '0')}`, 'ip'],
    ['an otherName without its tag', '300ea00c06082b060105050708040500', /has the tag/],
    ['an ediPartyName without a party', '3007a505a0030c0178', /no party/],
    ['an IP address of five octets', '300787050102030405', /neither 4 nor 16/],
    ['a form that is none', '3003890178', /no form of a name/],
    ['no name at all', '3000', /no name/],
    ['a text', '0c0178', /has the tag/],
    ['what ends too early', '30058204616263', /ends too early/],
    ['what goes on', '3003820161ffff', /bytes follow/],
    ['nothing', '', /too early/],
  ]
  for (const [name, value, expected] of rows) {
    const bytes = forgedCertificate({ extensions: [extensionOf.subjectAltName(hex(value))] })
    const faults = pinnedFaults(bytes)
    if (typeof expected === 'string') {
      assert.deepEqual(faults, [], name)
      assert.deepEqual(
        namesOf(bytes).sans.map(({ type }) => type),
        [expected],
        name,
      )
    } else {
      assert.equal(faults[0]?.path, 'certificate.extensions.subjectAltName', name)
      assert.match(faults[0]?.message ?? '', expected, name)
      assert.equal(validateAnchor(bytes, Date.now())[0]?.path, 'certificate.extensions.subjectAltName', name)
    }
  }
})

test('an extension that cannot be read is named, also where nothing is decided by it', () => {
  const names = [
    'authorityInfoAccess',
    'certificatePolicies',
    'subjectKeyIdentifier',
    'authorityKeyIdentifier',
    'crlDistributionPoints',
    'basicConstraints',
    'keyUsage',
    'extendedKeyUsage',
  ] as const
  for (const name of names) {
    for (const value of ['', '0500', '30', '3003020101', '30053003820161']) {
      const bytes = forgedCertificate({ extensions: [extensionOf[name](hex(value))] })
      // A path length without CA:TRUE can be read; it means nothing.
      if (name === 'basicConstraints' && value === '3003020101') continue
      assert.equal(pinnedFaults(bytes)[0]?.path, `certificate.extensions.${name}`, `${name} ${value}`)
      assert.equal(validateAnchor(bytes, 0)[0]?.path, `certificate.extensions.${name}`, `${name} ${value}`)
    }
  }
  const twice = extensionOf.basicConstraints(isCa)
  assert.match(faultOf(forgedCertificate({ extensions: [twice, twice] }))?.message ?? '', /twice/)
})

test('a name is the text that was written, in whatever string type', () => {
  const name = (tag: number, content: Buffer) =>
    sequence(der(0x31, sequence(oid('550403'), der(tag, content))))
  const rows: [tag: number, content: Buffer, text: string][] = [
    [0x12, Buffer.from('12345'), '12345'],
    [0x13, Buffer.from('unit 3'), 'unit 3'],
    [0x0c, Buffer.from('Zürich'), 'Zürich'],
    [0x16, Buffer.from('a@b'), 'a@b'],
    [0x14, Buffer.from('Zürich', 'latin1'), 'Zürich'],
    [0x1e, Buffer.from('Zürich', 'utf16le').swap16(), 'Zürich'],
    [0x1c, hex('0000005a000000fc'), 'Zü'],
  ]
  for (const [tag, content, text] of rows) {
    const bytes = forgedCertificate({ subject: name(tag, content), issuer: commonNames('x') })
    assert.deepEqual(namesOf(bytes).commonNames, [text])
  }
  const bad: [tag: number, content: Buffer][] = [
    [0x0c, hex('ff')],
    [0x1e, hex('d800')],
    [0x1c, hex('00110000')],
    [0x1c, hex('0000')],
  ]
  for (const [tag, content] of bad) {
    assert.equal(
      faultOf(forgedCertificate({ subject: name(tag, content), issuer: noName }))?.path,
      'certificate.subject',
    )
  }
})

test('an empty subject with a critical subjectAltName is taken, and shown by its names', () => {
  const san = (critical: boolean) =>
    extensionOf.subjectAltName(sequence(der(0x82, Buffer.from('unit-3'))), critical)
  const bytes = forgedCertificate({ subject: noName, extensions: [san(true)] })
  assert.equal(new X509Certificate(bytes).subject, undefined)
  assert.deepEqual(pinnedFaults(bytes), [])
  assert.equal(certificateFacts(bytes).subject, 'subjectAltName=dns:unit-3')
  assert.equal(certificateFacts(bytes).issuer, '')
  for (const extensions of [[], [san(false)]]) {
    assert.equal(
      pinnedFaults(forgedCertificate({ subject: noName, extensions }))[0]?.path,
      'certificate.subject',
    )
  }
})

test('facts read from DER are those that OpenSSL reads', async () => {
  const authority = await createAuthority()
  const { der: bytes } = await authority.issue({ name: 'd1' })
  const [node, facts] = [new X509Certificate(bytes), certificateFacts(bytes)]
  assert.equal(facts.notBefore, Date.parse(node.validFrom))
  assert.equal(facts.notAfter, Date.parse(node.validTo))
  assert.equal(facts.subject, node.subject)
  assert.deepEqual(facts, certificateFacts(node))
  assert.deepEqual([facts.isCa, certificateFacts(authority.der).isCa], [false, true])
  assert.throws(() => certificateFacts(Buffer.concat([bytes, Buffer.of(0)])), CertificateUnreadable)
  assert.throws(() => certificateFacts(Buffer.from('no certificate')), CertificateUnreadable)
})

test('whatever bytes it is given, it reads a certificate or says why not, and no date is NaN', async () => {
  const authority = await createAuthority()
  const { der: bytes } = await authority.issue({ name: 'd1' })
  const change = fc.record({ at: fc.nat(bytes.length - 1), octet: fc.nat(255) })
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), fc.nat(bytes.length), (changes, length) => {
      const changed = Buffer.from(bytes)
      for (const { at, octet } of changes) changed[at] = octet
      for (const candidate of [changed, changed.subarray(0, length)]) {
        const reading = readCertificate(candidate)
        if ('problem' in reading) {
          assert.match(reading.problem.path, /^certificate/)
          // Whatever the reader itself cannot foresee would be said in general words.
          assert.notEqual(reading.problem.message, 'it cannot be read')
          assert.doesNotMatch(reading.problem.message, /it cannot be read$/)
        } else {
          assert.ok(Number.isFinite(reading.certificate.notBefore))
          assert.ok(Number.isFinite(reading.certificate.notAfter))
        }
        for (const pinned of [true, false]) validateLeaf(candidate, { pinned })
        validateAnchor(candidate, 0)
      }
    }),
    { numRuns: 2_000 },
  )
})

test('a signature algorithm that is not the signed one is refused', () => {
  const bytes = forgedCertificate({ notBefore: utcTime('200101000000Z') })
  const outer = bytes.lastIndexOf(hex('2a8648ce3d040302'))
  bytes[outer + 7] = 3
  assert.match(faultOf(bytes)?.message ?? '', /not the one it was signed with/)
})
